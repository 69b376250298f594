// SPDX-License-Identifier: Apache-2.0
//
// Measures a batch of frames at the borders of an accelerator. A batch begins with a reset.
//
// in_fire_i, out_fire_i: a beat moved. frames_i: frames of the batch, constant while it runs.
// Cycles count from the first beat in: latency_o to the last beat out of the first frame,
// cycles_o to the last beat out of the last one. In the last steady_cycles_o of them the last
// frames_i - floor(frames_i / 2) frames came out; their quotient is the interval of a full
// accelerator. done_o rises when the last beat is out. late_o rises for good if nothing moves
// for WatchdogCycles before that.
// Latency: 4 cycles. Reset: all.
`default_nettype none
module phy_meter #(
  parameter int unsigned OutBeats       = 1,
  parameter int unsigned WatchdogCycles = 1_000_000
) (
  input  wire         clk_i,
  input  wire         rst_ni,
  input  wire  [15:0] frames_i,
  input  wire         in_fire_i,
  input  wire         out_fire_i,
  output logic        done_o,
  output logic        late_o,
  output logic [31:0] cycles_o,
  output logic [31:0] latency_o,
  output logic [31:0] steady_cycles_o
);
  localparam int unsigned BeatW = phy_pkg::idx_bits(OutBeats);
  localparam int unsigned IdleW = $clog2(WatchdogCycles + 1);

  logic             in_q;
  logic             out_q;
  logic             running_q;
  logic [31:0]      cycle_q;   // since the first beat in
  logic [31:0]      stamp_q;   // the same, a cycle ago
  logic [BeatW-1:0] beat_q;
  logic             frame_end;
  logic [15:0]      number_q;  // of the frame that comes out, from 1 on
  logic             first_q;   // a cycle ago the first, the middle, the last frame came out
  logic             half_q;
  logic             last_q;
  logic             done_q;
  logic [31:0]      cycles_q;
  logic [31:0]      latency_q;
  logic [31:0]      middle_q;
  logic [31:0]      steady_q;
  logic [IdleW-1:0] idle_q;
  logic             late_q;

  assign frame_end       = out_q && beat_q == BeatW'(OutBeats - 1);
  assign done_o          = done_q;
  assign late_o          = late_q;
  assign cycles_o        = cycles_q;
  assign latency_o       = latency_q;
  assign steady_cycles_o = steady_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      in_q      <= 1'b0;
      out_q     <= 1'b0;
      running_q <= 1'b0;
      cycle_q   <= '0;
      beat_q    <= '0;
      number_q  <= 16'd1;
      first_q   <= 1'b0;
      half_q    <= 1'b0;
      last_q    <= 1'b0;
      done_q    <= 1'b0;
      cycles_q  <= '0;
      latency_q <= '0;
      middle_q  <= '0;
      idle_q    <= '0;
      late_q    <= 1'b0;
    end else begin
      in_q    <= in_fire_i;
      out_q   <= out_fire_i;
      first_q <= frame_end && number_q == 16'd1;
      half_q  <= frame_end && number_q == frames_i >> 1;
      last_q  <= frame_end && number_q == frames_i;
      if (in_q) running_q <= 1'b1;
      if (in_q || running_q) cycle_q <= cycle_q + 1'b1;
      if (out_q) beat_q <= frame_end ? '0 : beat_q + 1'b1;
      if (frame_end) number_q <= number_q + 1'b1;
      if (first_q) latency_q <= stamp_q;
      if (half_q) middle_q <= stamp_q;
      if (last_q) cycles_q <= stamp_q;
      if (last_q) done_q <= 1'b1;
      if (in_q || out_q || done_q) idle_q <= '0;
      else if (idle_q != IdleW'(WatchdogCycles)) idle_q <= idle_q + 1'b1;
      late_q <= late_q || idle_q == IdleW'(WatchdogCycles);
    end
    stamp_q  <= cycle_q;
    steady_q <= cycles_q - middle_q;
  end
endmodule
`default_nettype wire

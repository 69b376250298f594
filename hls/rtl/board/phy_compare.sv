// SPDX-License-Identifier: Apache-2.0
//
// Compares two streams of frames beat by beat and counts the frames that differ.
//
// A beat of each side is taken in a cycle in which both are valid (ready depends on the other
// side's valid), so neither loses time if both have a beat in every cycle. frames_o,
// mismatches_o and first_o (the number of the first frame that differs, all ones while there is
// none) follow 4 cycles later.
// II: 1 cycle per beat. Reset: counters.
`default_nettype none
module phy_compare #(
  parameter  int unsigned Width  = 8,
  parameter  int unsigned Beats  = 1,
  localparam int unsigned Chunks = phy_pkg::ceil_div(Width, 8),
  localparam int unsigned Groups = phy_pkg::ceil_div(Chunks, 16),
  localparam int unsigned BeatW  = phy_pkg::idx_bits(Beats)
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [Width-1:0] s_axis_tdata,
  input  wire              s_axis_tvalid,
  output logic             s_axis_tready,
  input  wire  [Width-1:0] golden_tdata,
  input  wire              golden_tvalid,
  output logic             golden_tready,
  output logic [15:0]      frames_o,
  output logic [15:0]      mismatches_o,
  output logic [15:0]      first_o
);
  logic [8*Chunks-1:0]  differ;
  logic [Chunks-1:0]    chunk_d;
  logic [Chunks-1:0]    chunk_q;
  logic [16*Groups-1:0] chunks;
  logic [Groups-1:0]    group_d;
  logic [Groups-1:0]    group_q;
  logic [2:0]           valid_q;
  logic                 wrong_q;  // this beat
  logic                 bad_q;    // an earlier beat of this frame
  logic [BeatW-1:0]     beat_q;
  logic                 last;
  logic [15:0]          frames_q;
  logic [15:0]          mismatches_q;
  logic [15:0]          first_q;
  logic                 none_q;

  assign s_axis_tready = golden_tvalid;
  assign golden_tready = s_axis_tvalid;
  assign frames_o      = frames_q;
  assign mismatches_o  = mismatches_q;
  assign first_o       = first_q;

  assign differ = (8*Chunks)'(s_axis_tdata ^ golden_tdata);
  assign chunks = (16*Groups)'(chunk_q);
  for (genvar i = 0; i < Chunks; i++) begin : gen_chunk
    assign chunk_d[i] = |differ[8*i +: 8];
  end
  for (genvar i = 0; i < Groups; i++) begin : gen_group
    assign group_d[i] = |chunks[16*i +: 16];
  end
  assign last = beat_q == BeatW'(Beats - 1);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      valid_q      <= '0;
      bad_q        <= 1'b0;
      beat_q       <= '0;
      frames_q     <= '0;
      mismatches_q <= '0;
      first_q      <= '1;
      none_q       <= 1'b1;
    end else begin
      valid_q <= {valid_q[1:0], s_axis_tvalid && golden_tvalid};
      if (valid_q[2]) begin
        beat_q <= last ? '0 : beat_q + 1'b1;
        bad_q  <= !last && (bad_q || wrong_q);
        if (last) frames_q <= frames_q + 1'b1;
        if (last && (bad_q || wrong_q)) begin
          mismatches_q <= mismatches_q + 1'b1;
          none_q       <= 1'b0;
          if (none_q) first_q <= frames_q;
        end
      end
    end
    chunk_q <= chunk_d;
    group_q <= group_d;
    wrong_q <= |group_q;
  end
endmodule
`default_nettype wire

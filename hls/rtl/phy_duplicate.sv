// SPDX-License-Identifier: Apache-2.0
//
// One stream becomes two equal ones, beat by beat of Elems * ElemBits bits. Each output takes a beat
// when it can; the next beat comes when both have taken it.
//
// II: 1 cycle per beat. Latency: 1 cycle.
// Back-pressure: either output stops the input; a spill register at the input cuts the path to
// s_axis_tready. Reset: control only.
`default_nettype none
module phy_duplicate #(
  parameter  int unsigned Elems    = 4,
  parameter  int unsigned ElemBits = 8,
  localparam int unsigned BeatW    = phy_pkg::byte_bits(Elems * ElemBits)
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [BeatW-1:0] s_axis_tdata,
  input  wire              s_axis_tvalid,
  output logic             s_axis_tready,
  output logic [BeatW-1:0] m0_axis_tdata,
  output logic             m0_axis_tvalid,
  input  wire              m0_axis_tready,
  output logic [BeatW-1:0] m1_axis_tdata,
  output logic             m1_axis_tvalid,
  input  wire              m1_axis_tready
);
  logic [BeatW-1:0] data;
  logic             valid;
  logic             done0_q;  // the output has taken the beat, the other one has not
  logic             done1_q;
  logic             done0;
  logic             done1;
  phy_spill #(.Width(BeatW)) u_in (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
    .m_axis_tdata(data), .m_axis_tvalid(valid), .m_axis_tready(done0 && done1)
  );
  assign m0_axis_tdata  = data;
  assign m1_axis_tdata  = data;
  assign m0_axis_tvalid = valid && !done0_q;
  assign m1_axis_tvalid = valid && !done1_q;
  assign done0          = done0_q || m0_axis_tready;
  assign done1          = done1_q || m1_axis_tready;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      done0_q <= 1'b0;
      done1_q <= 1'b0;
    end else if (valid) begin
      done0_q <= done0 && !done1;
      done1_q <= done1 && !done0;
    end
  end

  if (Elems < 1) begin : gen_bad_elems
    $error("phy_duplicate: Elems (%0d) must be at least 1", Elems);
  end
endmodule
`default_nettype wire

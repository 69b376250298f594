// SPDX-License-Identifier: Apache-2.0
//
// Channels to two streams, pixel by pixel: (a[n], b[n]) = x[n], n < Pixels; the first ChannelsA are a.
//
// In:  (ChannelsA + ChannelsB) / Pe beats per pixel of Pe * ElemBits bits.
// Out: m0_axis: ChannelsA / Pe beats per pixel, m1_axis: ChannelsB / Pe.
//
// II: one cycle per input beat. Latency: 1 cycle.
// Back-pressure: the output whose turn it is stops the input; a spill register at the input cuts the
// path to s_axis_tready. Reset: control only.
`default_nettype none
module phy_split #(
  parameter  int unsigned Pixels    = 4,
  parameter  int unsigned ChannelsA = 4,
  parameter  int unsigned ChannelsB = 2,
  parameter  int unsigned Pe        = 2,
  parameter  int unsigned ElemBits  = 8,
  localparam int unsigned BeatW     = phy_pkg::byte_bits(Pe * ElemBits)
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
  if (Pixels < 1 || ChannelsA % Pe != 0 || ChannelsB % Pe != 0) begin : gen_bad_pe
    $error("phy_split: Pe (%0d) must divide ChannelsA (%0d) and ChannelsB (%0d)",
           Pe, ChannelsA, ChannelsB);
  end

  logic from_b;  // it is the turn of b
  logic move;
  phy_turn #(.ChannelsA(ChannelsA), .ChannelsB(ChannelsB), .Pe(Pe)) u_turn (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n), .move_i(move), .from_b_o(from_b)
  );

  logic [BeatW-1:0] data;
  logic             valid;
  logic             ready;
  phy_spill #(.Width(BeatW)) u_in (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
    .m_axis_tdata(data), .m_axis_tvalid(valid), .m_axis_tready(ready)
  );
  assign m0_axis_tdata  = data;
  assign m1_axis_tdata  = data;
  assign m0_axis_tvalid = valid && !from_b;
  assign m1_axis_tvalid = valid && from_b;
  assign ready          = from_b ? m1_axis_tready : m0_axis_tready;
  assign move           = valid && ready;
endmodule
`default_nettype wire

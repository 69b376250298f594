// SPDX-License-Identifier: Apache-2.0
//
// Channels of two streams, pixel by pixel: y[n] = (a[n], b[n]), n < Pixels; those of a first.
//
// In:  s0_axis: ChannelsA / Pe beats per pixel, s1_axis: ChannelsB / Pe, of Pe * ElemBits bits.
// Out: (ChannelsA + ChannelsB) / Pe beats per pixel. Frames follow one another without a gap.
//
// II: one cycle per output beat. Latency: 1 cycle.
// Back-pressure: each input waits for its turn; a spill register at the output cuts the path to the
// inputs. Reset: control only.
`default_nettype none
module phy_concat #(
  parameter  int unsigned Pixels    = 4,
  parameter  int unsigned ChannelsA = 4,
  parameter  int unsigned ChannelsB = 2,
  parameter  int unsigned Pe        = 2,
  parameter  int unsigned ElemBits  = 8,
  localparam int unsigned BeatW     = phy_pkg::byte_bits(Pe * ElemBits)
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [BeatW-1:0] s0_axis_tdata,
  input  wire              s0_axis_tvalid,
  output logic             s0_axis_tready,
  input  wire  [BeatW-1:0] s1_axis_tdata,
  input  wire              s1_axis_tvalid,
  output logic             s1_axis_tready,
  output logic [BeatW-1:0] m_axis_tdata,
  output logic             m_axis_tvalid,
  input  wire              m_axis_tready
);
  if (Pixels < 1 || ChannelsA % Pe != 0 || ChannelsB % Pe != 0) begin : gen_bad_pe
    $error("phy_concat: Pe (%0d) must divide ChannelsA (%0d) and ChannelsB (%0d)",
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
  assign data           = from_b ? s1_axis_tdata : s0_axis_tdata;
  assign valid          = from_b ? s1_axis_tvalid : s0_axis_tvalid;
  assign s0_axis_tready = ready && !from_b;
  assign s1_axis_tready = ready && from_b;
  assign move           = valid && ready;
  phy_spill #(.Width(BeatW)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(data), .s_axis_tvalid(valid), .s_axis_tready(ready),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );
endmodule
`default_nettype wire

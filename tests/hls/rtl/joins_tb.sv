// SPDX-License-Identifier: Apache-2.0
//
// Kernels with several streams side by side, for one cocotb build. Elements of 6 bits, 2 per beat.
`default_nettype none
module joins_tb #(
  localparam int unsigned W = 16
) (
  input  wire          ap_clk,
  input  wire          ap_rst_n,
  input  wire  [W-1:0] dup_s_tdata, cat_s0_tdata, cat_s1_tdata, split_s_tdata, add_s0_tdata,
  input  wire  [W-1:0] add_s1_tdata,
  input  wire          dup_s_tvalid, cat_s0_tvalid, cat_s1_tvalid, split_s_tvalid, add_s0_tvalid,
  input  wire          add_s1_tvalid,
  output logic         dup_s_tready, cat_s0_tready, cat_s1_tready, split_s_tready, add_s0_tready,
  output logic         add_s1_tready,
  output logic [W-1:0] dup_m0_tdata, dup_m1_tdata, cat_m_tdata, split_m0_tdata, split_m1_tdata,
  output logic [W-1:0] add_m_tdata,
  output logic         dup_m0_tvalid, dup_m1_tvalid, cat_m_tvalid, split_m0_tvalid,
  output logic         split_m1_tvalid, add_m_tvalid,
  input  wire          dup_m0_tready, dup_m1_tready, cat_m_tready, split_m0_tready,
  input  wire          split_m1_tready, add_m_tready
);
  phy_duplicate #(.Elems(2), .ElemBits(6)) u_dup (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(dup_s_tdata), .s_axis_tvalid(dup_s_tvalid), .s_axis_tready(dup_s_tready),
    .m0_axis_tdata(dup_m0_tdata), .m0_axis_tvalid(dup_m0_tvalid), .m0_axis_tready(dup_m0_tready),
    .m1_axis_tdata(dup_m1_tdata), .m1_axis_tvalid(dup_m1_tvalid), .m1_axis_tready(dup_m1_tready)
  );
  phy_concat #(.Pixels(8), .ChannelsA(6), .ChannelsB(2), .Pe(2), .ElemBits(6)) u_cat (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s0_axis_tdata(cat_s0_tdata), .s0_axis_tvalid(cat_s0_tvalid), .s0_axis_tready(cat_s0_tready),
    .s1_axis_tdata(cat_s1_tdata), .s1_axis_tvalid(cat_s1_tvalid), .s1_axis_tready(cat_s1_tready),
    .m_axis_tdata(cat_m_tdata), .m_axis_tvalid(cat_m_tvalid), .m_axis_tready(cat_m_tready)
  );
  phy_split #(.Pixels(8), .ChannelsA(6), .ChannelsB(2), .Pe(2), .ElemBits(6)) u_split (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(split_s_tdata), .s_axis_tvalid(split_s_tvalid),
    .s_axis_tready(split_s_tready),
    .m0_axis_tdata(split_m0_tdata), .m0_axis_tvalid(split_m0_tvalid),
    .m0_axis_tready(split_m0_tready),
    .m1_axis_tdata(split_m1_tdata), .m1_axis_tvalid(split_m1_tvalid),
    .m1_axis_tready(split_m1_tready)
  );
  phy_add #(
    .Pixels(8), .Channels(2), .Pe(2), .InBits(6), .InSigned(1'b1), .OutBits(7), .OutSigned(1'b1)
  ) u_add (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s0_axis_tdata(add_s0_tdata), .s0_axis_tvalid(add_s0_tvalid), .s0_axis_tready(add_s0_tready),
    .s1_axis_tdata(add_s1_tdata), .s1_axis_tvalid(add_s1_tvalid), .s1_axis_tready(add_s1_tready),
    .m_axis_tdata(add_m_tdata), .m_axis_tvalid(add_m_tvalid), .m_axis_tready(add_m_tready)
  );
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// The stream glue side by side, for one cocotb build: spill register, FIFOs in LUT RAM and block RAM,
// a FIFO whose depth is limited at run time.
`default_nettype none
module streams_tb #(
  localparam int unsigned W = 16
) (
  input  wire          ap_clk,
  input  wire          ap_rst_n,
  input  wire  [W-1:0] spill_s_tdata, shallow_s_tdata, deep_s_tdata, limited_s_tdata,
  input  wire          spill_s_tvalid, shallow_s_tvalid, deep_s_tvalid, limited_s_tvalid,
  output logic         spill_s_tready, shallow_s_tready, deep_s_tready, limited_s_tready,
  output logic [W-1:0] spill_m_tdata, shallow_m_tdata, deep_m_tdata, limited_m_tdata,
  output logic         spill_m_tvalid, shallow_m_tvalid, deep_m_tvalid, limited_m_tvalid,
  input  wire          spill_m_tready, shallow_m_tready, deep_m_tready, limited_m_tready
);
  phy_spill #(.Width(W)) u_spill (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(spill_s_tdata), .s_axis_tvalid(spill_s_tvalid), .s_axis_tready(spill_s_tready),
    .m_axis_tdata(spill_m_tdata), .m_axis_tvalid(spill_m_tvalid), .m_axis_tready(spill_m_tready)
  );
  phy_fifo #(.Depth(5), .Width(W)) u_shallow (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(shallow_s_tdata), .s_axis_tvalid(shallow_s_tvalid),
    .s_axis_tready(shallow_s_tready), .m_axis_tdata(shallow_m_tdata),
    .m_axis_tvalid(shallow_m_tvalid), .m_axis_tready(shallow_m_tready)
  );
  phy_fifo #(.Depth(70), .Width(W)) u_deep (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(deep_s_tdata), .s_axis_tvalid(deep_s_tvalid), .s_axis_tready(deep_s_tready),
    .m_axis_tdata(deep_m_tdata), .m_axis_tvalid(deep_m_tvalid), .m_axis_tready(deep_m_tready)
  );
  phy_fifo #(.Depth(8), .Width(W)) u_limited (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(limited_s_tdata), .s_axis_tvalid(limited_s_tvalid),
    .s_axis_tready(limited_s_tready), .m_axis_tdata(limited_m_tdata),
    .m_axis_tvalid(limited_m_tvalid), .m_axis_tready(limited_m_tready)
  );
endmodule
`default_nettype wire

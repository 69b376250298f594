//
// In:  4 beats of 3 x INT8 per frame, element 0 in the lowest bits.
// Out: 4 beats of 2 x UINT2 per frame.
// Model: 8 cycles per frame (set by l0), latency 43 cycles.
// Streams: s_<stream>_* are the wires that the consumer sees; where there is a FIFO, p_<stream>_* are
// those of the producer.
`default_nettype none
module chain_top #(
  parameter MemDir = ""  // folder of the memory files with a / behind it; empty: the working folder
) (
  input  wire          ap_clk,
  input  wire          ap_rst_n,
  input  wire  [23:0] s_axis_tdata,
  input  wire          s_axis_tvalid,
  output logic         s_axis_tready,
  output logic [7:0] m_axis_tdata,
  output logic         m_axis_tvalid,
  input  wire          m_axis_tready
);
  // s0: input -> l0, 4 beats of 3 x INT8
  logic [23:0] s_s0_tdata;
  logic s_s0_tvalid;
  logic s_s0_tready;
  // s1: l0 -> l1, 2 beats of 4 x INT15
  logic [63:0] p_s1_tdata;
  logic p_s1_tvalid;
  logic p_s1_tready;
  logic [63:0] s_s1_tdata;
  logic s_s1_tvalid;
  logic s_s1_tready;
  phy_fifo #(
    .Depth(2),
    .Width(64)
  ) fifo_s1 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(p_s1_tdata),
    .s_axis_tvalid(p_s1_tvalid),
    .s_axis_tready(p_s1_tready),
    .m_axis_tdata(s_s1_tdata),
    .m_axis_tvalid(s_s1_tvalid),
    .m_axis_tready(s_s1_tready)
  );
  // s2: l1 -> l2, 2 beats of 4 x UINT4
  logic [15:0] s_s2_tdata;
  logic s_s2_tvalid;
  logic s_s2_tready;
  // s3: l2 -> l3, 4 beats of 2 x UINT4
  logic [7:0] s_s3_tdata;
  logic s_s3_tvalid;
  logic s_s3_tready;
  // s4: l3 -> l4, 2 beats of 4 x UINT4
  logic [15:0] s_s4_tdata;
  logic s_s4_tvalid;
  logic s_s4_tready;
  // s5: l4 -> l5, 4 beats of 2 x INT7
  logic [15:0] s_s5_tdata;
  logic s_s5_tvalid;
  logic s_s5_tready;
  // s6: l5 -> output, 4 beats of 2 x UINT2
  logic [7:0] p_s6_tdata;
  logic p_s6_tvalid;
  logic p_s6_tready;
  logic [7:0] s_s6_tdata;
  logic s_s6_tvalid;
  logic s_s6_tready;
  phy_fifo #(
    .Depth(100),
    .Width(8)
  ) fifo_s6 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(p_s6_tdata),
    .s_axis_tvalid(p_s6_tvalid),
    .s_axis_tready(p_s6_tready),
    .m_axis_tdata(s_s6_tdata),
    .m_axis_tvalid(s_s6_tvalid),
    .m_axis_tready(s_s6_tready)
  );

  assign s_s0_tdata = s_axis_tdata;
  assign s_s0_tvalid = s_axis_tvalid;
  assign s_axis_tready = s_s0_tready;
  assign m_axis_tdata = s_s6_tdata;
  assign m_axis_tvalid = s_s6_tvalid;
  assign s_s6_tready = m_axis_tready;

  // mvau, from node0: 8 cycles per frame
  phy_mvau #(
    .MatW(12),
    .MatH(8),
    .Pe(4),
    .Simd(3),
    .InBits(8),
    .InSigned(1),
    .WeightBits(4),
    .WeightSigned(1),
    .AccBits(15),
    .WeightFile("l0_weights.dat"),
    .MemDir(MemDir)
  ) u_l0 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_s0_tdata),
    .s_axis_tvalid(s_s0_tvalid),
    .s_axis_tready(s_s0_tready),
    .m_axis_tdata(p_s1_tdata),
    .m_axis_tvalid(p_s1_tvalid),
    .m_axis_tready(p_s1_tready)
  );

  // requant, from node1: 2 cycles per frame
  phy_requant #(
    .Channels(8),
    .Pe(4),
    .InBits(15),
    .InSigned(1),
    .MulBits(6),
    .AddBits(13),
    .Shift(9),
    .OutBits(4),
    .OutSigned(0),
    .OutMin(0),
    .OutMax(15),
    .ParamFile("l1_params.dat"),
    .MemDir(MemDir)
  ) u_l1 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_s1_tdata),
    .s_axis_tvalid(s_s1_tvalid),
    .s_axis_tready(s_s1_tready),
    .m_axis_tdata(s_s2_tdata),
    .m_axis_tvalid(s_s2_tvalid),
    .m_axis_tready(s_s2_tready)
  );

  // dwc, from node2: 4 cycles per frame
  phy_dwc #(
    .InElems(4),
    .OutElems(2),
    .ElemBits(4)
  ) u_l2 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_s2_tdata),
    .s_axis_tvalid(s_s2_tvalid),
    .s_axis_tready(s_s2_tready),
    .m_axis_tdata(s_s3_tdata),
    .m_axis_tvalid(s_s3_tvalid),
    .m_axis_tready(s_s3_tready)
  );

  // dwc, from node3: 4 cycles per frame
  phy_dwc #(
    .InElems(2),
    .OutElems(4),
    .ElemBits(4)
  ) u_l3 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_s3_tdata),
    .s_axis_tvalid(s_s3_tvalid),
    .s_axis_tready(s_s3_tready),
    .m_axis_tdata(s_s4_tdata),
    .m_axis_tvalid(s_s4_tvalid),
    .m_axis_tready(s_s4_tready)
  );

  // mvau_sparse, from node4: 8 cycles per frame
  phy_mvau_sparse #(
    .MatW(8),
    .MatH(8),
    .Pe(2),
    .Simd(4),
    .Block(4),
    .Nnz(1),
    .InBits(4),
    .InSigned(0),
    .WeightBits(2),
    .WeightSigned(1),
    .AccBits(7),
    .WeightFile("l4_weights.dat"),
    .MemDir(MemDir)
  ) u_l4 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_s4_tdata),
    .s_axis_tvalid(s_s4_tvalid),
    .s_axis_tready(s_s4_tready),
    .m_axis_tdata(s_s5_tdata),
    .m_axis_tvalid(s_s5_tvalid),
    .m_axis_tready(s_s5_tready)
  );

  // thresholding, from node5: 4 cycles per frame
  phy_thresholding #(
    .Channels(8),
    .Pe(2),
    .InBits(7),
    .InSigned(1),
    .Steps(3),
    .OutBits(2),
    .OutBias(0),
    .ThresholdFile("l5_thresholds"),
    .MemDir(MemDir)
  ) u_l5 (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_s5_tdata),
    .s_axis_tvalid(s_s5_tvalid),
    .s_axis_tready(s_s5_tready),
    .m_axis_tdata(p_s6_tdata),
    .m_axis_tvalid(p_s6_tvalid),
    .m_axis_tready(p_s6_tready)
  );
endmodule
`default_nettype wire

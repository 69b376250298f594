// SPDX-License-Identifier: Apache-2.0
//
// Golden frames out of ROMs, as fast as the accelerator takes them, and their comparison with
// what comes out. It runs once after each reset, GoldenFrames * Repeats frames.
//
// m_axis feeds the accelerator, s_axis takes its results. done_o rises when all frames are
// compared.
// II: 1 cycle per beat at either side. Reset: control and counters.
`default_nettype none
module phy_selftest #(
  parameter int unsigned InBeats      = 1,
  parameter int unsigned InWidth      = 8,
  parameter int unsigned OutBeats     = 1,
  parameter int unsigned OutWidth     = 8,
  parameter int unsigned GoldenFrames = 1,
  parameter int unsigned Repeats      = 1,
  parameter              InFile       = "",
  parameter              OutFile      = "",
  parameter              MemDir       = ""
) (
  input  wire                 ap_clk,
  input  wire                 ap_rst_n,
  output logic [InWidth-1:0]  m_axis_tdata,
  output logic                m_axis_tvalid,
  input  wire                 m_axis_tready,
  input  wire  [OutWidth-1:0] s_axis_tdata,
  input  wire                 s_axis_tvalid,
  output logic                s_axis_tready,
  output logic                done_o,
  output logic [15:0]         frames_o,
  output logic [15:0]         mismatches_o,
  output logic [15:0]         first_o
);
  logic [OutWidth-1:0] golden_tdata;
  logic                golden_tvalid;
  logic                golden_tready;
  logic                done_q;

  assign done_o = done_q;

  phy_golden #(
    .Width(InWidth),
    .Words(GoldenFrames * InBeats),
    .Repeats(Repeats),
    .File(InFile),
    .MemDir(MemDir)
  ) u_inputs (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tready(m_axis_tready)
  );

  phy_golden #(
    .Width(OutWidth),
    .Words(GoldenFrames * OutBeats),
    .Repeats(Repeats),
    .File(OutFile),
    .MemDir(MemDir)
  ) u_outputs (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .m_axis_tdata(golden_tdata),
    .m_axis_tvalid(golden_tvalid),
    .m_axis_tready(golden_tready)
  );

  phy_compare #(
    .Width(OutWidth),
    .Beats(OutBeats)
  ) u_compare (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .s_axis_tdata(s_axis_tdata),
    .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready),
    .golden_tdata(golden_tdata),
    .golden_tvalid(golden_tvalid),
    .golden_tready(golden_tready),
    .frames_o(frames_o),
    .mismatches_o(mismatches_o),
    .first_o(first_o)
  );

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) done_q <= 1'b0;
    else done_q <= frames_o == 16'(GoldenFrames * Repeats);
  end

  if (GoldenFrames < 1 || Repeats < 1 || GoldenFrames * Repeats > 65535) begin : gen_bad_frames
    $error("phy_selftest: GoldenFrames (%0d) * Repeats (%0d) must be 1 to 65535", GoldenFrames,
           Repeats);
  end
endmodule
`default_nettype wire

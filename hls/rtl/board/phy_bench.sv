// SPDX-License-Identifier: Apache-2.0
//
// The accelerator's surroundings: what feeds it, takes its results and measures it.
//
// test_i chooses between the self-test (golden frames out of ROMs, compared) and frames from the
// line (bytes in and out through buffers). Each batch begins with clear_i, which resets the
// accelerator and all of this but the input buffer; the self-test's result is kept until the next
// self-test begins. m_axis and s_axis are the accelerator's streams; a register each way keeps the
// selection off their paths. The numbers that phy_meter gives are those at the accelerator's own
// ports. II: 1 cycle per beat. Reset: control and counters.
`default_nettype none
module phy_bench #(
  parameter  int unsigned WatchdogCycles = 1_000_000,
  parameter  int unsigned InBeats        = 1,
  parameter  int unsigned InBytes        = 1,
  parameter  int unsigned OutBeats       = 1,
  parameter  int unsigned OutBytes       = 1,
  parameter  int unsigned InBuffer       = 4096,
  parameter  int unsigned OutBuffer      = 4096,
  parameter  int unsigned Trailer        = 8,
  parameter  int unsigned GoldenFrames   = 1,
  parameter  int unsigned Repeats        = 1,
  parameter               InFile         = "",
  parameter               OutFile        = "",
  parameter               MemDir         = "",
  localparam int unsigned TestFrames     = GoldenFrames * Repeats
) (
  input  wire                   clk_i,
  input  wire                   rst_ni,
  input  wire                   clear_i,
  input  wire                   test_i,
  input  wire                   feed_i,
  // frames from the line, and their results
  input  wire                   begin_i,
  input  wire  [7:0]            byte_i,
  input  wire                   byte_valid_i,
  output logic                  whole_o,
  output logic [15:0]           reply_bytes_o,
  output logic [7:0]            result_o,
  output logic                  result_valid_o,
  input  wire                   result_ready_i,
  // the batch
  output logic                  done_o,
  output logic                  late_o,
  output logic [15:0]           frames_o,
  output logic [31:0]           cycles_o,
  output logic [31:0]           latency_o,
  output logic [31:0]           steady_cycles_o,
  // the last self-test
  output logic                  test_done_o,
  output logic [15:0]           test_frames_o,
  output logic [15:0]           test_mismatches_o,
  output logic [15:0]           test_first_o,
  // the accelerator
  output logic                  acc_rst_no,
  output logic [8*InBytes-1:0]  m_axis_tdata,
  output logic                  m_axis_tvalid,
  input  wire                   m_axis_tready,
  input  wire  [8*OutBytes-1:0] s_axis_tdata,
  input  wire                   s_axis_tvalid,
  output logic                  s_axis_tready
);
  logic        acc_rst_nq;
  logic        test_rst_nq;
  logic [15:0] line_frames;
  logic [15:0] frames_q;

  logic [8*InBytes-1:0]  test_m_tdata;
  logic                  test_m_tvalid;
  logic                  test_s_tready;
  logic [8*InBytes-1:0]  line_m_tdata;
  logic                  line_m_tvalid;
  logic                  line_s_tready;
  logic                  to_tready;
  logic [8*OutBytes-1:0] from_tdata;
  logic                  from_tvalid;

  assign acc_rst_no = acc_rst_nq;
  assign frames_o   = frames_q;
  always_ff @(posedge clk_i) begin
    acc_rst_nq  <= rst_ni && !clear_i;
    test_rst_nq <= rst_ni && !(clear_i && test_i);
    frames_q    <= test_i ? 16'(TestFrames) : line_frames;
  end

  phy_selftest #(
    .InBeats(InBeats),
    .InWidth(8 * InBytes),
    .OutBeats(OutBeats),
    .OutWidth(8 * OutBytes),
    .GoldenFrames(GoldenFrames),
    .Repeats(Repeats),
    .InFile(InFile),
    .OutFile(OutFile),
    .MemDir(MemDir)
  ) u_selftest (
    .ap_clk(clk_i),
    .ap_rst_n(test_rst_nq),
    .m_axis_tdata(test_m_tdata),
    .m_axis_tvalid(test_m_tvalid),
    .m_axis_tready(to_tready && test_i),
    .s_axis_tdata(from_tdata),
    .s_axis_tvalid(from_tvalid && test_i),
    .s_axis_tready(test_s_tready),
    .done_o(test_done_o),
    .frames_o(test_frames_o),
    .mismatches_o(test_mismatches_o),
    .first_o(test_first_o)
  );

  phy_frames #(
    .InBeats(InBeats),
    .InBytes(InBytes),
    .OutBeats(OutBeats),
    .OutBytes(OutBytes),
    .InBuffer(InBuffer),
    .OutBuffer(OutBuffer),
    .Trailer(Trailer)
  ) u_frames (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .begin_i(begin_i),
    .byte_i(byte_i),
    .byte_valid_i(byte_valid_i),
    .frames_o(line_frames),
    .whole_o(whole_o),
    .reply_o(reply_bytes_o),
    .clear_i(clear_i),
    .feed_i(feed_i),
    .m_axis_tdata(line_m_tdata),
    .m_axis_tvalid(line_m_tvalid),
    .m_axis_tready(to_tready && !test_i),
    .s_axis_tdata(from_tdata),
    .s_axis_tvalid(from_tvalid && !test_i),
    .s_axis_tready(line_s_tready),
    .reply_tdata(result_o),
    .reply_tvalid(result_valid_o),
    .reply_tready(result_ready_i)
  );

  phy_spill #(
    .Width(8 * InBytes)
  ) u_to_accelerator (
    .ap_clk(clk_i),
    .ap_rst_n(acc_rst_nq),
    .s_axis_tdata(test_i ? test_m_tdata : line_m_tdata),
    .s_axis_tvalid(test_i ? test_m_tvalid : line_m_tvalid),
    .s_axis_tready(to_tready),
    .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tready(m_axis_tready)
  );

  phy_spill #(
    .Width(8 * OutBytes)
  ) u_from_accelerator (
    .ap_clk(clk_i),
    .ap_rst_n(acc_rst_nq),
    .s_axis_tdata(s_axis_tdata),
    .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready),
    .m_axis_tdata(from_tdata),
    .m_axis_tvalid(from_tvalid),
    .m_axis_tready(test_i ? test_s_tready : line_s_tready)
  );

  phy_meter #(
    .OutBeats(OutBeats),
    .WatchdogCycles(WatchdogCycles)
  ) u_meter (
    .clk_i(clk_i),
    .rst_ni(acc_rst_nq),
    .frames_i(frames_q),
    .in_fire_i(m_axis_tvalid && m_axis_tready),
    .out_fire_i(s_axis_tvalid && s_axis_tready),
    .done_o(done_o),
    .late_o(late_o),
    .cycles_o(cycles_o),
    .latency_o(latency_o),
    .steady_cycles_o(steady_cycles_o)
  );
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// All of a board but PLL, pins and accelerator: serial line, packets, self-test, status, lights.
//
// After reset the self-test runs GoldenFrames * Repeats frames through the accelerator and
// compares them; then requests are carried out one after the other (docs/board.md). A packet
// that comes while one is being worked on is answered with BUSY. acc_rst_no resets the
// accelerator before every batch.
// m_axis feeds the accelerator and s_axis takes its results, one beat per cycle in the
// self-test; frames from the line are fed from a buffer of InBuffer bytes, so that several are
// under way at a time, and if the line cannot take the results fast enough the accelerator
// waits. Reset: control and counters.
`default_nettype none
module phy_board
  import phy_board_pkg::*;
#(
  parameter int unsigned   ClkHz          = 100_000_000,
  parameter int unsigned   Baud           = 1_000_000,
  parameter int unsigned   TimeoutCycles  = 5_000_000,
  parameter int unsigned   WatchdogCycles = 1_000_000,
  parameter logic [63:0]   BuildHash      = '0,
  parameter int unsigned   InBeats        = 1,
  parameter int unsigned   InBytes        = 1,
  parameter int unsigned   OutBeats       = 1,
  parameter int unsigned   OutBytes       = 1,
  parameter int unsigned   InBuffer       = 4096,
  parameter int unsigned   OutBuffer      = 4096,
  parameter int unsigned   GoldenFrames   = 1,
  parameter int unsigned   Repeats        = 1,
  parameter                InFile         = "",
  parameter                OutFile        = "",
  parameter                MemDir         = ""
) (
  input  wire                   clk_i,
  input  wire                   rst_ni,
  input  wire                   uart_rx_i,
  output logic                  uart_tx_o,
  output logic [7:0]            led_o,
  output logic                  acc_rst_no,
  output logic [8*InBytes-1:0]  m_axis_tdata,
  output logic                  m_axis_tvalid,
  input  wire                   m_axis_tready,
  input  wire  [8*OutBytes-1:0] s_axis_tdata,
  input  wire                   s_axis_tvalid,
  output logic                  s_axis_tready
);
  localparam int unsigned TestFrames   = GoldenFrames * Repeats;
  localparam int unsigned StatusWords  = 20;
  localparam int unsigned TrailerWords = 2;
  localparam int unsigned ErrorWords   = 1;
  localparam int unsigned Words        = StatusWords + TrailerWords + ErrorWords;
  localparam int unsigned IndexW       = phy_pkg::idx_bits(phy_pkg::ceil_div(Words, 4)) + 2;
  localparam int unsigned Counters     = 8;

  // Serial line.
  logic [7:0] rx_data;
  logic       rx_valid;
  logic       rx_error;
  logic [7:0] tx_data;
  logic       tx_valid;
  logic       tx_ready;

  phy_uart_rx #(
    .ClkHz(ClkHz),
    .Baud(Baud)
  ) u_uart_rx (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .rx_i(uart_rx_i),
    .data_o(rx_data),
    .valid_o(rx_valid),
    .error_o(rx_error)
  );

  phy_uart_tx #(
    .ClkHz(ClkHz),
    .Baud(Baud)
  ) u_uart_tx (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .data_i(tx_data),
    .valid_i(tx_valid),
    .ready_o(tx_ready),
    .tx_o(uart_tx_o)
  );

  // Packets in. The input buffer belongs to a request from its arrival to its reply.
  logic       owned_q;
  logic       pkt_begin;
  logic [7:0] pkt_payload;
  logic       pkt_payload_valid;
  request_t   pkt_request;
  logic       pkt_request_valid;
  logic       pkt_idle;
  request_t   request;
  logic       request_valid;
  logic       request_ready;
  logic       queue_ready;
  logic       release_buffer;

  phy_packet_rx #(
    .MaxPayload(InBuffer),
    .TimeoutCycles(TimeoutCycles)
  ) u_packet_rx (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .data_i(rx_data),
    .valid_i(rx_valid),
    .error_i(rx_error),
    .free_i(!owned_q),
    .begin_o(pkt_begin),
    .payload_o(pkt_payload),
    .payload_valid_o(pkt_payload_valid),
    .request_o(pkt_request),
    .request_valid_o(pkt_request_valid),
    .idle_o(pkt_idle)
  );

  phy_fifo #(
    .Depth(4),
    .Width($bits(request_t))
  ) u_board_requests (
    .ap_clk(clk_i),
    .ap_rst_n(rst_ni),
    .s_axis_tdata(pkt_request),
    .s_axis_tvalid(pkt_request_valid),
    .s_axis_tready(queue_ready),
    .m_axis_tdata(request),
    .m_axis_tvalid(request_valid),
    .m_axis_tready(request_ready)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) owned_q <= 1'b0;
    else if (release_buffer) owned_q <= 1'b0;
    else if (pkt_request_valid && queue_ready && pkt_request.error == ERR_NONE) owned_q <= 1'b1;
  end

  // Batches of frames.
  logic        clear;
  logic        test;
  logic        running;
  logic        feed;
  logic        batch_done;
  logic        batch_late;
  logic        test_done;
  logic        test_over;
  logic        line_whole;
  logic [15:0] line_reply;
  logic [15:0] batch_frames;
  logic [15:0] test_frames;
  logic [15:0] test_mismatches;
  logic [15:0] test_first;
  logic [31:0] cycles;
  logic [31:0] latency;
  logic [31:0] steady_cycles;
  logic [7:0]  result_data;
  logic        result_valid;
  logic        result_ready;

  phy_bench #(
    .WatchdogCycles(WatchdogCycles),
    .InBeats(InBeats),
    .InBytes(InBytes),
    .OutBeats(OutBeats),
    .OutBytes(OutBytes),
    .InBuffer(InBuffer),
    .OutBuffer(OutBuffer),
    .Trailer(4 * TrailerWords),
    .GoldenFrames(GoldenFrames),
    .Repeats(Repeats),
    .InFile(InFile),
    .OutFile(OutFile),
    .MemDir(MemDir)
  ) u_bench (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .clear_i(clear),
    .test_i(test),
    .feed_i(feed),
    .begin_i(pkt_begin),
    .byte_i(pkt_payload),
    .byte_valid_i(pkt_payload_valid),
    .whole_o(line_whole),
    .reply_bytes_o(line_reply),
    .result_o(result_data),
    .result_valid_o(result_valid),
    .result_ready_i(result_ready),
    .done_o(batch_done),
    .late_o(batch_late),
    .frames_o(batch_frames),
    .cycles_o(cycles),
    .latency_o(latency),
    .steady_cycles_o(steady_cycles),
    .test_done_o(test_done),
    .test_frames_o(test_frames),
    .test_mismatches_o(test_mismatches),
    .test_first_o(test_first),
    .acc_rst_no(acc_rst_no),
    .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tready(m_axis_tready),
    .s_axis_tdata(s_axis_tdata),
    .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready)
  );

  // What is known of the last self-test.
  logic        over_q;
  logic        passed_q;
  logic        late_q;
  logic [31:0] test_cycles_q;
  logic [31:0] test_latency_q;
  logic [31:0] test_steady_q;
  logic [15:0] runs_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      over_q         <= 1'b0;
      passed_q       <= 1'b0;
      late_q         <= 1'b0;
      test_cycles_q  <= '0;
      test_latency_q <= '0;
      test_steady_q  <= '0;
      runs_q         <= '0;
    end else if (test_over) begin
      over_q         <= 1'b1;
      passed_q       <= test_done && batch_done && !batch_late && test_mismatches == '0;
      late_q         <= batch_late;
      test_cycles_q  <= cycles;
      test_latency_q <= latency;
      test_steady_q  <= steady_cycles;
      runs_q         <= runs_q + 1'b1;
    end else if (running) begin
      over_q <= 1'b0;
    end
  end

  // Counters, in the order of the status block.
  logic [Counters-1:0]       count;
  logic [Counters-1:0][15:0] counts;
  logic                      good;
  logic                      unknown;
  logic                      trouble_q;
  always_comb begin
    count = '0;
    count[0] = good;
    count[1] = pkt_request_valid && pkt_request.error == ERR_CRC;
    count[2] = pkt_request_valid && (pkt_request.error == ERR_BUSY || !queue_ready);
    count[3] = pkt_request_valid && pkt_request.error == ERR_LENGTH;
    count[4] = pkt_request_valid && pkt_request.error == ERR_TIMEOUT;
    count[5] = rx_error;
    count[6] = unknown;
    count[7] = rx_valid && pkt_idle && rx_data != SYNC_FIRST;  // bytes outside of packets
  end
  always_ff @(posedge clk_i) begin
    if (!rst_ni) trouble_q <= 1'b0;
    else if (count[6:1] != '0) trouble_q <= 1'b1;
  end

  phy_counters #(
    .Count(Counters)
  ) u_counters (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .strobe_i(count),
    .counts_o(counts)
  );

  // Replies.
  logic [31:0]              error_word;
  logic [Words-1:0][31:0]   words;
  logic                     tx_start;
  logic [7:0]               tx_kind;
  logic [7:0]               tx_seq;
  logic [15:0]              tx_length;
  logic                     tx_done;
  logic                     report_start;
  logic [IndexW-1:0]        report_first;
  logic [IndexW-1:0]        report_count;
  logic [7:0]               report_data;
  logic                     report_valid;
  logic                     report_ready;
  logic [7:0]               given;
  logic                     given_valid;
  logic                     given_ready;
  logic [7:0]               payload;
  logic                     payload_valid;
  logic                     payload_ready;

  always_comb begin
    words[0]  = {16'(4 * StatusWords), 4'd0, trouble_q, late_q, passed_q, over_q, 8'd1};
    words[1]  = BuildHash[31:0];
    words[2]  = BuildHash[63:32];
    words[3]  = ClkHz;
    words[4]  = Baud;
    words[5]  = {16'(InBytes), 16'(InBeats)};
    words[6]  = {16'(OutBytes), 16'(OutBeats)};
    words[7]  = {16'(OutBuffer), 16'(InBuffer)};
    words[8]  = TimeoutCycles;
    words[9]  = {16'(GoldenFrames), 16'(TestFrames)};
    words[10] = {test_mismatches, test_frames};
    words[11] = {runs_q, test_first};
    words[12] = test_cycles_q;
    words[13] = test_latency_q;
    words[14] = test_steady_q;
    words[15] = {16'd0, 16'(TestFrames - TestFrames / 2)};
    words[16] = {counts[1], counts[0]};
    words[17] = {counts[3], counts[2]};
    words[18] = {counts[5], counts[4]};
    words[19] = {counts[7], counts[6]};
    words[20] = cycles;
    words[21] = {15'd0, batch_late, batch_frames};
    words[22] = error_word;
  end

  phy_report #(
    .Words(Words)
  ) u_report (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .words_i(words),
    .start_i(report_start),
    .first_i(report_first),
    .count_i(report_count),
    .data_o(report_data),
    .valid_o(report_valid),
    .ready_i(report_ready)
  );

  phy_packet_tx u_packet_tx (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .start_i(tx_start),
    .kind_i(tx_kind),
    .seq_i(tx_seq),
    .length_i(tx_length),
    .done_o(tx_done),
    .payload_i(payload),
    .payload_valid_i(payload_valid),
    .payload_ready_o(payload_ready),
    .data_o(tx_data),
    .valid_o(tx_valid),
    .ready_i(tx_ready)
  );

  phy_board_ctrl #(
    .StatusWords(StatusWords),
    .TrailerWords(TrailerWords),
    .ErrorWords(ErrorWords),
    .IndexW(IndexW)
  ) u_ctrl (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .request_i(request),
    .request_valid_i(request_valid),
    .request_ready_o(request_ready),
    .whole_i(line_whole),
    .reply_bytes_i(line_reply),
    .release_o(release_buffer),
    .clear_o(clear),
    .test_o(test),
    .running_o(running),
    .feed_o(feed),
    .test_done_i(test_done),
    .done_i(batch_done),
    .late_i(batch_late),
    .test_over_o(test_over),
    .good_o(good),
    .unknown_o(unknown),
    .error_word_o(error_word),
    .tx_start_o(tx_start),
    .tx_kind_o(tx_kind),
    .tx_seq_o(tx_seq),
    .tx_length_o(tx_length),
    .tx_done_i(tx_done),
    .report_start_o(report_start),
    .report_first_o(report_first),
    .report_count_o(report_count),
    .report_data_i(report_data),
    .report_valid_i(report_valid),
    .report_ready_o(report_ready),
    .result_data_i(result_data),
    .result_valid_i(result_valid),
    .result_ready_o(result_ready),
    .payload_o(given),
    .payload_valid_o(given_valid),
    .payload_ready_i(given_ready)
  );

  phy_spill #(
    .Width(8)
  ) u_payload (
    .ap_clk(clk_i),
    .ap_rst_n(rst_ni),
    .s_axis_tdata(given),
    .s_axis_tvalid(given_valid),
    .s_axis_tready(given_ready),
    .m_axis_tdata(payload),
    .m_axis_tvalid(payload_valid),
    .m_axis_tready(payload_ready)
  );

  phy_leds #(
    .ClkHz(ClkHz)
  ) u_leds (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .running_i(running),
    .passed_i(over_q && passed_q),
    .failed_i(over_q && !passed_q),
    .rx_i(rx_valid),
    .tx_i(tx_valid),
    .error_i(trouble_q),
    .led_o(led_o)
  );

  if (InBeats * InBytes > 65535 || OutBeats * OutBytes > 65535) begin : gen_bad_frame
    $error("phy_board: frames of %0d and %0d bytes must be at most 65535", InBeats * InBytes,
           OutBeats * OutBytes);
  end
  if (InBuffer > 65535 || OutBuffer > 65535) begin : gen_bad_buffer
    $error("phy_board: InBuffer (%0d), OutBuffer (%0d) must be at most 65535", InBuffer, OutBuffer);
  end
endmodule
`default_nettype wire

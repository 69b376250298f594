// SPDX-License-Identifier: Apache-2.0
//
// The modules of a board side by side, for cocotb_board.py. Ports are prefixed by the module's
// name.
`default_nettype none
module board_tb
  import phy_board_pkg::*;
(
  input  wire         clk_i,
  input  wire         rst_ni,
  // serial line, 20 cycles per bit
  input  wire         line_i,
  output logic [7:0]  urx_data_o,
  output logic        urx_valid_o,
  output logic        urx_error_o,
  input  wire  [7:0]  utx_data_i,
  input  wire         utx_valid_i,
  output logic        utx_ready_o,
  output logic        utx_line_o,
  // packet reception
  input  wire  [7:0]  prx_data_i,
  input  wire         prx_valid_i,
  input  wire         prx_error_i,
  input  wire         prx_free_i,
  output logic        prx_begin_o,
  output logic [7:0]  prx_payload_o,
  output logic        prx_payload_valid_o,
  output logic [39:0] prx_request_o,
  output logic        prx_request_valid_o,
  output logic        prx_idle_o,
  // packet sending
  input  wire         ptx_start_i,
  input  wire  [7:0]  ptx_kind_i,
  input  wire  [7:0]  ptx_seq_i,
  input  wire  [15:0] ptx_length_i,
  output logic        ptx_done_o,
  input  wire  [7:0]  ptx_payload_i,
  input  wire         ptx_payload_valid_i,
  output logic        ptx_payload_ready_o,
  output logic [7:0]  ptx_data_o,
  output logic        ptx_valid_o,
  input  wire         ptx_ready_i,
  // report of seven words: word n is n+1 times 01010101, and n at its top
  input  wire         rep_start_i,
  input  wire  [2:0]  rep_first_i,
  input  wire  [2:0]  rep_count_i,
  output logic [7:0]  rep_data_o,
  output logic        rep_valid_o,
  input  wire         rep_ready_i,
  // self-test: 5 frames of 3 beats, 4 times; its output is its input xor flip_i after a FIFO
  input  wire         st_rst_ni,
  input  wire         st_go_i,
  input  wire  [11:0] st_flip_i,
  output logic        st_fire_o,
  output logic        st_done_o,
  output logic [15:0] st_frames_o,
  output logic [15:0] st_mismatches_o,
  output logic [15:0] st_first_o,
  // meter: 3 beats out per frame, watchdog 40
  input  wire         met_rst_ni,
  input  wire  [15:0] met_frames_i,
  input  wire         met_in_i,
  input  wire         met_out_i,
  output logic        met_done_o,
  output logic        met_late_o,
  output logic [31:0] met_cycles_o,
  output logic [31:0] met_latency_o,
  output logic [31:0] met_steady_o,
  // frames: 2 beats of 3 bytes in, 1 beat of 2 bytes out
  input  wire         fr_begin_i,
  input  wire  [7:0]  fr_byte_i,
  input  wire         fr_byte_valid_i,
  output logic [15:0] fr_frames_o,
  output logic        fr_whole_o,
  output logic [15:0] fr_reply_o,
  input  wire         fr_clear_i,
  input  wire         fr_feed_i,
  output logic [23:0] fr_m_tdata,
  output logic        fr_m_tvalid,
  input  wire         fr_m_tready,
  input  wire  [15:0] fr_s_tdata,
  input  wire         fr_s_tvalid,
  output logic        fr_s_tready,
  output logic [7:0]  fr_reply_tdata,
  output logic        fr_reply_tvalid,
  input  wire         fr_reply_tready,
  // reset, counters
  input  wire         rs_locked_i,
  input  wire         rs_request_i,
  output logic        rs_rst_no,
  input  wire  [1:0]  cnt_strobe_i,
  output logic [31:0] cnt_o
);
  phy_uart_rx #(.ClkHz(20_000_000), .Baud(1_000_000)) u_uart_rx (
    .clk_i(clk_i), .rst_ni(rst_ni), .rx_i(line_i), .data_o(urx_data_o), .valid_o(urx_valid_o),
    .error_o(urx_error_o)
  );
  phy_uart_tx #(.ClkHz(20_000_000), .Baud(1_000_000)) u_uart_tx (
    .clk_i(clk_i), .rst_ni(rst_ni), .data_i(utx_data_i), .valid_i(utx_valid_i),
    .ready_o(utx_ready_o), .tx_o(utx_line_o)
  );
  phy_packet_rx #(.MaxPayload(300), .TimeoutCycles(60)) u_packet_rx (
    .clk_i(clk_i), .rst_ni(rst_ni), .data_i(prx_data_i), .valid_i(prx_valid_i),
    .error_i(prx_error_i), .free_i(prx_free_i), .begin_o(prx_begin_o), .payload_o(prx_payload_o),
    .payload_valid_o(prx_payload_valid_o), .request_o(prx_request_o),
    .request_valid_o(prx_request_valid_o), .idle_o(prx_idle_o)
  );
  phy_packet_tx u_packet_tx (
    .clk_i(clk_i), .rst_ni(rst_ni), .start_i(ptx_start_i), .kind_i(ptx_kind_i), .seq_i(ptx_seq_i),
    .length_i(ptx_length_i), .done_o(ptx_done_o), .payload_i(ptx_payload_i),
    .payload_valid_i(ptx_payload_valid_i), .payload_ready_o(ptx_payload_ready_o),
    .data_o(ptx_data_o), .valid_o(ptx_valid_o), .ready_i(ptx_ready_i)
  );

  logic [6:0][31:0] words;
  for (genvar i = 0; i < 7; i++) begin : gen_word
    assign words[i] = {4'(i), 28'((i + 1) * 32'h0101_0101)};
  end
  phy_report #(.Words(7)) u_report (
    .clk_i(clk_i), .rst_ni(rst_ni), .words_i(words), .start_i(rep_start_i), .first_i(rep_first_i),
    .count_i(rep_count_i), .data_o(rep_data_o), .valid_o(rep_valid_o), .ready_i(rep_ready_i)
  );

  logic [11:0] to_tdata;
  logic        to_tvalid;
  logic        to_tready;
  logic [11:0] from_tdata;
  logic        from_tvalid;
  logic        from_tready;
  phy_selftest #(
    .InBeats(3), .InWidth(12), .OutBeats(3), .OutWidth(12), .GoldenFrames(5), .Repeats(4),
    .InFile("golden.dat"), .OutFile("golden.dat")
  ) u_selftest (
    .ap_clk(clk_i), .ap_rst_n(st_rst_ni), .m_axis_tdata(to_tdata), .m_axis_tvalid(to_tvalid),
    .m_axis_tready(to_tready && st_go_i), .s_axis_tdata(from_tdata ^ st_flip_i),
    .s_axis_tvalid(from_tvalid), .s_axis_tready(from_tready), .done_o(st_done_o),
    .frames_o(st_frames_o), .mismatches_o(st_mismatches_o), .first_o(st_first_o)
  );
  phy_fifo #(.Depth(4), .Width(12)) u_through (
    .ap_clk(clk_i), .ap_rst_n(st_rst_ni), .s_axis_tdata(to_tdata),
    .s_axis_tvalid(to_tvalid && st_go_i), .s_axis_tready(to_tready), .m_axis_tdata(from_tdata),
    .m_axis_tvalid(from_tvalid), .m_axis_tready(from_tready)
  );
  assign st_fire_o = from_tvalid && from_tready;

  phy_meter #(.OutBeats(3), .WatchdogCycles(40)) u_meter (
    .clk_i(clk_i), .rst_ni(met_rst_ni), .frames_i(met_frames_i), .in_fire_i(met_in_i),
    .out_fire_i(met_out_i), .done_o(met_done_o), .late_o(met_late_o), .cycles_o(met_cycles_o),
    .latency_o(met_latency_o), .steady_cycles_o(met_steady_o)
  );
  phy_frames #(
    .InBeats(2), .InBytes(3), .OutBeats(1), .OutBytes(2), .InBuffer(128), .OutBuffer(80),
    .Trailer(8)
  ) u_frames (
    .clk_i(clk_i), .rst_ni(rst_ni), .begin_i(fr_begin_i), .byte_i(fr_byte_i),
    .byte_valid_i(fr_byte_valid_i), .frames_o(fr_frames_o), .whole_o(fr_whole_o),
    .reply_o(fr_reply_o), .clear_i(fr_clear_i), .feed_i(fr_feed_i), .m_axis_tdata(fr_m_tdata),
    .m_axis_tvalid(fr_m_tvalid), .m_axis_tready(fr_m_tready), .s_axis_tdata(fr_s_tdata),
    .s_axis_tvalid(fr_s_tvalid), .s_axis_tready(fr_s_tready), .reply_tdata(fr_reply_tdata),
    .reply_tvalid(fr_reply_tvalid), .reply_tready(fr_reply_tready)
  );
  phy_reset #(.HoldCycles(10)) u_reset (
    .clk_i(clk_i), .locked_i(rs_locked_i), .request_i(rs_request_i), .rst_no(rs_rst_no)
  );
  phy_counters #(.Count(2)) u_counters (
    .clk_i(clk_i), .rst_ni(rst_ni), .strobe_i(cnt_strobe_i), .counts_o(cnt_o)
  );
endmodule
`default_nettype wire

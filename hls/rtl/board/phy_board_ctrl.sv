// SPDX-License-Identifier: Apache-2.0
//
// Carries out one request after the other: the self-test after reset, then whatever packet
// reception hands over. Each request gets exactly one reply.
//
// Before a batch of frames there are ClearCycles cycles (a power of two) of preparation, in whose
// first half clear_o is high. test_o: the batch is the self-test; else feed_o is high until it is
// over. done_i: the batch is through; late_i: nothing moves any more.
// A reply is a header (tx_*), then bytes of results and words of the report; results that a
// stuck accelerator owes are sent as 0. release_o: the input buffer may be filled again. Reset:
// all control.
`default_nettype none
module phy_board_ctrl
  import phy_board_pkg::*;
#(
  parameter  int unsigned ClearCycles  = 32,
  parameter  int unsigned StatusWords  = 20,
  parameter  int unsigned TrailerWords = 2,
  parameter  int unsigned ErrorWords   = 1,
  parameter  int unsigned IndexW       = 5
) (
  input  wire               clk_i,
  input  wire               rst_ni,
  // requests
  input  request_t          request_i,
  input  wire               request_valid_i,
  output logic              request_ready_o,
  input  wire               whole_i,
  input  wire  [15:0]       reply_bytes_i,
  output logic              release_o,
  // batches
  output logic              clear_o,
  output logic              test_o,   // the batch is, or was, the self-test
  output logic              running_o,
  output logic              feed_o,
  input  wire               test_done_i,
  input  wire               done_i,
  input  wire               late_i,
  output logic              test_over_o,
  output logic              good_o,
  output logic              unknown_o,
  output logic [31:0]       error_word_o,
  // reply
  output logic              tx_start_o,
  output logic [7:0]        tx_kind_o,
  output logic [7:0]        tx_seq_o,
  output logic [15:0]       tx_length_o,
  input  wire               tx_done_i,
  output logic              report_start_o,
  output logic [IndexW-1:0] report_first_o,
  output logic [IndexW-1:0] report_count_o,
  input  wire  [7:0]        report_data_i,
  input  wire               report_valid_i,
  output logic              report_ready_o,
  input  wire  [7:0]        result_data_i,
  input  wire               result_valid_i,
  output logic              result_ready_o,
  output logic [7:0]        payload_o,
  output logic              payload_valid_o,
  input  wire               payload_ready_i
);
  localparam int unsigned ClearW = $clog2(ClearCycles) + 1;

  typedef enum logic [3:0] {
    BOOT, IDLE, DECODE, ACT, REFUSE, CLEAR, TEST, OVER, HEAD, RESULTS, WAIT_DONE, WORDS
  } state_e;
  state_e            state_q;
  state_e            state_d;
  request_t          request_q;
  logic              test_q;    // the batch is the self-test
  logic              test_d;
  logic              silent_q;  // the self-test after reset has no reply
  logic              silent_d;
  logic [7:0]        error_q;
  logic [7:0]        error_d;
  logic [ClearW-1:0] clear_q;
  logic [15:0]       left_q;    // bytes of results
  logic [15:0]       left_d;
  logic              last_q;
  logic              report_q;
  logic              padding;
  logic              empty;     // the request has no payload
  logic              info_q;    // what the request asks for
  logic              again_q;
  logic              frames_q;
  logic              take;
  logic              early;     // first half of CLEAR
  logic [IndexW-1:0] words;

  assign empty           = request_q.length == '0;
  assign early           = clear_q[ClearW-1:ClearW-2] == '0;
  assign take            = payload_valid_o && payload_ready_i;
  assign padding         = late_i && !result_valid_i;
  assign request_ready_o = state_q == IDLE;
  assign clear_o         = state_q == BOOT || (state_q == CLEAR && early);
  assign test_o          = test_q;
  assign running_o       = test_q && state_q inside {BOOT, CLEAR, TEST};
  assign feed_o          = !test_q && state_q inside {HEAD, RESULTS, WAIT_DONE};
  assign test_over_o     = state_q == OVER;
  assign good_o          = state_q == ACT && error_q == ERR_NONE;
  assign unknown_o       = state_q == REFUSE && error_q == ERR_COMMAND;
  assign error_word_o    = {request_q.length, request_q.kind, error_q};
  assign release_o       = state_q == WORDS && tx_done_i && request_q.error == ERR_NONE;

  assign tx_start_o      = state_q == HEAD;
  assign tx_seq_o        = request_q.seq;
  assign payload_o       = state_q == RESULTS ? (padding ? 8'd0 : result_data_i) : report_data_i;
  assign payload_valid_o = state_q == RESULTS ? (padding || result_valid_i)
                                              : state_q == WORDS && report_valid_i;
  assign result_ready_o  = state_q == RESULTS && payload_ready_i;
  assign report_ready_o  = state_q == WORDS && payload_ready_i;
  assign report_start_o  = report_q;
  assign report_count_o  = words;

  always_comb begin
    tx_kind_o      = request_q.kind | REPLY_BIT;
    report_first_o = '0;
    words          = IndexW'(StatusWords);
    if (error_q != ERR_NONE) begin
      tx_kind_o      = REPLY_ERROR;
      report_first_o = IndexW'(StatusWords + TrailerWords);
      words          = IndexW'(ErrorWords);
    end else if (!test_q && frames_q) begin
      report_first_o = IndexW'(StatusWords);
      words          = IndexW'(TrailerWords);
    end
    tx_length_o = left_q + (16'(words) << 2);
  end

  always_comb begin
    state_d  = state_q;
    test_d   = test_q;
    silent_d = silent_q;
    error_d  = error_q;
    left_d   = left_q;
    unique case (state_q)
      BOOT: begin
        test_d   = 1'b1;
        silent_d = 1'b1;
        state_d  = CLEAR;
      end
      IDLE: begin
        silent_d = 1'b0;
        left_d   = '0;
        test_d   = 1'b1;
        if (request_valid_i) state_d = DECODE;
      end
      DECODE: begin
        test_d = !frames_q;
        left_d = frames_q ? reply_bytes_i : '0;
        if (request_q.error != ERR_NONE) error_d = request_q.error;
        else if (!(info_q || again_q || frames_q)) error_d = ERR_COMMAND;
        else if (frames_q ? !whole_i : !empty) error_d = ERR_LENGTH;
        else error_d = ERR_NONE;
        state_d = ACT;
      end
      ACT: begin
        if (error_q != ERR_NONE) state_d = REFUSE;
        else state_d = info_q ? HEAD : CLEAR;
      end
      REFUSE: begin
        left_d  = '0;
        test_d  = 1'b1;
        state_d = HEAD;
      end
      CLEAR: if (clear_q[ClearW-1]) state_d = test_q ? TEST : HEAD;
      TEST: if (late_i || (test_done_i && done_i)) state_d = OVER;
      OVER: state_d = silent_q ? IDLE : HEAD;
      HEAD: state_d = (left_q == '0) ? WORDS : RESULTS;
      RESULTS: if (take) begin
        left_d = left_q - 1'b1;
        if (last_q) state_d = WAIT_DONE;
      end
      WAIT_DONE: if (done_i || late_i) state_d = WORDS;  // the trailer is true from here on
      WORDS: if (tx_done_i) state_d = IDLE;
      default: state_d = IDLE;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q   <= BOOT;
      request_q <= '0;
      info_q    <= 1'b0;
      again_q   <= 1'b0;
      frames_q  <= 1'b0;
      test_q    <= 1'b1;
      silent_q  <= 1'b1;
      error_q   <= ERR_NONE;
      clear_q   <= '0;
      left_q    <= '0;
      last_q    <= 1'b0;
      report_q  <= 1'b0;
    end else begin
      state_q  <= state_d;
      test_q   <= test_d;
      silent_q <= silent_d;
      error_q  <= error_d;
      left_q   <= left_d;
      last_q   <= left_q == ((state_q == RESULTS && take) ? 16'd2 : 16'd1);
      report_q <= state_d == WORDS && state_q != WORDS;
      clear_q  <= (state_q == CLEAR) ? clear_q + 1'b1 : '0;
      if (state_q == IDLE && request_valid_i) begin
        request_q <= request_i;
        info_q    <= request_i.kind == CMD_INFO;
        again_q   <= request_i.kind == CMD_TEST;
        frames_q  <= request_i.kind == CMD_FRAMES;
      end
    end
  end

  if (ClearCycles < 8 || ClearCycles != 1 << $clog2(ClearCycles)) begin : gen_bad_clear
    $error("phy_board_ctrl: ClearCycles (%0d) must be a power of two, at least 8", ClearCycles);
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// A packet as bytes: SYNC_FIRST SYNC_SECOND kind seq length[2] payload[length] crc[4], numbers
// lowest byte first, CRC-32 of kind to payload.
//
// start_i (one cycle; at first or after done_o) takes kind, seq and length; then length_i bytes
// are taken from the payload stream. done_o is high for one cycle when the last byte of the CRC
// is on its way out.
// II: 1 cycle per byte, and one before the CRC. Bytes come out of a register: valid_o waits for
// nothing, and payload_ready_o follows ready_i. Reset: control only.
`default_nettype none
module phy_packet_tx
  import phy_board_pkg::*;
(
  input  wire         clk_i,
  input  wire         rst_ni,
  input  wire         start_i,
  input  wire  [7:0]  kind_i,
  input  wire  [7:0]  seq_i,
  input  wire  [15:0] length_i,
  output logic        done_o,
  input  wire  [7:0]  payload_i,
  input  wire         payload_valid_i,
  output logic        payload_ready_o,
  output logic [7:0]  data_o,
  output logic        valid_o,
  input  wire         ready_i
);
  typedef enum logic [3:0] {
    IDLE, FIRST, SECOND, KIND, SEQ, LENGTH_LOW, LENGTH_HIGH, PAYLOAD, CRC
  } state_e;
  state_e      state_q;
  state_e      state_d;
  logic [7:0]  kind_q;
  logic [7:0]  seq_q;
  logic [15:0] length_q;
  logic [15:0] left_q;
  logic [15:0] left_d;
  logic [31:0] crc_q;
  logic        covered_q;  // the byte in data_q is new and belongs to the CRC
  logic [7:0]  data_q;
  logic [7:0]  data_d;
  logic        valid_q;
  logic        there;      // a byte to be put into data_q
  logic        move;
  logic        done_q;

  assign data_o          = data_q;
  assign valid_o         = valid_q;
  assign done_o          = done_q;
  assign move            = there && (!valid_q || ready_i);
  assign payload_ready_o = state_q == PAYLOAD && (!valid_q || ready_i);

  always_comb begin
    data_d  = payload_i;
    there   = 1'b1;
    state_d = state_q;
    left_d  = left_q - 1'b1;
    unique case (state_q)
      IDLE: there = 1'b0;
      FIRST: begin
        data_d  = SYNC_FIRST;
        state_d = SECOND;
      end
      SECOND: begin
        data_d  = SYNC_SECOND;
        state_d = KIND;
      end
      KIND: begin
        data_d  = kind_q;
        state_d = SEQ;
      end
      SEQ: begin
        data_d  = seq_q;
        state_d = LENGTH_LOW;
      end
      LENGTH_LOW: begin
        data_d  = length_q[7:0];
        state_d = LENGTH_HIGH;
      end
      LENGTH_HIGH: begin
        data_d  = length_q[15:8];
        left_d  = (length_q == '0) ? 16'd4 : length_q;
        state_d = (length_q == '0) ? CRC : PAYLOAD;
      end
      PAYLOAD: begin
        there = payload_valid_i;
        if (left_q == 16'd1) begin
          left_d  = 16'd4;
          state_d = CRC;
        end
      end
      CRC: begin
        there  = !covered_q;
        data_d = ~crc_q[7:0];
        if (left_q == 16'd1) state_d = IDLE;
      end
      default: state_d = IDLE;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q   <= IDLE;
      valid_q   <= 1'b0;
      covered_q <= 1'b0;
      done_q    <= 1'b0;
    end else begin
      if (state_q == IDLE && start_i) state_q <= FIRST;
      else if (move) state_q <= state_d;
      if (move) valid_q <= 1'b1;
      else if (ready_i) valid_q <= 1'b0;
      covered_q <= move && !(state_q inside {FIRST, SECOND, CRC});
      done_q    <= move && state_q == CRC && left_q == 16'd1;
    end
    if (move) begin
      data_q <= data_d;
      left_q <= left_d;
    end
    if (covered_q) crc_q <= crc_next(crc_q, data_q);
    else if (state_q == SECOND) crc_q <= CRC_START;
    else if (state_q == CRC && move) crc_q <= crc_q >> 8;
    if (state_q == IDLE && start_i) begin
      kind_q   <= kind_i;
      seq_q    <= seq_i;
      length_q <= length_i;
    end
  end
endmodule
`default_nettype wire

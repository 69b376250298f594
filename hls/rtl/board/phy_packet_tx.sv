// SPDX-License-Identifier: Apache-2.0
//
// A packet as bytes: SYNC_FIRST SYNC_SECOND kind seq length[2] payload[length] crc[4], numbers lowest byte
// first, CRC-32 of kind to payload.
//
// start_i (one cycle, only while busy is low) takes kind, seq and length; then length_i bytes are taken
// from the payload stream. done_o is high for one cycle when the last byte of the CRC is given.
// II: 1 cycle per byte. valid_o waits for the payload's valid and never for ready_i;
// payload_ready_o follows ready_i. Reset: control only.
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
  logic [31:0] crc_d;
  logic        give;
  logic        busy;

  assign busy          = state_q != IDLE;
  assign valid_o         = state_q == PAYLOAD ? payload_valid_i : busy;
  assign payload_ready_o = state_q == PAYLOAD && ready_i;
  assign give            = valid_o && ready_i;
  assign done_o          = give && state_q == CRC && left_q == 16'd1;

  always_comb begin
    data_o  = payload_i;
    state_d = state_q;
    left_d  = left_q - 1'b1;
    unique case (state_q)
      IDLE: if (start_i) state_d = FIRST;
      FIRST: begin
        data_o  = SYNC_FIRST;
        state_d = SECOND;
      end
      SECOND: begin
        data_o  = SYNC_SECOND;
        state_d = KIND;
      end
      KIND: begin
        data_o  = kind_q;
        state_d = SEQ;
      end
      SEQ: begin
        data_o  = seq_q;
        state_d = LENGTH_LOW;
      end
      LENGTH_LOW: begin
        data_o  = length_q[7:0];
        state_d = LENGTH_HIGH;
      end
      LENGTH_HIGH: begin
        data_o  = length_q[15:8];
        left_d  = (length_q == '0) ? 16'd4 : length_q;
        state_d = (length_q == '0) ? CRC : PAYLOAD;
      end
      PAYLOAD: if (left_q == 16'd1) begin
        left_d  = 16'd4;
        state_d = CRC;
      end
      CRC: begin
        data_o = ~crc_q[7:0];
        if (left_q == 16'd1) state_d = IDLE;
      end
      default: state_d = IDLE;
    endcase
  end

  always_comb begin
    crc_d = crc_next(crc_q, data_o);
    if (state_q == CRC) crc_d = crc_q >> 8;
    else if (state_q inside {IDLE, FIRST, SECOND}) crc_d = CRC_START;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) state_q <= IDLE;
    else if (give || !busy) state_q <= state_d;
    if (give || !busy) begin
      left_q <= left_d;
      crc_q  <= crc_d;
    end
    if (start_i && !busy) begin
      kind_q   <= kind_i;
      seq_q    <= seq_i;
      length_q <= length_i;
    end
  end
endmodule
`default_nettype wire

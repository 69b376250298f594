// SPDX-License-Identifier: Apache-2.0
//
// Packets out of a stream of bytes: SYNC_FIRST SYNC_SECOND kind seq length[2] payload[length]
// crc[4], numbers lowest byte first. The CRC-32 covers kind to payload. Bytes outside of packets
// are ignored.
//
// begin_o is high for one cycle when the header of a packet is complete that may be kept
// (free_i); its payload follows, one payload_valid_o per byte, nothing holds it back.
// request_valid_o is high for one cycle when a packet ends, with its header and error: none,
// CRC, LENGTH (more than MaxPayload), TIMEOUT (TimeoutCycles without a byte), FRAMING (a byte
// without stop bit), BUSY (complete and right, but it was not kept). After an error the search
// for SYNC_FIRST begins with the next byte. Only what ended without error may be believed.
// idle_o: no packet is under way.
// Bytes come at least 4 cycles apart, as a serial line has it. Latency: 1 cycle from a byte to
// payload_o, 3 from the last byte to request_o. Reset: control only.
`default_nettype none
module phy_packet_rx
  import phy_board_pkg::*;
#(
  parameter int unsigned MaxPayload    = 4096,
  parameter int unsigned TimeoutCycles = 5_000_000
) (
  input  wire             clk_i,
  input  wire             rst_ni,
  input  wire  [7:0]      data_i,
  input  wire             valid_i,
  input  wire             error_i,
  input  wire             free_i,
  output logic            begin_o,
  output logic [7:0]      payload_o,
  output logic            payload_valid_o,
  output request_t        request_o,
  output logic            request_valid_o,
  output logic            idle_o
);
  localparam int unsigned TimeW = $clog2(TimeoutCycles + 1);

  typedef enum logic [3:0] {
    HUNT, SECOND, KIND, SEQ, LENGTH_LOW, LENGTH_HIGH, CHECK, PAYLOAD, CRC
  } state_e;
  state_e           state_q;
  state_e           state_d;
  request_t         request_q;
  request_t         request_d;
  logic             request_valid_d;
  logic             request_valid_q;
  logic [15:0]      left_q;
  logic [15:0]      left_d;
  logic             keep_q;
  logic             keep_d;
  logic             begin_d;
  logic             begin_q;
  logic [7:0]       payload_q;
  logic             payload_valid_d;
  logic             payload_valid_q;
  logic [31:0]      crc_q;
  logic [31:0]      crc_d;
  logic             end_q;  // the last byte of a packet is in crc_q
  logic             end_d;
  logic [TimeW-1:0] time_q;
  logic             late_q;
  logic             too_long;
  logic             known;  // kind and seq are there

  assign begin_o         = begin_q;
  assign payload_o       = payload_q;
  assign payload_valid_o = payload_valid_q;
  assign request_o       = request_q;
  assign request_valid_o = request_valid_q;
  assign idle_o          = state_q == HUNT;
  assign too_long        = 32'(request_q.length) > MaxPayload;
  assign known           = state_q inside {LENGTH_LOW, LENGTH_HIGH, PAYLOAD, CRC};

  always_comb begin
    state_d         = state_q;
    request_d       = request_q;
    request_valid_d = 1'b0;
    left_d          = left_q;
    keep_d          = keep_q;
    begin_d         = 1'b0;
    payload_valid_d = 1'b0;
    crc_d           = crc_q;
    end_d           = 1'b0;
    if (valid_i) begin
      crc_d = crc_next(crc_q, data_i);
      unique case (state_q)
        HUNT: if (data_i == SYNC_FIRST) state_d = SECOND;
        SECOND: begin
          crc_d = CRC_START;
          if (data_i == SYNC_SECOND) state_d = KIND;
          else if (data_i != SYNC_FIRST) state_d = HUNT;
        end
        KIND: begin
          request_d.kind = data_i;
          state_d = SEQ;
        end
        SEQ: begin
          request_d.seq = data_i;
          state_d = LENGTH_LOW;
        end
        LENGTH_LOW: begin
          request_d.length[7:0] = data_i;
          state_d = LENGTH_HIGH;
        end
        LENGTH_HIGH: begin
          request_d.length[15:8] = data_i;
          state_d = CHECK;
        end
        PAYLOAD: begin
          payload_valid_d = keep_q;
          left_d = left_q - 1'b1;
          if (left_q == 16'd1) begin
            left_d  = 16'd4;
            state_d = CRC;
          end
        end
        CRC: begin
          left_d = left_q - 1'b1;
          if (left_q == 16'd1) begin
            end_d   = 1'b1;
            state_d = HUNT;
          end
        end
        default: state_d = HUNT;
      endcase
    end else if (state_q == CHECK) begin
      state_d = (request_q.length == '0) ? CRC : PAYLOAD;
      left_d  = (request_q.length == '0) ? 16'd4 : request_q.length;
      keep_d  = free_i;
      begin_d = free_i && !too_long;
      if (too_long) begin
        state_d = HUNT;
        request_d.error = ERR_LENGTH;
        request_valid_d = 1'b1;
      end
    end else if (error_i || late_q) begin
      state_d = HUNT;
      request_d.error = error_i ? ERR_FRAMING : ERR_TIMEOUT;
      request_valid_d = known;
    end
    if (end_q) begin
      request_valid_d = 1'b1;
      if (crc_q != CRC_RESIDUE) request_d.error = ERR_CRC;
      else request_d.error = keep_q ? ERR_NONE : ERR_BUSY;
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q         <= HUNT;
      request_valid_q <= 1'b0;
      begin_q         <= 1'b0;
      payload_valid_q <= 1'b0;
      end_q           <= 1'b0;
      late_q          <= 1'b0;
    end else begin
      state_q         <= state_d;
      request_valid_q <= request_valid_d;
      begin_q         <= begin_d;
      payload_valid_q <= payload_valid_d;
      end_q           <= end_d;
      late_q          <= !valid_i && state_q != HUNT && time_q == TimeW'(TimeoutCycles);
    end
    if (valid_i || state_q == HUNT) time_q <= '0;
    else if (time_q != TimeW'(TimeoutCycles)) time_q <= time_q + 1'b1;
    request_q <= request_d;
    left_q    <= left_d;
    keep_q    <= keep_d;
    crc_q     <= crc_d;
    payload_q <= data_i;
  end

  if (MaxPayload > 65535) begin : gen_bad_payload
    $error("phy_packet_rx: MaxPayload (%0d) must be at most 65535", MaxPayload);
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// Words of the serial protocol, shared by all board modules; fpga_builds/board/protocol.py has
// the same in Python and tests/hls/rtl/board hold both to each other. docs/board.md describes
// the packets.
`default_nettype none
package phy_board_pkg;
  typedef enum logic [7:0] {SYNC_FIRST = 8'hA5, SYNC_SECOND = 8'h5A} sync_e;

  // Kinds of packets: requests, and replies with REPLY_BIT set.
  typedef enum logic [7:0] {
    CMD_INFO = 8'h01, CMD_TEST = 8'h02, CMD_FRAMES = 8'h03, REPLY_BIT = 8'h80, REPLY_ERROR = 8'hFF
  } kind_e;

  typedef enum logic [7:0] {
    ERR_NONE = 8'h00, ERR_CRC = 8'h01, ERR_LENGTH = 8'h02, ERR_COMMAND = 8'h03, ERR_TIMEOUT = 8'h04,
    ERR_FRAMING = 8'h05, ERR_BUSY = 8'h06
  } error_e;

  // CRC_RESIDUE: what a packet with its right CRC behind it leaves.
  typedef enum logic [31:0] {CRC_START = 32'hFFFF_FFFF, CRC_RESIDUE = 32'hDEBB_20E3} crc_e;

  // What packet reception hands to the controller.
  typedef struct packed {
    logic [7:0]  error;
    logic [7:0]  kind;
    logic [7:0]  seq;
    logic [15:0] length;
  } request_t;

  // One byte of CRC-32 (ISO 3309, reflected polynomial EDB88320).
  function automatic logic [31:0] crc_next(input logic [31:0] crc, input logic [7:0] data);
    logic [31:0] c;
    c = crc ^ {24'd0, data};
    for (int unsigned i = 0; i < 8; i++) c = c[0] ? (c >> 1) ^ 32'hEDB8_8320 : c >> 1;
    return c;
  endfunction

  // A phase step that advances 2^20 in one bit of the line.
  function automatic logic [20:0] baud_step(input int unsigned clk_hz, input int unsigned baud);
    return 21'(((64'(baud) << 20) + 64'(clk_hz / 2)) / 64'(clk_hz));
  endfunction
endpackage
`default_nettype wire

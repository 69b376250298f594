// SPDX-License-Identifier: Apache-2.0
//
// Asynchronous serial receiver: 8 data bits, no parity, 1 stop bit, lowest bit first.
//
// The line passes two synchronizing registers and a majority of three samples. A phase register
// of 20 bits advances by Baud / ClkHz of a bit per cycle, so any ratio of 16 or more is met to
// 0.01 %; bits are taken in their middle. A sender that is off by 2 % is received.
// data_o holds a byte for the one cycle in which valid_o is high, 9.5 bits after its start;
// nothing holds the line back. error_o is high for one cycle if the stop bit is not there;
// reception goes on once the line has been idle. Reset: control only.
`default_nettype none
module phy_uart_rx #(
  parameter int unsigned ClkHz = 100_000_000,
  parameter int unsigned Baud  = 1_000_000
) (
  input  wire        clk_i,
  input  wire        rst_ni,
  input  wire        rx_i,
  output logic [7:0] data_o,
  output logic       valid_o,
  output logic       error_o
);
  localparam logic [20:0] Step  = phy_board_pkg::baud_step(ClkHz, Baud);
  // Half a bit, and the cycles that the start bit spent in the input registers.
  localparam logic [19:0] Begin = 20'h8_0000 + 20'(3 * Step);

  typedef enum logic [1:0] {IDLE, BITS, PAUSE} state_e;
  state_e      state_q;
  state_e      state_d;
  logic [4:0]  line_q;  // newest sample lowest
  logic        level_q;
  logic [19:0] phase_q;
  logic [19:0] phase_d;
  logic        middle;
  logic [3:0]  count_q;
  logic [3:0]  count_d;
  logic [7:0]  data_q;
  logic        shift;
  logic        valid_q;
  logic        valid_d;
  logic        error_q;
  logic        error_d;

  assign data_o  = data_q;
  assign valid_o = valid_q;
  assign error_o = error_q;

  always_comb begin
    {middle, phase_d} = {1'b0, phase_q} + Step;
    state_d = state_q;
    count_d = count_q;
    shift   = 1'b0;
    valid_d = 1'b0;
    error_d = 1'b0;
    unique case (state_q)
      IDLE: begin
        phase_d = Begin;
        count_d = '0;
        if (!level_q) state_d = BITS;
      end
      BITS: if (middle) begin
        count_d = count_q + 1'b1;
        shift   = count_q != 4'd9;
        if (count_q == 4'd0 && level_q) state_d = IDLE;  // a glitch, no start bit
        if (count_q == 4'd9) begin
          valid_d = level_q;
          error_d = !level_q;
          state_d = level_q ? IDLE : PAUSE;
        end
      end
      PAUSE: if (level_q) state_d = IDLE;
      default: state_d = IDLE;
    endcase
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q <= PAUSE;
      line_q  <= '1;
      level_q <= 1'b1;
      valid_q <= 1'b0;
      error_q <= 1'b0;
    end else begin
      state_q <= state_d;
      line_q  <= {line_q[3:0], rx_i};
      level_q <= (line_q[2] & line_q[3]) | (line_q[3] & line_q[4]) | (line_q[2] & line_q[4]);
      valid_q <= valid_d;
      error_q <= error_d;
    end
    phase_q <= phase_d;
    count_q <= count_d;
    if (shift) data_q <= {level_q, data_q[7:1]};
  end

  if (ClkHz / Baud < 16) begin : gen_bad_ratio
    $error("phy_uart_rx: ClkHz (%0d) must be at least 16 times Baud (%0d)", ClkHz, Baud);
  end
  if (ClkHz / Baud > 50_000) begin : gen_slow
    $error("phy_uart_rx: ClkHz (%0d) must be at most 50000 times Baud (%0d)", ClkHz, Baud);
  end
endmodule
`default_nettype wire

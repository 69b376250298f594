// SPDX-License-Identifier: Apache-2.0
//
// Asynchronous serial sender: 8 data bits, no parity, 1 stop bit, lowest bit first.
//
// A byte is taken in a cycle with valid_i and ready_o; ready_o depends on registers only and is
// low for the 10 bits of a byte. A phase register of 20 bits advances by Baud / ClkHz of a bit
// per cycle: each edge is within one cycle of its place, the mean rate within 0.01 %. tx_o comes
// from a register and rests high. Reset: control and line.
`default_nettype none
module phy_uart_tx #(
  parameter int unsigned ClkHz = 100_000_000,
  parameter int unsigned Baud  = 1_000_000
) (
  input  wire        clk_i,
  input  wire        rst_ni,
  input  wire  [7:0] data_i,
  input  wire        valid_i,
  output logic       ready_o,
  output logic       tx_o
);
  localparam logic [20:0] Step = phy_board_pkg::baud_step(ClkHz, Baud);

  logic [3:0]  left_q;  // bits that are not over
  logic [3:0]  left_d;
  logic [8:0]  shift_q;
  logic [8:0]  shift_d;
  logic [19:0] phase_q;
  logic [19:0] phase_d;
  logic        last;  // cycle of a bit
  logic        tx_q;

  assign ready_o = left_q == '0;
  assign tx_o    = tx_q;

  always_comb begin
    {last, phase_d} = {1'b0, phase_q} + Step;
    left_d  = left_q;
    shift_d = shift_q;
    if (ready_o) begin
      phase_d = '0;
      shift_d = '1;
      if (valid_i) begin
        left_d  = 4'd10;
        shift_d = {data_i, 1'b0};
      end
    end else if (last) begin
      left_d  = left_q - 1'b1;
      shift_d = {1'b1, shift_q[8:1]};
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      left_q  <= '0;
      shift_q <= '1;
      tx_q    <= 1'b1;
    end else begin
      left_q  <= left_d;
      shift_q <= shift_d;
      tx_q    <= shift_q[0];
    end
    phase_q <= phase_d;
  end

  if (ClkHz / Baud < 16) begin : gen_bad_ratio
    $error("phy_uart_tx: ClkHz (%0d) must be at least 16 times Baud (%0d)", ClkHz, Baud);
  end
  if (ClkHz / Baud > 50_000) begin : gen_slow
    $error("phy_uart_tx: ClkHz (%0d) must be at most 50000 times Baud (%0d)", ClkHz, Baud);
  end
endmodule
`default_nettype wire

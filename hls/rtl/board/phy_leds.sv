// SPDX-License-Identifier: Apache-2.0
//
// The lights: 0 heartbeat (about once a second), 1 out of reset (the PLL has locked), 2
// self-test runs, 3 it passed, 4 it failed, 5 and 6 bytes from and to the host (each shown for
// 2^StretchBits cycles), 7 a packet was lost or wrong since reset.
//
// Latency: 1 cycle, 3 for lights 5 and 6. Reset: all.
`default_nettype none
module phy_leds #(
  parameter int unsigned ClkHz       = 100_000_000,
  parameter int unsigned StretchBits = 22
) (
  input  wire        clk_i,
  input  wire        rst_ni,
  input  wire        running_i,
  input  wire        passed_i,
  input  wire        failed_i,
  input  wire        rx_i,
  input  wire        tx_i,
  input  wire        error_i,
  output logic [7:0] led_o
);
  localparam int unsigned BeatW = $clog2(ClkHz);

  logic [BeatW-1:0]     beat_q;
  logic [StretchBits:0] rx_q;  // highest bit: light on
  logic [StretchBits:0] tx_q;
  logic [1:0]           line_q;
  logic [7:0]           led_q;

  assign led_o = led_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      beat_q <= '0;
      line_q <= '0;
      rx_q   <= '0;
      tx_q   <= '0;
      led_q  <= '0;
    end else begin
      beat_q <= beat_q + 1'b1;
      line_q <= {tx_i, rx_i};
      if (line_q[0]) rx_q <= '1;
      else if (rx_q[StretchBits]) rx_q <= rx_q - 1'b1;
      if (line_q[1]) tx_q <= '1;
      else if (tx_q[StretchBits]) tx_q <= tx_q - 1'b1;
      led_q <= {error_i, tx_q[StretchBits], rx_q[StretchBits], failed_i, passed_i, running_i, 1'b1,
                beat_q[BeatW-1]};
    end
  end
endmodule
`default_nettype wire

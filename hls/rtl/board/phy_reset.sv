// SPDX-License-Identifier: Apache-2.0
//
// Reset of the clock domain behind a PLL: rst_no is low until locked_i has been high and
// request_i low for HoldCycles cycles without a break. Both may change at any time (two
// synchronizing registers).
//
// The registers come up as 0 in an FPGA, so the design starts in reset; in any case it is reset
// as soon as locked_i is low for three cycles of clk_i. Latency: a fall of locked_i shows after
// 3 to 4 cycles.
`default_nettype none
module phy_reset #(
  parameter int unsigned HoldCycles = 256
) (
  input  wire  clk_i,
  input  wire  locked_i,
  input  wire  request_i,
  output logic rst_no
);
  localparam int unsigned CntW = $clog2(HoldCycles + 1);

  logic [1:0]      good_q;
  logic [CntW-1:0] count_q;
  logic            rst_nq;

  assign rst_no = rst_nq;

  always_ff @(posedge clk_i) begin
    good_q <= {good_q[0], locked_i && !request_i};
    if (!good_q[1]) count_q <= '0;
    else if (count_q != CntW'(HoldCycles)) count_q <= count_q + 1'b1;
    rst_nq <= good_q[1] && count_q == CntW'(HoldCycles);
  end
endmodule
`default_nettype wire

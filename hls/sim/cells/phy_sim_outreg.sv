// SPDX-License-Identifier: Apache-2.0
//
// The output register of a block RAM or DSP block, or a wire if it is not Used; for simulation only.
//
// Latency: 1 cycle, clock enable en_i; 0 if not Used. rst_i clears it, at once with RstAsync.
`default_nettype none
module phy_sim_outreg #(
  parameter int unsigned Width    = 18,
  parameter bit          Used     = 1'b1,
  parameter bit          RstAsync = 1'b0
) (
  input  wire              clk_i,
  input  wire              en_i,
  input  wire              rst_i,
  input  wire  [Width-1:0] d_i,
  output logic [Width-1:0] q_o
);
  if (!Used) begin : gen_wire
    assign q_o = d_i;
    wire unused = &{1'b0, clk_i, en_i, rst_i};
  end else begin : gen_register
    logic [Width-1:0] value_q;
    initial value_q = '0;
    if (RstAsync) begin : gen_async
      always_ff @(posedge clk_i or posedge rst_i) begin
        if (rst_i) value_q <= '0;
        else if (en_i) value_q <= d_i;
      end
    end else begin : gen_sync
      always_ff @(posedge clk_i) begin
        if (rst_i) value_q <= '0;
        else if (en_i) value_q <= d_i;
      end
    end
    assign q_o = value_q;
  end
endmodule
`default_nettype wire

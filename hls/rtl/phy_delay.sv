// SPDX-License-Identifier: Apache-2.0
//
// d_o = d_i, Cycles registers later (0: a wire). en_i[k] enables register k, so a pipeline that passes
// its delayed valid bits moves only what is valid. No reset.
`default_nettype none
module phy_delay #(
  parameter  int unsigned Width  = 8,
  parameter  int unsigned Cycles = 1,
  localparam int unsigned EnW    = phy_pkg::max_of(Cycles, 1)
) (
  input  wire              clk_i,
  input  wire  [EnW-1:0]   en_i,
  input  wire  [Width-1:0] d_i,
  output logic [Width-1:0] d_o
);
  for (genvar k = 0; k < Cycles; k++) begin : gen_stage
    logic [Width-1:0] d_q;
    if (k == 0) begin : gen_first
      always_ff @(posedge clk_i) if (en_i[k]) d_q <= d_i;
    end else begin : gen_next
      always_ff @(posedge clk_i) if (en_i[k]) d_q <= gen_stage[k-1].d_q;
    end
  end
  if (Cycles == 0) begin : gen_wire
    assign d_o = d_i;
    logic unused_clk;
    assign unused_clk = &{1'b0, clk_i, en_i};
  end else begin : gen_out
    assign d_o = gen_stage[Cycles-1].d_q;
  end
endmodule
`default_nettype wire

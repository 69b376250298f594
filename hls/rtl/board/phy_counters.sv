// SPDX-License-Identifier: Apache-2.0
//
// Count counters of 16 bits, one per bit of strobe_i, that stop at 65535; counts_o has number 0
// lowest.
// Latency: 1 cycle. Reset: all.
`default_nettype none
module phy_counters #(
  parameter int unsigned Count = 4
) (
  input  wire                   clk_i,
  input  wire                   rst_ni,
  input  wire  [Count-1:0]      strobe_i,
  output logic [Count-1:0][15:0] counts_o
);
  for (genvar i = 0; i < Count; i++) begin : gen_counter
    logic [15:0] count_q;
    logic        strobe_q;
    assign counts_o[i] = count_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        count_q  <= '0;
        strobe_q <= 1'b0;
      end else begin
        strobe_q <= strobe_i[i];
        if (strobe_q && !(&count_q)) count_q <= count_q + 1'b1;
      end
    end
  end
endmodule
`default_nettype wire

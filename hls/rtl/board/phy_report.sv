// SPDX-License-Identifier: Apache-2.0
//
// Bytes of some of the 32-bit words that words_i holds: count_i words from number first_i on,
// lowest byte first. start_i is taken while busy is low.
//
// II: 6 cycles per word of 4 bytes. valid_o does not wait for ready_i. Reset: control only.
`default_nettype none
module phy_report #(
  parameter  int unsigned Words  = 4,
  localparam int unsigned Groups = phy_pkg::ceil_div(Words, 4),
  localparam int unsigned GroupW = phy_pkg::idx_bits(Groups),
  localparam int unsigned IndexW = GroupW + 2
) (
  input  wire                 clk_i,
  input  wire                 rst_ni,
  input  wire  [32*Words-1:0] words_i,
  input  wire                 start_i,
  input  wire  [IndexW-1:0]   first_i,
  input  wire  [IndexW-1:0]   count_i,
  output logic [7:0]          data_o,
  output logic                valid_o,
  input  wire                 ready_i
);
  logic [Groups-1:0][3:0][31:0] groups;
  logic [Groups-1:0][31:0]      part_q;  // one word of each group
  logic [31:0]                  word_q;
  logic [IndexW-1:0]            index_q;
  logic [IndexW-1:0]            left_q;
  logic [1:0]                   wait_q;
  logic [2:0]                   bytes_q;
  logic                         busy;

  assign groups  = (128*Groups)'(words_i);
  assign busy    = left_q != '0;
  assign valid_o = bytes_q != '0;
  assign data_o  = word_q[7:0];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      left_q  <= '0;
      wait_q  <= '0;
      bytes_q <= '0;
    end else if (!busy) begin
      if (start_i) left_q <= count_i;
      wait_q  <= 2'd2;
      bytes_q <= '0;
    end else if (wait_q != '0) begin
      wait_q <= wait_q - 1'b1;
      if (wait_q == 2'd1) bytes_q <= 3'd4;
    end else if (ready_i) begin
      bytes_q <= bytes_q - 1'b1;
      if (bytes_q == 3'd1) begin
        left_q <= left_q - 1'b1;
        wait_q <= 2'd2;
      end
    end
    if (!busy) index_q <= first_i;
    else if (valid_o && ready_i && bytes_q == 3'd1) index_q <= index_q + 1'b1;
    for (int unsigned g = 0; g < Groups; g++) part_q[g] <= groups[g][index_q[1:0]];
    if (wait_q != '0) word_q <= part_q[index_q[IndexW-1:2]];
    else if (ready_i) word_q <= word_q >> 8;
  end
endmodule
`default_nettype wire

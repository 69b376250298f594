// SPDX-License-Identifier: Apache-2.0
//
// data_o = File[addr_i], Regs registers later. The first register is the memory's own, so that large
// ROMs become block RAM; a second one takes the slow output of a block RAM off the path behind it.
//
// II: 1 cycle. Latency: Regs (1 or 2) cycles; en_i[0] enables the read, en_i[1], a cycle later, the
// second register. File: $readmemh text, one word per line, word 0 first. No reset.
`default_nettype none
module phy_rom #(
  parameter  int unsigned Width = 8,
  parameter  int unsigned Depth = 16,
  parameter  int unsigned Regs  = 1,
  parameter               File  = "",
  localparam int unsigned AddrW = phy_pkg::idx_bits(Depth)
) (
  input  wire              clk_i,
  input  wire  [Regs-1:0]  en_i,
  input  wire  [AddrW-1:0] addr_i,
  output logic [Width-1:0] data_o
);
  logic [Width-1:0] mem [Depth];
  logic [Width-1:0] read_q;
  initial $readmemh(File, mem);

  always_ff @(posedge clk_i) begin
    if (en_i[0]) read_q <= mem[addr_i];
  end

  if (Regs == 1) begin : gen_one
    assign data_o = read_q;
  end else if (Regs == 2) begin : gen_two
    logic [Width-1:0] data_q;
    always_ff @(posedge clk_i) begin
      if (en_i[1]) data_q <= read_q;
    end
    assign data_o = data_q;
  end else begin : gen_bad_regs
    $error("phy_rom: Regs (%0d) must be 1 or 2", Regs);
  end
endmodule
`default_nettype wire

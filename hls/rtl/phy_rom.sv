// SPDX-License-Identifier: Apache-2.0
//
// data_o = word addr_i of File, Regs registers later. The first register is the memory's own, so that
// large ROMs become block RAM. The second one stands alone behind every bit, so that it can move into
// the block as its output register: a block RAM without it is slow. The third one chooses between the
// words of a row.
//
// File: $readmemh text, one row per line. A ROM of up to 512 words has one word in a row. In a deeper
// one (Regs = 3) row r holds the words r, r + Rows, r + 2 Rows, ..., the first in the lowest bits, with
// Rows = phy_pkg::rom_rows(Depth, Width): as deep as a block, so that no block's output has to be
// chosen before it is registered. MemDir: its folder with a / behind it; empty: the working folder. A
// simulation stops if there is no such file or if it has fewer rows.
//
// II: 1 cycle. Latency: Regs (1, 2 or 3) cycles; en_i[k], k cycles after en_i[0], enables register k.
// No reset.
`default_nettype none
module phy_rom #(
  parameter  int unsigned Width  = 8,
  parameter  int unsigned Depth  = 16,
  parameter  int unsigned Regs   = 1,
  parameter               File   = "",
  parameter               MemDir = "",
  localparam int unsigned AddrW  = phy_pkg::idx_bits(Depth)
) (
  input  wire              clk_i,
  input  wire  [Regs-1:0]  en_i,
  input  wire  [AddrW-1:0] addr_i,
  output logic [Width-1:0] data_o
);
  localparam int unsigned Rows  = phy_pkg::rom_rows(Depth, Width);
  localparam int unsigned RowW  = phy_pkg::idx_bits(Rows);
  localparam int unsigned Words = phy_pkg::ceil_div(Depth, Rows);

  logic [Words*Width-1:0] mem [Rows];
  logic [Words*Width-1:0] read_q;

  if (MemDir == "") begin : gen_file
    initial $readmemh(File, mem);
  end else begin : gen_dir_file
    initial $readmemh({MemDir, File}, mem);
  end

`ifndef SYNTHESIS
  // A simulator goes on with what it has when a file is missing or too short: here it stops.
  // synthesis translate_off
  initial begin : load
    string path;
    path = string'({MemDir, File});
    mem[Rows-1] = '1;
    $readmemh(path, mem);
    if (mem[Rows-1] == '1) begin
      mem[Rows-1] = '0;
      $readmemh(path, mem);
      if (mem[Rows-1] == '0) $fatal(1, "%m: cannot read %0d rows of memory file %s", Rows, path);
    end
  end
  // synthesis translate_on
`endif

  always_ff @(posedge clk_i) begin
    if (en_i[0]) read_q <= mem[addr_i[RowW-1:0]];
  end

  if (Regs == 1) begin : gen_one
    assign data_o = read_q;
  end else begin : gen_more
    logic [Words*Width-1:0] row_q;
    always_ff @(posedge clk_i) begin
      if (en_i[1]) row_q <= read_q;
    end
    if (Regs == 2) begin : gen_two
      assign data_o = row_q;
    end else begin : gen_three
      logic [Width-1:0] word;
      logic [Width-1:0] data_q;
      if (Words == 1) begin : gen_single
        assign word = row_q;
      end else begin : gen_choice
        localparam int unsigned WordW = AddrW - RowW;
        logic [WordW-1:0] which;
        phy_delay #(.Width(WordW), .Cycles(2)) u_which (
          .clk_i(clk_i), .en_i(en_i[1:0]), .d_i(addr_i[AddrW-1:RowW]), .d_o(which)
        );
        always_comb begin
          word = row_q[0 +: Width];
          for (int unsigned w = 1; w < Words; w++) begin
            if (which == WordW'(w)) word = row_q[w*Width +: Width];
          end
        end
      end
      always_ff @(posedge clk_i) begin
        if (en_i[2]) data_q <= word;
      end
      assign data_o = data_q;
    end
  end

  if (Regs < 1 || Regs > 3 || (Words > 1 && Regs != 3)) begin : gen_bad_regs
    $error("phy_rom: Regs (%0d) must be 1 to 3, and 3 for a Depth (%0d) above 512", Regs, Depth);
  end
endmodule
`default_nettype wire

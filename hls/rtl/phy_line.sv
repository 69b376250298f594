// SPDX-License-Identifier: Apache-2.0
//
// Line buffer: simple dual-port memory, written and read in one clock, one word each. A word read is
// there one cycle after re_i; it must have been written in an earlier cycle. No reset.
`default_nettype none
module phy_line #(
  parameter  int unsigned Depth = 96,
  parameter  int unsigned Width = 8,
  localparam int unsigned AddrW = phy_pkg::idx_bits(Depth)
) (
  input  wire              clk_i,
  input  wire              we_i,
  input  wire  [AddrW-1:0] waddr_i,
  input  wire  [Width-1:0] wdata_i,
  input  wire              re_i,
  input  wire  [AddrW-1:0] raddr_i,
  output logic [Width-1:0] rdata_o
);
  if (Depth > 64) begin : gen_block
    (* ram_style = "block", no_rw_check *)
    logic [Width-1:0] mem_q [Depth];
    always_ff @(posedge clk_i) begin
      if (we_i) mem_q[waddr_i] <= wdata_i;
      if (re_i) rdata_o <= mem_q[raddr_i];
    end
  end else begin : gen_lut
    (* ram_style = "distributed", no_rw_check *)
    logic [Width-1:0] mem_q [Depth];
    always_ff @(posedge clk_i) begin
      if (we_i) mem_q[waddr_i] <= wdata_i;
      if (re_i) rdata_o <= mem_q[raddr_i];
    end
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// The memory inside the models of block RAM cells beside this file; for simulation only.
//
// Lanes lanes of 9 bits: 8 data bits and, on top, a parity bit. Two ports, A (index 0) and B (1). A port of
// width
//   1, 2, 4        reads a part of the 8 data bits of a lane,
//   9, 18, 36, 72  reads 1, 2, 4, 8 lanes, the one with the lowest address in the lowest bits,
// at the bit address addr_i, whose lowest bits it does not use. we_i enables lanes; bit 0 alone counts
// below 18 bits.
//
// Contents: lane i is {InitP[i], Init[8i +: 8]}, or with Ecp5 Init[20(i/2) + 9(i%2) +: 9].
//
// II: 1. Latency: 1 cycle; the output holds while en_i is low. While a port writes, its own output
// holds (WriteMode 0), gives the new data (1) or the old data (2). rst_i sets the output to RstVal: at
// once with RstAsync, only while en_i is high with RstGated. RstBlocksWrite: nothing is written then.
//
// Where one port reads a lane that the other one writes in the same cycle, the vendors leave the data
// open, except for AMD's mode 2 (OldOnCollision). The model then gives the complement of the old, so
// that a design which relies on it fails. Both writing to one place stops the simulation.
`default_nettype none
module phy_sim_bram #(
  parameter  int unsigned     Lanes          = 2048,
  parameter  bit [1:0][7:0]   ReadWidth      = '0,  // 0: the port does not read
  parameter  bit [1:0][7:0]   WriteWidth     = '0,
  parameter  bit [1:0][1:0]   WriteMode      = '0,
  parameter  bit              OldOnCollision = 1'b0,
  parameter  bit              RstGated       = 1'b0,
  parameter  bit              RstBlocksWrite = 1'b0,
  parameter  bit              RstAsync       = 1'b0,
  parameter  logic [1:0][71:0] RstVal        = '0,
  parameter  logic [1:0][71:0] Start         = '0,  // what the outputs hold at first
  parameter  bit              Ecp5           = 1'b0,
  parameter  logic [20*Lanes/2-1:0] Init     = '0,
  parameter  logic [Lanes-1:0] InitP         = '0,
  localparam int unsigned     AddrW          = $clog2(8 * Lanes)
) (
  input  wire                   clk_a_i,
  input  wire                   clk_b_i,
  input  wire  [1:0]            en_i,
  input  wire  [1:0]            rst_i,
  input  wire  [1:0][7:0]       we_i,
  input  wire  [1:0][AddrW-1:0] addr_i,
  input  wire  [1:0][71:0]      d_i,
  output logic [1:0][71:0]      q_o
);
  // Address bits below those that choose a word of this width.
  function automatic int unsigned unused_bits(input int unsigned width);
    return (width >= 9) ? $clog2(width / 9 * 8) : $clog2(width);
  endfunction

  function automatic int unsigned max_unused(input int unsigned one, input int unsigned other);
    return (unused_bits(one) > unused_bits(other)) ? unused_bits(one) : unused_bits(other);
  endfunction

  // Lane l of the word of this width at a bit address.
  function automatic logic [AddrW-4:0] lane_of(
    input logic [AddrW-1:0] addr, input int unsigned width, input logic [2:0] l
  );
    if (width < 9) return addr[AddrW-1:3];
    return (AddrW - 3)'((addr >> unused_bits(width)) * (AddrW)'(width / 9) + (AddrW)'(l));
  endfunction

  /* verilator lint_off MULTIDRIVEN */  // two ports, and a block of a port of its own for each
  logic [8:0] mem [Lanes];
  /* verilator lint_on MULTIDRIVEN */
  initial begin
    for (int unsigned i = 0; i < Lanes; i++) begin
      mem[i] = Ecp5 ? Init[20 * (i / 2) + 9 * (i % 2) +: 9] : {InitP[i], Init[8 * i +: 8]};
    end
  end

  logic [1:0] writes;  // this port writes at the next edge
  if (WriteWidth[0] != 0 && WriteWidth[1] != 0) begin : gen_both
    localparam int unsigned Far = max_unused(32'(WriteWidth[0]), 32'(WriteWidth[1]));
    always_ff @(posedge clk_a_i) begin
      if (writes == 2'b11 && (addr_i[0] >> Far) == (addr_i[1] >> Far))
        $error("phy_sim_bram: both ports write to address %0d", addr_i[0]);
    end
  end
  for (genvar p = 0; p < 2; p++) begin : gen_port
    localparam int unsigned ReadW   = 32'(ReadWidth[p]);
    localparam int unsigned WriteW  = 32'(WriteWidth[p]);
    localparam int unsigned OtherW  = 32'(WriteWidth[1-p]);
    localparam bit          OldRead = OldOnCollision && WriteMode[1-p] == 2'd2;
    wire             clk  = (p == 0) ? clk_a_i : clk_b_i;
    wire [AddrW-1:0] addr = addr_i[p];

    if (WriteW == 0) begin : gen_no_write
      assign writes[p] = 1'b0;
    end else if (WriteW < 9) begin : gen_write_part
      localparam int unsigned Unused = unused_bits(WriteW);
      assign writes[p] = en_i[p] && we_i[p][0] && !(RstBlocksWrite && rst_i[p]);
      always_ff @(posedge clk) begin
        if (writes[p]) mem[addr[AddrW-1:3]][{1'b0, addr[2:0]} >> Unused << Unused +: WriteW] <=
          d_i[p][WriteW-1:0];
      end
    end else begin : gen_write
      localparam int unsigned Count = WriteW / 9;
      assign writes[p] = en_i[p] && we_i[p][Count-1:0] != '0 && !(RstBlocksWrite && rst_i[p]);
      always_ff @(posedge clk) begin
        for (int unsigned l = 0; l < Count; l++) begin
          if (writes[p] && we_i[p][l]) mem[lane_of(addr, WriteW, 3'(l))] <= d_i[p][9*l +: 9];
        end
      end
    end

    if (ReadW == 0) begin : gen_no_read
      assign q_o[p] = '0;
    end else begin : gen_read
      localparam int unsigned Far     = max_unused(ReadW, OtherW);
      localparam int unsigned Reads   = (ReadW < 9) ? 1 : ReadW / 9;  // lanes
      localparam int unsigned Written = (OtherW < 9) ? 1 : OtherW / 9;
      logic [71:0] word;
      logic [71:0] word_d;
      logic [71:0] word_q;
      if (ReadW < 9) begin : gen_part
        localparam int unsigned Unused = unused_bits(ReadW);
        assign word = 72'(mem[addr[AddrW-1:3]][{1'b0, addr[2:0]} >> Unused << Unused +: ReadW]);
      end else begin : gen_word
        for (genvar l = 0; l < 8; l++) begin : gen_lane
          assign word[9*l +: 9] = (l < ReadW / 9) ? mem[lane_of(addr, ReadW, 3'(l))] : '0;
        end
      end
      if (WriteW != 0 && WriteMode[p] == 2'd1 && WriteW != ReadW) begin : gen_bad_widths
        $error("phy_sim_bram: port %0d gives what it writes, with widths %0d and %0d: not modelled",
               p, ReadW, WriteW);
      end
      always_comb begin
        word_d = word;
        if (writes[p]) begin
          for (int unsigned l = 0; l < 8; l++) begin
            if (WriteMode[p] == 2'd1 && we_i[p][l]) word_d[9*l +: 9] = d_i[p][9*l +: 9];
          end
          if (WriteMode[p] == 2'd0) word_d = word_q;
        end else if (!OldRead && writes[1-p] && (addr >> Far) == (addr_i[1-p] >> Far)) begin
          for (int unsigned l = 0; l < Reads; l++) begin
            for (int unsigned k = 0; k < Written; k++) begin
              if (we_i[1-p][k]
                  && lane_of(addr, ReadW, 3'(l)) == lane_of(addr_i[1-p], OtherW, 3'(k)))
                word_d[9*l +: 9] = ~word[9*l +: 9];
            end
          end
        end
      end
      if (RstAsync) begin : gen_async
        always_ff @(posedge clk or posedge rst_i[p]) begin
          if (rst_i[p]) word_q <= RstVal[p];
          else if (en_i[p]) word_q <= word_d;
        end
      end else begin : gen_sync
        always_ff @(posedge clk) begin
          if (rst_i[p] && (en_i[p] || !RstGated)) word_q <= RstVal[p];
          else if (en_i[p]) word_q <= word_d;
        end
      end
      initial word_q = Start[p];
      assign q_o[p] = word_q;
    end
  end
endmodule
`default_nettype wire

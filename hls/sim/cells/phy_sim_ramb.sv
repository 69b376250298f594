// SPDX-License-Identifier: Apache-2.0
//
// What RAMB18E1, RAMB36E1, RAMB18E2 and RAMB36E2 have in common; for simulation only. Behaviour: AMD
// UG473 (7 series) and UG573 (UltraScale), "Memory Resources".
//
// PortW is the width of one port with its parity bits: 18 or 36. A port has data pins and parity pins,
// one per byte. As a simple dual port, the cell also reads 2 PortW bits through A (high half on B's
// output pins) and writes 2 PortW bits through B (low half on A's input pins).
//
// II: 1. Latency: 1 cycle (no output register is modelled). RSTRAM, with the port enabled, sets the
// output to SRVAL. Memory and collisions: phy_sim_bram.sv. Init: 256 bits per INIT_nn; InitP: 256
// bits per INITP_nn, bit i for byte i.
`default_nettype none
module phy_sim_ramb #(
  parameter  int unsigned PortW       = 36,
  parameter  int unsigned ReadWidthA  = 0,
  parameter  int unsigned ReadWidthB  = 0,
  parameter  int unsigned WriteWidthA = 0,
  parameter  int unsigned WriteWidthB = 0,
  parameter  string       WriteModeA  = "WRITE_FIRST",
  parameter  string       WriteModeB  = "WRITE_FIRST",
  parameter  logic [35:0] SrvalA      = '0,
  parameter  logic [35:0] SrvalB      = '0,
  parameter  logic [35:0] InitA       = '0,
  parameter  logic [35:0] InitB       = '0,
  parameter  int          OutputRegs  = 0,
  localparam int unsigned Lanes       = PortW / 9 * 1024,
  localparam int unsigned Bytes       = PortW / 9,
  localparam int unsigned AddrW       = $clog2(8 * Lanes),
  parameter  logic [8*Lanes-1:0] Init,
  parameter  logic [Lanes-1:0]   InitP
) (
  input  wire                clk_a_i,
  input  wire                clk_b_i,
  input  wire                en_a_i,
  input  wire                en_b_i,
  input  wire                rst_a_i,
  input  wire                rst_b_i,
  input  wire  [Bytes-1:0]   we_a_i,
  input  wire  [2*Bytes-1:0] we_b_i,
  input  wire  [AddrW-1:0]   addr_a_i,
  input  wire  [AddrW-1:0]   addr_b_i,
  input  wire  [8*Bytes-1:0] di_a_i,
  input  wire  [8*Bytes-1:0] di_b_i,
  input  wire  [Bytes-1:0]   dip_a_i,
  input  wire  [Bytes-1:0]   dip_b_i,
  output logic [8*Bytes-1:0] do_a_o,
  output logic [8*Bytes-1:0] do_b_o,
  output logic [Bytes-1:0]   dop_a_o,
  output logic [Bytes-1:0]   dop_b_o
);
  localparam bit WideRead  = ReadWidthA == 2 * PortW;
  localparam bit WideWrite = WriteWidthB == 2 * PortW;

  function automatic bit known(input int unsigned width, input bit wide);
    return (width inside {0, 1, 2, 4, 9, 18} || width == PortW) || (wide && width == 2 * PortW);
  endfunction
  if (!known(ReadWidthA, 1'b1) || !known(ReadWidthB, 1'b0) || !known(WriteWidthA, 1'b0)
      || !known(WriteWidthB, 1'b1)) begin : gen_bad_width
    $error("block RAM: READ_WIDTH %0d, %0d, WRITE_WIDTH %0d, %0d: not modelled", ReadWidthA,
           ReadWidthB, WriteWidthA, WriteWidthB);
  end
  if ((WideRead && ReadWidthB != 0) || (WideWrite && WriteWidthA != 0)) begin : gen_bad_wide
    $error("block RAM: a port of %0d bits leaves none for the other port", 2 * PortW);
  end
  if (OutputRegs != 0) begin : gen_bad_regs
    $error("block RAM: DOA_REG, DOB_REG: no output register is modelled");
  end

  function automatic bit [1:0] mode(input string name);
    return (name == "NO_CHANGE") ? 2'd0
         : (name == "WRITE_FIRST") ? 2'd1
         : (name == "READ_FIRST") ? 2'd2 : 2'd3;
  endfunction
  localparam bit [1:0] ModeA = mode(WriteModeA);
  localparam bit [1:0] ModeB = mode(WriteModeB);
  if (ModeA == 3 || ModeB == 3) begin : gen_bad_mode
    $error("block RAM: WRITE_MODE %s, %s: unknown", WriteModeA, WriteModeB);
  end

  // A value {parity bits, data} of a port as lanes {parity bit, byte}.
  function automatic logic [71:0] lanes_of(input int unsigned width, input logic [35:0] value);
    logic [71:0] result;
    result = '0;
    if (width < 9) result[35:0] = value;
    else begin
      for (int unsigned l = 0; l < width / 9; l++)
        result[9*l +: 9] = {value[width / 9 * 8 + l], value[8*l +: 8]};
    end
    return result;
  endfunction
  function automatic logic [1:0][71:0] ports_of(input logic [35:0] a, input logic [35:0] b);
    if (WideRead) return {72'd0, (lanes_of(PortW, b) << PortW) | lanes_of(PortW, a)};
    return {lanes_of(ReadWidthB, b), lanes_of(ReadWidthA, a)};
  endfunction

  logic [71:0]      d_a;
  logic [71:0]      d_b;
  logic [1:0][71:0] q;
  logic [71:0]      q_b;
  assign q_b = WideRead ? q[0] >> PortW : q[1];
  always_comb begin
    d_a = '0;
    d_b = '0;
    for (int unsigned l = 0; l < Bytes; l++) begin
      d_a[9*l +: 9] = {dip_a_i[l], di_a_i[8*l +: 8]};
      d_b[9*l +: 9] = {dip_b_i[l], di_b_i[8*l +: 8]};
      {dop_a_o[l], do_a_o[8*l +: 8]} = q[0][9*l +: 9];
      {dop_b_o[l], do_b_o[8*l +: 8]} = q_b[9*l +: 9];
    end
    if (WideWrite) d_b = (d_b << PortW) | d_a;
  end

  phy_sim_bram #(
    .Lanes(Lanes),
    .ReadWidth({8'(ReadWidthB), 8'(ReadWidthA)}),
    .WriteWidth({8'(WriteWidthB), 8'(WriteWidthA)}),
    .WriteMode({ModeB, ModeA}),
    .OldOnCollision(1'b1),
    .RstGated(1'b1),
    .RstVal(ports_of(SrvalA, SrvalB)),
    .Start(ports_of(InitA, InitB)),
    .Init((10 * Lanes)'(Init)),
    .InitP(InitP)
  ) u_bram (
    .clk_a_i(clk_a_i), .clk_b_i(clk_b_i), .en_i({en_b_i, en_a_i}), .rst_i({rst_b_i, rst_a_i}),
    .we_i({8'(we_b_i), 8'(we_a_i)}), .addr_i({addr_b_i, addr_a_i}), .d_i({d_b, d_a}), .q_o(q)
  );
endmodule
`default_nettype wire

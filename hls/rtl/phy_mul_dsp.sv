// SPDX-License-Identifier: Apache-2.0
//
// p = a * b, registered, as one DSP block with its output register: the multiplier of phy_mul where
// Dsp is set. Yosys takes the module for a cell and maps it to MULT18X18D, DSP48E1 or DSP48E2
// (fpga_builds/eda/maps); simulators and Vivado read what is written here.
//
// Operands are at most 18 bits wide signed, 17 unsigned. Every parameter is a port of that map: no
// localparam here. Latency: 1 cycle, clock enable en_i. No reset.
`default_nettype none
module phy_mul_dsp #(
  parameter int unsigned ABits   = 8,
  parameter bit          ASigned = 1'b0,
  parameter int unsigned BBits   = 8,
  parameter bit          BSigned = 1'b1,
  parameter int unsigned PBits   = 16  // ABits + BBits
) (
  input  wire              clk_i,
  input  wire              en_i,
  input  wire  [ABits-1:0] a_i,
  input  wire  [BBits-1:0] b_i,
  output logic [PBits-1:0] p_o  // signed if a or b is
);
  if (ABits > (ASigned ? 18 : 17) || BBits > (BSigned ? 18 : 17)) begin : gen_bad_width
    $error("phy_mul_dsp: ABits (%0d) and BBits (%0d) must be at most 18 signed, 17 unsigned",
           ABits, BBits);
  end
  if (PBits != ABits + BBits) begin : gen_bad_product
    $error("phy_mul_dsp: PBits (%0d) must be ABits (%0d) + BBits (%0d)", PBits, ABits, BBits);
  end

  (* use_dsp = "yes" *) logic [PBits-1:0] p_q;
  logic signed [PBits-1:0] a;
  logic signed [PBits-1:0] b;
  assign a = PBits'($signed({ASigned && a_i[ABits-1], a_i}));
  assign b = PBits'($signed({BSigned && b_i[BBits-1], b_i}));

  always_ff @(posedge clk_i) begin
    if (en_i) p_q <= a * b;
  end
  assign p_o = p_q;
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// phy_mul_dsp for AMD: one DSP48E1, P = A * B with only the P register, enabled by CEP. Both operands
// are extended by their sign; the block multiplies signed numbers of 25 and 18 bits.
module phy_mul_dsp (clk_i, en_i, a_i, b_i, p_o);
  parameter ABits = 8;
  parameter ASigned = 0;
  parameter BBits = 8;
  parameter BSigned = 1;
  parameter PBits = 16;
  input clk_i;
  input en_i;
  input [ABits-1:0] a_i;
  input [BBits-1:0] b_i;
  output [PBits-1:0] p_o;

  wire [29:0] a = {{30 - ABits{ASigned ? a_i[ABits-1] : 1'b0}}, a_i};
  wire [17:0] b = {{18 - BBits{BSigned ? b_i[BBits-1] : 1'b0}}, b_i};
  wire [47:0] p;
  assign p_o = p[PBits-1:0];

  DSP48E1 #(
    .ACASCREG(0), .ADREG(0), .ALUMODEREG(0), .AREG(0), .BCASCREG(0), .BREG(0), .CARRYINREG(0),
    .CARRYINSELREG(0), .CREG(0), .DREG(0), .INMODEREG(0), .MREG(0), .OPMODEREG(0), .PREG(1),
    .A_INPUT("DIRECT"), .B_INPUT("DIRECT"), .USE_MULT("MULTIPLY"), .USE_SIMD("ONE48"),
    .USE_PATTERN_DETECT("NO_PATDET")
  ) _TECHMAP_REPLACE_ (
    .CLK(clk_i), .A(a), .B(b), .C(48'b0), .D(25'b0), .P(p),
    .ALUMODE(4'b0), .INMODE(5'b0), .OPMODE(7'b0000101), .CARRYIN(1'b0), .CARRYINSEL(3'b0),
    .ACIN(30'b0), .BCIN(18'b0), .PCIN(48'b0), .CARRYCASCIN(1'b0), .MULTSIGNIN(1'b0),
    .CEP(en_i), .CEA1(1'b0), .CEA2(1'b0), .CEAD(1'b0), .CEALUMODE(1'b0), .CEB1(1'b0), .CEB2(1'b0),
    .CEC(1'b0), .CECARRYIN(1'b0), .CECTRL(1'b0), .CED(1'b0), .CEINMODE(1'b0), .CEM(1'b0),
    .RSTA(1'b0), .RSTALLCARRYIN(1'b0), .RSTALUMODE(1'b0), .RSTB(1'b0), .RSTC(1'b0), .RSTCTRL(1'b0),
    .RSTD(1'b0), .RSTINMODE(1'b0), .RSTM(1'b0), .RSTP(1'b0)
  );
endmodule

// SPDX-License-Identifier: Apache-2.0
//
// phy_mul_dsp for Lattice ECP5: one MULT18X18D with its output register, clocked by CLK0, enabled by
// CE0. Operands are extended to 18 bits; SIGNEDA and SIGNEDB say how they are to be read.
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

  wire [17:0] a = {{18 - ABits{ASigned ? a_i[ABits-1] : 1'b0}}, a_i};
  wire [17:0] b = {{18 - BBits{BSigned ? b_i[BBits-1] : 1'b0}}, b_i};
  wire [35:0] p;
  assign p_o = p[PBits-1:0];

  MULT18X18D #(
    .REG_OUTPUT_CLK("CLK0"), .REG_OUTPUT_CE("CE0"), .REG_OUTPUT_RST("RST0")
  ) _TECHMAP_REPLACE_ (
    .CLK0(clk_i), .CE0(en_i), .RST0(1'b0),
    .SIGNEDA(ASigned ? 1'b1 : 1'b0), .SIGNEDB(BSigned ? 1'b1 : 1'b0),
    .SOURCEA(1'b0), .SOURCEB(1'b0),
    .A17(a[17]), .A16(a[16]), .A15(a[15]), .A14(a[14]), .A13(a[13]), .A12(a[12]),
    .A11(a[11]), .A10(a[10]), .A9(a[9]), .A8(a[8]), .A7(a[7]), .A6(a[6]),
    .A5(a[5]), .A4(a[4]), .A3(a[3]), .A2(a[2]), .A1(a[1]), .A0(a[0]),
    .B17(b[17]), .B16(b[16]), .B15(b[15]), .B14(b[14]), .B13(b[13]), .B12(b[12]),
    .B11(b[11]), .B10(b[10]), .B9(b[9]), .B8(b[8]), .B7(b[7]), .B6(b[6]),
    .B5(b[5]), .B4(b[4]), .B3(b[3]), .B2(b[2]), .B1(b[1]), .B0(b[0]),
    .C17(1'b0), .C16(1'b0), .C15(1'b0), .C14(1'b0), .C13(1'b0), .C12(1'b0),
    .C11(1'b0), .C10(1'b0), .C9(1'b0), .C8(1'b0), .C7(1'b0), .C6(1'b0),
    .C5(1'b0), .C4(1'b0), .C3(1'b0), .C2(1'b0), .C1(1'b0), .C0(1'b0),
    .P35(p[35]), .P34(p[34]), .P33(p[33]), .P32(p[32]), .P31(p[31]), .P30(p[30]),
    .P29(p[29]), .P28(p[28]), .P27(p[27]), .P26(p[26]), .P25(p[25]), .P24(p[24]),
    .P23(p[23]), .P22(p[22]), .P21(p[21]), .P20(p[20]), .P19(p[19]), .P18(p[18]),
    .P17(p[17]), .P16(p[16]), .P15(p[15]), .P14(p[14]), .P13(p[13]), .P12(p[12]),
    .P11(p[11]), .P10(p[10]), .P9(p[9]), .P8(p[8]), .P7(p[7]), .P6(p[6]),
    .P5(p[5]), .P4(p[4]), .P3(p[3]), .P2(p[2]), .P1(p[1]), .P0(p[0])
  );
endmodule

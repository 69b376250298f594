// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the ECP5 multiplier in the one mode that phy_mul_dsp maps to: P = A * B, 18 x
// 18 bits, each operand signed or not, with the output register alone, on CLK0, CE0 and RST0. Any
// other mode stops elaboration. In Yosys this cell has no contents. Behaviour: Lattice FPGA-TN-02205.
// II 1, latency 1. RST0 clears the register, synchronously; it is unset at first.
`default_nettype none
module MULT18X18D #(
  parameter string REG_INPUTA_CLK   = "NONE",
  parameter string REG_INPUTB_CLK   = "NONE",
  parameter string REG_PIPELINE_CLK = "NONE",
  parameter string REG_OUTPUT_CLK   = "NONE",
  parameter string REG_OUTPUT_CE    = "CE0",
  parameter string REG_OUTPUT_RST   = "RST0"
) (
  input  wire CLK0, CE0, RST0, SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
  input  wire A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input  wire B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input  wire C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  output wire P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
  P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_PIPELINE_CLK != "NONE" ||
      REG_OUTPUT_CLK != "CLK0" || REG_OUTPUT_CE != "CE0" || REG_OUTPUT_RST != "RST0")
  begin : gen_other_mode
    $error("MULT18X18D: only the output register, on CLK0, CE0, RST0, is modelled");
  end

  logic [17:0] a;
  logic [17:0] b;
  logic [35:0] p_q;
  assign a = {
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
  };
  assign b = {
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
  };
  always_ff @(posedge CLK0) begin
    if (SOURCEA || SOURCEB) $error("MULT18X18D: shifted operands are not modelled");
    if (RST0) p_q <= '0;
    else if (CE0) p_q <= 36'($signed({SIGNEDA && a[17], a})) * 36'($signed({SIGNEDB && b[17], b}));
  end
  assign {
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18, P17,
    P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
  } = p_q;

  logic unused;
  assign unused = &{
    1'b0, C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0
  };
endmodule
`default_nettype wire

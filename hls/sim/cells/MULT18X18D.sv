// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the multiplier of Lattice ECP5: P = A * B, signed or unsigned 18-bit operands, for
// the modes that Yosys and phy_mul_dsp map to: no register, or the output register, clocked by CLK0,
// enabled by CE0, cleared by RST0. Every other parameter value stops elaboration; the shift and
// cascade ports are not there, and C is not used. Behaviour: Lattice FPGA-TN-02205, "ECP5 and
// ECP5-5G sysDSP Usage Guide".
//
// II: 1. Latency: 0, or 1 with REG_OUTPUT_CLK.
`default_nettype none
module MULT18X18D #(
  parameter string REG_INPUTA_CLK = "NONE",
  parameter string REG_INPUTB_CLK = "NONE",
  parameter string REG_INPUTC_CLK = "NONE",
  parameter string REG_PIPELINE_CLK = "NONE",
  parameter string REG_OUTPUT_CLK = "NONE",
  parameter string REG_OUTPUT_CE = "CE0",
  parameter string REG_OUTPUT_RST = "RST0",
  parameter string RESETMODE = "SYNC"
) (
  input wire A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
  input wire B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
  input wire C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
  input wire SIGNEDA, SIGNEDB, SOURCEA, SOURCEB, CLK0, CE0, RST0,
  output wire P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20,
    P19, P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
  if (REG_INPUTA_CLK != "NONE" || REG_INPUTB_CLK != "NONE" || REG_INPUTC_CLK != "NONE"
      || REG_PIPELINE_CLK != "NONE") begin : gen_bad_input
    $error("MULT18X18D: REG_INPUT*_CLK, REG_PIPELINE_CLK: no such register is modelled");
  end
  if ((REG_OUTPUT_CLK != "NONE" && REG_OUTPUT_CLK != "CLK0") || REG_OUTPUT_CE != "CE0"
      || REG_OUTPUT_RST != "RST0" || RESETMODE != "SYNC") begin : gen_bad_output
    $error("MULT18X18D: REG_OUTPUT %s, %s, %s, RESETMODE %s: not modelled", REG_OUTPUT_CLK,
           REG_OUTPUT_CE, REG_OUTPUT_RST, RESETMODE);
  end

  wire [17:0] a = {
    A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0
  };
  wire [17:0] b = {
    B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0
  };
  wire [35:0] product = 36'($signed({SIGNEDA && a[17], a})) * 36'($signed({SIGNEDB && b[17], b}));

  wire [35:0] p;
  phy_sim_outreg #(.Width(36), .Used(REG_OUTPUT_CLK == "CLK0")) u_reg (
    .clk_i(CLK0), .en_i(CE0), .rst_i(RST0), .d_i(product), .q_o(p)
  );
  assign {
    P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
    P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
  } = p;

  always_comb begin
    if (SOURCEA || SOURCEB) $error("MULT18X18D: shifted operands are not modelled");
  end
  wire unused = &{
    1'b0,
    C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0
  };
endmodule
`default_nettype wire

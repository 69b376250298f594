// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the DSP block of AMD UltraScale and UltraScale+ as a multiplier: P = A * B of
// signed 27-bit and 18-bit operands, for the modes that Yosys and phy_mul_dsp map to. The only
// register is the one behind P (PREG), enabled by CEP, cleared by RSTP. Every other parameter value
// stops elaboration, every other OPMODE, ALUMODE, INMODE, CARRYIN or CARRYINSEL the simulation; the
// cascade outputs, pattern detection and the wide XOR are not there. Behaviour: AMD UG579. (Yosys
// has a model of DSP48E1, none of this cell.)
//
// II: 1. Latency: PREG.
`default_nettype none
module DSP48E2 #(
  parameter int ACASCREG = 1,
  parameter int ADREG = 1,
  parameter int ALUMODEREG = 1,
  parameter int AREG = 1,
  parameter int BCASCREG = 1,
  parameter int BREG = 1,
  parameter int CARRYINREG = 1,
  parameter int CARRYINSELREG = 1,
  parameter int CREG = 1,
  parameter int DREG = 1,
  parameter int INMODEREG = 1,
  parameter int MREG = 1,
  parameter int OPMODEREG = 1,
  parameter int PREG = 1,
  parameter string AMULTSEL = "A",
  parameter string BMULTSEL = "B",
  parameter string A_INPUT = "DIRECT",
  parameter string B_INPUT = "DIRECT",
  parameter string USE_MULT = "MULTIPLY",
  parameter string USE_SIMD = "ONE48",
  parameter string USE_PATTERN_DETECT = "NO_PATDET"
) (
  input  wire        CLK,
  input  wire [29:0] A, ACIN,
  input  wire [17:0] B, BCIN,
  input  wire [47:0] C, PCIN,
  input  wire [26:0] D,
  input  wire [3:0]  ALUMODE,
  input  wire [4:0]  INMODE,
  input  wire [8:0]  OPMODE,
  input  wire [2:0]  CARRYINSEL,
  input  wire        CARRYIN, CARRYCASCIN, MULTSIGNIN,
  input  wire        CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE,
  input  wire        CEM, CEP,
  input  wire        RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM, RSTP,
  output wire [47:0] P
);
  if (ACASCREG != 0 || ADREG != 0 || ALUMODEREG != 0 || AREG != 0 || BCASCREG != 0 || BREG != 0
      || CARRYINREG != 0 || CARRYINSELREG != 0 || CREG != 0 || DREG != 0 || INMODEREG != 0
      || MREG != 0 || OPMODEREG != 0) begin : gen_bad_register
    $error("DSP48E2: only the register of P is modelled");
  end
  if (AMULTSEL != "A" || BMULTSEL != "B" || A_INPUT != "DIRECT" || B_INPUT != "DIRECT"
      || USE_MULT != "MULTIPLY" || USE_SIMD != "ONE48" || USE_PATTERN_DETECT != "NO_PATDET")
  begin : gen_bad_mode
    $error("DSP48E2: a mode other than the plain 27 x 18 multiplication is not modelled");
  end
  always_comb begin
    if (OPMODE != 9'b000000101 || ALUMODE != 0 || INMODE != 0 || CARRYINSEL != 0 || CARRYIN)
      $error("DSP48E2: OPMODE %b, ALUMODE %b, INMODE %b, CARRYINSEL %b, CARRYIN %b: not modelled",
             OPMODE, ALUMODE, INMODE, CARRYINSEL, CARRYIN);
  end

  phy_sim_outreg #(.Width(48), .Used(PREG != 0)) u_reg (
    .clk_i(CLK), .en_i(CEP), .rst_i(RSTP), .d_i(48'($signed(A[26:0])) * 48'($signed(B))), .q_o(P)
  );

  wire unused = &{
    1'b0, A[29:27], ACIN, BCIN, C, PCIN, D, CARRYCASCIN, MULTSIGNIN, CEA1, CEA2, CEAD, CEALUMODE,
    CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB,
    RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM
  };
endmodule
`default_nettype wire

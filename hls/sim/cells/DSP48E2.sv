// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the DSP block of AMD UltraScale and UltraScale+ in the one mode that
// phy_mul_dsp maps to: P = A * B, signed, 27 x 18 bits, with the P register alone, enabled by CEP. Any
// other mode stops elaboration or, where inputs choose it, the simulation. In Yosys this cell has no contents.
// Behaviour: AMD UG579. II 1, latency 1. RSTP clears P, synchronously; it is unset at first.
`default_nettype none
module DSP48E2 #(
  parameter int    ACASCREG           = 1,
  parameter int    ADREG              = 1,
  parameter int    ALUMODEREG         = 1,
  parameter int    AREG               = 1,
  parameter int    BCASCREG           = 1,
  parameter int    BREG               = 1,
  parameter int    CARRYINREG         = 1,
  parameter int    CARRYINSELREG      = 1,
  parameter int    CREG               = 1,
  parameter int    DREG               = 1,
  parameter int    INMODEREG          = 1,
  parameter int    MREG               = 1,
  parameter int    OPMODEREG          = 1,
  parameter int    PREG               = 1,
  parameter string A_INPUT            = "DIRECT",
  parameter string B_INPUT            = "DIRECT",
  parameter string USE_MULT           = "MULTIPLY",
  parameter string USE_SIMD           = "ONE48",
  parameter string USE_PATTERN_DETECT = "NO_PATDET"
) (
  input  wire        CLK,
  input  wire [29:0] A,
  input  wire [17:0] B,
  input  wire [47:0] C,
  input  wire [26:0] D,
  input  wire [3:0]  ALUMODE,
  input  wire [4:0]  INMODE,
  input  wire [8:0]  OPMODE,
  input  wire        CARRYIN,
  input  wire [2:0]  CARRYINSEL,
  input  wire [29:0] ACIN,
  input  wire [17:0] BCIN,
  input  wire [47:0] PCIN,
  input  wire        CARRYCASCIN, MULTSIGNIN,
  input  wire        CEA1, CEA2, CEAD, CEALUMODE, CEB1, CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE,
  input  wire        CEM, CEP,
  input  wire        RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC, RSTCTRL, RSTD, RSTINMODE, RSTM,
  input  wire        RSTP,
  output wire [47:0] P
);
  localparam logic [8:0] Multiply = 9'b000000101;  // W = Z = 0, Y and X the product

  if (ACASCREG != 0 || ADREG != 0 || ALUMODEREG != 0 || AREG != 0 ||
      BCASCREG != 0 || BREG != 0 || CARRYINREG != 0 || CARRYINSELREG != 0 ||
      CREG != 0 || DREG != 0 || INMODEREG != 0 || MREG != 0 ||
      OPMODEREG != 0 ||
      PREG != 1 || A_INPUT != "DIRECT" || B_INPUT != "DIRECT" || USE_MULT != "MULTIPLY" ||
      USE_SIMD != "ONE48" || USE_PATTERN_DETECT != "NO_PATDET")
  begin : gen_other_mode
    $error("DSP48E2: only P = A * B with the P register is modelled");
  end

  logic [47:0] p_q;
  always_ff @(posedge CLK) begin
    if (OPMODE != Multiply || ALUMODE != '0 || INMODE != '0 || CARRYIN || CARRYINSEL != '0) begin
      $error("DSP48E2: OPMODE %b, ALUMODE %b, INMODE %b are not modelled", OPMODE, ALUMODE, INMODE);
    end
    if (RSTP) p_q <= '0;
    else if (CEP) p_q <= 48'($signed(A[26:0])) * 48'($signed(B));
  end
  assign P = p_q;

  logic unused;
  assign unused = &{
    1'b0, A, C, D, ACIN, BCIN, PCIN, CARRYCASCIN, MULTSIGNIN, CEA1, CEA2, CEAD, CEALUMODE, CEB1,
    CEB2, CEC, CECARRYIN, CECTRL, CED, CEINMODE, CEM, RSTA, RSTALLCARRYIN, RSTALUMODE, RSTB, RSTC,
    RSTCTRL, RSTD, RSTINMODE, RSTM
  };
endmodule
`default_nettype wire

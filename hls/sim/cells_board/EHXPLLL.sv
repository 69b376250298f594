// SPDX-License-Identifier: Apache-2.0
//
// The PLL of Lattice ECP5 devices, as much of it as a simulated board needs: its outputs are its
// input, and LOCK rises after LockCycles cycles. The harness clocks the board at the PLL's
// output frequency, so that one cycle of clk_i is one cycle of the design.
`default_nettype none
/* verilator lint_off UNUSEDPARAM */  // what the settings mean is left out
module EHXPLLL #(
  parameter int CLKI_DIV       = 1,
  parameter int CLKFB_DIV      = 1,
  parameter int CLKOP_DIV      = 8,
  parameter int CLKOS_DIV      = 8,
  parameter int CLKOP_CPHASE   = 0,
  parameter int CLKOS_CPHASE   = 0,
  parameter int CLKOP_FPHASE   = 0,
  parameter int CLKOS_FPHASE   = 0,
  parameter     CLKOP_ENABLE   = "ENABLED",
  parameter     CLKOS_ENABLE   = "DISABLED",
  parameter     FEEDBK_PATH    = "CLKOP",
  parameter     PLLRST_ENA     = "DISABLED",
  parameter     INTFB_WAKE     = "DISABLED",
  parameter     STDBY_ENABLE   = "DISABLED",
  parameter     DPHASE_SOURCE  = "DISABLED",
  parameter     OUTDIVIDER_MUXA = "DIVA",
  parameter     OUTDIVIDER_MUXB = "DIVB",
  parameter int LockCycles     = 64
) (
  input  wire  CLKI,
  input  wire  CLKFB,
  input  wire  RST,
  input  wire  STDBY,
  input  wire  PHASESEL1,
  input  wire  PHASESEL0,
  input  wire  PHASEDIR,
  input  wire  PHASESTEP,
  input  wire  PHASELOADREG,
  input  wire  PLLWAKESYNC,
  input  wire  ENCLKOP,
  input  wire  ENCLKOS,
  output logic CLKOP,
  output logic CLKOS,
  output logic LOCK
);
  logic [15:0] count;
  initial count = '0;
  always @(posedge CLKI) if (count != 16'(LockCycles)) count <= count + 1'b1;

  assign CLKOP = CLKI;
  assign CLKOS = CLKI;
  assign LOCK  = count == 16'(LockCycles);

  if (CLKI_DIV < 1 || CLKFB_DIV < 1 || CLKOP_DIV < 1 || CLKOS_DIV < 1) begin : gen_bad_divider
    $error("EHXPLLL: dividers must be at least 1");
  end
  logic unused;
  assign unused = &{1'b0, CLKFB, RST, STDBY, PHASESEL1, PHASESEL0, PHASEDIR, PHASESTEP,
                    PHASELOADREG, PLLWAKESYNC, ENCLKOP, ENCLKOS};
endmodule
/* verilator lint_on UNUSEDPARAM */
`default_nettype wire

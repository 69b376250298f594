// SPDX-License-Identifier: Apache-2.0
//
// Declaration of the PLL of Lattice ECP5 devices, for synthesis; the cell itself is the
// device's. Only the ports and parameters that a board top connects. hls/sim/cells_board has a
// model for simulation.
`default_nettype none
/* verilator lint_off UNUSEDPARAM */  // the inside of the cell is not here
/* verilator lint_off UNUSEDSIGNAL */
/* verilator lint_off UNDRIVEN */
(* blackbox *)
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
  parameter     OUTDIVIDER_MUXB = "DIVB"
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
endmodule
/* verilator lint_on UNDRIVEN */
/* verilator lint_on UNUSEDSIGNAL */
/* verilator lint_on UNUSEDPARAM */
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the 18 kbit block RAM of AMD 7 series, for the modes that Yosys
// maps to; every other parameter value stops elaboration. In Yosys this cell has no contents.
// Behaviour: AMD UG473. II 1, latency 1, reset and all else: phy_sim_ramb.sv.
`default_nettype none
module RAMB18E1 #(
  parameter int DOA_REG = 0,
  parameter int DOB_REG = 0,
  parameter string RAM_MODE = "TDP",
  parameter int unsigned READ_WIDTH_A = 0,
  parameter int unsigned READ_WIDTH_B = 0,
  parameter int unsigned WRITE_WIDTH_A = 0,
  parameter int unsigned WRITE_WIDTH_B = 0,
  parameter string WRITE_MODE_A = "WRITE_FIRST",
  parameter string WRITE_MODE_B = "WRITE_FIRST",
  parameter logic [17:0] SRVAL_A = '0,
  parameter logic [17:0] SRVAL_B = '0,
  parameter logic [17:0] INIT_A = '0,
  parameter logic [17:0] INIT_B = '0,
  parameter logic [255:0] INITP_00 = '0, INITP_01 = '0, INITP_02 = '0, INITP_03 = '0,
  parameter logic [255:0] INITP_04 = '0, INITP_05 = '0, INITP_06 = '0, INITP_07 = '0,
  parameter logic [255:0] INIT_00 = '0, INIT_01 = '0, INIT_02 = '0, INIT_03 = '0,
  parameter logic [255:0] INIT_04 = '0, INIT_05 = '0, INIT_06 = '0, INIT_07 = '0,
  parameter logic [255:0] INIT_08 = '0, INIT_09 = '0, INIT_0A = '0, INIT_0B = '0,
  parameter logic [255:0] INIT_0C = '0, INIT_0D = '0, INIT_0E = '0, INIT_0F = '0,
  parameter logic [255:0] INIT_10 = '0, INIT_11 = '0, INIT_12 = '0, INIT_13 = '0,
  parameter logic [255:0] INIT_14 = '0, INIT_15 = '0, INIT_16 = '0, INIT_17 = '0,
  parameter logic [255:0] INIT_18 = '0, INIT_19 = '0, INIT_1A = '0, INIT_1B = '0,
  parameter logic [255:0] INIT_1C = '0, INIT_1D = '0, INIT_1E = '0, INIT_1F = '0,
  parameter logic [255:0] INIT_20 = '0, INIT_21 = '0, INIT_22 = '0, INIT_23 = '0,
  parameter logic [255:0] INIT_24 = '0, INIT_25 = '0, INIT_26 = '0, INIT_27 = '0,
  parameter logic [255:0] INIT_28 = '0, INIT_29 = '0, INIT_2A = '0, INIT_2B = '0,
  parameter logic [255:0] INIT_2C = '0, INIT_2D = '0, INIT_2E = '0, INIT_2F = '0,
  parameter logic [255:0] INIT_30 = '0, INIT_31 = '0, INIT_32 = '0, INIT_33 = '0,
  parameter logic [255:0] INIT_34 = '0, INIT_35 = '0, INIT_36 = '0, INIT_37 = '0,
  parameter logic [255:0] INIT_38 = '0, INIT_39 = '0, INIT_3A = '0, INIT_3B = '0,
  parameter logic [255:0] INIT_3C = '0, INIT_3D = '0, INIT_3E = '0, INIT_3F = '0
) (
  input wire CLKARDCLK, CLKBWRCLK, ENARDEN, ENBWREN, REGCEAREGCE, REGCEB,
  input wire RSTRAMARSTRAM, RSTRAMB, RSTREGARSTREG, RSTREGB,
  input wire [13:0] ADDRARDADDR, ADDRBWRADDR,
  input wire [15:0] DIADI, DIBDI,
  input wire [1:0] DIPADIP, DIPBDIP,
  input wire [1:0] WEA,
  input wire [3:0] WEBWE,
  output wire [15:0] DOADO, DOBDO,
  output wire [1:0] DOPADOP, DOPBDOP
);
  if (RAM_MODE != "TDP" && RAM_MODE != "SDP") begin : gen_bad_ram_mode
    $error("RAMB18E1: RAM_MODE %s: unknown", RAM_MODE);
  end
  if (RAM_MODE != "SDP" && (READ_WIDTH_A == 36 || WRITE_WIDTH_B == 36)) begin : gen_bad_tdp
    $error("RAMB18E1: 36 bits need RAM_MODE SDP");
  end
  phy_sim_ramb #(
    .PortW(18),
    .ReadWidthA(READ_WIDTH_A), .ReadWidthB(READ_WIDTH_B),
    .WriteWidthA(WRITE_WIDTH_A), .WriteWidthB(WRITE_WIDTH_B),
    .WriteModeA(WRITE_MODE_A), .WriteModeB(WRITE_MODE_B),
    .SrvalA(36'(SRVAL_A)), .SrvalB(36'(SRVAL_B)), .InitA(36'(INIT_A)), .InitB(36'(INIT_B)),
    .OutputRegs(DOA_REG + DOB_REG),
    .InitP({
      INITP_07, INITP_06, INITP_05, INITP_04, INITP_03, INITP_02, INITP_01, INITP_00
    }),
    .Init({
      INIT_3F, INIT_3E, INIT_3D, INIT_3C, INIT_3B, INIT_3A, INIT_39, INIT_38, INIT_37, INIT_36,
      INIT_35, INIT_34, INIT_33, INIT_32, INIT_31, INIT_30, INIT_2F, INIT_2E, INIT_2D, INIT_2C,
      INIT_2B, INIT_2A, INIT_29, INIT_28, INIT_27, INIT_26, INIT_25, INIT_24, INIT_23, INIT_22,
      INIT_21, INIT_20, INIT_1F, INIT_1E, INIT_1D, INIT_1C, INIT_1B, INIT_1A, INIT_19, INIT_18,
      INIT_17, INIT_16, INIT_15, INIT_14, INIT_13, INIT_12, INIT_11, INIT_10, INIT_0F, INIT_0E,
      INIT_0D, INIT_0C, INIT_0B, INIT_0A, INIT_09, INIT_08, INIT_07, INIT_06, INIT_05, INIT_04,
      INIT_03, INIT_02, INIT_01, INIT_00
    })
  ) u_ramb (
    .clk_a_i(CLKARDCLK), .clk_b_i(CLKBWRCLK), .en_a_i(ENARDEN), .en_b_i(ENBWREN),
    .rst_a_i(RSTRAMARSTRAM), .rst_b_i(RSTRAMB), .we_a_i(WEA), .we_b_i(WEBWE),
    .addr_a_i(ADDRARDADDR), .addr_b_i(ADDRBWRADDR),
    .di_a_i(DIADI), .di_b_i(DIBDI), .dip_a_i(DIPADIP), .dip_b_i(DIPBDIP),
    .do_a_o(DOADO), .do_b_o(DOBDO), .dop_a_o(DOPADOP), .dop_b_o(DOPBDOP)
  );

  wire unused = &{1'b0, REGCEAREGCE, REGCEB, RSTREGARSTREG, RSTREGB};
endmodule
`default_nettype wire

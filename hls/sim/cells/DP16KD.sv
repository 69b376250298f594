// SPDX-License-Identifier: Apache-2.0
//
// Simulation model of the block RAM of Lattice ECP5 (EBR), 18 kbit, for the modes that Yosys maps to;
// every other parameter value stops elaboration. Yosys has this cell only as a black box. Behaviour:
// Lattice FPGA-TN-02204, "ECP5 and ECP5-5G Memory Usage Guide".
//
// A port of width 1 to 18 has its own data pins; with 36 the cell is a simple dual port, which
// writes through A (low half on DIA, high half on DIB) and reads through B (low half on DOA, high half
// on DOB). Byte enables are the lowest address pins of a port of 18 or 36 bits. Chip select: a port
// works while its CS pins are 0. INITVAL_nn holds 16 pairs of lanes, 20 bits apart.
//
// II: 1. Latency: 1 cycle with REGMODE NOREG, 2 with OUTREG, whose second register has the enable OCE.
// Both registers of a 36 bit port belong to B's clock. RST clears the outputs.
// Memory and collisions: phy_sim_bram.sv. GSR, which clears the output when the chip wakes up, is the
// initial value here.
`default_nettype none
module DP16KD #(
  parameter int unsigned DATA_WIDTH_A = 18,
  parameter int unsigned DATA_WIDTH_B = 18,
  parameter string REGMODE_A = "NOREG",
  parameter string REGMODE_B = "NOREG",
  parameter string RESETMODE = "SYNC",
  parameter string ASYNC_RESET_RELEASE = "SYNC",
  parameter string CSDECODE_A = "0b000",
  parameter string CSDECODE_B = "0b000",
  parameter string WRITEMODE_A = "NORMAL",
  parameter string WRITEMODE_B = "NORMAL",
  parameter string CLKAMUX = "CLKA",
  parameter string CLKBMUX = "CLKB",
  parameter string GSR = "ENABLED",
  parameter string INIT_DATA = "STATIC",
  parameter logic [319:0] INITVAL_00 = '0, INITVAL_01 = '0,
  parameter logic [319:0] INITVAL_02 = '0, INITVAL_03 = '0,
  parameter logic [319:0] INITVAL_04 = '0, INITVAL_05 = '0,
  parameter logic [319:0] INITVAL_06 = '0, INITVAL_07 = '0,
  parameter logic [319:0] INITVAL_08 = '0, INITVAL_09 = '0,
  parameter logic [319:0] INITVAL_0A = '0, INITVAL_0B = '0,
  parameter logic [319:0] INITVAL_0C = '0, INITVAL_0D = '0,
  parameter logic [319:0] INITVAL_0E = '0, INITVAL_0F = '0,
  parameter logic [319:0] INITVAL_10 = '0, INITVAL_11 = '0,
  parameter logic [319:0] INITVAL_12 = '0, INITVAL_13 = '0,
  parameter logic [319:0] INITVAL_14 = '0, INITVAL_15 = '0,
  parameter logic [319:0] INITVAL_16 = '0, INITVAL_17 = '0,
  parameter logic [319:0] INITVAL_18 = '0, INITVAL_19 = '0,
  parameter logic [319:0] INITVAL_1A = '0, INITVAL_1B = '0,
  parameter logic [319:0] INITVAL_1C = '0, INITVAL_1D = '0,
  parameter logic [319:0] INITVAL_1E = '0, INITVAL_1F = '0,
  parameter logic [319:0] INITVAL_20 = '0, INITVAL_21 = '0,
  parameter logic [319:0] INITVAL_22 = '0, INITVAL_23 = '0,
  parameter logic [319:0] INITVAL_24 = '0, INITVAL_25 = '0,
  parameter logic [319:0] INITVAL_26 = '0, INITVAL_27 = '0,
  parameter logic [319:0] INITVAL_28 = '0, INITVAL_29 = '0,
  parameter logic [319:0] INITVAL_2A = '0, INITVAL_2B = '0,
  parameter logic [319:0] INITVAL_2C = '0, INITVAL_2D = '0,
  parameter logic [319:0] INITVAL_2E = '0, INITVAL_2F = '0,
  parameter logic [319:0] INITVAL_30 = '0, INITVAL_31 = '0,
  parameter logic [319:0] INITVAL_32 = '0, INITVAL_33 = '0,
  parameter logic [319:0] INITVAL_34 = '0, INITVAL_35 = '0,
  parameter logic [319:0] INITVAL_36 = '0, INITVAL_37 = '0,
  parameter logic [319:0] INITVAL_38 = '0, INITVAL_39 = '0,
  parameter logic [319:0] INITVAL_3A = '0, INITVAL_3B = '0,
  parameter logic [319:0] INITVAL_3C = '0, INITVAL_3D = '0,
  parameter logic [319:0] INITVAL_3E = '0, INITVAL_3F = '0
) (
  input wire DIA0, DIA1, DIA2, DIA3, DIA4, DIA5, DIA6, DIA7, DIA8, DIA9, DIA10, DIA11, DIA12,
    DIA13, DIA14, DIA15, DIA16, DIA17,
  input wire ADA0, ADA1, ADA2, ADA3, ADA4, ADA5, ADA6, ADA7, ADA8, ADA9, ADA10, ADA11, ADA12,
    ADA13,
  input wire CEA, OCEA, CLKA, WEA, RSTA, CSA2, CSA1, CSA0,
  input wire DIB0, DIB1, DIB2, DIB3, DIB4, DIB5, DIB6, DIB7, DIB8, DIB9, DIB10, DIB11, DIB12,
    DIB13, DIB14, DIB15, DIB16, DIB17,
  input wire ADB0, ADB1, ADB2, ADB3, ADB4, ADB5, ADB6, ADB7, ADB8, ADB9, ADB10, ADB11, ADB12,
    ADB13,
  input wire CEB, OCEB, CLKB, WEB, RSTB, CSB2, CSB1, CSB0,
  output wire DOA0, DOA1, DOA2, DOA3, DOA4, DOA5, DOA6, DOA7, DOA8, DOA9, DOA10, DOA11, DOA12,
    DOA13, DOA14, DOA15, DOA16, DOA17,
  output wire DOB0, DOB1, DOB2, DOB3, DOB4, DOB5, DOB6, DOB7, DOB8, DOB9, DOB10, DOB11, DOB12,
    DOB13, DOB14, DOB15, DOB16, DOB17
);
  // With 36 bits, A only writes and B only reads. With less, each port does both.
  localparam bit Simple = DATA_WIDTH_A == 36 || DATA_WIDTH_B == 36;
  localparam bit [7:0] WidthA = 8'(DATA_WIDTH_A);
  localparam bit [7:0] WidthB = 8'(DATA_WIDTH_B);

  if (!(WidthA inside {1, 2, 4, 9, 18, 36} && WidthB inside {1, 2, 4, 9, 18, 36})) begin : gen_bad_width
    $error("DP16KD: DATA_WIDTH %0d, %0d: must be 1, 2, 4, 9, 18 or 36", DATA_WIDTH_A, DATA_WIDTH_B);
  end
  if ((REGMODE_A != "NOREG" && REGMODE_A != "OUTREG")
      || (REGMODE_B != "NOREG" && REGMODE_B != "OUTREG")
      || (WidthB == 36 && REGMODE_A != REGMODE_B)) begin : gen_bad_regmode
    $error("DP16KD: REGMODE %s, %s: must be NOREG or OUTREG, both alike with 36 bits", REGMODE_A,
           REGMODE_B);
  end
  if ((RESETMODE != "SYNC" && RESETMODE != "ASYNC") || ASYNC_RESET_RELEASE != RESETMODE)
  begin : gen_bad_reset
    $error("DP16KD: RESETMODE %s, ASYNC_RESET_RELEASE %s: not modelled", RESETMODE,
           ASYNC_RESET_RELEASE);
  end
  if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000") begin : gen_bad_select
    $error("DP16KD: CSDECODE %s, %s: only 0b000 is modelled", CSDECODE_A, CSDECODE_B);
  end
  if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB") begin : gen_bad_clock
    $error("DP16KD: CLKAMUX %s, CLKBMUX %s: only the plain clock is modelled", CLKAMUX, CLKBMUX);
  end
  if (INIT_DATA != "STATIC" || (GSR != "ENABLED" && GSR != "DISABLED" && GSR != "AUTO"))
  begin : gen_bad_start
    $error("DP16KD: INIT_DATA %s, GSR %s: not modelled", INIT_DATA, GSR);
  end

  function automatic bit [1:0] mode(input string name);
    return (name == "NORMAL") ? 2'd0
         : (name == "WRITETHROUGH") ? 2'd1
         : (name == "READBEFOREWRITE") ? 2'd2 : 2'd3;
  endfunction
  localparam bit [1:0] ModeA = mode(WRITEMODE_A);
  localparam bit [1:0] ModeB = mode(WRITEMODE_B);
  if (ModeA == 3 || ModeB == 3) begin : gen_bad_mode
    $error("DP16KD: WRITEMODE %s, %s: unknown", WRITEMODE_A, WRITEMODE_B);
  end

  // Lanes that a write touches: the lowest address pins of a port of several lanes.
  function automatic logic [7:0] lanes(input bit [7:0] width, input logic [3:0] pins);
    return (width == 36) ? {4'd0, pins} : (width == 18) ? {6'd0, pins[1:0]} : 8'd1;
  endfunction

  wire [13:0] ad_a = {
    ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0
  };
  wire [13:0] ad_b = {
    ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0
  };
  wire [17:0] di_a = {
    DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9,
    DIA8, DIA7, DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0
  };
  wire [17:0] di_b = {
    DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9,
    DIB8, DIB7, DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0
  };
  wire [7:0] we_a = WEA ? lanes(WidthA, ad_a[3:0]) : 8'd0;
  wire [7:0] we_b = (WEB && !Simple) ? lanes(WidthB, ad_b[3:0]) : 8'd0;
  wire [1:0] en = {CEB && {CSB2, CSB1, CSB0} == 3'd0, CEA && {CSA2, CSA1, CSA0} == 3'd0};

  logic [1:0][71:0] q;
  phy_sim_bram #(
    .Lanes(2048),
    .ReadWidth({WidthB, Simple ? 8'd0 : WidthA}),
    .WriteWidth({Simple ? 8'd0 : WidthB, WidthA}),
    .WriteMode({ModeB, ModeA}),
    .RstBlocksWrite(1'b1),
    .RstAsync(RESETMODE == "ASYNC"),
    .Ecp5(1'b1),
    .Init({
      INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
      INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
      INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
      INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
      INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
      INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
      INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
      INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
      INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01, INITVAL_00
    })
  ) u_bram (
    .clk_a_i(CLKA), .clk_b_i(CLKB), .en_i(en), .rst_i({RSTB, RSTA}), .we_i({we_b, we_a}),
    .addr_i({ad_b, ad_a}), .d_i({54'd0, di_b, 36'd0, di_b, di_a}), .q_o(q)
  );

  // A port of 36 bits gives its low half to DOA and its high half to DOB, both with clock and enable
  // of B; a narrower one that only reads is on DOB.
  wire [17:0] read_a = Simple ? q[1][17:0] : q[0][17:0];
  wire [17:0] read_b = (WidthB == 36) ? q[1][35:18] : q[1][17:0];
  wire [17:0] do_a;
  wire [17:0] do_b;
  phy_sim_outreg #(.Width(18), .Used(REGMODE_A == "OUTREG"), .RstAsync(RESETMODE == "ASYNC"))
  u_reg_a (
    .clk_i(Simple ? CLKB : CLKA), .en_i(Simple ? OCEB : OCEA), .rst_i(Simple ? RSTB : RSTA),
    .d_i(read_a), .q_o(do_a)
  );
  phy_sim_outreg #(.Width(18), .Used(REGMODE_B == "OUTREG"), .RstAsync(RESETMODE == "ASYNC"))
  u_reg_b (
    .clk_i(CLKB), .en_i(OCEB), .rst_i(RSTB), .d_i(read_b), .q_o(do_b)
  );
  assign {
    DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9,
    DOA8, DOA7, DOA6, DOA5, DOA4, DOA3, DOA2, DOA1, DOA0
  } = do_a;
  assign {
    DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9,
    DOB8, DOB7, DOB6, DOB5, DOB4, DOB3, DOB2, DOB1, DOB0
  } = do_b;

  wire unused = &{1'b0, OCEA, q};
endmodule
`default_nettype wire

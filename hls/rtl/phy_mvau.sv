// SPDX-License-Identifier: Apache-2.0
//
// Matrix-vector unit: y = W x, x of MatW integers, y of MatH signed integers of AccBits bits.
//
// In:  MatW / Simd beats per frame; beat b carries x[b*Simd] ... in Simd * InBits bits.
// Out: MatH / Pe beats per frame; beat f carries y[f*Pe] ... in Pe * AccBits bits.
// WeightFile: word f * (MatW/Simd) + b holds W[f*Pe + p, b*Simd + s] at bits (p*Simd + s)*WeightBits.
//
// II: exactly (MatW/Simd) * (MatH/Pe) cycles per frame.
// Latency: a fold's result is offered 4 + rom_regs + ceil(log4(Simd)) cycles after the last
// beat that it needs was taken (fold 0 of an idle unit; rom_regs: see phy_pkg); the following folds
// come MatW/Simd cycles apart.
// Back-pressure: the pipeline runs freely into an output buffer with credits; no path from
// m_axis_tready to s_axis_tready. Two frames of input are buffered.
// Reset: control only.
`default_nettype none
module phy_mvau #(
  parameter  int unsigned MatW         = 16,
  parameter  int unsigned MatH         = 16,
  parameter  int unsigned Pe           = 4,
  parameter  int unsigned Simd         = 4,
  parameter  int unsigned InBits       = 4,
  parameter  bit          InSigned     = 1'b0,
  parameter  int unsigned WeightBits   = 4,
  parameter  bit          WeightSigned = 1'b1,
  parameter  int unsigned AccBits      = 12,
  parameter  bit          Dsp          = 1'b0,  // multipliers in DSP blocks
  parameter               WeightFile   = "",
  parameter               MemDir       = "",  // its folder
  localparam int unsigned InW          = phy_pkg::byte_bits(Simd * InBits),
  localparam int unsigned OutW         = phy_pkg::byte_bits(Pe * AccBits)
) (
  input  wire             ap_clk,
  input  wire             ap_rst_n,
  input  wire  [InW-1:0]  s_axis_tdata,
  input  wire             s_axis_tvalid,
  output logic            s_axis_tready,
  output logic [OutW-1:0] m_axis_tdata,
  output logic            m_axis_tvalid,
  input  wire             m_axis_tready
);
  localparam int unsigned Beats    = MatW / Simd;
  localparam int unsigned Folds    = MatH / Pe;
  localparam int unsigned XBits    = Simd * InBits;
  localparam int unsigned WordBits = Pe * Simd * WeightBits;
  localparam int unsigned Steps    = Beats * Folds;
  localparam int unsigned StepW    = phy_pkg::idx_bits(Steps);
  localparam int unsigned RomRegs  = phy_pkg::rom_regs(Steps);
  localparam int unsigned WaitW    = phy_pkg::max_of(RomRegs - 1, 1);
  localparam int unsigned DotLat   = 1 + phy_pkg::tree_levels(Simd);
  localparam int unsigned SumLat   = RomRegs + DotLat;

  if (MatW % Simd != 0) begin : gen_bad_simd
    $error("phy_mvau: Simd (%0d) must divide MatW (%0d)", Simd, MatW);
  end
  if (MatH % Pe != 0) begin : gen_bad_pe
    $error("phy_mvau: Pe (%0d) must divide MatH (%0d)", Pe, MatH);
  end

  logic                  credit;
  logic                  issue;
  logic                  first;
  logic                  last;
  logic [StepW-1:0]      step;
  logic [SumLat:0]       valid;  // bit k: a step was issued k cycles ago
  logic [XBits-1:0]      x_read;
  logic [XBits-1:0]      x;
  logic [WordBits-1:0]   weights;
  logic [Pe*AccBits-1:0] sum;

  phy_issue #(.Beats(Beats), .Folds(Folds), .Width(XBits)) u_issue (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .data_i(s_axis_tdata[XBits-1:0]), .valid_i(s_axis_tvalid), .ready_o(s_axis_tready),
    .credit_i(credit), .issue_o(issue), .first_o(first), .last_o(last), .step_o(step),
    .x_o(x_read)
  );

  phy_rom #(
    .Width(WordBits), .Depth(Steps), .Regs(RomRegs), .File(WeightFile), .MemDir(MemDir)
  ) u_weights (
    .clk_i(ap_clk), .en_i(valid[RomRegs-1:0]), .addr_i(step), .data_o(weights)
  );
  phy_delay #(.Width(XBits), .Cycles(RomRegs - 1)) u_x (
    .clk_i(ap_clk), .en_i(valid[1 +: WaitW]), .d_i(x_read), .d_o(x)
  );

  for (genvar p = 0; p < Pe; p++) begin : gen_pe
    phy_dot #(
      .N(Simd), .ABits(InBits), .ASigned(InSigned), .BBits(WeightBits), .BSigned(WeightSigned),
      .SumBits(AccBits), .Dsp(Dsp)
    ) u_dot (
      .clk_i(ap_clk), .en_i(valid[RomRegs +: DotLat]), .a_i(x),
      .b_i(weights[p*Simd*WeightBits +: Simd*WeightBits]), .sum_o(sum[p*AccBits +: AccBits])
    );
  end

  phy_accumulate #(
    .Pe(Pe), .AccBits(AccBits), .Beats(Beats), .SumLat(SumLat),
    .Terms((InSigned || WeightSigned) ? MatW : 0), .OffsetBit(InBits + WeightBits - 1)
  ) u_acc (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .issue_i(issue), .first_i(first), .last_i(last), .credit_o(credit), .valid_o(valid),
    .sum_i(sum),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  logic unused;
  assign unused = &{1'b0, s_axis_tdata, valid};
endmodule
`default_nettype wire

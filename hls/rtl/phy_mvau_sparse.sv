// SPDX-License-Identifier: Apache-2.0
//
// Matrix-vector unit for block-balanced sparse weights: y = W x, where every row of W has at most Nnz
// non-zero weights in every block of Block neighbouring columns. Pe * (Simd/Block) * Nnz multipliers.
//
// In:  MatW / Simd beats per frame; beat b carries x[b*Simd] ... in Simd * InBits bits.
// Out: MatH / Pe beats per frame; beat f carries y[f*Pe] ... in Pe * AccBits bits.
// WeightFile: word f * (MatW/Simd) + b holds Pe * (Simd/Block) * Nnz entries {index, weight}, weight in
// the low bits, index in idx_bits(Block) bits above. Entry (p * (Simd/Block) + k) * Nnz + j is non-zero
// j of row f*Pe + p in columns b*Simd + k*Block ...; index counts from that column. Places without a
// non-zero hold index 0 and weight 0.
//
// II: exactly (MatW/Simd) * (MatH/Pe) cycles per frame.
// Latency: a fold's result is offered 5 + rom_regs + ceil(log4((Simd/Block) * Nnz)) cycles after the
// last beat that it needs was taken; otherwise as phy_mvau, from which it differs by one register in
// which each multiplier gathers its x. Reset: control only.
`default_nettype none
module phy_mvau_sparse #(
  parameter  int unsigned MatW         = 16,
  parameter  int unsigned MatH         = 16,
  parameter  int unsigned Pe           = 4,
  parameter  int unsigned Simd         = 8,
  parameter  int unsigned Block        = 4,
  parameter  int unsigned Nnz          = 1,
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
  localparam int unsigned Beats     = MatW / Simd;
  localparam int unsigned Folds     = MatH / Pe;
  localparam int unsigned Lanes     = Simd / Block * Nnz;  // multipliers per row
  localparam int unsigned IndexBits = phy_pkg::idx_bits(Block);
  localparam int unsigned EntryBits = IndexBits + WeightBits;
  localparam int unsigned XBits     = Simd * InBits;
  localparam int unsigned WordBits  = Pe * Lanes * EntryBits;
  localparam int unsigned Steps     = Beats * Folds;
  localparam int unsigned StepW     = phy_pkg::idx_bits(Steps);
  localparam int unsigned RomRegs   = phy_pkg::rom_regs(Steps);
  localparam int unsigned WaitW     = phy_pkg::max_of(RomRegs - 1, 1);
  localparam int unsigned DotLat    = 1 + phy_pkg::tree_levels(Lanes);
  localparam int unsigned SumLat    = RomRegs + 1 + DotLat;

  if (MatW % Simd != 0) begin : gen_bad_simd
    $error("phy_mvau_sparse: Simd (%0d) must divide MatW (%0d)", Simd, MatW);
  end
  if (MatH % Pe != 0) begin : gen_bad_pe
    $error("phy_mvau_sparse: Pe (%0d) must divide MatH (%0d)", Pe, MatH);
  end
  if (Simd % Block != 0) begin : gen_bad_block
    $error("phy_mvau_sparse: Block (%0d) must divide Simd (%0d)", Block, Simd);
  end
  if (Nnz < 1 || Nnz > Block) begin : gen_bad_nnz
    $error("phy_mvau_sparse: Nnz (%0d) must be 1 to Block (%0d)", Nnz, Block);
  end

  logic                  credit;
  logic                  issue;
  logic                  first;
  logic                  last;
  logic [StepW-1:0]      step;
  logic [SumLat:0]       valid;  // bit k: a step was issued k cycles ago
  logic [XBits-1:0]      x_read;
  logic [XBits-1:0]      x;
  logic [WordBits-1:0]   entries;
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
    .clk_i(ap_clk), .en_i(valid[RomRegs-1:0]), .addr_i(step), .data_o(entries)
  );
  phy_delay #(.Width(XBits), .Cycles(RomRegs - 1)) u_x (
    .clk_i(ap_clk), .en_i(valid[1 +: WaitW]), .d_i(x_read), .d_o(x)
  );

  for (genvar p = 0; p < Pe; p++) begin : gen_pe
    logic [Lanes*InBits-1:0]     picked;
    logic [Lanes*WeightBits-1:0] weights;
    for (genvar i = 0; i < Lanes; i++) begin : gen_lane
      localparam int unsigned Base = i / Nnz * Block * InBits;  // of the block in x
      logic [EntryBits-1:0]    entry;
      logic [Block*InBits-1:0] block;
      logic [InBits-1:0]       picked_q;
      logic [WeightBits-1:0]   weight_q;
      assign entry = entries[(p*Lanes + i)*EntryBits +: EntryBits];
      assign block = x[Base +: Block*InBits];
      always_ff @(posedge ap_clk) begin
        if (valid[RomRegs]) begin
          picked_q <= block[32'(entry[WeightBits +: IndexBits]) * InBits +: InBits];
          weight_q <= entry[WeightBits-1:0];
        end
      end
      assign picked[i*InBits +: InBits]          = picked_q;
      assign weights[i*WeightBits +: WeightBits] = weight_q;
    end
    phy_dot #(
      .N(Lanes), .ABits(InBits), .ASigned(InSigned), .BBits(WeightBits), .BSigned(WeightSigned),
      .SumBits(AccBits), .Dsp(Dsp)
    ) u_dot (
      .clk_i(ap_clk), .en_i(valid[RomRegs+1 +: DotLat]), .a_i(picked), .b_i(weights),
      .sum_o(sum[p*AccBits +: AccBits])
    );
  end

  phy_accumulate #(
    .Pe(Pe), .AccBits(AccBits), .Beats(Beats), .SumLat(SumLat),
    .Terms((InSigned || WeightSigned) ? Beats * Lanes : 0), .OffsetBit(InBits + WeightBits - 1)
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

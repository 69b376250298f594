// SPDX-License-Identifier: Apache-2.0
//
// Requantization: y = clip(half_even((x * mul[c] + add[c]) / 2^Shift), OutMin, OutMax), c the channel
// of the element; half_even rounds to nearest, ties to even; mul and add are signed.
//
// In:  Channels / Pe beats per frame of Pe * InBits bits. Out: as many beats of Pe * OutBits bits.
// ParamFile: word f holds for lane p, at bit p * (MulBits + AddBits), mul of channel f*Pe + p in the low
// MulBits bits and its add above.
//
// II: 1 cycle per beat. Latency: 5 + rom_regs(Channels/Pe) cycles.
// Back-pressure: runs freely into an output buffer with credits; no path from m_axis_tready to
// s_axis_tready. Reset: control only.
`default_nettype none
module phy_requant #(
  parameter  int unsigned Channels  = 16,
  parameter  int unsigned Pe        = 4,
  parameter  int unsigned InBits    = 12,
  parameter  bit          InSigned  = 1'b1,
  parameter  int unsigned MulBits   = 8,
  parameter  int unsigned AddBits   = 16,
  parameter  int unsigned Shift     = 8,
  parameter  int unsigned OutBits   = 4,
  parameter  bit          OutSigned = 1'b0,
  parameter  int          OutMin    = 0,
  parameter  int          OutMax    = 15,
  parameter               ParamFile = "",
  parameter               MemDir    = "",  // its folder
  localparam int unsigned InW       = phy_pkg::byte_bits(Pe * InBits),
  localparam int unsigned OutW      = phy_pkg::byte_bits(Pe * OutBits)
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
  localparam int unsigned Folds    = Channels / Pe;
  localparam int unsigned FoldW    = phy_pkg::idx_bits(Folds);
  localparam int unsigned Regs     = phy_pkg::rom_regs(Folds);
  localparam int unsigned LaneBits = MulBits + AddBits;
  localparam int unsigned ProdBits = InBits + MulBits;
  // Holds the sum, and at least two bits above the fraction.
  localparam int unsigned SumBits  =
    phy_pkg::max_of(phy_pkg::max_of(ProdBits, AddBits) + 1, Shift + 2);
  // Holds the rounded sum and the two limits.
  localparam int unsigned IntBits  = phy_pkg::max_of(SumBits - Shift + 1, OutBits + 2);
  localparam int unsigned PushLat  = Regs + 4;
  localparam int unsigned Latency  = PushLat + 1;

  if (Channels % Pe != 0) begin : gen_bad_pe
    $error("phy_requant: Pe (%0d) must divide Channels (%0d)", Pe, Channels);
  end
  if (OutMin > OutMax || OutBits > 30 || OutMax >= (1 << (OutBits - (OutSigned ? 1 : 0)))
      || OutMin < (OutSigned ? -(1 << (OutBits - 1)) : 0)) begin : gen_bad_limits
    $error("phy_requant: OutMin (%0d) to OutMax (%0d) must fit OutBits (%0d), at most 30",
           OutMin, OutMax, OutBits);
  end

  // Control: bit k of valid is the beat taken k cycles ago.
  logic             credit;
  logic             take;
  logic [FoldW-1:0] fold_q;
  logic [PushLat:1] valid_q;
  logic [PushLat:0] valid;
  assign s_axis_tready = credit;
  assign take          = s_axis_tvalid && credit;
  assign valid         = {valid_q, take};
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q  <= '0;
      valid_q <= '0;
    end else begin
      if (take) fold_q <= (fold_q == FoldW'(Folds - 1)) ? '0 : fold_q + 1'b1;
      valid_q <= valid[PushLat-1:0];
    end
  end

  logic [Pe*LaneBits-1:0] params;
  logic [Pe*InBits-1:0]   x;
  phy_rom #(
    .Width(Pe * LaneBits), .Depth(Folds), .Regs(Regs), .File(ParamFile), .MemDir(MemDir)
  ) u_params (
    .clk_i(ap_clk), .en_i(valid[Regs-1:0]), .addr_i(fold_q), .data_o(params)
  );
  phy_delay #(.Width(Pe * InBits), .Cycles(Regs)) u_x (
    .clk_i(ap_clk), .en_i(valid[Regs-1:0]), .d_i(s_axis_tdata[Pe*InBits-1:0]), .d_o(x)
  );

  logic [OutW-1:0] beat;
  if (OutW > Pe * OutBits) begin : gen_pad
    assign beat[OutW-1:Pe*OutBits] = '0;
  end
  for (genvar p = 0; p < Pe; p++) begin : gen_lane
    logic        [ProdBits-1:0] prod;
    logic signed [AddBits-1:0]  add_q;
    logic signed [SumBits-1:0]  sum_q;
    logic                       up;
    logic signed [IntBits-1:0]  round_q;
    logic        [OutBits-1:0]  out_q;
    phy_mul #(.ABits(InBits), .ASigned(InSigned), .BBits(MulBits), .BSigned(1'b1)) u_mul (
      .clk_i(ap_clk), .en_i(valid[Regs]), .a_i(x[p*InBits +: InBits]),
      .b_i(params[p*LaneBits +: MulBits]), .p_o(prod)
    );
    if (Shift == 0) begin : gen_whole
      assign up = 1'b0;
    end else if (Shift == 1) begin : gen_half
      assign up = sum_q[0] && sum_q[1];
    end else begin : gen_fraction
      assign up = sum_q[Shift-1] && (sum_q[Shift] || sum_q[Shift-2:0] != '0);
    end
    always_ff @(posedge ap_clk) begin
      if (valid[Regs]) add_q <= params[p*LaneBits+MulBits +: AddBits];
      if (valid[Regs+1]) sum_q <= SumBits'($signed(prod)) + SumBits'(add_q);
      if (valid[Regs+2]) round_q <= IntBits'(sum_q >>> Shift) + IntBits'($signed({1'b0, up}));
      if (valid[Regs+3]) begin
        if (round_q < IntBits'(OutMin)) out_q <= OutBits'(OutMin);
        else if (round_q > IntBits'(OutMax)) out_q <= OutBits'(OutMax);
        else out_q <= round_q[OutBits-1:0];
      end
    end
    assign beat[p*OutBits +: OutBits] = out_q;
  end

  phy_outbuf #(.Width(OutW), .Depth(Latency + 2)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .credit_o(credit), .take_i(take), .push_i(valid[PushLat]), .data_i(beat),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  logic unused_pad;
  assign unused_pad = &{1'b0, s_axis_tdata};
endmodule
`default_nettype wire

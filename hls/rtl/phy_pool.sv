// SPDX-License-Identifier: Apache-2.0
//
// Pooling over tiles: y[oy, ox, c] = sum (Maximum 0) or largest (1) of
// x[oy * KernelH + i, ox * KernelW + j, c] over i < KernelH, j < KernelW. The sum is exact.
//
// In:  Height * Width * Channels / Pe beats per frame of Pe * InBits bits, channels innermost.
// Out: a beat of Pe * OutBits bits for each KernelH * KernelW beats; OutBits must hold every sum.
// Memory: what the tiles of one row have come to, Width / KernelW * Channels / Pe words (one tile for
// KernelH = 1).
//
// II: 1 cycle per input beat. Latency: a tile is offered 3 cycles after its last beat was taken.
// Back-pressure: only the last beat of a tile waits for a place in the output buffer; s_axis_tready
// depends on registers only. Reset: control only.
`default_nettype none
module phy_pool #(
  parameter  int unsigned Height   = 8,
  parameter  int unsigned Width    = 8,
  parameter  int unsigned Channels = 4,
  parameter  int unsigned KernelH  = 2,
  parameter  int unsigned KernelW  = 2,
  parameter  int unsigned Pe       = 2,
  parameter  int unsigned InBits   = 8,
  parameter  bit          InSigned = 1'b0,
  parameter  bit          Maximum  = 1'b0,
  parameter  int unsigned OutBits  = 10,
  localparam int unsigned InW      = phy_pkg::byte_bits(Pe * InBits),
  localparam int unsigned OutW     = phy_pkg::byte_bits(Pe * OutBits)
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
  localparam int unsigned Folds = Channels / Pe;
  localparam int unsigned Tiles = Width / KernelW;
  localparam int unsigned Depth = (KernelH > 1) ? Tiles * Folds : Folds;
  localparam int unsigned AddrW = phy_pkg::idx_bits(Depth);
  localparam int unsigned FoldW = phy_pkg::idx_bits(Folds);
  localparam int unsigned KxW   = phy_pkg::idx_bits(KernelW);
  localparam int unsigned KyW   = phy_pkg::idx_bits(KernelH);
  localparam int unsigned TileW = phy_pkg::idx_bits(Tiles);
  localparam int unsigned AccW  = Pe * OutBits;
  localparam int unsigned Terms = Maximum ? 1 : KernelH * KernelW;

  if (Channels % Pe != 0) begin : gen_bad_pe
    $error("phy_pool: Pe (%0d) must divide Channels (%0d)", Pe, Channels);
  end
  if (Height % KernelH != 0 || Width % KernelW != 0) begin : gen_bad_kernel
    $error("phy_pool: the kernel (%0d x %0d) must divide the image (%0d x %0d)",
           KernelH, KernelW, Height, Width);
  end
  // A signed sum is at least -Terms * 2^(InBits-1), an unsigned one at most Terms * (2^InBits - 1).
  if (OutBits > 62 || (InSigned ? 64'(Terms) << (InBits - 1) > 64'(1) << (OutBits - 1)
                                : 64'(Terms) * ((64'(1) << InBits) - 1) >= 64'(1) << OutBits))
  begin : gen_bad_bits
    $error("phy_pool: OutBits (%0d) must hold %0d values of InBits (%0d), and be at most 62",
           OutBits, Terms, InBits);
  end

  // Where the beat lies in its tile and the tile in its row.
  logic [FoldW-1:0] fold_q;
  logic [KxW-1:0]   kx_q;
  logic [KyW-1:0]   ky_q;
  logic [TileW-1:0] tile_q;
  logic [AddrW-1:0] base_q;  // of the tile's first word
  logic [AddrW-1:0] addr_q;  // of the beat's word
  logic             fold_last;
  logic             kx_last;
  logic             tile_last;
  logic             begins_q;  // the beat is the first of its tile
  logic             ends_q;    // the beat is the last of its tile
  logic             take;
  assign fold_last = fold_q == FoldW'(Folds - 1);
  assign kx_last   = kx_q == KxW'(KernelW - 1);
  assign tile_last = tile_q == TileW'(Tiles - 1);

  logic [KxW-1:0]   kx_d;
  logic [KyW-1:0]   ky_d;
  logic [TileW-1:0] tile_d;
  logic [AddrW-1:0] base_d;
  always_comb begin
    kx_d   = kx_q;
    ky_d   = ky_q;
    tile_d = tile_q;
    base_d = base_q;
    if (fold_last) kx_d = kx_last ? '0 : kx_q + 1'b1;
    if (fold_last && kx_last) begin
      tile_d = tile_last ? '0 : tile_q + 1'b1;
      if (KernelH > 1) base_d = tile_last ? '0 : base_q + AddrW'(Folds);
      if (tile_last) ky_d = (ky_q == KyW'(KernelH - 1)) ? '0 : ky_q + 1'b1;
    end
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q   <= '0;
      kx_q     <= '0;
      ky_q     <= '0;
      tile_q   <= '0;
      base_q   <= '0;
      addr_q   <= '0;
      begins_q <= 1'b1;
      ends_q   <= KernelH * KernelW == 1;
    end else if (take) begin
      fold_q   <= fold_last ? '0 : fold_q + 1'b1;
      kx_q     <= kx_d;
      ky_q     <= ky_d;
      tile_q   <= tile_d;
      base_q   <= base_d;
      addr_q   <= fold_last ? base_d : addr_q + 1'b1;
      begins_q <= kx_d == '0 && ky_d == '0;
      ends_q   <= kx_d == KxW'(KernelW - 1) && ky_d == KyW'(KernelH - 1);
    end
  end

  // Take (read the sum so far), add (write it back), offer. A sum that is read while it is written
  // comes from the register behind the adder.
  logic                 credit;
  logic                 add_q;
  logic                 push_q;
  logic                 begin_q;
  logic                 end_q;
  logic                 again_q;  // the sum is that of the beat before
  logic [AddrW-1:0]     where_q;
  logic [Pe*InBits-1:0] x_q;
  logic [AccW-1:0]      stored;
  logic [AccW-1:0]      sum_d;
  logic [AccW-1:0]      sum_q;
  assign s_axis_tready = !ends_q || credit;
  assign take          = s_axis_tvalid && s_axis_tready;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      add_q  <= 1'b0;
      push_q <= 1'b0;
    end else begin
      add_q  <= take;
      push_q <= add_q && end_q;
    end
    if (take) begin
      x_q     <= s_axis_tdata[Pe*InBits-1:0];
      begin_q <= begins_q;
      end_q   <= ends_q;
      where_q <= addr_q;
      again_q <= add_q && where_q == addr_q;
    end
    if (add_q) sum_q <= sum_d;
  end
  phy_line #(.Depth(Depth), .Width(AccW)) u_sums (
    .clk_i(ap_clk), .we_i(add_q), .waddr_i(where_q), .wdata_i(sum_d),
    .re_i(take), .raddr_i(addr_q), .rdata_o(stored)
  );

  logic [OutW-1:0] beat;
  assign beat = OutW'(sum_q);
  for (genvar p = 0; p < Pe; p++) begin : gen_lane
    logic [OutBits-1:0] x;
    logic [OutBits-1:0] so_far;
    logic [OutBits-1:0] joined;
    if (InSigned) begin : gen_signed
      assign x = OutBits'($signed(x_q[p*InBits +: InBits]));
    end else begin : gen_unsigned
      assign x = OutBits'(x_q[p*InBits +: InBits]);
    end
    assign so_far = again_q ? sum_q[p*OutBits +: OutBits] : stored[p*OutBits +: OutBits];
    if (!Maximum) begin : gen_sum
      assign joined = so_far + x;
    end else if (InSigned) begin : gen_signed_max
      assign joined = ($signed(so_far) > $signed(x)) ? so_far : x;
    end else begin : gen_unsigned_max
      assign joined = (so_far > x) ? so_far : x;
    end
    assign sum_d[p*OutBits +: OutBits] = begin_q ? x : joined;
  end

  phy_outbuf #(.Width(OutW), .Depth(4)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .credit_o(credit), .take_i(take && ends_q), .push_i(push_q), .data_i(beat),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  logic unused_pad;
  assign unused_pad = &{1'b0, s_axis_tdata};
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// Nearest-neighbour upsampling: y[oy, ox, c] = x[oy / ScaleH, ox / ScaleW, c].
//
// In:  Height * Width * Channels / Pe beats per frame of Pe * ElemBits bits, channels innermost.
// Out: ScaleH * ScaleW times as many beats of the same width.
// Memory: one row, Width * Channels / Pe words, at least 4. A word's place is free after it was read for
// the last time, so the next row is taken while this one is given for the last time.
//
// II: one cycle per output beat. Latency: 4 cycles from a word taken to its first copy offered.
// Back-pressure: runs freely into an output buffer with credits; s_axis_tready depends on registers
// only. Reset: control only.
`default_nettype none
module phy_upsample #(
  parameter  int unsigned Height   = 4,
  parameter  int unsigned Width    = 4,
  parameter  int unsigned Channels = 4,
  parameter  int unsigned ScaleH   = 2,
  parameter  int unsigned ScaleW   = 2,
  parameter  int unsigned Pe       = 2,
  parameter  int unsigned ElemBits = 8,
  localparam int unsigned InW      = phy_pkg::byte_bits(Pe * ElemBits)
) (
  input  wire            ap_clk,
  input  wire            ap_rst_n,
  input  wire  [InW-1:0] s_axis_tdata,
  input  wire            s_axis_tvalid,
  output logic           s_axis_tready,
  output logic [InW-1:0] m_axis_tdata,
  output logic           m_axis_tvalid,
  input  wire            m_axis_tready
);
  localparam int unsigned Folds = Channels / Pe;
  localparam int unsigned LineW = Width * Folds;
  localparam int unsigned Depth = phy_pkg::max_of(LineW, 4);
  localparam int unsigned AddrW = phy_pkg::idx_bits(Depth);
  localparam int unsigned CntW  = $clog2(Depth + 1);
  localparam int unsigned Bits  = Pe * ElemBits;
  localparam int unsigned FoldW = phy_pkg::idx_bits(Folds);
  localparam int unsigned SxW   = phy_pkg::idx_bits(ScaleW);
  localparam int unsigned SyW   = phy_pkg::idx_bits(ScaleH);
  localparam int unsigned IxW   = phy_pkg::idx_bits(Width);

  if (Channels % Pe != 0) begin : gen_bad_pe
    $error("phy_upsample: Pe (%0d) must divide Channels (%0d)", Pe, Channels);
  end
  if (Height < 1 || ScaleH < 1 || ScaleW < 1) begin : gen_bad_scale
    $error("phy_upsample: ScaleH (%0d) and ScaleW (%0d) must be at least 1", ScaleH, ScaleW);
  end

  // The word that is read next.
  logic [FoldW-1:0] fold_q;
  logic [SxW-1:0]   sx_q;
  logic [SyW-1:0]   sy_q;
  logic [IxW-1:0]   ix_q;
  logic [AddrW-1:0] rd_q;
  logic [AddrW-1:0] pixel_q;  // first word of the pixel
  logic [AddrW-1:0] row_q;    // first word of the row
  logic             fold_last;
  logic             sx_last;
  logic             sy_last;
  logic             ix_last;
  logic             issue;
  logic             fetch;    // a word is read for the first time
  logic             free;     // a word is read for the last time
  assign fold_last = fold_q == FoldW'(Folds - 1);
  assign sx_last   = sx_q == SxW'(ScaleW - 1);
  assign sy_last   = sy_q == SyW'(ScaleH - 1);
  assign ix_last   = ix_q == IxW'(Width - 1);

  logic [AddrW-1:0] next;
  logic [AddrW-1:0] rd_d;
  logic [AddrW-1:0] pixel_d;
  logic [AddrW-1:0] row_d;
  assign next = (rd_q == AddrW'(Depth - 1)) ? '0 : rd_q + 1'b1;
  always_comb begin
    rd_d    = next;
    pixel_d = pixel_q;
    row_d   = row_q;
    if (fold_last && !sx_last) begin
      rd_d = pixel_q;
    end else if (fold_last && ix_last && !sy_last) begin
      rd_d    = row_q;
      pixel_d = row_q;
    end else if (fold_last) begin
      pixel_d = next;
      if (ix_last) row_d = next;
    end
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q  <= '0;
      sx_q    <= '0;
      sy_q    <= '0;
      ix_q    <= '0;
      rd_q    <= '0;
      pixel_q <= '0;
      row_q   <= '0;
    end else if (issue) begin
      fold_q  <= fold_last ? '0 : fold_q + 1'b1;
      if (fold_last) sx_q <= sx_last ? '0 : sx_q + 1'b1;
      if (fold_last && sx_last) ix_q <= ix_last ? '0 : ix_q + 1'b1;
      if (fold_last && sx_last && ix_last) sy_q <= sy_last ? '0 : sy_q + 1'b1;
      rd_q    <= rd_d;
      pixel_q <= pixel_d;
      row_q   <= row_d;
    end
  end

  // Words: held_q may not be overwritten yet, unread_q were not read yet.
  logic [AddrW-1:0] wr_q;
  logic [CntW-1:0]  held_q;
  logic [CntW-1:0]  held_d;
  logic [CntW-1:0]  unread_q;
  logic [CntW-1:0]  unread_d;
  logic             full_q;
  logic             some_q;
  logic             take;
  assign s_axis_tready = !full_q;
  assign take          = s_axis_tvalid && s_axis_tready;
  assign held_d        = held_q + CntW'(take) - CntW'(free);
  assign unread_d      = unread_q + CntW'(take) - CntW'(fetch);
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      wr_q     <= '0;
      held_q   <= '0;
      full_q   <= 1'b0;
      unread_q <= '0;
      some_q   <= 1'b0;
    end else begin
      if (take) wr_q <= (wr_q == AddrW'(Depth - 1)) ? '0 : wr_q + 1'b1;
      held_q   <= held_d;
      full_q   <= held_d == CntW'(Depth);
      unread_q <= unread_d;
      some_q   <= unread_d != '0;
    end
  end

  // Issue, address, memory, output buffer.
  logic             credit;
  logic             first;
  logic [2:1]       valid_q;
  logic [AddrW-1:0] addr_q;
  logic [Bits-1:0]  word;
  assign first = sx_q == '0 && sy_q == '0;
  assign issue = credit && (!first || some_q);
  assign fetch = issue && first;
  assign free  = issue && sx_last && sy_last;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= '0;
    else valid_q <= {valid_q[1], issue};
    addr_q <= rd_q;
  end
  phy_line #(.Depth(Depth), .Width(Bits)) u_line (
    .clk_i(ap_clk), .we_i(take), .waddr_i(wr_q), .wdata_i(s_axis_tdata[Bits-1:0]),
    .re_i(valid_q[1]), .raddr_i(addr_q), .rdata_o(word)
  );
  phy_outbuf #(.Width(InW), .Depth(4)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .credit_o(credit), .take_i(issue), .push_i(valid_q[2]), .data_i(InW'(word)),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  logic unused_pad;
  assign unused_pad = &{1'b0, s_axis_tdata};
endmodule
`default_nettype wire

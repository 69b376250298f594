// SPDX-License-Identifier: Apache-2.0
//
// Surroundings of every pixel of an image, zeros beyond its border (padding and im2col, stride 1):
// y[oy, ox, ky, kx, c] = x[oy + ky - PadTop, ox + kx - PadLeft, c].
//
// In:  Height * Width * Channels / Simd beats per frame of Simd * InBits bits, channels innermost.
// Out: OutH * OutW * KernelH * KernelW * Channels / Simd beats of the same width, in the order of the
//      indices above; OutH = Height + PadTop + PadBottom - KernelH + 1, OutW alike.
// Memory: phy_window_pkg::window_rows rows of the image (3 for a padded 3x3 kernel on rows of 4 pixels or
// more). A pixel's place is free after the last position of the kernel that needs it, so input is taken
// while output is given, and the next frame while this one ends.
//
// II: one cycle per output beat; the input keeps up if it brings what the next position needs in time.
// Latency: the first beat of a position is offered 4 cycles after the last word that the position
// needs was taken; the position's other beats follow, and the next position behind them.
// Back-pressure: runs freely into an output buffer with credits; s_axis_tready depends on registers
// only. Reset: control only.
`default_nettype none
module phy_window #(
  parameter  int unsigned Height    = 8,
  parameter  int unsigned Width     = 8,
  parameter  int unsigned Channels  = 4,
  parameter  int unsigned KernelH   = 3,
  parameter  int unsigned KernelW   = 3,
  parameter  int unsigned PadTop    = 1,
  parameter  int unsigned PadBottom = 1,
  parameter  int unsigned PadLeft   = 1,
  parameter  int unsigned PadRight  = 1,
  parameter  int unsigned Simd      = 2,
  parameter  int unsigned InBits    = 8,
  localparam int unsigned InW       = phy_pkg::byte_bits(Simd * InBits)
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
  localparam int unsigned OutH    = Height + PadTop + PadBottom + 1 - KernelH;
  localparam int unsigned OutW    = Width + PadLeft + PadRight + 1 - KernelW;
  localparam int unsigned Folds   = Channels / Simd;
  localparam int unsigned LineW   = Width * Folds;  // words of a row
  localparam int unsigned Rows    = phy_window_pkg::window_rows(
    Height, Width, KernelH, KernelW, PadTop, PadBottom, PadLeft, PadRight
  );
  localparam int unsigned Depth   = Rows * LineW;
  localparam int unsigned AddrW   = phy_pkg::idx_bits(Depth);
  localparam int unsigned Bits    = Simd * InBits;

  // What a position needs and what it leaves behind, in words.
  localparam int unsigned NeedRow   = phy_pkg::min_of(KernelW - PadLeft, Width) * Folds;
  localparam int unsigned NeedFirst =
    (phy_pkg::min_of(KernelH - PadTop, Height) - 1) * LineW + NeedRow;
  localparam int unsigned Done      = (OutW > PadLeft + 1) ? (OutW - 1 - PadLeft) * Folds : 0;
  localparam int unsigned FreeRow   = LineW - Done;
  localparam int unsigned FreeLast  = Height * LineW
    - ((OutH > PadTop) ? (OutH - 1 - PadTop) * LineW + Done : 0);
  localparam int unsigned Jump      = (Height + Rows * OutH + 1 - OutH) % Rows * LineW;

  // Counters: signed where a position may lie before the image.
  localparam int unsigned CntW  = $clog2(phy_pkg::max_of(Depth, NeedFirst) + 1) + 1;
  localparam int unsigned ColW  = $clog2((Width + KernelW + OutW) * Folds + 1) + 1;
  localparam int unsigned RowW  = $clog2(Height + KernelH + OutH + 1) + 1;
  localparam int unsigned StepW = phy_pkg::idx_bits(KernelW * Folds);
  localparam int unsigned KyW   = phy_pkg::idx_bits(KernelH);
  localparam int unsigned OxW   = phy_pkg::idx_bits(OutW);
  localparam int unsigned OyW   = phy_pkg::idx_bits(OutH);

  if (Channels % Simd != 0) begin : gen_bad_simd
    $error("phy_window: Simd (%0d) must divide Channels (%0d)", Simd, Channels);
  end
  if (PadTop >= KernelH || PadBottom >= KernelH || PadLeft >= KernelW || PadRight >= KernelW)
  begin : gen_bad_pad
    $error("phy_window: padding (%0d, %0d, %0d, %0d) must be less than the kernel (%0d x %0d)",
           PadTop, PadBottom, PadLeft, PadRight, KernelH, KernelW);
  end
  if (Height + PadTop + PadBottom < KernelH || Width + PadLeft + PadRight < KernelW)
  begin : gen_bad_size
    $error("phy_window: the kernel (%0d x %0d) exceeds the padded image", KernelH, KernelW);
  end

  // Position of the kernel, and the word in it.
  logic [OxW-1:0]          ox_q;
  logic [OyW-1:0]          oy_q;
  logic [KyW-1:0]          ky_q;
  logic [StepW-1:0]        step_q;   // kx * Folds + fold
  logic signed [ColW-1:0]  start_q;  // word of the row at which the position begins
  logic signed [ColW-1:0]  col_q;    // word of the row
  logic signed [RowW-1:0]  first_q;  // row of the image at which the position begins
  logic signed [RowW-1:0]  row_q;    // row of the image
  logic [AddrW-1:0]        top_q;    // line of first_q
  logic [AddrW-1:0]        line_q;   // line of row_q
  logic                    step_last;
  logic                    ox_last;
  logic                    oy_last;
  logic                    last_q;   // the word is the last one of the position
  logic                    last_d;
  logic                    issue;
  logic                    leave;    // the last word of a position is issued
  assign step_last = step_q == StepW'(KernelW * Folds - 1);
  assign ox_last   = ox_q == OxW'(OutW - 1);
  assign oy_last   = oy_q == OyW'(OutH - 1);
  assign leave     = issue && last_q;

  function automatic logic [AddrW-1:0] next_line(input logic [AddrW-1:0] line);
    return (line == AddrW'(Depth - LineW)) ? '0 : line + AddrW'(LineW);
  endfunction

  logic [AddrW-1:0] jumped;  // line of the next frame's first position
  if (Jump == 0) begin : gen_stay
    assign jumped = top_q;
  end else begin : gen_jump
    assign jumped = (top_q >= AddrW'(Depth - Jump)) ? top_q - AddrW'(Depth - Jump)
                                                    : top_q + AddrW'(Jump);
  end

  logic signed [ColW-1:0] start_d;
  logic signed [RowW-1:0] first_d;
  logic [AddrW-1:0]       top_d;
  always_comb begin
    start_d = start_q + ColW'(Folds);
    first_d = first_q;
    top_d   = top_q;
    if (ox_last) begin
      start_d = -ColW'(PadLeft * Folds);
      first_d = oy_last ? -RowW'(PadTop) : first_q + 1'b1;
      top_d   = oy_last ? jumped : next_line(top_q);
    end
  end

  if (KernelH * KernelW * Folds == 1) begin : gen_one_word
    assign last_d = 1'b1;
  end else if (KernelW * Folds == 1) begin : gen_one_step
    assign last_d = !last_q && ky_q == KyW'(KernelH - 2);
  end else begin : gen_steps
    assign last_d = ky_q == KyW'(KernelH - 1) && step_q == StepW'(KernelW * Folds - 2);
  end

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      last_q  <= KernelH * KernelW * Folds == 1;
      ox_q    <= '0;
      oy_q    <= '0;
      ky_q    <= '0;
      step_q  <= '0;
      start_q <= -ColW'(PadLeft * Folds);
      col_q   <= -ColW'(PadLeft * Folds);
      first_q <= -RowW'(PadTop);
      row_q   <= -RowW'(PadTop);
      top_q   <= AddrW'((Rows - PadTop % Rows) % Rows * LineW);
      line_q  <= AddrW'((Rows - PadTop % Rows) % Rows * LineW);
    end else if (leave) begin
      last_q  <= last_d;
      ox_q    <= ox_last ? '0 : ox_q + 1'b1;
      if (ox_last) oy_q <= oy_last ? '0 : oy_q + 1'b1;
      ky_q    <= '0;
      step_q  <= '0;
      start_q <= start_d;
      col_q   <= start_d;
      first_q <= first_d;
      row_q   <= first_d;
      top_q   <= top_d;
      line_q  <= top_d;
    end else if (issue) begin
      last_q <= last_d;
      step_q <= step_last ? '0 : step_q + 1'b1;
      col_q  <= step_last ? start_q : col_q + 1'b1;
      if (step_last) begin
        ky_q   <= ky_q + 1'b1;
        row_q  <= row_q + 1'b1;
        line_q <= next_line(line_q);
      end
    end
  end

  // Words: space_q + 1 places are free, ahead_q words are there beyond those that the position needs
  // (negative: missing).
  logic [AddrW-1:0]       wr_q;
  logic signed [CntW-1:0] space_q;
  logic signed [CntW-1:0] ahead_q;
  logic signed [CntW-1:0] freed;   // when the position is left
  logic signed [CntW-1:0] needed;  // by the next one, beyond what this one needs
  logic                   take;
  logic                   fresh;   // the position brings a new row
  logic                   fresh_next;
  assign fresh         = oy_q == '0 || first_q <= RowW'($signed(Height - KernelH));
  assign fresh_next    = first_q < RowW'($signed(Height - KernelH));
  assign s_axis_tready = !space_q[CntW-1];
  assign take          = s_axis_tvalid && s_axis_tready;
  always_comb begin
    freed  = '0;
    needed = '0;
    if (ox_last && oy_last) begin
      freed  = CntW'(FreeLast);
      needed = CntW'(NeedFirst);
    end else if (ox_last) begin
      if (!first_q[RowW-1]) freed = CntW'(FreeRow);
      if (fresh_next) needed = CntW'(NeedRow);
    end else begin
      if (!first_q[RowW-1] && !start_q[ColW-1]) freed = CntW'(Folds);
      if (fresh && start_q < ColW'($signed((Width - KernelW) * Folds))) needed = CntW'(Folds);
    end
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      wr_q    <= '0;
      space_q <= CntW'(Depth - 1);
      ahead_q <= -CntW'(NeedFirst);
    end else begin
      if (take) wr_q <= (wr_q == AddrW'(Depth - 1)) ? '0 : wr_q + 1'b1;
      space_q <= space_q + (leave ? freed : '0) - $signed(CntW'(take));
      ahead_q <= ahead_q - (leave ? needed : '0) + $signed(CntW'(take));
    end
  end

  // Issue, address, memory, output buffer.
  logic             credit;
  logic [2:1]       valid_q;
  logic [2:1]       outside_q;
  logic [AddrW-1:0] addr_q;
  logic [Bits-1:0]  word;
  logic [InW-1:0]   beat;
  assign issue = !ahead_q[CntW-1] && credit;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) valid_q <= '0;
    else valid_q <= {valid_q[1], issue};
    addr_q    <= line_q + AddrW'(col_q);
    outside_q <= {outside_q[1], row_q < 0 || row_q >= RowW'($signed(Height))
                                || col_q < 0 || col_q >= ColW'($signed(LineW))};
  end
  phy_line #(.Depth(Depth), .Width(Bits)) u_line (
    .clk_i(ap_clk), .we_i(take), .waddr_i(wr_q), .wdata_i(s_axis_tdata[Bits-1:0]),
    .re_i(valid_q[1]), .raddr_i(addr_q), .rdata_o(word)
  );
  assign beat = outside_q[2] ? '0 : InW'(word);
  phy_outbuf #(.Width(InW), .Depth(4)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .credit_o(credit), .take_i(issue), .push_i(valid_q[2]), .data_i(beat),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  logic unused_pad;
  assign unused_pad = &{1'b0, s_axis_tdata};
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// Front end of the matrix-vector kernels: keeps the input frames and says what to compute in each
// cycle. A frame is Beats words; each word is read Folds times (fold 0: words 0 ... Beats-1, fold 1:
// the same again, ...). The buffer holds two frames; fold 0 reads a word as soon as it is there, and
// the last fold frees each word as it reads it, so the kernel works whenever there is work.
//
// II: Beats * Folds cycles per frame. A word taken in cycle t can be issued in cycle t + 1; its data
// (x_o) follows 1 cycle after its issue, like the output of a registered memory addressed by step_o.
// Back-pressure: the last word of a fold waits for credit_i. s_axis_tready depends on registers only.
// Reset: counters; the buffer keeps what it has.
`default_nettype none
module phy_issue #(
  parameter  int unsigned Beats = 4,
  parameter  int unsigned Folds = 4,
  parameter  int unsigned Width = 16,
  localparam int unsigned StepW = phy_pkg::idx_bits(Beats * Folds)
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [Width-1:0] data_i,
  input  wire              valid_i,
  output logic             ready_o,
  input  wire              credit_i,
  output logic             issue_o,  // a step is issued in this cycle
  output logic             first_o,  // it is the first of its fold
  output logic             last_o,   // it is the last of its fold
  output logic [StepW-1:0] step_o,   // fold * Beats + beat
  output logic [Width-1:0] x_o
);
  localparam int unsigned Words = 2 * Beats;
  localparam int unsigned PtrW  = phy_pkg::idx_bits(Words);
  localparam int unsigned CntW  = $clog2(Words + 1);
  localparam int unsigned BeatW = phy_pkg::idx_bits(Beats);
  localparam int unsigned FoldW = phy_pkg::idx_bits(Folds);

  (* ram_style = "distributed" *)
  logic [Width-1:0] mem_q [Words];
  logic [PtrW-1:0]  wr_q;
  logic [PtrW-1:0]  rd_q;
  logic [CntW-1:0]  held_q;    // words that may not be overwritten yet
  logic [CntW-1:0]  unread_q;  // words that fold 0 has not read yet
  logic [BeatW-1:0] beat_q;
  logic [FoldW-1:0] fold_q;
  logic             half_q;    // which half of the buffer is being read
  logic [StepW-1:0] step_q;
  // What decides about a step is kept in a register of its own, so that issue_o, which enables wide
  // registers, is one small gate behind registers.
  logic             first_q;       // beat_q is the first of a fold
  logic             last_q;        // beat_q is the last of a fold
  logic             fold_first_q;  // fold_q is the first of a frame
  logic             fold_last_q;   // fold_q is the last of a frame
  logic             some_q;        // unread_q is not 0
  logic             take;
  logic             free;
  logic             fetch;

  assign first_o = first_q;
  assign last_o  = last_q;
  assign issue_o = (!fold_first_q || some_q) && (!last_q || credit_i);
  assign step_o  = step_q;
  assign ready_o = held_q != CntW'(Words);
  assign take    = valid_i && ready_o;
  assign free    = issue_o && fold_last_q;
  assign fetch   = issue_o && fold_first_q;

  logic [CntW-1:0] held_d;
  logic [CntW-1:0] unread_d;
  always_comb begin
    held_d = held_q;
    if (take && !free) held_d = held_q + 1'b1;
    else if (!take && free) held_d = held_q - 1'b1;
    unread_d = unread_q;
    if (take && !fetch) unread_d = unread_q + 1'b1;
    else if (!take && fetch) unread_d = unread_q - 1'b1;
  end

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      wr_q         <= '0;
      rd_q         <= '0;
      held_q       <= '0;
      unread_q     <= '0;
      some_q       <= 1'b0;
      beat_q       <= '0;
      first_q      <= 1'b1;
      last_q       <= Beats == 1;
      fold_q       <= '0;
      fold_first_q <= 1'b1;
      fold_last_q  <= Folds == 1;
      half_q       <= 1'b0;
      step_q       <= '0;
    end else begin
      held_q   <= held_d;
      unread_q <= unread_d;
      some_q   <= take || (some_q && !(fetch && unread_q == CntW'(1)));
      if (take) wr_q <= (wr_q == PtrW'(Words - 1)) ? '0 : wr_q + 1'b1;
      if (issue_o) begin
        step_q  <= (last_q && fold_last_q) ? '0 : step_q + 1'b1;
        first_q <= last_q;
        last_q  <= (Beats == 1) || (Beats > 1 && beat_q == BeatW'(Beats - 2));
        if (!last_q) begin
          beat_q <= beat_q + 1'b1;
          rd_q   <= rd_q + 1'b1;
        end else begin
          beat_q       <= '0;
          rd_q         <= (half_q ^ fold_last_q) ? PtrW'(Beats) : '0;
          fold_q       <= fold_last_q ? '0 : fold_q + 1'b1;
          fold_first_q <= fold_last_q;
          fold_last_q  <= (Folds == 1) || (Folds > 1 && fold_q == FoldW'(Folds - 2));
          half_q       <= half_q ^ fold_last_q;
        end
      end
    end
  end

  always_ff @(posedge ap_clk) begin
    if (take) mem_q[wr_q] <= data_i;
    if (issue_o) x_o <= mem_q[rd_q];
  end
endmodule
`default_nettype wire

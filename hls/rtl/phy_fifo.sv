// SPDX-License-Identifier: Apache-2.0
//
// First-in first-out buffer of Depth beats.
//
// II: 1 cycle per beat; 2 if Depth is 1, whose place is either filled or emptied in a cycle.
// Latency: a beat taken in cycle t is offered in cycle t + 1 if Depth <= 64 (read from LUT RAM) and in
// cycle t + 2 otherwise (block RAM with a prefetched word, which counts as one of the Depth places).
// s_axis_tready depends on registers only. Reset: counters.
// count_q is the number of beats inside.
//
// PHY_FIFO_LIMIT, for simulations that look for the smallest depth: the simulator may write limit_q
// (32 bits, starts as Depth) to any value up to Depth while the FIFO is empty; at 0 it is a wire.
`default_nettype none
module phy_fifo #(
  parameter  int unsigned Depth = 16,
  parameter  int unsigned Width = 8,
  localparam int unsigned CntW  = $clog2(Depth + 1)
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [Width-1:0] s_axis_tdata,
  input  wire              s_axis_tvalid,
  output logic             s_axis_tready,
  output logic [Width-1:0] m_axis_tdata,
  output logic             m_axis_tvalid,
  input  wire              m_axis_tready
);
  localparam bit          Block = Depth > 64;
  localparam int unsigned Words = Block ? Depth - 1 : Depth;
  localparam int unsigned PtrW  = phy_pkg::idx_bits(Words);

  logic             bypass;
  logic [CntW-1:0]  limit;
`ifdef PHY_FIFO_LIMIT
  logic [31:0] limit_q;
  initial limit_q = Depth;
  assign bypass = limit_q == 0;
  assign limit  = CntW'(limit_q);
  logic unused_limit;
  assign unused_limit = &{1'b0, limit_q};
`else
  assign bypass = 1'b0;
  assign limit  = CntW'(Depth);
`endif

  logic [CntW-1:0]  count_q;
  logic [CntW-1:0]  count_d;
  logic [PtrW-1:0]  wr_q;
  logic [PtrW-1:0]  rd_q;
  logic             take;
  logic             give;
  logic             fetch;  // a word leaves the memory
  logic             offered;
  logic [Width-1:0] data;

  assign s_axis_tready = bypass ? m_axis_tready : (count_q < limit);
  assign m_axis_tvalid = bypass ? s_axis_tvalid : offered;
  assign m_axis_tdata  = bypass ? s_axis_tdata : data;
  assign take          = s_axis_tvalid && s_axis_tready && !bypass;
  assign give          = offered && m_axis_tready && !bypass;

  always_comb begin
    count_d = count_q;
    if (take && !give) count_d = count_q + 1'b1;
    else if (!take && give) count_d = count_q - 1'b1;
  end
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      count_q <= '0;
      wr_q    <= '0;
      rd_q    <= '0;
    end else begin
      count_q <= count_d;
      if (take)  wr_q <= (wr_q == PtrW'(Words - 1)) ? '0 : wr_q + 1'b1;
      if (fetch) rd_q <= (rd_q == PtrW'(Words - 1)) ? '0 : rd_q + 1'b1;
    end
  end

  if (Block) begin : gen_block
    (* ram_style = "block", no_rw_check *)  // a word is read cycles after it was written
    logic [Width-1:0] mem_q [Words];
    logic [Width-1:0] data_q;
    logic             valid_q;
    assign offered = valid_q;
    assign data    = data_q;
    // The memory holds what is neither in data_q nor on its way out.
    assign fetch   = (count_q != CntW'(valid_q)) && (!valid_q || m_axis_tready);
    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) valid_q <= 1'b0;
      else if (fetch) valid_q <= 1'b1;
      else if (m_axis_tready) valid_q <= 1'b0;
    end
    always_ff @(posedge ap_clk) begin
      if (take) mem_q[wr_q] <= s_axis_tdata;
      if (fetch) data_q <= mem_q[rd_q];
    end
  end else begin : gen_lut
    (* ram_style = "distributed" *)
    logic [Width-1:0] mem_q [Words];
    assign offered = count_q != '0;
    assign data    = mem_q[rd_q];
    assign fetch   = give;
    always_ff @(posedge ap_clk) begin
      if (take) mem_q[wr_q] <= s_axis_tdata;
    end
  end

  if (Depth < 1) begin : gen_bad_depth
    $error("phy_fifo: Depth (%0d) must be at least 1", Depth);
  end
endmodule
`default_nettype wire

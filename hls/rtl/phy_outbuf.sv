// SPDX-License-Identifier: Apache-2.0
//
// The end of a free-running pipeline: a small FIFO whose free places are handed out as credits. A
// pipeline takes a credit (take_i, only while credit_o) for every beat that it will push; so it never
// has to stop, and m_axis_tready reaches nothing but this module's registers.
//
// Latency: 1 cycle from push_i to m_axis_tvalid; a credit comes back 1 cycle after its beat has left.
// One beat per cycle needs Depth > cycles from take_i to push_i + 1.
// Reset: counters; the memory keeps what it has.
`default_nettype none
module phy_outbuf #(
  parameter  int unsigned Width = 8,
  parameter  int unsigned Depth = 4,
  localparam int unsigned CntW  = $clog2(Depth + 1),
  localparam int unsigned PtrW  = phy_pkg::idx_bits(Depth)
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  output logic             credit_o,
  input  wire              take_i,
  input  wire              push_i,
  input  wire  [Width-1:0] data_i,
  output logic [Width-1:0] m_axis_tdata,
  output logic             m_axis_tvalid,
  input  wire              m_axis_tready
);
  logic [Width-1:0] mem_q [Depth];
  logic [CntW-1:0]  credit_q;
  logic [CntW-1:0]  credit_d;
  logic [CntW-1:0]  count_q;
  logic [CntW-1:0]  count_d;
  logic [PtrW-1:0]  wr_q;
  logic [PtrW-1:0]  rd_q;
  logic             some_q;   // credit_q is not 0
  logic             valid_q;  // count_q is not 0
  logic             pop;

  assign credit_o      = some_q;
  assign m_axis_tvalid = valid_q;
  assign m_axis_tdata  = mem_q[rd_q];
  assign pop           = m_axis_tvalid && m_axis_tready;

  always_comb begin
    credit_d = credit_q;
    if (take_i && !pop) credit_d = credit_q - 1'b1;
    else if (!take_i && pop) credit_d = credit_q + 1'b1;
    count_d = count_q;
    if (push_i && !pop) count_d = count_q + 1'b1;
    else if (!push_i && pop) count_d = count_q - 1'b1;
  end

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      credit_q <= CntW'(Depth);
      count_q  <= '0;
      some_q   <= 1'b1;
      valid_q  <= 1'b0;
      wr_q     <= '0;
      rd_q     <= '0;
    end else begin
      some_q   <= pop || (some_q && !(take_i && credit_q == CntW'(1)));
      valid_q  <= push_i || (valid_q && !(pop && count_q == CntW'(1)));
      credit_q <= credit_d;
      count_q  <= count_d;
      if (push_i) wr_q <= (wr_q == PtrW'(Depth - 1)) ? '0 : wr_q + 1'b1;
      if (pop)    rd_q <= (rd_q == PtrW'(Depth - 1)) ? '0 : rd_q + 1'b1;
    end
    if (push_i) mem_q[wr_q] <= data_i;
  end

  if (Depth < 2) begin : gen_bad_depth
    $error("phy_outbuf: Depth (%0d) must be at least 2", Depth);
  end
endmodule
`default_nettype wire

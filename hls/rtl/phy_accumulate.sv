// SPDX-License-Identifier: Apache-2.0
//
// Back end of the matrix-vector kernels: adds up the sums of a fold's steps, less Terms * 2^OffsetBit
// (the offsets of phy_dot), and offers the result.
//
// issue_i, first_i, last_i: a step is issued in this cycle, is the first or last of its fold (from
// phy_issue). sum_i: Pe sums of that step, SumLat cycles later. valid_o[k]: a step was issued k cycles
// ago; it enables register k of whatever computes the sums. credit_o: the last step of a fold may be
// issued.
//
// Latency: SumLat + 2 cycles from the issue of a fold's last step to m_axis_tvalid. The output buffer
// is deep enough for one result in every Beats cycles. Reset: control only.
`default_nettype none
module phy_accumulate #(
  parameter  int unsigned Pe        = 4,
  parameter  int unsigned AccBits   = 12,
  parameter  int unsigned Beats     = 4,
  parameter  int unsigned SumLat    = 3,
  parameter  int unsigned Terms     = 0,
  parameter  int unsigned OffsetBit = 0,
  localparam int unsigned OutW      = phy_pkg::byte_bits(Pe * AccBits)
) (
  input  wire                   ap_clk,
  input  wire                   ap_rst_n,
  input  wire                   issue_i,
  input  wire                   first_i,
  input  wire                   last_i,
  output logic                  credit_o,
  output logic [SumLat:0]       valid_o,
  input  wire  [Pe*AccBits-1:0] sum_i,
  output logic [OutW-1:0]       m_axis_tdata,
  output logic                  m_axis_tvalid,
  input  wire                   m_axis_tready
);
  localparam int unsigned        Latency  = SumLat + 2;
  localparam int unsigned        OutDepth = phy_pkg::ceil_div(Latency + 1, Beats) + 1;
  localparam logic [AccBits-1:0] Start    = -(AccBits'(Terms) << OffsetBit);

  logic [SumLat:1] valid_q;
  logic [SumLat:1] first_q;
  logic [SumLat:1] last_q;
  logic            push_q;
  assign valid_o = {valid_q, issue_i};
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      valid_q <= '0;
      push_q  <= 1'b0;
    end else begin
      valid_q <= {valid_q[SumLat-1:1], issue_i};
      push_q  <= valid_q[SumLat] && last_q[SumLat];
    end
    first_q <= {first_q[SumLat-1:1], first_i};
    last_q  <= {last_q[SumLat-1:1], last_i};
  end

  logic [OutW-1:0] beat;
  if (OutW > Pe * AccBits) begin : gen_pad
    assign beat[OutW-1:Pe*AccBits] = '0;
  end
  for (genvar p = 0; p < Pe; p++) begin : gen_pe
    logic [AccBits-1:0] acc_q;
    always_ff @(posedge ap_clk) begin
      if (valid_q[SumLat]) begin
        acc_q <= (first_q[SumLat] ? Start : acc_q) + sum_i[p*AccBits +: AccBits];
      end
    end
    assign beat[p*AccBits +: AccBits] = acc_q;
  end

  phy_outbuf #(.Width(OutW), .Depth(OutDepth)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .credit_o(credit_o), .take_i(issue_i && last_i), .push_i(push_q), .data_i(beat),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  if (SumLat < 2) begin : gen_bad_latency
    $error("phy_accumulate: SumLat (%0d) must be at least 2", SumLat);
  end
endmodule
`default_nettype wire

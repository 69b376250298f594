// SPDX-License-Identifier: Apache-2.0
//
// Stream width conversion: the same elements in the same order, InElems per beat in, OutElems per
// beat out; one divides the other.
//
// Narrower: a beat taken in cycle t is offered in pieces in cycles t + 1, t + 2, ...; II is
// InElems / OutElems cycles per input beat. s_axis_tready follows m_axis_tready in the cycle of the
// last piece (the one such path in the kernels).
// Wider: the wide beat is offered 1 cycle after its last part was taken; II is 1 cycle per input beat.
// Parts are collected while the beat before waits; s_axis_tready depends on registers only.
// Equal widths: wires. Reset: control only.
`default_nettype none
module phy_dwc #(
  parameter  int unsigned InElems  = 4,
  parameter  int unsigned OutElems = 1,
  parameter  int unsigned ElemBits = 8,
  localparam int unsigned InW      = phy_pkg::byte_bits(InElems * ElemBits),
  localparam int unsigned OutW     = phy_pkg::byte_bits(OutElems * ElemBits)
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
  localparam int unsigned InBits  = InElems * ElemBits;
  localparam int unsigned OutBits = OutElems * ElemBits;

  if (InElems == OutElems) begin : gen_wires
    assign m_axis_tdata  = OutW'(s_axis_tdata[InBits-1:0]);
    assign m_axis_tvalid = s_axis_tvalid;
    assign s_axis_tready = m_axis_tready;
    logic unused_clk;
    assign unused_clk = &{1'b0, ap_clk, ap_rst_n};
  end else if (InElems % OutElems == 0) begin : gen_narrow
    localparam int unsigned Ratio = InElems / OutElems;
    localparam int unsigned CntW  = $clog2(Ratio + 1);
    logic [InBits-1:0] data_q;
    logic [CntW-1:0]   left_q;  // pieces still to be offered
    logic              give;
    logic              take;
    assign m_axis_tdata  = OutW'(data_q[OutBits-1:0]);
    assign m_axis_tvalid = left_q != '0;
    assign s_axis_tready = left_q == '0 || (left_q == CntW'(1) && m_axis_tready);
    assign give          = m_axis_tvalid && m_axis_tready;
    assign take          = s_axis_tvalid && s_axis_tready;
    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) left_q <= '0;
      else if (take) left_q <= CntW'(Ratio);
      else if (give) left_q <= left_q - 1'b1;
      if (take) data_q <= s_axis_tdata[InBits-1:0];
      else if (give) data_q <= data_q >> OutBits;
    end
  end else if (OutElems % InElems == 0) begin : gen_wide
    localparam int unsigned Ratio = OutElems / InElems;
    localparam int unsigned CntW  = phy_pkg::idx_bits(Ratio);
    logic [OutBits-InBits-1:0] part_q;  // the first Ratio - 1 parts
    logic [OutBits-1:0]        data_q;
    logic [CntW-1:0]           have_q;
    logic                      valid_q;
    logic                      full;
    logic                      take;
    assign m_axis_tdata  = OutW'(data_q);
    assign m_axis_tvalid = valid_q;
    assign full          = have_q == CntW'(Ratio - 1);
    assign s_axis_tready = !(full && valid_q);
    assign take          = s_axis_tvalid && s_axis_tready;
    always_ff @(posedge ap_clk) begin
      if (!ap_rst_n) begin
        have_q  <= '0;
        valid_q <= 1'b0;
      end else begin
        if (take) have_q <= full ? '0 : have_q + 1'b1;
        if (take && full) valid_q <= 1'b1;
        else if (m_axis_tready) valid_q <= 1'b0;
      end
      if (take) part_q <= (OutBits-InBits)'({s_axis_tdata[InBits-1:0], part_q} >> InBits);
      if (take && full) data_q <= {s_axis_tdata[InBits-1:0], part_q};
    end
  end else begin : gen_bad_ratio
    $error("phy_dwc: one of InElems (%0d), OutElems (%0d) must divide the other",
           InElems, OutElems);
  end

  logic unused_pad;
  assign unused_pad = &{1'b0, s_axis_tdata};
endmodule
`default_nettype wire

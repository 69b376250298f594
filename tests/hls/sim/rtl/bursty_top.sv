// SPDX-License-Identifier: Apache-2.0
//
// Two stages whose rhythms do not fit: `burst` takes a frame of Beats beats, one per cycle, hands it
// on one per cycle, then rests Beats cycles; `steady` takes a beat every second cycle. Both need
// 2 * Beats cycles a frame, but only a FIFO between them lets them work at once. `MID_DEPTH is its
// depth (0: wires). Data pass unchanged.
`default_nettype none
module bursty_top #(
  parameter int unsigned Beats = 16
) (
  input  wire        ap_clk,
  input  wire        ap_rst_n,
  input  wire  [7:0] s_axis_tdata,
  input  wire        s_axis_tvalid,
  output logic       s_axis_tready,
  output logic [7:0] m_axis_tdata,
  output logic       m_axis_tvalid,
  input  wire        m_axis_tready
);
  logic [7:0] p_mid_tdata, s_mid_tdata;
  logic p_mid_tvalid, p_mid_tready, s_mid_tvalid, s_mid_tready;

  // burst: passes beats on while phase_q < Beats, rests after that.
  logic [15:0] phase_q;
  assign p_mid_tdata   = s_axis_tdata;
  assign p_mid_tvalid  = s_axis_tvalid && phase_q < 16'(Beats);
  assign s_axis_tready = p_mid_tready && phase_q < 16'(Beats);
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) phase_q <= '0;
    else if (phase_q >= 16'(Beats)) phase_q <= (phase_q == 16'(2 * Beats - 1)) ? '0 : phase_q + 1'b1;
    else if (p_mid_tvalid && p_mid_tready) phase_q <= phase_q + 1'b1;
  end

`ifdef MID_DEPTH
  phy_fifo #(.Depth(`MID_DEPTH), .Width(8)) fifo_mid (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(p_mid_tdata), .s_axis_tvalid(p_mid_tvalid), .s_axis_tready(p_mid_tready),
    .m_axis_tdata(s_mid_tdata), .m_axis_tvalid(s_mid_tvalid), .m_axis_tready(s_mid_tready)
  );
`else
  assign s_mid_tdata  = p_mid_tdata;
  assign s_mid_tvalid = p_mid_tvalid;
  assign p_mid_tready = s_mid_tready;
`endif

  // steady: one beat every second cycle.
  logic busy_q;
  assign s_mid_tready = !busy_q && (!m_axis_tvalid || m_axis_tready);
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      busy_q        <= 1'b0;
      m_axis_tvalid <= 1'b0;
    end else begin
      busy_q <= s_mid_tvalid && s_mid_tready;
      if (s_mid_tvalid && s_mid_tready) m_axis_tvalid <= 1'b1;
      else if (m_axis_tready) m_axis_tvalid <= 1'b0;
    end
    if (s_mid_tvalid && s_mid_tready) m_axis_tdata <= s_mid_tdata;
  end

  // The names that the stitcher gives the border streams.
  logic [7:0] s_in_tdata, s_out_tdata;
  logic s_in_tvalid, s_in_tready, s_out_tvalid, s_out_tready;
  assign s_in_tdata   = s_axis_tdata;
  assign s_in_tvalid  = s_axis_tvalid;
  assign s_in_tready  = s_axis_tready;
  assign s_out_tdata  = m_axis_tdata;
  assign s_out_tvalid = m_axis_tvalid;
  assign s_out_tready = m_axis_tready;
endmodule
`default_nettype wire

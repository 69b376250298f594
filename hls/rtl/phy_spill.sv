// SPDX-License-Identifier: Apache-2.0
//
// Spill register: cuts every combinational path between its two sides.
//
// II: 1 cycle. Latency: 1 cycle. Two beats of buffering; s_axis_tready, m_axis_tvalid and m_axis_tdata
// come from registers. Reset: valid bits only.
`default_nettype none
module phy_spill #(
  parameter int unsigned Width = 8
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
  logic [Width-1:0] data_q;
  logic [Width-1:0] spill_q;
  logic             valid_q;
  logic             spilled_q;
  logic             move;  // the output register can take a beat

  assign s_axis_tready = !spilled_q;
  assign m_axis_tvalid = valid_q;
  assign m_axis_tdata  = data_q;
  assign move          = !valid_q || m_axis_tready;

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      valid_q   <= 1'b0;
      spilled_q <= 1'b0;
    end else begin
      if (move) valid_q <= s_axis_tvalid || spilled_q;
      if (move) spilled_q <= 1'b0;
      else if (s_axis_tvalid) spilled_q <= 1'b1;
    end
    if (move) data_q <= spilled_q ? spill_q : s_axis_tdata;
    if (!spilled_q) spill_q <= s_axis_tdata;
  end
endmodule
`default_nettype wire

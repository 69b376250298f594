// SPDX-License-Identifier: Apache-2.0
//
// y = x + table[i] in two stages joined by stream `mid`: a small stand-in for a stitched accelerator.
// Every frame is Beats beats of Elems elements; table[i] is read from toy_table.dat. A stage holds a
// beat for Wait extra cycles. `Break` plants a fault for the tests of the harness: 1 stops after 10
// beats, 2 changes an offered beat, 3 sends a surplus beat after 12.
`default_nettype none
module toy_top #(
  parameter int unsigned Elems = 3,
  parameter int unsigned Bits  = 7,
  parameter int unsigned Beats = 4,
  parameter int unsigned Hold  = 2,
`ifdef TOY_BREAK
  parameter int unsigned Break = `TOY_BREAK,
`else
  parameter int unsigned Break = 0,
`endif
  localparam int unsigned Width = (Elems * Bits + 7) / 8 * 8
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
  logic [Bits-1:0] table_q[Beats*Elems];
  initial $readmemh("toy_table.dat", table_q);

  logic [Width-1:0] s_mid_tdata;
  logic s_mid_tvalid, s_mid_tready;
  logic [31:0] hold_q, beat_q, count_q;

  logic [Width-1:0] s_in_tdata, s_out_tdata;
  logic s_in_tvalid, s_in_tready, s_out_tvalid, s_out_tready;
  assign s_in_tdata    = s_axis_tdata;
  assign s_in_tvalid   = s_axis_tvalid;
  assign s_axis_tready = s_in_tready;
  assign m_axis_tdata  = s_out_tdata;
  assign m_axis_tvalid = s_out_tvalid;
  assign s_out_tready  = m_axis_tready;

  // First stage: one register, which waits Hold cycles before it offers its beat.
  assign s_in_tready = hold_q == 0 && !(Break == 1 && count_q >= 10);
  assign s_mid_tvalid    = hold_q == 1;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) hold_q <= 0;
    else if (s_in_tready && s_in_tvalid) hold_q <= Hold + 1;
    else if (hold_q > 1) hold_q <= hold_q - 1;
    else if (s_mid_tvalid && s_mid_tready) hold_q <= 0;
    if (s_in_tready) s_mid_tdata <= s_in_tdata;
  end

  // Second stage: adds the table.
  logic [Width-1:0] sum;
  always_comb begin
    sum = '0;
    for (int unsigned i = 0; i < Elems; i++) begin
      sum[i*Bits +: Bits] = s_mid_tdata[i*Bits +: Bits] + table_q[(beat_q * Elems + i) % (Beats*Elems)];
    end
  end
  assign s_mid_tready = !s_out_tvalid || s_out_tready;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      s_out_tvalid <= 1'b0;
      beat_q        <= 0;
      count_q       <= 0;
    end else begin
      if (s_mid_tready) s_out_tvalid <= s_mid_tvalid || (Break == 3 && count_q == 12);
      if (s_mid_tready && s_mid_tvalid) begin
        beat_q  <= (beat_q + 1) % Beats;
        count_q <= count_q + 1;
      end
    end
    if (s_mid_tready) s_out_tdata <= sum;
    else if (Break == 2 && count_q > 5) s_out_tdata <= s_out_tdata + 1'b1;
  end
endmodule
`default_nettype wire

// SPDX-License-Identifier: Apache-2.0
//
// Whose turn it is when every pixel is ChannelsA of one stream, then ChannelsB of another, Pe per beat:
// from_b_o is 0 for the beats of a. A beat passes with move_i. Reset: the turn of a begins.
`default_nettype none
module phy_turn #(
  parameter int unsigned ChannelsA = 4,
  parameter int unsigned ChannelsB = 2,
  parameter int unsigned Pe        = 2
) (
  input  wire  ap_clk,
  input  wire  ap_rst_n,
  input  wire  move_i,
  output logic from_b_o
);
  localparam int unsigned BeatsA = ChannelsA / Pe;
  localparam int unsigned Beats  = BeatsA + ChannelsB / Pe;
  localparam int unsigned CntW   = phy_pkg::idx_bits(Beats);

  logic [CntW-1:0] beat_q;    // of the pixel
  logic            from_b_q;
  assign from_b_o = from_b_q;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      beat_q   <= '0;
      from_b_q <= 1'b0;
    end else if (move_i) begin
      beat_q <= (beat_q == CntW'(Beats - 1)) ? '0 : beat_q + 1'b1;
      if (beat_q == CntW'(BeatsA - 1)) from_b_q <= 1'b1;
      else if (beat_q == CntW'(Beats - 1)) from_b_q <= 1'b0;
    end
  end
endmodule
`default_nettype wire

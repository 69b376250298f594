// SPDX-License-Identifier: Apache-2.0
//
// p = a * b, registered: the one multiplier of all kernels. The product register is exactly as wide
// as the product, so that both fit one DSP block. With Dsp they are a leaf of their own
// (phy_mul_dsp), which synthesis makes one DSP block; without, they are logic.
//
// Latency: 1 cycle, clock enable en_i. No reset.
`default_nettype none
module phy_mul #(
  parameter  int unsigned ABits   = 4,
  parameter  bit          ASigned = 1'b0,
  parameter  int unsigned BBits   = 4,
  parameter  bit          BSigned = 1'b1,
  parameter  bit          Dsp     = 1'b0,
  localparam int unsigned PBits   = ABits + BBits
) (
  input  wire              clk_i,
  input  wire              en_i,
  input  wire  [ABits-1:0] a_i,
  input  wire  [BBits-1:0] b_i,
  output logic [PBits-1:0] p_o  // signed if a or b is
);
  if (Dsp) begin : gen_dsp
    phy_mul_dsp #(
      .ABits(ABits), .ASigned(ASigned), .BBits(BBits), .BSigned(BSigned), .PBits(PBits)
    ) u_mul (
      .clk_i(clk_i), .en_i(en_i), .a_i(a_i), .b_i(b_i), .p_o(p_o)
    );
  end else begin : gen_logic
    // Written as wide as a machine word, which simulates fastest; synthesis trims it.
    localparam int unsigned MulW = phy_pkg::max_of(PBits, 32);
    logic [PBits-1:0] p_d;
    logic [PBits-1:0] p_q;

    if (ASigned && BSigned) begin : gen_ss
      assign p_d = PBits'(MulW'($signed(a_i)) * MulW'($signed(b_i)));
    end else if (ASigned) begin : gen_su
      assign p_d = PBits'($signed(a_i)) * PBits'($signed({1'b0, b_i}));
    end else if (BSigned) begin : gen_us
      assign p_d = PBits'(MulW'($signed({1'b0, a_i})) * MulW'($signed(b_i)));
    end else begin : gen_uu
      assign p_d = PBits'(MulW'(a_i) * MulW'(b_i));
    end

    always_ff @(posedge clk_i) begin
      if (en_i) p_q <= p_d;
    end
    assign p_o = p_q;
  end
endmodule
`default_nettype wire

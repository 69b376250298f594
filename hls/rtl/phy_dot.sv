// SPDX-License-Identifier: Apache-2.0
//
// sum = a[0] * b[0] + ... + a[N-1] * b[N-1] + N * Offset: registered products, then levels of registered
// four-input adders. Offset is 2^(ABits+BBits-1) if a or b is signed, else 0: with its sign bit flipped
// a product is unsigned, and no adder has to extend signs. The owner subtracts the offsets, at no cost,
// where its accumulator starts. All arithmetic is modulo 2^SumBits.
//
// II: 1 cycle. Latency: Latency = 1 + ceil(log4(N)) cycles. en_i[0] enables the product registers,
// en_i[l] the l-th level of adders; the owner delays its valid bit and needs no other control.
// No reset.
`default_nettype none
module phy_dot #(
  parameter  int unsigned N       = 4,
  parameter  int unsigned ABits   = 4,
  parameter  bit          ASigned = 1'b0,
  parameter  int unsigned BBits   = 4,
  parameter  bit          BSigned = 1'b1,
  parameter  int unsigned SumBits = 10,
  parameter  bit          Dsp     = 1'b0,  // multipliers in DSP blocks
  localparam int unsigned Levels  = phy_pkg::tree_levels(N),
  localparam int unsigned Latency = 1 + Levels
) (
  input  wire                clk_i,
  input  wire  [Latency-1:0] en_i,
  input  wire  [N*ABits-1:0] a_i,
  input  wire  [N*BBits-1:0] b_i,
  output logic [SumBits-1:0] sum_o
);
  localparam int unsigned         ProdBits = ABits + BBits;
  localparam logic [ProdBits-1:0] SignBit  = ProdBits'(ASigned || BSigned) << (ProdBits - 1);

  for (genvar i = 0; i < N; i++) begin : gen_mul
    logic [ProdBits-1:0] prod;
    logic [ProdBits-1:0] leaf;
    phy_mul #(
      .ABits(ABits), .ASigned(ASigned), .BBits(BBits), .BSigned(BSigned), .Dsp(Dsp)
    ) u_mul (
      .clk_i(clk_i), .en_i(en_i[0]),
      .a_i(a_i[i*ABits +: ABits]), .b_i(b_i[i*BBits +: BBits]), .p_o(prod)
    );
    assign leaf = prod ^ SignBit;
  end

  for (genvar l = 0; l < Levels; l++) begin : gen_level
    localparam int unsigned InN  = phy_pkg::tree_width(N, l);
    localparam int unsigned OutN = phy_pkg::tree_width(N, l + 1);
    localparam int unsigned OutW = phy_pkg::min_of(SumBits, ProdBits + 2 * (l + 1));
    for (genvar i = 0; i < OutN; i++) begin : gen_node
      logic [OutW-1:0] sum_q;
      for (genvar k = 0; k < 4; k++) begin : gen_arg
        logic [OutW-1:0] arg;
        if (4 * i + k >= InN) begin : gen_none
          assign arg = '0;
        end else if (l == 0) begin : gen_first
          assign arg = OutW'(gen_mul[4*i+k].leaf);
        end else begin : gen_next
          assign arg = OutW'(gen_level[l-1].gen_node[4*i+k].sum_q);
        end
      end
      always_ff @(posedge clk_i) begin
        if (en_i[l+1]) begin
          sum_q <= gen_arg[0].arg + gen_arg[1].arg + gen_arg[2].arg + gen_arg[3].arg;
        end
      end
    end
  end

  if (Levels == 0) begin : gen_out_product
    assign sum_o = SumBits'(gen_mul[0].leaf);
  end else begin : gen_out_sum
    assign sum_o = SumBits'(gen_level[Levels-1].gen_node[0].sum_q);
  end
endmodule
`default_nettype wire

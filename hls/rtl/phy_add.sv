// SPDX-License-Identifier: Apache-2.0
//
// Elementwise sum of two streams of one format: y = a + b, exact.
//
// In:  s0_axis and s1_axis, Pixels * Channels / Pe beats per frame each, of Pe * InBits bits.
// Out: as many beats of Pe * OutBits bits; OutBits must hold every sum.
//
// II: 1 cycle per beat. Latency: 1 cycle from the later of two beats.
// Back-pressure: a beat is taken from both inputs at once; a spill register at the output cuts the path
// to the inputs. Reset: control only.
`default_nettype none
module phy_add #(
  parameter  int unsigned Pixels    = 4,
  parameter  int unsigned Channels  = 4,
  parameter  int unsigned Pe        = 2,
  parameter  int unsigned InBits    = 8,
  parameter  bit          InSigned  = 1'b1,
  parameter  int unsigned OutBits   = 9,
  parameter  bit          OutSigned = 1'b1,
  localparam int unsigned InW       = phy_pkg::byte_bits(Pe * InBits),
  localparam int unsigned OutW      = phy_pkg::byte_bits(Pe * OutBits)
) (
  input  wire             ap_clk,
  input  wire             ap_rst_n,
  input  wire  [InW-1:0]  s0_axis_tdata,
  input  wire             s0_axis_tvalid,
  output logic            s0_axis_tready,
  input  wire  [InW-1:0]  s1_axis_tdata,
  input  wire             s1_axis_tvalid,
  output logic            s1_axis_tready,
  output logic [OutW-1:0] m_axis_tdata,
  output logic            m_axis_tvalid,
  input  wire             m_axis_tready
);
  if (Pixels < 1 || Channels % Pe != 0) begin : gen_bad_pe
    $error("phy_add: Pe (%0d) must divide Channels (%0d)", Pe, Channels);
  end
  if ((InSigned && !OutSigned) || OutBits < InBits + ((OutSigned && !InSigned) ? 2 : 1))
  begin : gen_bad_bits
    $error("phy_add: OutBits (%0d) must hold the sum of two values of InBits (%0d)",
           OutBits, InBits);
  end

  logic [OutW-1:0] sum;
  logic            ready;
  logic            both;
  assign both           = s0_axis_tvalid && s1_axis_tvalid;
  assign s0_axis_tready = ready && s1_axis_tvalid;
  assign s1_axis_tready = ready && s0_axis_tvalid;
  if (OutW > Pe * OutBits) begin : gen_pad
    assign sum[OutW-1:Pe*OutBits] = '0;
  end
  for (genvar p = 0; p < Pe; p++) begin : gen_lane
    logic [InBits-1:0] a;
    logic [InBits-1:0] b;
    assign a = s0_axis_tdata[p*InBits +: InBits];
    assign b = s1_axis_tdata[p*InBits +: InBits];
    if (InSigned) begin : gen_signed
      assign sum[p*OutBits +: OutBits] = OutBits'($signed(a)) + OutBits'($signed(b));
    end else begin : gen_unsigned
      assign sum[p*OutBits +: OutBits] = OutBits'(a) + OutBits'(b);
    end
  end
  phy_spill #(.Width(OutW)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .s_axis_tdata(sum), .s_axis_tvalid(both), .s_axis_tready(ready),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  logic unused_pad;
  assign unused_pad = &{1'b0, s0_axis_tdata, s1_axis_tdata};
endmodule
`default_nettype wire

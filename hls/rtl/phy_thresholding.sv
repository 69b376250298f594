// SPDX-License-Identifier: Apache-2.0
//
// Thresholds: y = OutBias + #{k < Steps : x >= T[c][k]}, T[c] ascending, c the channel of the element.
// A binary search: stage s compares with one of the 2^s thresholds that are still possible.
//
// In:  Channels / Pe beats per frame of Pe * InBits bits. Out: as many beats of Pe * OutBits bits.
// Memory: one ROM per stage s and lane p, file {ThresholdFile}_s<s, 2 digits>_p<p, 4 digits>.dat. With
// S = ceil(log2(Steps + 1)) and beat f, its word f * 2^s + i holds T[f*Pe + p][(2i+1) * 2^(S-s-1) - 1],
// signed, one bit wider than a signed x, so that "never" has a code; places beyond Steps hold "never".
//
// II: 1 cycle per beat. Latency: 2 + sum over s of (1 + rom_regs(Channels/Pe * 2^s)) cycles.
// Back-pressure: runs freely into an output buffer with credits; no path from m_axis_tready to
// s_axis_tready. Reset: control only.
`default_nettype none
module phy_thresholding #(
  parameter  int unsigned Channels      = 16,
  parameter  int unsigned Pe            = 4,
  parameter  int unsigned InBits        = 12,
  parameter  bit          InSigned      = 1'b1,
  parameter  int unsigned Steps         = 15,
  parameter  int unsigned OutBits       = 4,
  parameter  int          OutBias       = 0,
  parameter               ThresholdFile = "",
  parameter               MemDir        = "",  // their folder
  localparam int unsigned InW           = phy_pkg::byte_bits(Pe * InBits),
  localparam int unsigned OutW          = phy_pkg::byte_bits(Pe * OutBits)
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
  localparam int unsigned Folds   = Channels / Pe;
  localparam int unsigned FoldW   = phy_pkg::idx_bits(Folds);
  localparam int unsigned Stages  = phy_pkg::idx_bits(Steps + 1);
  localparam int unsigned XBits   = InBits + (InSigned ? 1 : 2);  // holds every x and "never"
  localparam int unsigned PushLat = 1 + phy_pkg::search_cycles(Folds, Stages);
  localparam int unsigned Latency = PushLat + 1;

  if (Channels % Pe != 0) begin : gen_bad_pe
    $error("phy_thresholding: Pe (%0d) must divide Channels (%0d)", Pe, Channels);
  end
  if (Steps < 1) begin : gen_bad_steps
    $error("phy_thresholding: Steps (%0d) must be at least 1", Steps);
  end
  if (Pe > 10000) begin : gen_bad_files
    $error("phy_thresholding: Pe (%0d) must not exceed 10000", Pe);
  end

  function automatic logic [31:0] digits(input int unsigned n);
    return {8'd48 + 8'(n / 1000 % 10), 8'd48 + 8'(n / 100 % 10),
            8'd48 + 8'(n / 10 % 10), 8'd48 + 8'(n % 10)};
  endfunction

  // Control: bit k of valid is the beat taken k cycles ago.
  logic               credit;
  logic               take;
  logic [FoldW-1:0]   fold_q;
  logic [PushLat-1:0] valid_q;
  assign s_axis_tready = credit;
  assign take          = s_axis_tvalid && credit;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      fold_q  <= '0;
      valid_q <= '0;
    end else begin
      if (take) fold_q <= (fold_q == FoldW'(Folds - 1)) ? '0 : fold_q + 1'b1;
      valid_q <= {valid_q[PushLat-2:0], take};
    end
  end

  // Input register.
  localparam int unsigned WordW = Pe * InBits + FoldW;
  logic [WordW-1:0] taken_q;
  always_ff @(posedge ap_clk) begin
    if (take) taken_q <= {fold_q, s_axis_tdata[Pe*InBits-1:0]};
  end

  for (genvar s = 0; s < Stages; s++) begin : gen_stage
    localparam int unsigned Depth = Folds << s;
    localparam int unsigned AddrW = phy_pkg::idx_bits(Depth);
    localparam int unsigned Regs  = phy_pkg::rom_regs(Depth);
    localparam int unsigned Start = phy_pkg::search_cycles(Folds, s);
    logic [Regs:0]        en;     // of the registers of this stage
    logic [WordW-1:0]     word;   // fold and elements when the ROM is read,
    logic [Pe*InBits-1:0] x;      // the elements when they are compared,
    logic [FoldW-1:0]     fold;
    logic [WordW-1:0]     after;  // both behind this stage
    assign en = valid_q[Start +: Regs+1];
    if (s == 0) begin : gen_word_first
      assign word = taken_q;
    end else begin : gen_word
      assign word = gen_stage[s-1].after;
    end
    phy_delay #(.Width(WordW), .Cycles(Regs)) u_wait (
      .clk_i(ap_clk), .en_i(en[Regs-1:0]), .d_i(word), .d_o({fold, x})
    );
    phy_delay #(.Width(WordW), .Cycles(1)) u_after (
      .clk_i(ap_clk), .en_i(en[Regs]), .d_i({fold, x}), .d_o(after)
    );

    for (genvar p = 0; p < Pe; p++) begin : gen_lane
      localparam logic [31:0] StageDigits = digits(s);
      logic [AddrW-1:0]        addr;
      logic signed [XBits-1:0] threshold;
      logic                    reached;
      logic [s:0]              found_q;  // the bits of the result so far
      if (s == 0) begin : gen_found_first
        assign addr = AddrW'(word[Pe*InBits +: FoldW]);
        always_ff @(posedge ap_clk) begin
          if (en[Regs]) found_q <= reached;
        end
      end else begin : gen_found
        logic [s-1:0] found;
        assign addr = AddrW'({word[Pe*InBits +: FoldW], gen_stage[s-1].gen_lane[p].found_q});
        phy_delay #(.Width(s), .Cycles(Regs)) u_found (
          .clk_i(ap_clk), .en_i(en[Regs-1:0]),
          .d_i(gen_stage[s-1].gen_lane[p].found_q), .d_o(found)
        );
        always_ff @(posedge ap_clk) begin
          if (en[Regs]) found_q <= {found, reached};
        end
      end
      phy_rom #(
        .Width(XBits), .Depth(Depth), .Regs(Regs),
        .File({ThresholdFile, "_s", StageDigits[15:0], "_p", digits(p), ".dat"}),
        .MemDir(MemDir)
      ) u_rom (
        .clk_i(ap_clk), .en_i(en[Regs-1:0]), .addr_i(addr), .data_o(threshold)
      );
      if (InSigned) begin : gen_signed
        assign reached = XBits'($signed(x[p*InBits +: InBits])) >= threshold;
      end else begin : gen_unsigned
        assign reached = $signed(XBits'(x[p*InBits +: InBits])) >= threshold;
      end
    end
  end

  logic [OutW-1:0] beat;
  if (OutW > Pe * OutBits) begin : gen_pad
    assign beat[OutW-1:Pe*OutBits] = '0;
  end
  for (genvar p = 0; p < Pe; p++) begin : gen_result
    assign beat[p*OutBits +: OutBits] =
      OutBits'(32'(gen_stage[Stages-1].gen_lane[p].found_q) + 32'(OutBias));
  end

  phy_outbuf #(.Width(OutW), .Depth(Latency + 2)) u_out (
    .ap_clk(ap_clk), .ap_rst_n(ap_rst_n),
    .credit_o(credit), .take_i(take), .push_i(valid_q[PushLat-1]), .data_i(beat),
    .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
  );

  logic unused_pad;
  assign unused_pad = &{1'b0, s_axis_tdata, gen_stage[Stages-1].after};
endmodule
`default_nettype wire

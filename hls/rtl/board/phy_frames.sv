// SPDX-License-Identifier: Apache-2.0
//
// Frames from the serial line to the accelerator and back, byte by byte.
//
// In: byte_valid_i adds a byte to a buffer of InBuffer bytes (begin_i empties it); the sender
// makes sure that it does not overflow. frames_o counts the whole frames in it, whole_o says
// that there is no part of a frame besides them and at least one, reply_o how many bytes they
// give. Once feed_i is high the buffer streams to the accelerator, InBytes cycles per beat,
// several frames behind one another.
// Out: results go through a buffer of OutBuffer bytes to `reply`; if it is full, the accelerator
// waits.
// clear_i empties all but the input buffer. Reset: control only.
`default_nettype none
module phy_frames #(
  parameter int unsigned InBeats   = 1,
  parameter int unsigned InBytes   = 1,
  parameter int unsigned OutBeats  = 1,
  parameter int unsigned OutBytes  = 1,
  parameter int unsigned InBuffer  = 4096,
  parameter int unsigned OutBuffer = 4096,
  parameter int unsigned Trailer   = 8
) (
  input  wire                   clk_i,
  input  wire                   rst_ni,
  input  wire                   begin_i,
  input  wire  [7:0]            byte_i,
  input  wire                   byte_valid_i,
  output logic [15:0]           frames_o,
  output logic                  whole_o,
  output logic [15:0]           reply_o,
  input  wire                   clear_i,
  input  wire                   feed_i,
  output logic [8*InBytes-1:0]  m_axis_tdata,
  output logic                  m_axis_tvalid,
  input  wire                   m_axis_tready,
  input  wire  [8*OutBytes-1:0] s_axis_tdata,
  input  wire                   s_axis_tvalid,
  output logic                  s_axis_tready,
  output logic [7:0]            reply_tdata,
  output logic                  reply_tvalid,
  input  wire                   reply_tready
);
  localparam int unsigned InFrame  = InBeats * InBytes;
  localparam int unsigned OutFrame = OutBeats * OutBytes;
  localparam int unsigned ByteW    = phy_pkg::idx_bits(InFrame);

  logic [ByteW-1:0] byte_q;  // of the frame that arrives
  logic             frame_end;
  logic [15:0]      frames_q;
  logic [15:0]      reply_q;
  logic             fits_q;
  logic             whole_q;

  assign frame_end = byte_valid_i && byte_q == ByteW'(InFrame - 1);
  assign frames_o  = frames_q;
  assign whole_o   = whole_q;
  assign reply_o   = reply_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni || begin_i) begin
      byte_q   <= '0;
      frames_q <= '0;
      reply_q  <= '0;
      fits_q   <= 1'b1;
    end else if (byte_valid_i) begin
      byte_q <= frame_end ? '0 : byte_q + 1'b1;
      if (frame_end) begin
        frames_q <= frames_q + 1'b1;
        reply_q  <= reply_q + 16'(OutFrame);
        fits_q   <= fits_q && 32'(reply_q) + OutFrame + Trailer <= 65535;
      end
    end
    whole_q <= byte_q == '0 && frames_q != '0 && fits_q;
  end

  logic       in_rst_nq;
  logic       out_rst_nq;
  logic [7:0] in_tdata;
  logic       in_tvalid;
  logic       in_tready;
  logic       wide_tready;
  always_ff @(posedge clk_i) begin
    in_rst_nq  <= rst_ni && !begin_i;
    out_rst_nq <= rst_ni && !clear_i;
  end
  assign in_tready = wide_tready && feed_i;

  logic unused_in_ready;
  phy_fifo #(
    .Depth(InBuffer),
    .Width(8)
  ) u_board_in (
    .ap_clk(clk_i),
    .ap_rst_n(in_rst_nq),
    .s_axis_tdata(byte_i),
    .s_axis_tvalid(byte_valid_i),
    .s_axis_tready(unused_in_ready),
    .m_axis_tdata(in_tdata),
    .m_axis_tvalid(in_tvalid),
    .m_axis_tready(in_tready)
  );

  phy_dwc #(
    .InElems(1),
    .OutElems(InBytes),
    .ElemBits(8)
  ) u_board_wide (
    .ap_clk(clk_i),
    .ap_rst_n(out_rst_nq),
    .s_axis_tdata(in_tdata),
    .s_axis_tvalid(in_tvalid && feed_i),
    .s_axis_tready(wide_tready),
    .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tready(m_axis_tready)
  );

  logic [7:0] byte_tdata;
  logic       byte_tvalid;
  logic       byte_tready;
  logic [7:0] out_tdata;
  logic       out_tvalid;
  logic       out_tready;

  phy_dwc #(
    .InElems(OutBytes),
    .OutElems(1),
    .ElemBits(8)
  ) u_board_narrow (
    .ap_clk(clk_i),
    .ap_rst_n(out_rst_nq),
    .s_axis_tdata(s_axis_tdata),
    .s_axis_tvalid(s_axis_tvalid),
    .s_axis_tready(s_axis_tready),
    .m_axis_tdata(byte_tdata),
    .m_axis_tvalid(byte_tvalid),
    .m_axis_tready(byte_tready)
  );

  phy_fifo #(
    .Depth(OutBuffer),
    .Width(8)
  ) u_board_out (
    .ap_clk(clk_i),
    .ap_rst_n(out_rst_nq),
    .s_axis_tdata(byte_tdata),
    .s_axis_tvalid(byte_tvalid),
    .s_axis_tready(byte_tready),
    .m_axis_tdata(out_tdata),
    .m_axis_tvalid(out_tvalid),
    .m_axis_tready(out_tready)
  );

  phy_spill #(
    .Width(8)
  ) u_reply (
    .ap_clk(clk_i),
    .ap_rst_n(out_rst_nq),
    .s_axis_tdata(out_tdata),
    .s_axis_tvalid(out_tvalid),
    .s_axis_tready(out_tready),
    .m_axis_tdata(reply_tdata),
    .m_axis_tvalid(reply_tvalid),
    .m_axis_tready(reply_tready)
  );

  if (InFrame > InBuffer) begin : gen_bad_buffer
    $error("phy_frames: InBuffer (%0d) must hold a frame of %0d bytes", InBuffer, InFrame);
  end
  if (OutFrame + Trailer > 65535) begin : gen_bad_frame
    $error("phy_frames: an output frame of %0d bytes must fit a packet", OutFrame);
  end
endmodule
`default_nettype wire

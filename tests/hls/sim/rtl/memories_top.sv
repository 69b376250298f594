// SPDX-License-Identifier: Apache-2.0
//
// Block memories of every width and write mode behind the ports of an accelerator, for the tests of the
// models in hls/sim/cells: a beat in is one access to all of them, the beat out is what they give.
//
// II: 1. Latency: 1 cycle. Never stops. Reset: tvalid.
`default_nettype none
module memories_top #(
  localparam int unsigned OutW = 216
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  input  wire  [63:0]      s_axis_tdata,
  input  wire              s_axis_tvalid,
  output logic             s_axis_tready,
  output logic [OutW-1:0]  m_axis_tdata,
  output logic             m_axis_tvalid,
  input  wire              m_axis_tready
);
  logic        en;
  logic        we;
  logic        rst;
  logic [3:0]  lanes;
  logic [13:0] a;
  logic [13:0] b;
  logic [17:0] d;
  logic [35:0] wide;
  assign en    = s_axis_tvalid && s_axis_tdata[0];
  assign we    = s_axis_tdata[1];
  assign rst   = s_axis_tdata[5:2] == '0;
  assign lanes = s_axis_tdata[9:6];
  assign a     = s_axis_tdata[10 +: 14];
  assign b     = {s_axis_tdata[24 +: 4], s_axis_tdata[28] ? a[9:0] : s_axis_tdata[29 +: 10]};
  assign d     = s_axis_tdata[40 +: 18];
  assign wide  = {d, ~d};

  assign s_axis_tready = 1'b1;
  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) m_axis_tvalid <= 1'b0;
    else m_axis_tvalid <= s_axis_tvalid;
  end
  logic unused;
  assign unused = &{1'b0, m_axis_tready, s_axis_tdata};

  (* ram_style = "block" *) logic [11:0] rom_mem [1024];
  (* ram_style = "block" *) logic [17:0] old_mem [1024];   // gives the old data
  (* ram_style = "block" *) logic [17:0] new_mem [1024];   // gives the new data
  (* ram_style = "block" *) logic [17:0] keep_mem [1024];  // keeps its output, which can be cleared
  (* ram_style = "block" *) logic [35:0] lane_mem [512];   // simple dual port with byte enables
  (* ram_style = "block" *) logic [35:0] even_mem [1024];
  (* ram_style = "block" *) logic [71:0] rom72_mem [512];
  (* ram_style = "block" *) logic [8:0]  nine_mem [2048];
  (* ram_style = "block" *) logic [3:0]  four_mem [4096];
  (* ram_style = "block" *) logic [1:0]  two_mem [8192];
  (* ram_style = "block" *) logic        one_mem [16384];
  logic [11:0] rom_q = '0;
  logic [17:0] old_q = '0;
  logic [17:0] new_q = '0;
  logic [17:0] keep_q = '0;
  logic [35:0] lane_q = '0;
  logic [35:0] even_q = '0;
  logic [71:0] rom72_q = '0;
  logic [8:0]  nine_q = '0;
  logic [3:0]  four_q = '0;
  logic [1:0]  two_q = '0;
  logic        one_q = 1'b0;
  initial begin
    $readmemh("rom.dat", rom_mem);
    $readmemh("old.dat", old_mem);
    $readmemh("new.dat", new_mem);
    $readmemh("keep.dat", keep_mem);
    $readmemh("lane.dat", lane_mem);
    $readmemh("even.dat", even_mem);
    $readmemh("rom72.dat", rom72_mem);
    $readmemh("nine.dat", nine_mem);
    $readmemh("four.dat", four_mem);
    $readmemh("two.dat", two_mem);
    $readmemh("one.dat", one_mem);
  end

  always_ff @(posedge ap_clk) begin
    if (en) begin
      rom_q   <= rom_mem[a[9:0]];
      rom72_q <= rom72_mem[b[8:0]];
      old_q   <= old_mem[a[9:0]];
      nine_q  <= nine_mem[b[10:0]];
      four_q  <= four_mem[b[11:0]];
      two_q   <= two_mem[b[12:0]];
      one_q   <= one_mem[b];
      even_q  <= even_mem[b[9:0]];
      lane_q  <= lane_mem[b[8:0]];
      if (we) begin
        old_mem[a[9:0]]  <= d;
        new_mem[a[9:0]]  <= d;
        new_q            <= d;
        keep_mem[a[9:0]] <= d;
        nine_mem[a[10:0]] <= d[8:0];
        four_mem[a[11:0]] <= d[3:0];
        two_mem[a[12:0]] <= d[1:0];
        one_mem[a]       <= d[0];
        even_mem[a[9:0]] <= wide;
        for (int unsigned l = 0; l < 4; l++) begin
          if (lanes[l]) lane_mem[a[8:0]][9*l +: 9] <= wide[9*l +: 9];
        end
      end else begin
        new_q  <= new_mem[a[9:0]];
        keep_q <= keep_mem[a[9:0]];
      end
    end
    if (rst && s_axis_tvalid) keep_q <= '0;
  end
  assign m_axis_tdata = OutW'({
    rom_q, old_q, new_q, keep_q, lane_q, even_q, rom72_q[35:0] ^ rom72_q[71:36],
    nine_q, four_q, two_q, one_q
  });
endmodule
`default_nettype wire

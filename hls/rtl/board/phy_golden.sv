// SPDX-License-Identifier: Apache-2.0
//
// Stream of beats from a ROM in block RAM: words 0 to Words - 1, and that Repeats times; then it
// ends.
// It begins anew at each reset, which is how the self-test starts it.
//
// II: 1 cycle. Latency: 4 cycles from reset to the first beat. m_axis_tready reaches only the
// registers of phy_outbuf. File: $readmemh text, one word per line, word 0 first. Reset: control
// only.
`default_nettype none
module phy_golden #(
  parameter int unsigned Width   = 8,
  parameter int unsigned Words   = 16,
  parameter int unsigned Repeats = 1,
  parameter              File    = "",
  parameter              MemDir  = ""
) (
  input  wire              ap_clk,
  input  wire              ap_rst_n,
  output logic [Width-1:0] m_axis_tdata,
  output logic             m_axis_tvalid,
  input  wire              m_axis_tready
);
  localparam int unsigned AddrW = phy_pkg::idx_bits(Words);
  localparam int unsigned TurnW = $clog2(Repeats + 1);

  (* rom_style = "block" *)
  logic [Width-1:0] mem [Words];
  if (MemDir == "") begin : gen_file
    initial $readmemh(File, mem);
  end else begin : gen_dir_file
    initial $readmemh({MemDir, File}, mem);
  end

`ifndef SYNTHESIS
  // A simulator goes on with what it has when a file is missing or too short: here it stops.
  // synthesis translate_off
  initial begin : load
    string path;
    path = string'({MemDir, File});
    mem[Words-1] = '1;
    $readmemh(path, mem);
    if (mem[Words-1] == '1) begin
      mem[Words-1] = '0;
      $readmemh(path, mem);
      if (mem[Words-1] == '0) $fatal(1, "%m: cannot read %0d rows of memory file %s", Words, path);
    end
  end
  // synthesis translate_on
`endif

  logic [Width-1:0] read_q;
  logic [Width-1:0] data_q;
  logic [AddrW-1:0] addr_q;
  logic [TurnW-1:0] turns_q;  // left
  logic [1:0]       push_q;
  logic             credit;
  logic             take;
  logic             last;

  assign take = credit && turns_q != '0;
  assign last = addr_q == AddrW'(Words - 1);

  always_ff @(posedge ap_clk) begin
    if (!ap_rst_n) begin
      addr_q  <= '0;
      turns_q <= TurnW'(Repeats);
      push_q  <= '0;
    end else begin
      push_q <= {push_q[0], take};
      if (take) addr_q <= last ? '0 : addr_q + 1'b1;
      if (take && last) turns_q <= turns_q - 1'b1;
    end
  end
  always_ff @(posedge ap_clk) begin
    if (take) read_q <= mem[addr_q];
    if (push_q[0]) data_q <= read_q;
  end

  phy_outbuf #(
    .Width(Width),
    .Depth(5)
  ) u_out (
    .ap_clk(ap_clk),
    .ap_rst_n(ap_rst_n),
    .credit_o(credit),
    .take_i(take),
    .push_i(push_q[1]),
    .data_i(data_q),
    .m_axis_tdata(m_axis_tdata),
    .m_axis_tvalid(m_axis_tvalid),
    .m_axis_tready(m_axis_tready)
  );
endmodule
`default_nettype wire

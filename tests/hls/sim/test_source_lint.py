# SPDX-License-Identifier: Apache-2.0
"""Verilog that comes in a folder: what reaches out of a simulation is refused, the rest passes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hls.sim.source_lint import FINN, check_sources, check_text
from hls.sim.verilate import build
from hls.stitch import KERNELS
from models.errors import CheckError, ConfigError, ToolError

HERE = Path("received.sv")
BAD = {
    "system": 'initial $system("touch /tmp/x");',
    "system in a macro": "`define RUN $system\ninitial `RUN(32'd0);",
    "system pasted": "`define S(x) $``x\ninitial `S(system)(32'd0);",
    "system behind a bare dollar": "`define D() $\ninitial `D()system(32'd0);",
    "system behind a number": "initial a = 8'hff$system(1);",
    "inline C": 'initial $c("abort();");',
    "inline C as a function": 'assign a = $cexpr("1");',
    "open": 'initial $fopen("x");',
    "write a memory": 'initial $writememh("x.dat", mem);',
    "arguments": 'initial $value$plusargs("a=%d", a);',
    "dump": 'initial $dumpfile("x.vcd");',
    "DPI": 'import "DPI-C" function int system(string s);',
    "DPI out": 'export "DPI-C" function f;',
    "DPI in a macro": '`define D "DPI-C"\nimport `D function int system(string s);',
    "DPI behind a macro": '`define I import\n`I "DPI-C" function int system(string s);',
    "include": '`include "/etc/passwd"',
    "include of its own": '`include "other.sv"',
    "C++ header": "`systemc_header\n#include <cstdlib>\n`verilog",
    "C++ body": "`systemc_imp_header",
    "configuration": "`verilator_config\npublic_flat_rw",
    "macro of a directive's name": "`define include",
    "line": '`line 1 "x" 1',
    "file": "initial $error(`__FILE__);",
    "pragma": "logic a /*verilator public_flat_rw*/;",
    "pragma in capitals": "logic a; // Verilator public",
    "stringified": '`define Q(x) `"x`"',
    "line continued": "`define A b \\\n c",
    "absolute memory": 'initial $readmemh("/etc/shadow", mem);',
    "memory above": 'initial $readmemh("../x.dat", mem);',
    "memory in octal": 'initial $readmemh("\\057etc", mem);',
    "memory after a message": 'initial begin $error("a/b"); $readmemh("a/b", mem); end',
    "carriage return": "// comment\rinitial $system(1);",
    "form feed": "// comment\finitial a = 1;",
    "escaped name with a quote": 'wire \\a"b ;',
    "escaped name with a comment": "wire \\a/*b ;",
    "open comment": "/* never closed",
    "open string": 'initial $error("never closed);\n',
    "long string": 'initial $error("""a " $system(1) """);',
    "strange letters": "wire \u2028 a;",
    "solver": "initial void'(std::randomize(a));",
}
GOOD = {
    "message with a slash": '$error("phy_dwc: In / Out (%0d)", In);',
    "words in comments": '// $system, `include, import "DPI-C"\n/* $c */ wire a;',
    "words in strings": 'initial $error("$system `include \\" $c");',
    "dollar inside a name": "wire a$system;",
    "escaped": "wire \\u_l0.gen_a[3].x$y ; assign \\$system = 1;",
    "macros": "`define DEPTH 4\n`ifdef DEPTH\nwire [`DEPTH-1:0] a;\n`endif",
    "lint": "/* verilator lint_off UNUSED */ wire a; // verilator lint_on UNUSED",
    "package": "import phy_pkg::*;",
    "windows": "wire a;\r\nwire b;\r\n",
    "memory": 'initial $readmemh("l0_weights.dat", mem);',
}


@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
def test_what_reaches_out_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"received\.sv, line \d"):
        check_text(f"module m;\n{text}\nendmodule\n", HERE)


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_what_computes_passes(text: str) -> None:
    check_text(f"module m;\n{text}\nendmodule\n", HERE)


def test_the_message_names_the_line_and_the_rule() -> None:
    with pytest.raises(ConfigError, match=r"line 3: system task '\$system' is not allowed"):
        check_text('module m;\n// a\n  initial $system("ls");\nendmodule\n', HERE)


def test_all_of_our_own_modules_pass() -> None:
    own = [*KERNELS.rglob("*.sv"), *KERNELS.parent.joinpath("sim").rglob("*.sv")]
    assert len(own) > 50
    for path in own:
        check_text(path.read_text(), path)


def test_finns_verilog_may_print_and_name_its_memories() -> None:
    text = '`timescale 1ns/1ps\n`include "mvu.vh"\ninitial begin $readmemh("/a/b.dat", m);'
    check_text(f"{text} $display(a); $finish; end", HERE, FINN)
    for bad in ("initial $system(1);", '`include "/a/b.vh"', 'import "DPI-C" function int f();'):
        with pytest.raises(ConfigError, match=r"is not allowed|must be a plain name"):
            check_text(bad, HERE, FINN)


def test_names_are_looked_at_too(tmp_path: Path) -> None:
    good = tmp_path / "a.sv"
    good.write_text("module a; endmodule\n")
    check_sources("a", [good])
    for top in ("a b", "a;!ls", "", "-x", "a\n"):
        with pytest.raises(ConfigError, match="top module"):
            check_sources(top, [good])
    for name in ("a\n!touch x.sv", "a;b.sv", "-f.sv", "a.txt", "a b.sv"):
        path = tmp_path / name
        path.write_text(good.read_text())
        with pytest.raises(ConfigError, match="no name of a Verilog file"):
            check_sources("a", [path])
    link = tmp_path / "link.sv"
    link.symlink_to(good)
    with pytest.raises(ConfigError, match="a symbolic link"):
        check_sources("a", [link])
    with pytest.raises(CheckError, match=r"none\.sv: missing"):
        check_sources("a", [tmp_path / "none.sv"])
    good.write_bytes(b"module a; // \xff\nendmodule\n")
    with pytest.raises(ConfigError, match="cannot be read as Verilog"):
        check_sources("a", [good])


@pytest.mark.verilator
def test_a_design_that_runs_a_program_is_not_built(toy, tmp_path: Path) -> None:
    source, trace = tmp_path / "toy_top.sv", tmp_path / "trace"
    text = toy.files.sources[0].read_text()
    source.write_text(text.replace("endmodule", f'initial $system("touch {trace}"); endmodule'))
    with pytest.raises(ConfigError, match=r"\$system"):
        build(replace(toy.files, sources=(source,)), toy.accelerator, tmp_path / "sim")
    assert not trace.exists()


@pytest.mark.verilator
@pytest.mark.parametrize("how", ["computed", "link"])
def test_a_memory_file_outside_of_its_folder_is_not_read(toy, how: str, tmp_path: Path) -> None:
    """Names that the RTL computes, which no reading of it shows, and links."""
    from hls.sim.engine import simulate

    data = tmp_path / "data" / "toy_table.dat"
    data.parent.mkdir()
    source = tmp_path / "toy_top.sv"
    text = toy.files.sources[0].read_text()
    if how == "computed":
        name = "{8'd46, 8'd46, 8'd47, \"toy_table.dat\"}"
        text = text.replace('"toy_table.dat"', name)
        (tmp_path / "toy_table.dat").write_text(toy.files.data_files[0].read_text())
        data.write_text("0\n")
    else:
        data.symlink_to(toy.files.data_files[0])
    source.write_text(text)
    files = replace(toy.files, sources=(source,), data_files=(data,))
    binary = build(files, toy.accelerator, tmp_path / "sim")
    with pytest.raises(ToolError, match="must be a regular file in the folder"):
        simulate(binary, toy.codes(4))

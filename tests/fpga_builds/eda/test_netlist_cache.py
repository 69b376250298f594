# SPDX-License-Identifier: Apache-2.0
"""Netlists and RTL in a build's folder: damaged ones are made again, harmful ones refused."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canary import canary
from rtl_chains import chain, frames, mvau

from fpga_builds.eda.netlist import build_netlist, inline_cells
from fpga_builds.eda.synth import synthesize
from fpga_builds.rtl_index import load_rtl
from hls import reference
from hls.devices import device
from hls.ir import IntFormat
from hls.sim import library_cache
from hls.sim.engine import simulate
from hls.stitch import write_rtl
from models.errors import CheckError, ConfigError

PART = device("LFE5U-25F")
GATES = "module top(input ap_clk, input a, output o);\n  LUT4 #(.INIT(16'haaaa)) u(.A(a), .Z(o));\n"
HARM = 'initial $system("true");\n'


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test hears what is said once."""
    monkeypatch.setattr(library_cache, "_said", set())


@pytest.fixture
def netlist(tmp_path: Path) -> Path:
    """A netlist of one cell."""
    path = tmp_path / "n.v"
    path.write_text(f"{GATES}endmodule\n")
    return path


@pytest.mark.yosys
@pytest.mark.parametrize("name", ["inlined.v", "cells.json", "complete"])
@pytest.mark.parametrize("gone", [False, True], ids=["cut", "gone"])
def test_a_damaged_netlist_is_made_again(
    netlist: Path, tmp_path: Path, name: str, gone: bool, caplog: pytest.LogCaptureFixture
) -> None:
    place = inline_cells(netlist, "top", PART, tmp_path / "work").sources[-1].parent
    whole = {path.name: path.read_bytes() for path in place.glob("[!i]*")}
    text = (place / "inlined.v").read_bytes().splitlines()[4:]  # below the date
    path = place / name
    if gone:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    for _ in range(2):
        files = inline_cells(netlist, "top", PART, tmp_path / "work")
    assert files.sources[-1].read_bytes().splitlines()[4:] == text
    assert (place / "cells.json").read_bytes() == whole["cells.json"]
    (said,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert str(place) in said


@pytest.mark.yosys
def test_a_netlist_that_runs_a_program_is_refused(netlist: Path, tmp_path: Path) -> None:
    netlist.write_text(f"{GATES}{HARM}endmodule\n")
    with pytest.raises(ConfigError, match=r"n\.v, line 3: system task '\$system'"):
        inline_cells(netlist, "top", PART, tmp_path / "work")
    assert not (tmp_path / "work").exists()


@pytest.mark.yosys
@pytest.mark.verilator
def test_libraries_of_netlists(tmp_path: Path) -> None:
    """A foreign library in the cache of netlists is not loaded; a damaged netlist not built."""
    u4, s4 = IntFormat(4, signed=False), IntFormat(4, signed=True)
    accelerator = chain(u4, 1, 4, [mvau((4, 4), 1, 1, u4, s4)])
    rtl = write_rtl(accelerator, tmp_path / "rtl")
    found = synthesize(rtl, PART, tmp_path / "synth")
    files = inline_cells(found.netlist_verilog, rtl.top_name, PART, tmp_path / "cache")
    library = build_netlist(files, accelerator, tmp_path / "cache").library
    trace = tmp_path / "trace"
    bird = canary(tmp_path / "bird.so", trace)
    library.unlink()
    shutil.copy(bird, library)
    binary = build_netlist(files, accelerator, tmp_path / "cache")
    codes = frames(accelerator, 4, seed=3)
    got = simulate(binary, codes).outputs.reshape(4, -1)
    np.testing.assert_array_equal(got, reference.run(accelerator, codes).reshape(4, -1))
    assert not trace.exists()
    text = files.sources[-1].read_text()
    files.sources[-1].write_text(text.replace("endmodule", f"{HARM}endmodule"))
    with pytest.raises(ConfigError, match=r"inlined\.v, line \d+: system task"):
        build_netlist(files, accelerator, tmp_path / "cache")


@pytest.mark.yosys
def test_rtl_that_reaches_out_is_not_synthesized(tmp_path: Path) -> None:
    u4, s4 = IntFormat(4, signed=False), IntFormat(4, signed=True)
    rtl = write_rtl(chain(u4, 1, 4, [mvau((4, 4), 1, 1, u4, s4)]), tmp_path / "rtl")
    source = rtl.sources[-1]
    source.write_text(source.read_text().replace("endmodule", '`include "/etc/passwd"\nendmodule'))
    with pytest.raises(ConfigError, match="`include is not allowed"):
        synthesize(rtl, PART, tmp_path / "synth")
    with pytest.raises(ConfigError, match="top module"):
        synthesize(replace(rtl, top_name="top\n!touch x"), PART, tmp_path / "synth")
    odd = source.with_name("a\n!touch x\n.sv")
    odd.write_text("module a; endmodule\n")
    with pytest.raises(ConfigError, match="no name of a Verilog file"):
        synthesize(replace(rtl, sources=(odd,)), PART, tmp_path / "synth")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sources": ["/etc/passwd"]}, ConfigError, "must be a plain name below"),
        ({"data_files": ["../../secret"]}, ConfigError, "must be a plain name below"),
        ({"sources": ["rtl/a\n!touch x.sv"]}, ConfigError, "must be a plain name below"),
        ({"sources": ["rtl/link.sv"]}, ConfigError, "a symbolic link"),
        ({"top_name": "top;!ls"}, CheckError, "no name of a module"),
        ({"sources": 3}, CheckError, "no list of RTL"),
        ({"top_name": None}, CheckError, "no list of RTL"),
    ],
)
def test_a_list_of_rtl_stays_in_its_folder(
    tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "link.sv").symlink_to("/etc/passwd")
    body = {"top_name": "top", "sources": ["rtl/top.sv"], "data_files": ["rtl/a.dat"], **change}
    if body["top_name"] is None:
        del body["top_name"]
    index = tmp_path / "rtl.json"
    index.write_text(json.dumps(body))
    with pytest.raises(error, match=message):
        load_rtl(index)

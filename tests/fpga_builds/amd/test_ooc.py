# SPDX-License-Identifier: Apache-2.0
"""The script that gives a Vivado user the stitched RTL."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from fpga_builds.amd.ooc import write_ooc
from fpga_builds.eda.script import script
from hls.ir import Accelerator
from hls.stitch import RtlPackage, write_rtl
from models.errors import ConfigError

PART = "xc7z020clg400-1"


@pytest.fixture
def rtl(tiny: Path, tmp_path: Path) -> RtlPackage:
    return write_rtl(Accelerator.load(tiny / "accelerator"), tmp_path / "stitched")


def test_folder_stands_on_its_own(rtl: RtlPackage, tmp_path: Path) -> None:
    script = write_ooc(rtl, PART, 125, tmp_path / "ooc")
    text = script.read_text()
    shutil.rmtree(tmp_path / "stitched")
    assert str(tmp_path) not in text
    names = re.search(r"read_verilog -sv \[list (.*?) ?\]", text)[1].split()
    assert names == [path.name for path in rtl.sources]
    files = {path.name for path in (script.parent / "rtl").iterdir()}
    assert files == {path.name for path in (*rtl.sources, *rtl.data_files)}
    assert "-part xc7z020clg400-1 -mode out_of_context" in text
    assert (script.parent / "vivado_ooc.xdc").read_text() == (
        "create_clock -name ap_clk -period 8.000000 [get_ports ap_clk]\n"
    )


def test_a_tcl_interpreter_takes_the_script(rtl: RtlPackage, tmp_path: Path) -> None:
    tkinter = pytest.importorskip("tkinter")
    script = write_ooc(rtl, PART, 125, tmp_path / "ooc")
    tcl = tkinter.Tcl()
    seen: list[tuple[str, ...]] = []
    tcl.createcommand("unknown", lambda *words: seen.append(words) or "1")
    here = Path.cwd()
    try:
        tcl.eval(f"source {script}")
        assert Path(tcl.eval("pwd")) == script.parent / "rtl"
    finally:
        tcl.eval(f"cd {here}")
    order = [words[0] for words in seen]
    assert order.index("read_verilog") < order.index("synth_design") < order.index("route_design")
    sources = next(words[-1] for words in seen if words[0] == "read_verilog")
    assert all((script.parent / "rtl" / name).is_file() for name in tcl.splitlist(sources))


@pytest.mark.parametrize("part", ["xc7z020", "LFE5U-85F", "", "xc7z020clg400-1; exec rm"])
def test_parts_that_vivado_could_not_take(rtl: RtlPackage, tmp_path: Path, part: str) -> None:
    with pytest.raises(ConfigError, match="with package and speed grade"):
        write_ooc(rtl, part, 100, tmp_path / "ooc")
    with pytest.raises(ConfigError, match="must be above 0"):
        write_ooc(rtl, PART, 0, tmp_path / "ooc")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"top_name": "top; exec rm"}, "is no name"),
        ({"sources": (Path("a] [exec rm].sv"),)}, "scripts of tools take"),
        ({"sources": (Path("a b.sv"),)}, "scripts of tools take"),
    ],
)
def test_names_that_tcl_would_read_are_refused(
    rtl: RtlPackage, tmp_path: Path, change: dict, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        write_ooc(replace(rtl, **change, data_files=()), PART, 100, tmp_path / "ooc")
    changed = replace(rtl, **change)
    with pytest.raises(ConfigError, match=message):
        script(changed.top_name, [path.name for path in changed.sources], "ecp5", ())


def test_an_rtl_folder_of_others_stays(rtl: RtlPackage, tmp_path: Path) -> None:
    (tmp_path / "mine" / "rtl").mkdir(parents=True)
    (tmp_path / "mine" / "rtl" / "cpu.sv").write_text("mine")
    with pytest.raises(ConfigError, match="has a folder 'rtl' that is not of this script"):
        write_ooc(rtl, PART, 100, tmp_path / "mine")
    assert (tmp_path / "mine" / "rtl" / "cpu.sv").read_text() == "mine"
    write_ooc(rtl, PART, 100, tmp_path / "ours")
    write_ooc(rtl, PART, 100, tmp_path / "ours")

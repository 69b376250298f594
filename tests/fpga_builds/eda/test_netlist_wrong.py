# SPDX-License-Identifier: Apache-2.0
"""What is wrong in a netlist or a memory file is found, and the message says what it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from fake_bench import config_of
from rtl_chains import chain, frames, mvau

from fpga_builds.eda.netlist import NetlistFiles, build_netlist, cell_files, inline_cells
from fpga_builds.eda.synth import Synthesis, synthesize
from fpga_builds.steps.netlist import require_equal
from fpga_builds.steps.rtl_count import Bench, _compare
from fpga_builds.stimulus import Chunk
from hls import reference
from hls.devices import device
from hls.ir import Accelerator, IntArray, IntFormat
from hls.sim.engine import SimResult, simulate
from hls.sim.locate import locate
from hls.sim.verilate import build
from hls.stitch import RtlPackage, write_rtl
from models.errors import MismatchError, ToolError

U4, S4 = IntFormat(4, signed=False), IntFormat(4, signed=True)
PART = device("LFE5U-25F")
FRAMES = 12


@dataclass(frozen=True)
class Unit:
    """One layer whose weights lie in block RAM, synthesized."""

    accelerator: Accelerator
    rtl: RtlPackage
    synthesis: Synthesis
    codes: IntArray
    expected: IntArray

    def run(self, files: NetlistFiles, folder: Path) -> SimResult:
        return simulate(build_netlist(files, self.accelerator, folder), self.codes)

    def inlined(self, netlist: Path, folder: Path) -> NetlistFiles:
        return inline_cells(netlist, self.rtl.top_name, PART, folder)


@pytest.fixture(scope="module")
def unit(tmp_path_factory: pytest.TempPathFactory) -> Unit:
    accelerator = chain(U4, 1, 32, [mvau((48, 32), 1, 1, U4, S4)])
    folder = tmp_path_factory.mktemp("unit")
    rtl = write_rtl(accelerator, folder / "rtl")
    codes = frames(accelerator, FRAMES, seed=3)
    expected = reference.run(accelerator, codes).reshape(FRAMES, -1)
    return Unit(accelerator, rtl, synthesize(rtl, PART, folder / "synth"), codes, expected)


def _lut(text: str) -> str:
    """The netlist with one LUT inverted that gives a bit of the multiplier's input."""
    found = re.search(
        r"LUT4 #\(\s*\.INIT\(16'h([0-9a-f]{4})\)\s*\) [^;]*\.Z\([^)]*x_o_[^;]*;", text
    )
    assert found is not None
    wrong = f"{int(found.group(1), 16) ^ 0xFFFF:04x}"
    return text[: found.start(1)] + wrong + text[found.end(1) :]


def _memory(text: str) -> str:
    """The netlist with one bit of the first weight changed."""
    found = re.search(r"\.INITVAL_00\(320'h([0-9a-f]+)\)", text)
    assert found is not None
    word = found.group(1)
    wrong = f"{int(word, 16) ^ 1:0{len(word)}x}"
    return text[: found.start(1)] + wrong + text[found.end(1) :]


@pytest.mark.yosys
@pytest.mark.verilator
@pytest.mark.parametrize("damage", [_lut, _memory])
def test_a_wrong_netlist_is_found(damage: object, unit: Unit, tmp_path: Path) -> None:
    assert callable(damage)
    wrong = tmp_path / "wrong.v"
    wrong.write_text(damage(unit.synthesis.netlist_verilog.read_text()))
    got = unit.run(unit.inlined(wrong, tmp_path), tmp_path).outputs.reshape(FRAMES, -1)
    with pytest.raises(
        MismatchError,
        match=r"demo: the netlist for LFE5U-25F differs from QONNX in \d+ of 12 frames, first in "
        r"frame \d+: element \d+ is -?\d+, expected -?\d+",
    ) as caught:
        require_equal(got, unit.expected, PART, "demo")
    assert "phyfold simulate" in caught.value.hint


@pytest.mark.yosys
@pytest.mark.verilator
def test_models_in_place_of_cells_do_what_the_cells_do(unit: Unit, tmp_path: Path) -> None:
    found, top = unit.synthesis, unit.rtl.top_name
    inlined = unit.run(unit.inlined(found.netlist_verilog, tmp_path), tmp_path)
    cells = unit.run(cell_files(found.netlist_verilog, top, PART, found.cells), tmp_path)
    np.testing.assert_array_equal(inlined.outputs.reshape(FRAMES, -1), unit.expected)
    for name in ("outputs", "in_first", "in_last", "out_first", "out_last"):
        np.testing.assert_array_equal(getattr(inlined, name), getattr(cells, name), err_msg=name)


@pytest.mark.yosys
def test_a_cell_without_a_model_is_named(tmp_path: Path) -> None:
    netlist = tmp_path / "n.v"
    netlist.write_text("module top(input ap_clk, output o);\n  OSCG u_osc(.OSC(o));\nendmodule\n")
    with pytest.raises(ToolError, match="no simulation model of OSCG"):
        inline_cells(netlist, "top", PART, tmp_path / "work")


@pytest.mark.yosys
def test_memories_stay_cells(tmp_path: Path) -> None:
    netlist = tmp_path / "n.v"
    netlist.write_text(
        "module top(input ap_clk, input [1:0] d, input [4:0] a, output [1:0] o);\n"
        "  RAM32M u_ram(.WCLK(ap_clk), .WE(1'b1), .ADDRD(a), .ADDRA(a), .DIA(d), .DOA(o));\n"
        "endmodule\n"
    )
    files = inline_cells(netlist, "top", device("xc7z020"), tmp_path / "work")
    assert [path.name for path in files.sources] == ["cells_sim.v", "inlined.v"]
    assert re.search(r"^\s*RAM32M\b", files.sources[-1].read_text(), re.MULTILINE)


@pytest.mark.verilator
def test_a_changed_weight_is_traced_to_its_layer(tmp_path: Path) -> None:
    product = mvau((4, 4), 1, 1, U4, S4)
    accelerator = chain(U4, 1, 4, [product, mvau((2, 4), 1, 1, product.fmt, S4, seed=1)])
    rtl = write_rtl(accelerator, tmp_path / "rtl")
    weights = next(path for path in rtl.data_files if path.name.startswith("l1"))
    lines = weights.read_text().splitlines()
    weights.write_text("\n".join([f"{int(lines[0], 16) ^ 1:x}", *lines[1:]]) + "\n")
    codes = frames(accelerator, FRAMES, seed=3)
    got = simulate(build(rtl, accelerator, tmp_path / "sim"), codes).outputs.reshape(FRAMES, -1)

    def explain(codes: IntArray, frame: int) -> str:
        found = locate(rtl, accelerator, codes, frame, tmp_path / "sim")
        return "nothing" if found is None else f"layer {found.layer} gives {found.got}"

    def unused(*_: object) -> SimResult:
        raise AssertionError

    bench = Bench(accelerator, unused, unused, unused, explain, unused)  # type: ignore[arg-type]
    expected = reference.run(accelerator, codes).reshape(FRAMES, -1)
    with pytest.raises(MismatchError, match=r"RTL and QONNX differ in .* layer l1 gives"):
        _compare(config_of(), bench, Chunk(None, 0, FRAMES), codes, got, expected)

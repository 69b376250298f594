# SPDX-License-Identifier: Apache-2.0
"""Synthesized netlists in the harness of the RTL: every bit, every cycle; a wrong one is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl_chains import chain, frames, mvau, thresholding
from rtl_graphs import residual

from fpga_builds.eda.netlist import build_netlist, inline_cells
from fpga_builds.eda.synth import Synthesis, synthesize
from fpga_builds.steps.netlist import require_cycles, require_equal
from hls import reference
from hls.cycles import accelerator_cycles
from hls.devices import device
from hls.ir import Accelerator, IntArray, IntFormat
from hls.sim.engine import SimResult, simulate
from hls.stitch import RtlPackage, write_rtl
from models.errors import CheckError, MismatchError

U4, S4 = IntFormat(4, signed=False), IntFormat(4, signed=True)
FRAMES = 40


@pytest.fixture(scope="module")
def design(tmp_path_factory: pytest.TempPathFactory) -> tuple[Accelerator, RtlPackage]:
    """A layer whose weights need block RAM, several words in a row, and a thresholding unit."""
    product = mvau((64, 40), 1, 1, U4, S4)
    specs = [product, thresholding(64, 1, product.fmt, 15, U4)]
    accelerator = chain(U4, 1, 40, specs)
    return accelerator, write_rtl(accelerator, tmp_path_factory.mktemp("rtl"))


def _run(
    accelerator: Accelerator, netlist: Path, top: str, part: str, folder: Path
) -> tuple[SimResult, IntArray]:
    files = inline_cells(netlist, top, device(part), folder / "inlined")
    binary = build_netlist(files, accelerator, folder / "sim")
    codes = frames(accelerator, FRAMES, seed=3).reshape(FRAMES, *accelerator.input.shape)
    result = simulate(binary, codes)
    return result, reference.run(accelerator, codes).reshape(FRAMES, -1)


def _synthesized(package: RtlPackage, part: str, folder: Path) -> Synthesis:
    return synthesize(package, device(part), folder / "synth")


@pytest.mark.yosys
@pytest.mark.verilator
@pytest.mark.parametrize(("part", "memory"), [("LFE5U-25F", "DP16KD"), ("xczu3eg", "RAMB18E2")])
def test_netlist_gives_the_bits_and_cycles_of_the_rtl(
    part: str, memory: str, design: tuple[Accelerator, RtlPackage], tmp_path: Path
) -> None:
    accelerator, package = design
    found = _synthesized(package, part, tmp_path)
    assert any(memory in cell for cell in found.cells)
    result, expected = _run(accelerator, found.netlist_verilog, package.top_name, part, tmp_path)
    np.testing.assert_array_equal(np.asarray(result.outputs).reshape(FRAMES, -1), expected)
    model = accelerator_cycles(accelerator)
    assert result.latency_cycles == model.latency_cycles
    assert result.ii_cycles == model.ii_cycles


@pytest.mark.yosys
@pytest.mark.verilator
@pytest.mark.parametrize("part", ["LFE5U-25F", "xczu3eg"])
def test_lines_and_fifos_in_block_ram(part: str, tmp_path: Path) -> None:
    """A residual block: the window's rows and what waits for the sum are in block RAM."""
    accelerator = residual(8, 6).with_fifo_depths({"fork_sum": 90})
    found = _synthesized(write_rtl(accelerator, tmp_path), part, tmp_path)
    rows = {row.name: row for row in found.layers}
    assert rows["win_c"].bram18 == 1
    assert rows["fifo_fork_sum"].bram18 == 1
    top = f"{accelerator.name}_top"
    result, expected = _run(accelerator, found.netlist_verilog, top, part, tmp_path)
    np.testing.assert_array_equal(np.asarray(result.outputs).reshape(FRAMES, -1), expected)
    model = accelerator_cycles(accelerator)
    assert (result.ii_cycles, result.latency_cycles) == (model.ii_cycles, model.latency_cycles)


def test_the_first_wrong_bit_is_named() -> None:
    expected = np.zeros((4, 3), dtype=np.int64)
    got = expected.copy()
    require_equal(got, expected, device("LFE5U-25F"), "demo")
    got[2, 1] = 1
    with pytest.raises(
        MismatchError,
        match=r"demo: the netlist for LFE5U-25F differs from QONNX in 1 of 4 frames, first in "
        r"frame 2: element 1 is 1, expected 0",
    ):
        require_equal(got, expected, device("LFE5U-25F"), "demo")


def test_a_netlist_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckError, match="no netlist"):
        inline_cells(tmp_path / "n.v", "top", device("xczu3eg"), tmp_path / "work")


def test_cycles_must_be_those_of_the_model(design: tuple[Accelerator, RtlPackage]) -> None:
    accelerator, _package = design
    model = accelerator_cycles(accelerator)
    part = device("xczu3eg")
    good = {"ii_cycles": float(model.ii_cycles), "latency_cycles": model.latency_cycles}
    require_cycles(good, accelerator, part)
    for wrong in (
        {"ii_cycles": 2.0 * model.ii_cycles},
        {"latency_cycles": model.latency_cycles + 1},
    ):
        with pytest.raises(CheckError, match=r"needs .* cycles per frame"):
            require_cycles({**good, **wrong}, accelerator, part)

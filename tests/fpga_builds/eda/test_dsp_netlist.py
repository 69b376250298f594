# SPDX-License-Identifier: Apache-2.0
"""Products in DSP blocks: the netlist computes what the RTL does, for every kind of operand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rtl_chains import Spec, chain, frames, mvau, requant

from fpga_builds.eda.netlist import build_netlist, inline_cells
from fpga_builds.eda.synth import synthesize
from hls import reference
from hls.devices import device
from hls.ir import IntFormat
from hls.sim.engine import simulate
from hls.stitch import write_rtl

S8, U8 = IntFormat(8, signed=True), IntFormat(8, signed=False)
S3, U4 = IntFormat(3, signed=True), IntFormat(4, signed=False)
FRAMES = 30


def _in_dsp(spec: Spec) -> Spec:
    return replace(spec, params={**spec.params, "dsp": 1})


@pytest.mark.yosys
@pytest.mark.verilator
@pytest.mark.parametrize(
    "part",
    [
        "LFE5U-25F",
        pytest.param("xc7z020", marks=pytest.mark.slow),
        pytest.param("xczu3eg", marks=pytest.mark.slow),
    ],
)
def test_products_in_dsp_blocks_are_exact(part: str, tmp_path: Path) -> None:
    first = _in_dsp(mvau((4, 2), 2, 2, U4, U4))  # unsigned x unsigned
    second = _in_dsp(mvau((4, 4), 1, 2, U8, S3))  # unsigned x signed
    third = _in_dsp(mvau((2, 4), 2, 1, S8, S8))  # signed x signed
    layers = [
        *(first, requant(4, 2, first.fmt, (4, 9, 3), U8)),
        *(second, requant(4, 1, second.fmt, (4, 9, 5), S8), third),
    ]
    acc = chain(U4, 2, 2, layers)
    rtl = write_rtl(acc, tmp_path)
    found = synthesize(rtl, device(part), tmp_path / "synth")
    assert found.totals.dsp == 4 + 2 + 2
    files = inline_cells(found.netlist_verilog, rtl.top_name, device(part), tmp_path / "inlined")
    binary = build_netlist(files, acc, tmp_path / "sim")
    codes = frames(acc, FRAMES, seed=5)
    expected = reference.run(acc, codes).reshape(FRAMES, -1)
    assert len(np.unique(expected)) > 20
    outputs = np.asarray(simulate(binary, codes).outputs).reshape(FRAMES, -1)
    np.testing.assert_array_equal(outputs, expected)

# SPDX-License-Identifier: Apache-2.0
"""The cycle model: its own arithmetic, its agreement with phy_pkg.sv and with stitched RTL."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_chains import Spec, chain, dwc, frames, mvau, requant, sparse, thresholding
from rtl_graphs import add, channels, duplicate, from_spec

from hls import reference
from hls.cycle_terms import fifo_latency, rom_regs, rom_rows, tree_levels, window_rows
from hls.cycles import accelerator_cycles, layer_cycles, output_cycles, port_cycles
from hls.image_cycles import window_needs
from hls.ir import Accelerator, IntFormat
from hls.ports import window_size
from hls.sim import tools
from hls.sim.engine import Simulator
from hls.sim.verilate import build
from hls.stitch import KERNELS, write_rtl
from models.errors import CompileError

U2, U4 = IntFormat(2, signed=False), IntFormat(4, signed=False)
S4, S8 = IntFormat(4, signed=True), IntFormat(8, signed=True)


def _single(spec: Spec, fmt: IntFormat, elems: int, total: int) -> Accelerator:
    return chain(fmt, elems, total, [spec])


@pytest.mark.verilator
def test_widths_are_those_of_the_package(tmp_path: Path) -> None:
    sizes = [*range(1, 70), 255, 256, 257, 511, 512, 513, 1023, 1500]
    checks = [f"phy_pkg::tree_levels({n}) != {tree_levels(n)}" for n in sizes]
    checks += [f"phy_pkg::rom_regs({n}) != {rom_regs(n)}" for n in sizes]
    shapes = [(n, w) for n in (64, 512, 513, 1500, 3000, 9000, 40000) for w in (1, 9, 20, 240)]
    checks += [f"phy_pkg::rom_rows({n}, {w}) != {rom_rows(n, w)}" for n, w in shapes]
    checks += [f"phy_pkg::idx_bits({n}) != {max(1, (n - 1).bit_length())}" for n in sizes]
    checks += [f"phy_pkg::byte_bits({n}) != {-(-n // 8) * 8}" for n in sizes]
    for shape in WINDOWS:
        numbers = ", ".join(map(str, shape))
        checks.append(f"phy_window_pkg::window_rows({numbers}) != {window_rows(_window(shape))}")
    checks.append(
        f"phy_pkg::search_cycles(75, 4) != {4 + sum(rom_regs(75 << s) for s in range(4))}"
    )
    assert _elaborate(tmp_path, checks) == []
    assert _elaborate(tmp_path, ["phy_pkg::tree_levels(5) != 1"]) == [
        "phy_pkg::tree_levels(5) != 1"
    ]


KEYS = ("height", "width", "kernel_h", "kernel_w", "pad_top", "pad_bottom", "pad_left", "pad_right")
WINDOWS = (
    *((8, 8, 3, 3, 1, 1, 1, 1), (4, 4, 3, 3, 1, 1, 1, 1), (3, 3, 3, 3, 1, 1, 1, 1)),
    *((1, 1, 3, 3, 1, 1, 1, 1), (9, 5, 3, 3, 0, 0, 0, 0), (6, 7, 5, 5, 2, 2, 2, 2)),
    *((2, 3, 4, 2, 3, 1, 0, 1), (3, 7, 1, 3, 0, 0, 1, 1), (3, 3, 1, 1, 0, 0, 0, 0)),
)


def _window(shape: Sequence[int]) -> dict[str, int]:
    return dict(zip(KEYS, shape, strict=True))


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    data=st.data(),
)
def test_a_line_buffer_holds_what_two_positions_need(
    size: tuple[int, int], kernel: tuple[int, int], data: st.DataObject
) -> None:
    pads = [data.draw(st.integers(0, kernel[side // 2] - 1)) for side in range(4)]
    p = _window((*size, *kernel, *pads))
    out_h, out_w = window_size(p)
    if out_h < 1 or out_w < 1:
        return
    pixels = size[0] * size[1]
    needs = [*window_needs(p), pixels + window_needs(p)[0]]
    most = max(needs[n + 1] - _oldest(p, *divmod(n, out_w)) for n in range(out_h * out_w))
    assert most <= window_rows(p) * size[1]
    if kernel[0] <= size[0]:
        assert window_rows(p) * size[1] < most + 2 * size[1]


def _oldest(p: Mapping[str, int], row: int, column: int) -> int:
    """The oldest pixel that this position of the kernel or a later one needs."""
    out_h, out_w = window_size(p)
    later = [(row, x) for x in range(column, out_w)] + [
        (y, x) for y in range(row + 1, out_h) for x in range(out_w)
    ]
    return min(max(y - p["pad_top"], 0) * p["width"] + max(x - p["pad_left"], 0) for y, x in later)


def _elaborate(folder: Path, conditions: list[str]) -> list[str]:
    """The conditions that hold when Verilator elaborates them."""
    lines = [f'  if ({c}) $error("holds: {i}.");' for i, c in enumerate(conditions)]
    top = folder / "widths.sv"
    top.write_text("\n".join(["module widths;", *lines, "endmodule", ""]))
    root = tools.verilator_root()
    run = subprocess.run(
        [
            *(root / "bin" / "verilator_bin", "--lint-only", "--quiet"),
            *(KERNELS / "phy_pkg.sv", KERNELS / "phy_window_pkg.sv", top),
        ],
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = [c for i, c in enumerate(conditions) if f"holds: {i}." in run.stderr]
    assert (run.returncode == 0) == (not found), run.stderr
    return found


def test_mvau_cycles_of_a_hidden_layer() -> None:
    acc = _single(mvau((300, 300), 4, 15, U4, S4), U4, 15, 300)
    cycles = layer_cycles(acc.layers[0])
    assert cycles.ii == 75 * 20
    assert cycles.pipeline_latency == 4 + 3 + 2
    assert cycles.first_output == 19 + cycles.pipeline_latency
    assert cycles.last_output == 19 + 74 * 20 + cycles.pipeline_latency


def test_thresholding_and_requant_take_a_beat_per_cycle() -> None:
    for spec in (thresholding(20, 4, S8, 5, U4), requant(20, 4, S8, (4, 9, 3), U4)):
        cycles = layer_cycles(_single(spec, S8, 4, 20).layers[0])
        assert (cycles.ii, cycles.last_output - cycles.first_output) == (5, 4)
        assert cycles.first_output == cycles.pipeline_latency


def test_a_dwc_needs_the_frame() -> None:
    layer = _single(dwc(U4, 4, 2), U4, 4, 12).layers[0]
    assert layer_cycles(layer, beats_in=3).ii == 6
    with pytest.raises(CompileError, match="l0: a dwc has no frame of its own: pass beats_in"):
        layer_cycles(layer)


def test_vectors_multiply_the_frame() -> None:
    spec = mvau((6, 8), 2, 4, U4, S4)
    one, many = from_spec(spec), from_spec(spec, vectors=5)
    assert layer_cycles(many).ii == 5 * layer_cycles(one).ii == 5 * 2 * 3
    beats = output_cycles(many, np.arange(10))
    assert len(beats) == 5 * 3
    # the second vector's first fold ends 6 steps after the first vector's
    assert beats[3] - beats[0] == 6
    late = np.array([0, 1, *range(60, 68)])
    assert output_cycles(many, late)[3] == 61 + layer_cycles(one).pipeline_latency
    for kind in (thresholding(6, 2, S8, 5, U4), requant(6, 2, S8, (4, 9, 3), U4)):
        assert layer_cycles(from_spec(kind, vectors=7)).ii == 21


def test_a_duplicate_needs_the_frame() -> None:
    assert layer_cycles(duplicate(2, U4), beats_in=9).ii == 9
    with pytest.raises(CompileError, match="duplicate: a duplicate has no frame of its own"):
        layer_cycles(duplicate(2, U4))


def test_a_join_waits_for_the_later_beat() -> None:
    total = add(2, 2, 1, U4)
    (offered,) = port_cycles(total, [np.array([0, 1, 2, 3]), np.array([5, 6, 20, 21])])
    np.testing.assert_array_equal(offered, [6, 7, 21, 22])
    cat = channels("concat", 2, (1, 1), 1, U4)
    (offered,) = port_cycles(cat, [np.array([0, 9]), np.array([4, 5])])
    np.testing.assert_array_equal(offered, [1, 5, 10, 11])


def test_late_beats_delay_only_what_needs_them() -> None:
    acc = _single(mvau((2, 3), 1, 1, U4, S4), U4, 1, 3)
    latency = layer_cycles(acc.layers[0]).pipeline_latency
    late = output_cycles(acc.layers[0], np.array([0, 1, 50]))
    np.testing.assert_array_equal(late, [50 + latency, 53 + latency])


@pytest.mark.parametrize(("depth", "cycles"), [(0, 0), (1, 1), (64, 1), (65, 2)])
def test_fifo_latency(depth: int, cycles: int) -> None:
    assert fifo_latency(depth) == cycles


def test_the_bottleneck_is_named() -> None:
    layers = [mvau((8, 12), 4, 3, S8, S4)]
    layers += [thresholding(8, 4, layers[0].fmt, 15, U4), mvau((4, 8), 1, 4, U4, S4)]
    acc = chain(S8, 3, 12, layers)
    assert accelerator_cycles(acc).bottleneck == "l0"
    assert accelerator_cycles(acc.with_fifo_depths({"s2": 1})).bottleneck == "l0"
    assert accelerator_cycles(chain(S8, 1, 12, [dwc(S8, 1, 3), *layers])).bottleneck == "s0"


def _networks() -> dict[str, Accelerator]:
    """Three layers each; the slowest first, in the middle, last; wide to narrow between them."""

    def net(folds: list[tuple[int, int]], lanes: list[int]) -> Accelerator:
        specs = [mvau((24, 16), *folds[0], S8, S4, seed=1)]
        specs += [dwc(specs[0].fmt, folds[0][0], lanes[0])]
        specs += [thresholding(24, lanes[0], specs[0].fmt, 15, U4), dwc(U4, lanes[0], folds[1][1])]
        second = sparse((12, 24), *folds[1], (6, 2), U4, S4, seed=2)
        specs += [second, requant(12, folds[1][0], second.fmt, (5, 12, 8), U4)]
        third = mvau((6, 12), *folds[2], U4, S4, seed=3)
        specs += [dwc(U4, folds[1][0], folds[2][1]), third]
        return chain(S8, folds[0][1], 16, [*specs, thresholding(6, folds[2][0], third.fmt, 3, U2)])

    return {
        "first slowest": net([(2, 1), (3, 6), (3, 3)], [1]),
        "second slowest": net([(12, 16), (1, 6), (6, 12)], [2]),
        "last slowest": net([(6, 16), (6, 24), (1, 1)], [6]),
        "balanced": net([(4, 4), (2, 12), (3, 1)], [2]),
    }


@pytest.mark.verilator
@pytest.mark.parametrize(("name", "acc"), _networks().items())
def test_networks_keep_the_model(name: str, acc: Accelerator, tmp_path: Path) -> None:
    codes = frames(acc, 150)
    model = accelerator_cycles(acc)
    with Simulator(build(write_rtl(acc, tmp_path), acc, tmp_path / "sim", jobs=1)) as simulator:
        result = simulator.run(codes, segment_frames=len(codes))
    np.testing.assert_array_equal(result.outputs, reference.run(acc, codes))
    assert result.ii_cycles == model.ii_cycles, name
    assert result.latency_cycles == model.latency_cycles

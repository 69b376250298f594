# SPDX-License-Identifier: Apache-2.0
"""Which layers have their multipliers in DSP blocks, and what becomes of it in the RTL."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rtl_chains import chain, dwc, mvau, requant, sparse

from hls.costs import layer_cost
from hls.devices import DEVICES, Device, device
from hls.ir import Accelerator, IntFormat
from hls.multipliers import assign_multipliers, multiplier_count
from hls.stitch import render_top
from models.errors import CompileError

U8, S8, S4 = IntFormat(8, signed=False), IntFormat(8, signed=True), IntFormat(4, signed=True)
SMALL = Device("small", "ecp5", 1000, 1000, 10, 20)


@pytest.fixture
def acc() -> Accelerator:
    """l0: 16 multipliers 8x8; l2: 8 8x8; l4: 4 4x8 (weight x input); l7: sparse, 4 8x8."""
    first = mvau((8, 8), 4, 4, U8, S8)
    second = mvau((8, 8), 2, 4, U8, S8)
    third = mvau((8, 8), 2, 2, U8, S4)
    last = sparse((8, 8), 2, 8, (4, 1), U8, S8)
    layers = [
        *(first, requant(8, 4, first.fmt, (4, 9, 5), U8)),
        *(second, requant(8, 2, second.fmt, (4, 9, 5), U8)),
        *(third, requant(8, 2, third.fmt, (4, 9, 5), U8), dwc(U8, 2, 8)),
        last,
    ]
    return chain(U8, 4, 8, layers)


def _in_dsp(acc: Accelerator) -> list[str]:
    return [layer.name for layer in acc.layers if layer.params.get("dsp")]


def test_multipliers_are_counted(acc: Accelerator) -> None:
    counts = {layer.name: multiplier_count(layer) for layer in acc.layers}
    assert {k: n for k, n in counts.items() if n} == {"l0": 16, "l2": 8, "l4": 4, "l7": 4}


def test_auto_takes_whole_layers_of_more_than_four_bits(acc: Accelerator) -> None:
    assert _in_dsp(assign_multipliers(acc, device("LFE5U-85F"), "auto")) == ["l0", "l2", "l7"]


def test_auto_takes_the_largest_first_and_stops_where_blocks_end(acc: Accelerator) -> None:
    assert _in_dsp(assign_multipliers(acc, SMALL, "auto")) == ["l0", "l7"]
    assert _in_dsp(assign_multipliers(acc, replace(SMALL, dsp=15), "auto")) == ["l2", "l7"]
    assert _in_dsp(assign_multipliers(acc, SMALL, "auto", fraction=0.5)) == ["l2"]
    assert _in_dsp(assign_multipliers(acc, replace(SMALL, dsp=3), "auto")) == []


def test_lut_takes_none_and_dsp_takes_all(acc: Accelerator) -> None:
    every = assign_multipliers(acc, device("LFE5U-85F"), "dsp")
    assert _in_dsp(every) == ["l0", "l2", "l4", "l7"]
    assert _in_dsp(assign_multipliers(every, device("LFE5U-85F"), "lut")) == []


def test_too_few_blocks_are_named(acc: Accelerator) -> None:
    with pytest.raises(CompileError, match="32 multipliers, but small has 20 DSP blocks") as caught:
        assign_multipliers(acc, SMALL, "dsp")
    assert "auto" in caught.value.hint


def test_operands_that_are_too_wide_are_named() -> None:
    wide = IntFormat(18, signed=False)
    acc = chain(wide, 2, 4, [mvau((4, 4), 2, 2, wide, S8)])
    with pytest.raises(CompileError, match=r"l0: operands of \(8, 19\) bits do not fit a DSP"):
        assign_multipliers(acc, device("xczu3eg"), "dsp")
    assert _in_dsp(assign_multipliers(acc, device("xczu3eg"), "auto")) == []


def test_the_rtl_says_dsp_only_where_it_is_wanted(acc: Accelerator, tmp_path: Path) -> None:
    plain = render_top(acc)
    assert ".Dsp(" not in plain
    assert render_top(assign_multipliers(acc, SMALL, "lut")) == plain
    chosen = assign_multipliers(acc, device("LFE5U-85F"), "auto")
    assert render_top(chosen).count(".Dsp(1)") == 3
    chosen.save(tmp_path)
    assert _in_dsp(Accelerator.load(tmp_path)) == ["l0", "l2", "l7"]


@pytest.mark.parametrize("name", DEVICES)
def test_a_part_is_found_with_its_suffix(name: str) -> None:
    assert device(f"{name.lower()}-6BG381C") is DEVICES[name]


def test_ecp5_with_transceivers_is_the_same_fabric() -> None:
    assert device("LFE5UM5G-85F-8BG756") is device("LFE5UM-85F") is DEVICES["LFE5U-85F"]


def test_ultraram_is_known_where_there_is_some() -> None:
    assert {d.name: d.uram for d in DEVICES.values() if d.uram} == {"xczu7ev": 96, "xcu250": 1280}
    assert device("xcu250-figd2104-2L-e").bram18 == 2 * 2688


def test_the_cost_model_trades_luts_for_blocks(acc: Accelerator) -> None:
    part = device("LFE5U-85F")
    plain, chosen = acc.layer("l0"), assign_multipliers(acc, part, "auto").layer("l0")
    before, after = layer_cost(plain, part), layer_cost(chosen, part)
    assert (before.dsp, after.dsp) == (0, 16)
    assert 140 * 16 < before.lut - after.lut < 180 * 16  # measured: 164 per block
    assert before.ff - after.ff == 16 * 16
    assert (before.bram18, after.bram18) == (0, 0)

# SPDX-License-Identifier: Apache-2.0
"""The cost model: complete, monotone, and near what synthesis measured."""

from __future__ import annotations

import pytest

from hls.costs import MODELS, Cost, kind_cost, layer_cost, memory, multiplier_luts, stream_cost
from hls.devices import DEVICES, Device, device
from hls.ir import LAYER_KINDS, IntFormat, Layer, Stream
from models.errors import CompileError

ECP5, ZYNQ = device("LFE5U-85F"), device("xc7z020")


def mvau(**changes: int) -> dict[str, int]:
    return {
        **{"mat_w": 64, "mat_h": 64, "pe": 16, "simd": 16, "in_bits": 4, "in_signed": 0},
        **{"weight_bits": 4, "weight_signed": 1, "acc_bits": 14},
        **changes,
    }


def test_every_layer_kind_has_a_model() -> None:
    assert set(MODELS) == set(LAYER_KINDS)


def test_an_unknown_kind_is_not_free() -> None:
    with pytest.raises(CompileError, match="no cost model for layer kind 'softmax'"):
        kind_cost("softmax", {}, ECP5)


@pytest.mark.parametrize("part", [ECP5, ZYNQ])
def test_wider_multipliers_cost_more(part: Device) -> None:
    costs = [multiplier_luts(w, x, part) for w, x in ((2, 2), (2, 4), (4, 4), (4, 8), (8, 8))]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1] / 4


def test_dsp_blocks_replace_the_multipliers() -> None:
    plain = kind_cost("mvau", mvau(weight_bits=8, in_bits=8), ECP5)
    in_dsp = kind_cost("mvau", mvau(weight_bits=8, in_bits=8, dsp=1), ECP5)
    assert in_dsp.dsp == 16 * 16
    assert in_dsp.lut < plain.lut / 3
    assert in_dsp.ff == plain.ff - 16 * 16 * 16


@pytest.mark.parametrize("change", ["pe", "simd", "weight_bits", "in_bits"])
def test_more_of_anything_costs_more(change: str) -> None:
    small = kind_cost("mvau", mvau(), ECP5)
    large = kind_cost("mvau", mvau(**{change: mvau()[change] * 2}), ECP5)
    assert large.lut > small.lut


def test_sparse_is_cheaper_at_the_same_rate() -> None:
    dense = kind_cost("mvau", mvau(), ECP5)
    sparse = kind_cost("mvau_sparse", mvau(block=8, nnz=1), ECP5)
    assert sparse.lut < dense.lut / 2


def test_memories_go_where_the_tools_put_them() -> None:
    assert memory(512, 256, ECP5).bram18 == 8
    assert memory(64, 256, ECP5).bram18 == 0
    assert memory(16, 256, ECP5).lut == 256
    assert memory(64, 256, ECP5).lut == 6 * 256  # four LUT4 and two to choose
    assert memory(64, 256, ZYNQ).lut == 256


def test_deep_memories_have_several_words_in_a_row() -> None:
    cost = memory(1500, 240, ECP5)  # 512 rows of 3 words
    assert cost.bram18 == 20
    assert cost.lut == 2 * 240
    assert cost.ff == 240 + 4


def test_a_wire_is_free_and_a_fifo_is_not() -> None:
    wire = Stream("s", "a", "b", IntFormat(4, signed=False), 3, 10)
    assert stream_cost(wire, ECP5) == Cost()
    deep = Stream("s", "a", "b", IntFormat(4, signed=False), 3, 10, fifo_depth=500)
    assert stream_cost(deep, ECP5).bram18 == 1


def test_fits_looks_at_every_resource() -> None:
    assert Cost(lut=ECP5.lut).fits(ECP5)
    assert not Cost(lut=ECP5.lut).fits(ECP5, 0.9)
    assert not Cost(bram18=ECP5.bram18 + 1).fits(ECP5)
    assert not Cost(dsp=ECP5.dsp + 1).fits(ECP5)


def test_layer_cost_takes_a_layer() -> None:
    layer = Layer("fc0", "mvau", "n", (), (), mvau())
    assert layer_cost(layer, ECP5) == kind_cost("mvau", mvau(), ECP5)


@pytest.mark.parametrize(
    ("name", "key"),
    [("LFE5UM5G-85F-8", "LFE5U-85F"), ("xc7z020clg400-1", "xc7z020"), ("XCZU3EG", "xczu3eg")],
)
def test_parts_are_found_by_their_beginning(name: str, key: str) -> None:
    assert device(name) is DEVICES[key]


def test_an_unknown_part_names_the_known_ones() -> None:
    with pytest.raises(CompileError, match="part 'ice40' is unknown; known: LFE5U-25F"):
        device("ice40")


@pytest.mark.parametrize(
    "name",
    ["LFE5U-85F;touch", "LFE5U-85F touch x", "LFE5U-85F\n", "LFE5U-85F-6BG381C\n", "LFE5U-85FX",
     "LFE5U-85F-", "xc7z020; exec touch x", "xc7z020clg400-1]", "xc7z020$(x)", "xc7z020\u212a",
     " LFE5U-85F", "", "xcu250" + "-a" * 60, "LFE5U-85F-6BG381C\0"],
)  # fmt: skip
def test_a_part_is_a_name_and_nothing_more(name: str) -> None:
    with pytest.raises(CompileError, match="is unknown; known"):
        device(name)

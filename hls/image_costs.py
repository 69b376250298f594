# SPDX-License-Identifier: Apache-2.0
"""Cost models of the image kernels, counted from their RTL; see `hls.costs`.

Registers and memories are counted. ``CONTROL`` and ``LANE`` are fitted to single layers
(``docs/costs.md``). What is added or chosen in front of a spill register shares its LUTs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hls.cost_terms import FITTED, Cost, Params, line_memory, lut_memory
from hls.cycle_terms import window_rows
from hls.devices import Device
from hls.ports import window_size

CONTROL: Mapping[str, float] = {"ecp5": 2.8, "xc7": 1.3, "xcup": 1.3}
"""LUTs per bit of a counter: count, compare with its end, choose what follows."""
OUTBUF_DEPTH = 4
OUTBUF_FF = 14
"""Counters, pointers and flags of a phy_outbuf of that depth, two of them twice."""
LANE: Mapping[str, float] = {"ecp5": 3.0, "xc7": 1.2, "xcup": 1.2}
"""LUTs per bit of a pooling lane: the sum so far, its sum with (or the larger one of) the next."""


def _bits(n: int) -> int:
    """Width of a counter of n values [bit]."""
    return max(1, (n - 1).bit_length())


def _output(width: int, part: Device) -> Cost:
    """The output buffer for beats of ``width`` bits."""
    return lut_memory(OUTBUF_DEPTH, width, part) + Cost(lut=OUTBUF_FF * 2, ff=OUTBUF_FF)


def _spill(width: int) -> Cost:
    return Cost(lut=width + 3, ff=2 * width + 2)


def _control(bits: int, part: Device) -> Cost:
    return Cost(lut=round(CONTROL[part.family] * bits), ff=bits)


def _window(p: Params, part: Device) -> Cost:
    folds, width = p["channels"] // p["simd"], p["simd"] * p["in_bits"]
    out_h, out_w = window_size(p)
    words = p["width"] * folds
    depth = window_rows(p) * words
    addr = _bits(depth)
    column = ((p["width"] + p["kernel_w"] + out_w) * folds).bit_length() + 1
    row = (p["height"] + p["kernel_h"] + out_h).bit_length() + 1
    position = _bits(out_w) + _bits(out_h) + _bits(p["kernel_h"]) + _bits(p["kernel_w"] * folds)
    counters = position + 2 * column + 2 * row + 3 * addr + 2 * (depth.bit_length() + 1) + 1
    pipeline = Cost(lut=addr + width, ff=addr + 4)
    parts = line_memory(depth, width, part) + _output(width, part)
    return _control(counters, part) + pipeline + parts


def _pool(p: Params, part: Device) -> Cost:
    folds, tiles = p["channels"] // p["pe"], p["width"] // p["kernel_w"]
    width = p["pe"] * p["out_bits"]
    depth = tiles * folds if p["kernel_h"] > 1 else folds
    addr = _bits(depth)
    counters = _bits(folds) + _bits(p["kernel_w"]) + _bits(p["kernel_h"]) + _bits(tiles) + 2 * addr
    pipeline = Cost(lut=addr, ff=p["pe"] * p["in_bits"] + addr + width + 7)
    lanes = Cost(lut=round(LANE[part.family] * width + p["pe"] * FITTED[part.family].chain))
    parts = line_memory(depth, width, part) + _output(width, part)
    return _control(counters, part) + pipeline + lanes + parts


def _upsample(p: Params, part: Device) -> Cost:
    folds, width = p["channels"] // p["pe"], p["pe"] * p["elem_bits"]
    depth = max(p["width"] * folds, 4)
    addr = _bits(depth)
    counters = _bits(folds) + _bits(p["scale_w"]) + _bits(p["scale_h"]) + _bits(p["width"])
    counters += 4 * addr + 2 * depth.bit_length() + 2
    parts = line_memory(depth, width, part) + _output(width, part)
    return _control(counters, part) + Cost(ff=addr + 2) + parts


def _duplicate(p: Params, part: Device) -> Cost:
    return _spill(_whole_bytes(p["elems"] * p["elem_bits"])) + Cost(lut=8, ff=2)


def _concat(p: Params, part: Device) -> Cost:
    width = _whole_bytes(p["pe"] * p["elem_bits"])
    beat = _bits((p["channels_a"] + p["channels_b"]) // p["pe"])
    return _spill(width) + _control(beat + 1, part) + Cost(lut=3)


def _split(p: Params, part: Device) -> Cost:
    width = _whole_bytes(p["pe"] * p["elem_bits"])
    beat = _bits((p["channels_a"] + p["channels_b"]) // p["pe"])
    return _spill(width) + _control(beat + 1, part) + Cost(lut=3)


def _add(p: Params, part: Device) -> Cost:
    return _spill(_whole_bytes(p["pe"] * p["out_bits"])) + Cost(lut=p["pe"] + 3)


def _whole_bytes(bits: int) -> int:
    return (bits + 7) // 8 * 8


IMAGE_MODELS: Mapping[str, Callable[[Params, Device], Cost]] = {
    "window": _window,
    "pool": _pool,
    "upsample": _upsample,
    "duplicate": _duplicate,
    "concat": _concat,
    "split": _split,
    "add": _add,
}

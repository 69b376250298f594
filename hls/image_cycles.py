# SPDX-License-Identifier: Apache-2.0
"""When the image kernels offer their beats: the arithmetic behind `hls.cycles`.

Every function mirrors a kernel of ``hls/rtl`` and is exact for an idle one with free outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from hls.ir import IntArray, Layer
from hls.ports import window_size

Params = Mapping[str, int]
Times = tuple[IntArray, ...]

IMAGE_LATENCY: Mapping[str, int] = {
    "window": 4,
    "pool": 3,
    "upsample": 4,
    "duplicate": 1,
    "concat": 1,
    "split": 1,
    "add": 1,
}
"""Cycles from taking the last beat that a result needs to offering it."""


def spaced(cycles: IntArray, gap: int) -> IntArray:
    """Earliest cycles, none before ``cycles`` and each at least ``gap`` after the one before."""
    ramp = gap * np.arange(len(cycles), dtype=np.int64)
    return np.maximum.accumulate(cycles - ramp) + ramp


def image_cycles(layer: Layer, taken: Sequence[IntArray], latency: int) -> Times:
    """Cycles in which beats are offered at each output; see `hls.cycles.port_cycles`."""
    return _TIMES[layer.kind](layer.params, taken, latency)


def window_needs(params: Params) -> IntArray:
    """Pixels of the frame that have come before a position of the kernel begins [out_h * out_w]."""
    p = params
    out_h, out_w = window_size(p)
    rows = np.minimum(np.arange(out_h) - p["pad_top"] + p["kernel_h"], p["height"])
    columns = np.minimum(np.arange(out_w) - p["pad_left"] + p["kernel_w"], p["width"])
    needs = (rows[:, None] - 1) * p["width"] + columns[None, :]
    return np.maximum.accumulate(needs.reshape(-1)).astype(np.int64)


def _window(p: Params, taken: Sequence[IntArray], latency: int) -> Times:
    folds = p["channels"] // p["simd"]
    beats = p["kernel_h"] * p["kernel_w"] * folds
    arrived = spaced(taken[0], 1)[window_needs(p) * folds - 1]
    first = spaced(arrived + latency, beats)
    return ((first[:, None] + np.arange(beats)[None, :]).reshape(-1),)


def _pool(p: Params, taken: Sequence[IntArray], latency: int) -> Times:
    k_h, k_w = p["kernel_h"], p["kernel_w"]
    rows, columns = p["height"] // k_h, p["width"] // k_w
    tiles = spaced(taken[0], 1).reshape(rows, k_h, columns, k_w, p["channels"] // p["pe"])
    return (tiles[:, -1, :, -1].reshape(-1) + latency,)


def _upsample(p: Params, taken: Sequence[IntArray], latency: int) -> Times:
    folds = p["channels"] // p["pe"]
    shape = (p["height"], p["scale_h"], p["width"], p["scale_w"], folds)
    offered = np.zeros(shape, dtype=np.int64)
    offered[:, 0, :, 0] = taken[0].reshape(p["height"], p["width"], folds) + latency
    return (spaced(offered.reshape(-1), 1),)


def _duplicate(p: Params, taken: Sequence[IntArray], latency: int) -> Times:
    return (spaced(taken[0], 1) + latency,) * p["outputs"]


def _concat(p: Params, taken: Sequence[IntArray], latency: int) -> Times:
    pixels = [beats.reshape(p["pixels"], -1) for beats in taken]
    return (spaced(np.concatenate(pixels, axis=1).reshape(-1), 1) + latency,)


def _split(p: Params, taken: Sequence[IntArray], latency: int) -> Times:
    pixels = spaced(taken[0], 1).reshape(p["pixels"], -1) + latency
    beats_a = p["channels_a"] // p["pe"]
    return pixels[:, :beats_a].reshape(-1), pixels[:, beats_a:].reshape(-1)


def _add(p: Params, taken: Sequence[IntArray], latency: int) -> Times:
    return (spaced(np.maximum(*taken), 1) + latency,)


_TIMES: Mapping[str, Callable[[Params, Sequence[IntArray], int], Times]] = {
    "window": _window,
    "pool": _pool,
    "upsample": _upsample,
    "duplicate": _duplicate,
    "concat": _concat,
    "split": _split,
    "add": _add,
}

# SPDX-License-Identifier: Apache-2.0
"""The cycle model: intervals and latencies of the kernels as formulas of their parameters.

The functions mirror ``hls/rtl`` (widths: ``phy_pkg.sv``; latencies: the header of each kernel), and
tests hold both to each other. A beat moves in the cycle in which valid and ready are high; a
latency counts from the cycle in which a beat is taken to the one in which its result is first
offered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from hls.ir import Accelerator, IntArray, Layer
from models.errors import CompileError

ROM_BLOCK_DEPTH = 64
ROM_ROW_DEPTH = 512
ROM_ROW_WORDS = 8
FIFO_BLOCK_DEPTH = 64


@dataclass(frozen=True)
class LayerCycles:
    """Cycles of one layer."""

    ii: int
    """Cycles per frame in steady state."""
    pipeline_latency: int
    """From the last beat that a result needs to the result, in an idle layer."""
    first_output: int
    """From the first beat in to the first beat out, beats arriving in every cycle."""
    last_output: int
    """From the first beat in to the last beat out, beats arriving in every cycle."""


@dataclass(frozen=True)
class AcceleratorCycles:
    """Cycles of a stitched accelerator."""

    ii_cycles: int
    """Cycles per frame in steady state: those of the slowest layer or stream."""
    latency_cycles: int
    """First beat in to last beat out, one frame in an empty accelerator."""
    bottleneck: str
    """Name of the layer or stream that sets the interval."""


def tree_levels(values: int) -> int:
    """Levels of registered four-input adders that sum ``values`` numbers."""
    levels = 0
    while values > 1:
        values = -(-values // 4)
        levels += 1
    return levels


def rom_regs(depth: int) -> int:
    """Registers behind a ROM of that depth [word]."""
    if depth > ROM_ROW_DEPTH:
        return 3
    return 2 if depth >= ROM_BLOCK_DEPTH else 1


def rom_blocks(depth: int, width: int) -> int:
    """Blocks of 18 kbit side by side that hold ``depth`` <= 16384 words of ``width`` bits."""
    for rows, bits in ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2)):
        if depth <= rows:
            return -(-width // bits)
    return width


def rom_rows(depth: int, width: int) -> int:
    """Rows of a ROM of ``depth`` words of ``width`` bits; a row holds ceil(depth / rows) words."""
    if depth <= ROM_ROW_DEPTH:
        return depth
    best, least = 16384, 0
    for rows in (16384, 8192, 4096, 2048, 1024, 512):
        words = -(-depth // rows)
        blocks = rom_blocks(rows, width * words)
        if words <= ROM_ROW_WORDS and (least == 0 or blocks < least):
            best, least = rows, blocks
    return min(best, depth)


def fifo_latency(depth: int) -> int:
    """Cycles through an empty FIFO; 0 for a wire (depth 0)."""
    return 0 if depth == 0 else 1 + (depth > FIFO_BLOCK_DEPTH)


def fifo_spacing(depth: int) -> int:
    """Cycles between the beats that a FIFO can carry: one place is filled or emptied, not both."""
    return 2 if depth == 1 else 1


def pipeline_latency(layer: Layer) -> int:
    """Cycles from taking a beat to offering the result that waited for it, in an idle layer."""
    p = layer.params
    if layer.kind == "mvau":
        steps = p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"])
        return 4 + rom_regs(steps) + tree_levels(p["simd"])
    if layer.kind == "mvau_sparse":
        steps = p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"])
        return 5 + rom_regs(steps) + tree_levels(p["simd"] // p["block"] * p["nnz"])
    if layer.kind == "thresholding":
        folds = p["channels"] // p["pe"]
        return 2 + sum(1 + rom_regs(folds << s) for s in range(p["steps"].bit_length()))
    if layer.kind == "requant":
        return 5 + rom_regs(p["channels"] // p["pe"])
    return 0 if p["in_elems"] == p["out_elems"] else 1


def output_cycles(layer: Layer, taken: IntArray) -> IntArray:
    """Cycles in which an idle layer with a free output offers its beats.

    taken: [beats in] ascending cycles in which the beats of one frame arrive.
    """
    p = layer.params
    latency = pipeline_latency(layer)
    if layer.kind in ("mvau", "mvau_sparse"):
        beats, folds = p["mat_w"] // p["simd"], p["mat_h"] // p["pe"]
        last = int(_spaced(taken, 1)[-1])
        return last + beats * np.arange(folds, dtype=np.int64) + latency
    if layer.kind != "dwc":
        return _spaced(taken, 1) + latency
    if p["in_elems"] > p["out_elems"]:
        ratio = p["in_elems"] // p["out_elems"]
        first = _spaced(taken + latency, ratio)
        return (first[:, None] + np.arange(ratio)[None, :]).reshape(-1)
    ratio = p["out_elems"] // p["in_elems"]
    return _spaced(taken, 1)[ratio - 1 :: ratio] + latency


def layer_cycles(layer: Layer, beats_in: int | None = None) -> LayerCycles:
    """Cycles of one layer.

    beats_in: input beats per frame; only a dwc needs it (its parameters do not tell the frame).
    """
    beats = _beats_in(layer, beats_in)
    offered = output_cycles(layer, np.arange(beats, dtype=np.int64))
    return LayerCycles(
        ii=_ii(layer.kind, layer.params, beats, len(offered)),
        pipeline_latency=pipeline_latency(layer),
        first_output=int(offered[0]),
        last_output=int(offered[-1]),
    )


def accelerator_cycles(acc: Accelerator) -> AcceleratorCycles:
    """Interval and latency of a stitched accelerator whose FIFOs are deep enough."""
    source = acc.stream(acc.input.stream)
    at = {source.name: np.arange(source.beats_per_frame, dtype=np.int64)}
    worst, bottleneck = source.beats_per_frame, source.name
    for layer in acc.layers:
        stream = acc.stream(layer.inputs[0])
        arrival = _through_fifo(at[stream.name], stream.fifo_depth)
        at[layer.outputs[0]] = output_cycles(layer, arrival)
        ii = layer_cycles(layer, stream.beats_per_frame).ii
        if ii > worst:
            worst, bottleneck = ii, layer.name
    for stream in acc.streams:
        if stream.fifo_depth and fifo_spacing(stream.fifo_depth) * stream.beats_per_frame > worst:
            worst = fifo_spacing(stream.fifo_depth) * stream.beats_per_frame
            bottleneck = stream.name
    sink = acc.stream(acc.output.stream)
    last = int(_through_fifo(at[sink.name], sink.fifo_depth)[-1])
    return AcceleratorCycles(worst, last, bottleneck)


def _ii(kind: str, params: Mapping[str, int], beats_in: int, beats_out: int) -> int:
    if kind in ("mvau", "mvau_sparse"):
        return beats_in * (params["mat_h"] // params["pe"])
    return max(beats_in, beats_out)


def _beats_in(layer: Layer, beats_in: int | None) -> int:
    p = layer.params
    if layer.kind in ("mvau", "mvau_sparse"):
        return p["mat_w"] // p["simd"]
    if layer.kind in ("thresholding", "requant"):
        return p["channels"] // p["pe"]
    if beats_in is None:
        raise CompileError(f"{layer.name}: a dwc has no frame of its own: pass beats_in")
    return beats_in


def _through_fifo(cycles: IntArray, depth: int) -> IntArray:
    return _spaced(cycles, fifo_spacing(depth)) + fifo_latency(depth)


def _spaced(cycles: IntArray, gap: int) -> IntArray:
    """Earliest cycles, none before ``cycles`` and each at least ``gap`` after the one before."""
    ramp = gap * np.arange(len(cycles), dtype=np.int64)
    return np.maximum.accumulate(cycles - ramp) + ramp

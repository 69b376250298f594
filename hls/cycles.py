# SPDX-License-Identifier: Apache-2.0
"""The cycle model: intervals and latencies of the kernels as formulas of their parameters.

The functions mirror ``hls/rtl`` (widths: ``phy_pkg.sv``; latencies: the header of each kernel), and
tests hold both to each other. A beat moves in the cycle in which valid and ready are high; a
latency counts from the cycle in which a beat is taken to the one in which its result is first
offered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hls.image_cycles import IMAGE_LATENCY, image_cycles, spaced
from hls.ir import IMAGE_KINDS, MATRIX_KINDS, Accelerator, IntArray, Layer
from hls.ports import input_ports, vectors_of
from models.errors import CompileError

ROM_BLOCK_DEPTH = 64
ROM_ROW_DEPTH = 512
ROM_ROW_WORDS = 8
FIFO_BLOCK_DEPTH = 64
"""Up to this depth a phy_fifo lies in LUT RAM, deeper ones in block RAM."""


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


def window_rows(params: Mapping[str, int]) -> int:
    """Rows of the line buffer of a window; see phy_window_pkg.sv."""
    p = params
    h, w, kh, kw = p["height"], p["width"], p["kernel_h"], p["kernel_w"]
    done = max(w + p["pad_right"] - kw, 0)
    first = min(kw - p["pad_left"], w)
    above = min(kh - p["pad_top"], h) - 1
    most = max((min(kh, h) - 1) * w + min(kw + 1, w), kh * w + first - done)
    if h + p["pad_bottom"] >= kh:
        most = max(most, (kh - p["pad_bottom"] + above) * w + first - done)
    else:
        most = max(most, (h + above) * w + first)
    return -(-most // w)


def pipeline_latency(layer: Layer) -> int:
    """Cycles from taking a beat to offering the result that waited for it, in an idle layer."""
    p = layer.params
    if layer.kind in MATRIX_KINDS:
        steps = p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"])
        if layer.kind == "mvau":
            return 4 + rom_regs(steps) + tree_levels(p["simd"])
        return 5 + rom_regs(steps) + tree_levels(p["simd"] // p["block"] * p["nnz"])
    if layer.kind == "thresholding":
        folds = p["channels"] // p["pe"]
        return 2 + sum(1 + rom_regs(folds << s) for s in range(p["steps"].bit_length()))
    if layer.kind == "requant":
        return 5 + rom_regs(p["channels"] // p["pe"])
    if layer.kind == "dwc":
        return 0 if p["in_elems"] == p["out_elems"] else 1
    return IMAGE_LATENCY[layer.kind]


def output_cycles(layer: Layer, taken: IntArray) -> IntArray:
    """`port_cycles` of a layer with one input and one output."""
    (offered,) = port_cycles(layer, (taken,))
    return offered


def port_cycles(layer: Layer, taken: Sequence[IntArray]) -> tuple[IntArray, ...]:
    """Cycles in which an idle layer with free outputs offers its beats, for each output.

    taken: for each input [beats in] ascending cycles in which the beats of one frame arrive. A
        buffer that is full is left out: beats count as taken when they arrive. That changes no
        output of the layer itself, because what it waits for always has a place.
    """
    latency = pipeline_latency(layer)
    if layer.kind in IMAGE_KINDS:
        return image_cycles(layer, taken, latency)
    p, arrival = layer.params, taken[0]
    if layer.kind in MATRIX_KINDS:
        beats, folds = p["mat_w"] // p["simd"], p["mat_h"] // p["pe"]
        steps = np.zeros((vectors_of(p), folds, beats), dtype=np.int64)
        steps[:, 0] = arrival.reshape(-1, beats) + 1
        issued = spaced(steps.reshape(-1), 1)
        return (issued[beats - 1 :: beats] + latency - 1,)
    if layer.kind != "dwc":
        return (spaced(arrival, 1) + latency,)
    if p["in_elems"] > p["out_elems"]:
        ratio = p["in_elems"] // p["out_elems"]
        first = spaced(arrival + latency, ratio)
        return ((first[:, None] + np.arange(ratio)[None, :]).reshape(-1),)
    ratio = p["out_elems"] // p["in_elems"]
    return (spaced(arrival, 1)[ratio - 1 :: ratio] + latency,)


def layer_cycles(layer: Layer, beats_in: int | None = None) -> LayerCycles:
    """Cycles of one layer.

    beats_in: input beats per frame; only a dwc and a duplicate need it (their parameters do not
        tell the frame).
    """
    beats = [port.beats or _frame(layer, beats_in) for port in input_ports(layer)]
    offered = port_cycles(layer, [np.arange(n, dtype=np.int64) for n in beats])
    return LayerCycles(
        ii=_ii(layer, max([*beats, *(len(times) for times in offered)])),
        pipeline_latency=pipeline_latency(layer),
        first_output=min(int(times[0]) for times in offered),
        last_output=max(int(times[-1]) for times in offered),
    )


def accelerator_cycles(acc: Accelerator) -> AcceleratorCycles:
    """Interval and latency of a stitched accelerator whose FIFOs are deep enough.

    Exact for a layer whose output is free. Where streams fork and join, a branch may stop the other
    one (FIFOs, line buffers): the latency is a lower bound then. The tests hold the RTL of graphs
    to within 10 % of the latency and 2 % of the interval.
    """
    source = acc.stream(acc.input.stream)
    at = {source.name: np.arange(source.beats_per_frame, dtype=np.int64)}
    worst, bottleneck = source.beats_per_frame, source.name
    for layer in acc.layers:
        streams = [acc.stream(name) for name in layer.inputs]
        arrivals = [_through_fifo(at[s.name], s.fifo_depth) for s in streams]
        at.update(zip(layer.outputs, port_cycles(layer, arrivals), strict=True))
        ii = layer_cycles(layer, streams[0].beats_per_frame).ii
        if ii > worst:
            worst, bottleneck = ii, layer.name
    for stream in acc.streams:
        if stream.fifo_depth and fifo_spacing(stream.fifo_depth) * stream.beats_per_frame > worst:
            worst = fifo_spacing(stream.fifo_depth) * stream.beats_per_frame
            bottleneck = stream.name
    sink = acc.stream(acc.output.stream)
    last = int(_through_fifo(at[sink.name], sink.fifo_depth)[-1])
    return AcceleratorCycles(worst, last, bottleneck)


def _ii(layer: Layer, most_beats: int) -> int:
    p = layer.params
    if layer.kind in MATRIX_KINDS:
        return p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"]) * vectors_of(p)
    return most_beats


def _frame(layer: Layer, beats_in: int | None) -> int:
    if beats_in is None:
        raise CompileError(f"{layer.name}: a {layer.kind} has no frame of its own: pass beats_in")
    return beats_in


def _through_fifo(cycles: IntArray, depth: int) -> IntArray:
    return spaced(cycles, fifo_spacing(depth)) + fifo_latency(depth)

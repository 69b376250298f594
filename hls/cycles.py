# SPDX-License-Identifier: Apache-2.0
"""The cycle model: intervals and latencies of kernels, and of accelerators made of them.

`hls.cycle_terms` has what follows from parameters alone, `hls.image_cycles` the image kernels, and
`hls.beat_times` whole accelerators; tests hold all of them to the RTL. A beat moves in the cycle in
which valid and ready are high; a latency counts from the cycle in which a beat is taken to the one
in which its result is first offered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hls.beat_times import latency_cycles
from hls.cycle_terms import fifo_spacing, pipeline_latency
from hls.image_cycles import image_cycles, spaced
from hls.ir import IMAGE_KINDS, MATRIX_KINDS, Accelerator, IntArray, Layer
from hls.ports import input_ports, vectors_of
from models.errors import CompileError


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
    """Interval and latency of a stitched accelerator.

    The latency is that of the RTL, FIFOs and back-pressure included (`hls.beat_times`). An
    accelerator that stands still with the FIFOs that it has, as one of forks and joins does before
    its FIFOs are sized, is given as it would be if no stream of its branches were ever full. The
    interval is that of the slowest layer or stream; where streams fork and join, FIFOs that are too
    shallow may make it longer.
    """
    source = acc.stream(acc.input.stream)
    worst, bottleneck = source.beats_per_frame, source.name
    for layer in acc.layers:
        ii = layer_cycles(layer, acc.stream(layer.inputs[0]).beats_per_frame).ii
        if ii > worst:
            worst, bottleneck = ii, layer.name
    for stream in acc.streams:
        if stream.fifo_depth and fifo_spacing(stream.fifo_depth) * stream.beats_per_frame > worst:
            worst = fifo_spacing(stream.fifo_depth) * stream.beats_per_frame
            bottleneck = stream.name
    return AcceleratorCycles(worst, latency_cycles(acc), bottleneck)


def _ii(layer: Layer, most_beats: int) -> int:
    p = layer.params
    if layer.kind in MATRIX_KINDS:
        return p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"]) * vectors_of(p)
    return most_beats


def _frame(layer: Layer, beats_in: int | None) -> int:
    if beats_in is None:
        raise CompileError(f"{layer.name}: a {layer.kind} has no frame of its own: pass beats_in")
    return beats_in

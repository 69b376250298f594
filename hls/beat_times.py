# SPDX-License-Identifier: Apache-2.0
"""When every beat of a stitched accelerator moves, back-pressure included.

The kernels are processes that take and offer beats in their order, with the buffers that they have
(`hls.beat_kernels`). Every rule is "not before", and none depends on values: each process goes on
for as many beats as it knows of, and in whatever order they run, the cycles are those of the RTL.
If none can go on and beats are missing, the accelerator stands still.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np

from hls.beat_kernels import OUTBUF_DEPTH, Task, Times, Wire, fifo_task, layer_tasks, sink_task
from hls.cycle_terms import fifo_latency, pipeline_latency, window_rows
from hls.ir import Accelerator, IntArray
from models.errors import CompileError

_latencies: dict[str, int] = {}
"""Of the accelerators asked for in this process: estimates, headers and watchdogs all ask."""


@dataclass(frozen=True)
class BeatTimes:
    """Cycles in which beats moved, counted from the first one in."""

    entered: dict[str, IntArray]
    """For each stream the cycles [beats] in which its producer's beats were taken."""
    left: dict[str, IntArray]
    """The same at its consumer; equal where the stream is a wire."""
    ends: IntArray
    """Cycles [frames] of the last beats out; fewer frames than asked for: it stands still."""

    def most(self, stream: str) -> int:
        """Most beats that were in the stream's FIFO at once."""
        entered, left = self.entered[stream], self.left[stream]
        inside = np.arange(1, len(entered) + 1) - np.searchsorted(left, entered, side="right")
        return int(inside.max(initial=0))


def beat_times(
    acc: Accelerator,
    frames: int = 1,
    pace_cycles: int = 0,
    limits: Mapping[str, int] | None = None,
) -> BeatTimes:
    """The cycles of ``frames`` frames from reset, the output always free.

    pace_cycles: cycles per frame at which input is offered, its beats evenly spaced; 0: as fast as
        it is taken.
    limits: places that FIFOs have, in place of their depth; 0: a wire. Latencies stay.
    """
    depths = {s.name: (limits or {}).get(s.name, s.fifo_depth) for s in acc.streams}
    up = {stream.name: Wire() for stream in acc.streams}
    down = {name: Wire() if depth else up[name] for name, depth in depths.items()}
    tasks = [
        fifo_task(up[s.name], down[s.name], depths[s.name], fifo_latency(s.fifo_depth))
        for s in acc.streams
        if depths[s.name]
    ]
    for layer in acc.layers:
        ins, outs = [down[name] for name in layer.inputs], [up[name] for name in layer.outputs]
        tasks += layer_tasks(layer, ins, outs)
    source, sink = acc.stream(acc.input.stream), acc.stream(acc.output.stream)
    tasks.append(sink_task(down[sink.name]))
    beats = np.arange(frames * source.beats_per_frame, dtype=np.int64)
    up[source.name].offered.frombytes((beats * pace_cycles // source.beats_per_frame).tobytes())
    _run(tasks)
    found = {name: _array(wire.taken) for name, wire in up.items()}
    left = {name: _array(wire.taken) for name, wire in down.items()}
    ends = left[sink.name][sink.beats_per_frame - 1 :: sink.beats_per_frame]
    return BeatTimes(found, left, ends)


@dataclass(frozen=True)
class Steady:
    """The interval of a full accelerator."""

    ii_cycles: float
    """Cycles per frame; the mean of the last ones where ``proven`` is False."""
    proven: bool
    """Every frame from some frame on moves every beat this much later than the frame before."""


def steady_interval(acc: Accelerator, fill_frames: int) -> Steady | None:
    """The interval that ``acc`` settles to, its output free; None: it stands still.

    fill_frames: frames that fill it, about; frames are added until it has settled, up to a limit.

    If all beats of more frames than any buffer reaches back are the same cycles later than those of
    the frame before, then so are those of all later frames: every rule is "not before".
    """
    reach = _reach(acc)
    for more in (1, 2, 4):
        frames = more * (fill_frames + 2) + reach
        times = beat_times(acc, frames)
        if len(times.ends) < frames:
            return None
        steps = [
            np.diff(cycles.reshape(frames, -1), axis=0)[-reach:]
            for cycles in (*times.entered.values(), *times.left.values())
        ]
        last = int(steps[0][-1, 0])
        if all((step == last).all() for step in steps):
            return Steady(float(last), proven=True)
    half = frames // 2
    return Steady(float(times.ends[-1] - times.ends[half]) / (frames - 1 - half), proven=False)


def _reach(acc: Accelerator) -> int:
    """Frames back that a rule may look: those that fit into a buffer."""
    places = {s.name: max(s.fifo_depth, OUTBUF_DEPTH) for s in acc.streams}
    rows = [2]
    for layer in acc.layers:
        if layer.kind == "window":
            rows.append(ceil(window_rows(layer.params) / layer.params["height"]))
        for name in layer.outputs:
            places[name] = max(places[name], pipeline_latency(layer) + 2)
    return max(*rows, *(ceil(places[s.name] / s.beats_per_frame) for s in acc.streams)) + 1


def latency_cycles(acc: Accelerator) -> int:
    """First beat in to last beat out of one frame in an empty accelerator; see `hls.cycles`."""
    key = _structure(acc)
    if key not in _latencies:
        ends = beat_times(acc).ends
        if not len(ends):
            ends = beat_times(acc, limits=deep_branches(acc)).ends
        if not len(ends):
            raise CompileError(f"{acc.name}: stands still, however deep its FIFOs are")
        _latencies[key] = int(ends[0])
    return _latencies[key]


def deep_branches(acc: Accelerator) -> dict[str, int]:
    """Depths with which no stream of the branches is ever full while a frame passes."""
    inside = branches(acc)
    return {s.name: 2 * s.beats_per_frame for s in acc.streams if s.name in inside}


def branches(accelerator: Accelerator) -> set[str]:
    """Streams between a layer with several outputs and one with several inputs."""
    behind: set[str] = set()
    for layer in accelerator.layers:
        if len(layer.outputs) > 1 or behind.intersection(layer.inputs):
            behind.update(layer.outputs)
    before: set[str] = set()
    for layer in reversed(accelerator.layers):
        if len(layer.inputs) > 1 or before.intersection(layer.outputs):
            before.update(layer.inputs)
    return behind & before


def _run(tasks: list[Task]) -> None:
    """Until none goes on; a task is looked at again when something that it follows has grown."""
    readers: dict[int, list[int]] = {}
    for index, task in enumerate(tasks):
        for times in task.reads:
            readers.setdefault(id(times), []).append(index)
    followed = [[(t, readers[id(t)]) for t in task.writes if id(t) in readers] for task in tasks]
    known = [[0] * len(written) for written in followed]
    waiting, queued = deque(range(len(tasks))), [True] * len(tasks)
    while waiting:
        index = waiting.popleft()
        queued[index] = False
        next(tasks[index].process)
        lengths = known[index]
        for place, (times, found_by) in enumerate(followed[index]):
            if len(times) == lengths[place]:
                continue
            lengths[place] = len(times)
            for reader in found_by:
                if not queued[reader]:
                    queued[reader] = True
                    waiting.append(reader)


def _array(times: Times[int]) -> IntArray:
    return np.frombuffer(times, dtype=np.int64) if times else np.zeros(0, dtype=np.int64)


def _structure(acc: Accelerator) -> str:
    """All that the cycles follow from."""
    layers = [(la.kind, sorted(la.params.items()), la.inputs, la.outputs) for la in acc.layers]
    streams = [(s.name, s.beats_per_frame, s.fifo_depth) for s in acc.streams]
    text = repr((layers, streams, acc.input.stream, acc.output.stream))
    return hashlib.sha256(text.encode()).hexdigest()

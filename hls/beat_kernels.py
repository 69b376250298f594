# SPDX-License-Identifier: Apache-2.0
"""The kernels of ``hls/rtl`` as processes that take and offer beats; `hls.beat_times` runs them.

Each mirrors the buffers, counters and credits of its kernel. A process yields when its next beat
waits for a cycle that is not known yet, and goes on from there.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import cycle
from math import ceil

import numpy as np

from hls.cycle_terms import pipeline_latency, window_rows
from hls.image_cycles import window_needs
from hls.ir import IntArray, Layer
from hls.ports import window_size

Times = array  # of "q": cycles of beats, in their order
Process = Generator[None, None, None]
OUTBUF_DEPTH = 4
"""Places of the output buffers of window, pool and upsample."""
SPILL_DEPTH = 2
NO_END = 1 << 60


def times() -> Times[int]:
    """Cycles of beats, none yet."""
    return array("q")


@dataclass(frozen=True)
class Wire:
    """Two ports that are joined: when beats are offered at one, and taken at the other."""

    offered: Times[int] = field(default_factory=times)
    """Earliest cycle of each beat, if the one before it is gone."""
    taken: Times[int] = field(default_factory=times)


@dataclass(frozen=True)
class Task:
    """A process and the cycles that it follows and those that it finds."""

    process: Process
    reads: tuple[Times[int], ...]
    writes: tuple[Times[int], ...]


Ports = Sequence[Wire]


def fifo_task(source: Wire, out: Wire, depth: int, latency: int) -> Task:
    """A phy_fifo of ``depth`` beats between two wires."""
    return _pipe(source, out.taken, out.offered, depth, latency)


def sink_task(source: Wire) -> Task:
    """Takes whatever is offered."""
    return _pipe(source, times(), times(), NO_END, 0)


def layer_tasks(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    """The processes of a layer between its wires."""
    return _TASKS[layer.kind](layer, ins, outs)


def _pipe(source: Wire, given: Times[int], out: Times[int], depth: int, latency: int) -> Task:
    """Takes beats while fewer than ``depth`` are inside, and offers each ``latency`` later.

    given: cycles in which beats left; the place is free in the next cycle.
    """

    def process() -> Process:
        offered, taken, now, k = source.offered, source.taken, -1, 0
        while True:
            end = min(len(offered), len(given) + depth)
            while k < end:
                now = max(now + 1, offered[k])
                if k >= depth and now <= given[k - depth]:
                    now = given[k - depth] + 1
                taken.append(now)
                out.append(now + latency)
                k += 1
            yield

    return Task(process(), (source.offered, given), (source.taken, out))


def _stage(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    """Thresholding, requant: a pipeline with an output buffer two places longer than it."""
    latency = pipeline_latency(layer)
    return [_pipe(ins[0], outs[0].taken, outs[0].offered, latency + 2, latency)]


def _matrix(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    """phy_issue keeps two vectors; phy_accumulate gives a credit for every result."""
    p, latency = layer.params, pipeline_latency(layer)
    beats, folds = p["mat_w"] // p["simd"], p["mat_h"] // p["pe"]
    depth = ceil(latency / beats) + 1
    there, freed, out = times(), times(), outs[0]

    def process() -> Process:
        now, word, result = -1, 0, 0
        while True:
            for fold in range(folds):
                quick = beats - 1 if 0 < fold < folds - 1 else 0  # steps that wait for nothing
                now += quick
                for beat in range(quick, beats):
                    now += 1
                    if fold == 0:
                        while len(there) <= word:
                            yield
                        now = max(now, there[word])
                        word += 1
                    if beat == beats - 1 and result >= depth:
                        while len(out.taken) <= result - depth:
                            yield
                        now = max(now, out.taken[result - depth] + 1)
                    if fold == folds - 1:
                        freed.append(now)
                out.offered.append(now + latency - 1)
                result += 1

    return [
        _pipe(ins[0], freed, there, 2 * beats, 1),
        Task(process(), (there, out.taken), (freed, out.offered)),
    ]


def _dwc(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    p, source, out = layer.params, ins[0], outs[0]
    narrower = p["in_elems"] >= p["out_elems"]
    ratio = max(p["in_elems"] // p["out_elems"], p["out_elems"] // p["in_elems"])

    def narrow() -> Process:
        """A beat is taken with the last piece of the one before."""
        now, k = -1, 0
        while True:
            while len(source.offered) <= k or len(out.taken) < k * ratio:
                yield
            now = max(now + 1, source.offered[k])
            if k:
                now = max(now, out.taken[k * ratio - 1])
            source.taken.append(now)
            out.offered.extend(range(now + 1, now + 1 + ratio))
            k += 1

    def wide() -> Process:
        """The last part waits until the beat before is gone."""
        now, k = -1, 0
        while True:
            word, part = divmod(k, ratio)
            while len(source.offered) <= k or (part == ratio - 1 and len(out.taken) < word):
                yield
            now = max(now + 1, source.offered[k])
            if part == ratio - 1:
                now = max(now, out.taken[word - 1] + 1) if word else now
                out.offered.append(now + 1)
            source.taken.append(now)
            k += 1

    def wires() -> Process:
        """Equal widths: what is offered and taken on one side is so on the other."""
        while True:
            out.offered.extend(source.offered[len(out.offered) :])
            source.taken.extend(out.taken[len(source.taken) :])
            yield

    process = wires() if ratio == 1 else narrow() if narrower else wide()
    return [Task(process, (source.offered, out.taken), (source.taken, out.offered))]


def _issue(out: Wire, now: int, given: int, beats: int) -> Generator[None, None, tuple[int, int]]:
    """Issues ``beats`` reads behind cycle ``now``, each with a credit; ``given`` went before.

    Returns the cycle of the last one, and how many have gone.
    """
    offered, taken, end = out.offered, out.taken, given + beats
    while given < end:
        known = min(end, len(taken) + OUTBUF_DEPTH)
        if given == known:
            yield
        while given < known:
            now += 1
            if given >= OUTBUF_DEPTH and now <= taken[given - OUTBUF_DEPTH]:
                now = taken[given - OUTBUF_DEPTH] + 1
            offered.append(now + 3)
            given += 1
    return now, given


def _window(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    """Positions of the kernel, one after another; each waits for its last pixel."""
    p, out = layer.params, outs[0]
    folds = p["channels"] // p["simd"]
    beats, frame = p["kernel_h"] * p["kernel_w"] * folds, p["height"] * p["width"] * folds
    needs, frees = (window_needs(p) * folds).tolist(), (left_behind(p) * folds).tolist()
    there, freed = times(), times()

    def process() -> Process:
        now, given, base = -1, 0, 0
        while True:
            for need, free in zip(needs, frees, strict=True):
                while len(there) < base + need:
                    yield
                now = max(now, there[base + need - 1] - 1)
                now, given = yield from _issue(out, now, given, beats)
                freed.extend([now] * free)
            base += frame

    places = window_rows(p) * p["width"] * folds
    return [
        _pipe(ins[0], freed, there, places, 1),
        Task(process(), (there, out.taken), (freed, out.offered)),
    ]


def left_behind(params: Mapping[str, int]) -> IntArray:
    """Pixels that no position needs any more once a position is done [out_h * out_w]."""
    p = params
    out_h, out_w = window_size(p)
    done = max(out_w - 1 - p["pad_left"], 0)
    free = np.zeros((out_h, out_w), dtype=np.int64)
    free[p["pad_top"] :, p["pad_left"] : -1] = 1
    free[p["pad_top"] :, -1] = p["width"] - done
    above = (out_h - 1 - p["pad_top"]) * p["width"] + done if out_h > p["pad_top"] else 0
    free[-1, -1] = p["height"] * p["width"] - above
    return free.reshape(-1)


def _pool(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    """Only the last beat of a tile waits for a credit."""
    p, source, out = layer.params, ins[0], outs[0]
    rows = (np.arange(p["height"]) + 1) % p["kernel_h"] == 0
    columns = (np.arange(p["width"]) + 1) % p["kernel_w"] == 0
    ends = np.repeat(np.outer(rows, columns).reshape(-1), p["channels"] // p["pe"]).tolist()
    latency = pipeline_latency(layer)

    def process() -> Process:
        now, tile = -1, 0
        for k, end in enumerate(cycle(ends)):
            while len(source.offered) <= k or (end and len(out.taken) <= tile - OUTBUF_DEPTH):
                yield
            now = max(now + 1, source.offered[k])
            if end:
                if tile >= OUTBUF_DEPTH:
                    now = max(now, out.taken[tile - OUTBUF_DEPTH] + 1)
                out.offered.append(now + latency)
                tile += 1
            source.taken.append(now)

    return [Task(process(), (source.offered, out.taken), (source.taken, out.offered))]


def _upsample(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    """A row of words is read ``scale_h`` times."""
    p, out = layer.params, outs[0]
    folds, across, down = p["channels"] // p["pe"], p["scale_w"], p["scale_h"]
    there, freed = times(), times()

    def process() -> Process:
        now, given, word = -1, 0, 0
        while True:
            for copy in range(down):
                for _ in range(p["width"]):
                    for again in range(across):
                        for _ in range(folds):
                            if copy == again == 0:
                                while len(there) <= word:
                                    yield
                                now = max(now, there[word] - 1)
                                word += 1
                            now, given = yield from _issue(out, now, given, 1)
                            if copy == down - 1 and again == across - 1:
                                freed.append(now)

    return [
        _pipe(ins[0], freed, there, max(p["width"] * folds, 4), 1),
        Task(process(), (there, out.taken), (freed, out.offered)),
    ]


def _spilled(source: Wire) -> tuple[Task, Times[int], Times[int]]:
    """A spill register at an input: its task, when beats come out of it and when they are gone."""
    there, gone = times(), times()
    return _pipe(source, gone, there, SPILL_DEPTH, 1), there, gone


def _duplicate(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    """The next beat comes when every output has taken this one."""
    spill, there, gone = _spilled(ins[0])

    def process() -> Process:
        now, k = -1, 0
        while True:
            while len(there) <= k:
                yield
            now = max(now + 1, there[k])
            for out in outs:
                out.offered.append(now)
            while any(len(out.taken) <= k for out in outs):
                yield
            now = max(out.taken[k] for out in outs)
            gone.append(now)
            k += 1

    taken, offered = (out.taken for out in outs), (out.offered for out in outs)
    return [spill, Task(process(), (there, *taken), (gone, *offered))]


def _turns(params: Mapping[str, int]) -> list[int]:
    """Of which stream the beats of a pixel are: 0 or 1."""
    p = params
    return [0] * (p["channels_a"] // p["pe"]) + [1] * (p["channels_b"] // p["pe"])


def _split(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    spill, there, gone = _spilled(ins[0])
    turns = _turns(layer.params)

    def process() -> Process:
        now = -1
        for k, turn in enumerate(cycle(turns)):
            while len(there) <= k:
                yield
            out = outs[turn]
            out.offered.append(max(now + 1, there[k]))
            while len(out.taken) < len(out.offered):
                yield
            now = out.taken[-1]
            gone.append(now)

    taken, offered = (out.taken for out in outs), (out.offered for out in outs)
    return [spill, Task(process(), (there, *taken), (gone, *offered))]


def _join(ins: Ports, out: Wire, turns: Sequence[tuple[int, ...]]) -> list[Task]:
    """A beat of each input in ``turns`` goes into a spill register at the output."""

    def process() -> Process:
        now, heads = -1, [0] * len(ins)
        for k, turn in enumerate(cycle(turns)):
            while len(out.taken) <= k - SPILL_DEPTH or any(
                len(ins[i].offered) <= heads[i] for i in turn
            ):
                yield
            now = max(now + 1, *(ins[i].offered[heads[i]] for i in turn))
            if k >= SPILL_DEPTH:
                now = max(now, out.taken[k - SPILL_DEPTH] + 1)
            for i in turn:
                ins[i].taken.append(now)
                heads[i] += 1
            out.offered.append(now + 1)

    offered, taken = (wire.offered for wire in ins), (wire.taken for wire in ins)
    return [Task(process(), (*offered, out.taken), (*taken, out.offered))]


def _concat(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    return _join(ins, outs[0], [(turn,) for turn in _turns(layer.params)])


def _add(layer: Layer, ins: Ports, outs: Ports) -> list[Task]:
    return _join(ins, outs[0], [(0, 1)])


_TASKS: Mapping[str, Callable[[Layer, Ports, Ports], list[Task]]] = {
    "mvau": _matrix,
    "mvau_sparse": _matrix,
    "thresholding": _stage,
    "requant": _stage,
    "dwc": _dwc,
    "window": _window,
    "pool": _pool,
    "upsample": _upsample,
    "duplicate": _duplicate,
    "concat": _concat,
    "split": _split,
    "add": _add,
}

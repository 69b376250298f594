# SPDX-License-Identifier: Apache-2.0
"""The process that runs one Verilated design: `main` with arguments FD LIBRARY DATA_DIR DIGEST.

It takes `Job`s from the connection on file descriptor FD and answers each with any number of
`Progress` (a sign of life, at least every few seconds) and one `JobResult` or `JobFailure`. A
process of its own keeps the design's working folder, its crashes and its Ctrl-C apart from the
caller's.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hls.sim.native import BatchOptions, Borders, Bytes, Model, Status, StreamCounts
from models.errors import PhyfoldError

SLICE_S = 0.25
FIRST_SLICE_CYCLES = 2000


@dataclass(frozen=True)
class Probe:
    """A stream to watch: scope and names of its wires, and how many of its beats to keep."""

    stream: str
    scope: str
    wires: tuple[str, ...]
    beat_bytes: int
    capture_beats: int = 0


@dataclass(frozen=True)
class Job:
    """One batch, run from reset on a fresh instance of the design."""

    index: int
    beats: Bytes
    """[frames, in_beats, in_bytes]"""
    out_beats: int
    out_bytes: int
    options: BatchOptions
    probes: tuple[Probe, ...] = ()
    pokes: tuple[tuple[str, str, int], ...] = ()
    """(scope, signal, value) written before the reset."""
    trace_path: str = ""


@dataclass(frozen=True)
class Progress:
    """Frames delivered since the last sign of life."""

    index: int
    frames: int


@dataclass(frozen=True)
class JobResult:
    """What a batch gave; for a status other than DONE everything up to the stop."""

    index: int
    status: Status
    output: Bytes
    """[frames, out_beats, out_bytes]"""
    stamps: npt.NDArray[np.int64]
    """[4, frames], see `hls.sim.native.STAMPS`."""
    borders: Borders
    error: str
    seconds: float
    counts: Mapping[str, StreamCounts] = field(default_factory=dict)
    captures: Mapping[str, Bytes] = field(default_factory=dict)
    """Stream -> [captured beats, bytes]."""


@dataclass(frozen=True)
class JobFailure:
    """The batch could not be run at all."""

    index: int
    message: str
    hint: str


def run_job(library: Path, digest: str, job: Job, on_progress: Callable[[int], None]) -> JobResult:
    """Run one batch in this process; ``on_progress`` gets the frames newly delivered.

    digest: SHA-256 of the library, as the caller knows it.
    """
    model = Model(library, digest)
    try:
        return _run(model, job, on_progress)
    finally:
        model.close()


def _run(model: Model, job: Job, on_progress: Callable[[int], None]) -> JobResult:
    frames = len(job.beats)
    output = np.zeros((frames, job.out_beats, job.out_bytes), dtype=np.uint8)
    stamps = np.full((4, frames), -1, dtype=np.int64)
    for scope, name, value in job.pokes:
        if not model.poke(scope, name, value):
            raise PhyfoldError(f"the design has no signal {scope}.{name}")
    buffers = {probe.stream: _watch(model, probe) for probe in job.probes}
    if job.trace_path:
        model.trace(Path(job.trace_path))
    model.begin(np.ascontiguousarray(job.beats), output, stamps, job.options)
    status, seconds = _slices(model, on_progress)
    if job.trace_path:
        model.trace_end()
    counts = {name: model.counts(index) for name, (index, _) in buffers.items()}
    return JobResult(
        index=job.index,
        status=status,
        output=output,
        stamps=stamps,
        borders=model.borders(),
        error=model.error,
        seconds=seconds,
        counts=counts,
        captures={name: data[: counts[name].beats] for name, (_, data) in buffers.items()},
    )


def _watch(model: Model, probe: Probe) -> tuple[int, Bytes]:
    index = model.probe(probe.scope, probe.wires, probe.beat_bytes)
    if index is None:
        names = ", ".join(probe.wires)
        raise PhyfoldError(f"stream {probe.stream}: no wires {names} in scope {probe.scope}")
    buffer = np.zeros((probe.capture_beats, probe.beat_bytes), dtype=np.uint8)
    model.capture(index, buffer)
    return index, buffer


def _slices(model: Model, on_progress: Callable[[int], None]) -> tuple[Status, float]:
    """Runs to the end in slices of about SLICE_S; returns how it ended and the CPU time [s]."""
    cycles, seconds, frames = FIRST_SLICE_CYCLES, 0.0, 0
    while True:
        started = time.process_time()
        status = model.run(cycles)
        elapsed = time.process_time() - started
        seconds += elapsed
        done = model.borders().frames_out
        on_progress(done - frames)
        frames = done
        if status is not Status.RUNNING:
            return status, seconds
        cycles = int(max(100, min(cycles * min(8.0, SLICE_S / max(elapsed, 1e-6)), 1e9)))


def main() -> None:
    """Serve jobs until the connection closes."""
    connection = Connection(int(sys.argv[1]))
    library, digest = Path(sys.argv[2]), sys.argv[4]
    os.chdir(sys.argv[3])  # the design names its memory files relative to this folder
    try:
        while True:
            _serve(connection, library, digest)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the caller is gone


def _serve(connection: Connection, library: Path, digest: str) -> None:
    job: Job = connection.recv()
    try:
        answer: JobResult | JobFailure = run_job(
            library, digest, job, lambda frames: connection.send(Progress(job.index, frames))
        )
    except PhyfoldError as error:
        answer = JobFailure(job.index, error.message, error.hint)
    connection.send(answer)

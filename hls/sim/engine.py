# SPDX-License-Identifier: Apache-2.0
"""Whole batches of frames through a Verilated accelerator: integers in, integers and cycles out.

The frames are cut into segments. Every segment runs from reset on a fresh instance of the design,
so that nothing in a result depends on how many processes the segments were spread over: the cut
follows from the number of frames alone.

Cycles: a beat moves in the cycle in which its valid and ready are both high; stamps are those
cycles, counted from 0 after reset, anew in each segment.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import TracebackType

import numpy as np
import numpy.typing as npt

from hls.cycles import accelerator_cycles
from hls.ir import Accelerator, IntArray
from hls.sim.native import BatchOptions, Bytes, Status, StreamCounts
from hls.sim.packing import pack, unpack
from hls.sim.pool import WorkerPool
from hls.sim.streams import probes_of
from hls.sim.verilate import SimBinary, Variant, build
from hls.sim.worker import Job, JobResult, Probe
from models.errors import CheckError, ConfigError, ToolError

log = logging.getLogger(__name__)

SEGMENTS = 16
MIN_SEGMENT_FRAMES = 64
MAX_SEGMENT_FRAMES = 2048
MIN_WATCHDOG_CYCLES = 20_000

ProgressFn = Callable[[int, int], None]


@dataclass(frozen=True)
class Disturbance:
    """Random gaps at the input and back-pressure at the output."""

    seed: int
    gap_probability: float = 0.0
    """That a gap precedes an input beat."""
    stall_probability: float = 0.0
    """That a stall begins in a cycle in which the output could take a beat."""
    max_run: int = 1
    """Gaps and stalls last 1 to ``max_run`` cycles."""

    def __post_init__(self) -> None:
        for name in ("gap_probability", "stall_probability"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ConfigError(f"{name}={getattr(self, name)}: must be in [0, 1)")
        if self.max_run < 1:
            raise ConfigError(f"max_run={self.max_run}: must be 1 or more cycles")


@dataclass(frozen=True)
class SimResult:
    """What the frames gave and how long they took, frame by frame and in all."""

    outputs: IntArray
    """[n, out_elems] codes in the element order of the output stream."""
    in_first: IntArray
    """[n] cycle in which the first beat of a frame was taken; its last; the same at the output."""
    in_last: IntArray
    out_first: IntArray
    out_last: IntArray
    segment_frames: int
    """Frames per segment; the stamps start at 0 in each."""
    ii_cycles: float | None
    """Mean cycles from frame to frame at the output once the accelerator is full; None if the
    segments are too short to tell. With a disturbance it is the disturbed one."""
    latency_cycles: int
    """Cycles from the first beat in to the last beat out of a frame that meets an empty
    accelerator and no disturbance."""
    cycles: int
    """Simulated cycles in all, and the CPU time they took [s], summed over processes."""
    seconds: float
    streams: Mapping[str, StreamCounts]
    """Counters per stream (largest high-water, sums of the rest); empty for the fast variant."""

    @property
    def sim_cycles_per_s(self) -> float:
        """Simulation speed of one core."""
        return self.cycles / self.seconds if self.seconds > 0 else 0.0


class Simulator:
    """Processes that simulate one accelerator, kept for several batches; a context manager."""

    def __init__(
        self,
        binary: SimBinary,
        *,
        shards: int = 1,
        watchdog_cycles: int | None = None,
        explain: bool = True,
    ) -> None:
        """Prepare to run ``binary`` in ``shards`` processes (started when they are needed).

        watchdog_cycles: see `default_watchdog`.
        explain: on a deadlock of the fast variant, build the probe variant to name the stream.
        """
        self.binary = binary
        self._explain = explain
        self.accelerator = binary.accelerator
        self._pool = WorkerPool(binary.library, binary.data_dir, shards)
        self._watchdog = watchdog_cycles or default_watchdog(self.accelerator)
        self._latency: int | None = None

    def __enter__(self) -> Simulator:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.close()

    def run(
        self,
        codes: npt.ArrayLike,
        *,
        disturbance: Disturbance | None = None,
        segment_frames: int | None = None,
        progress: ProgressFn | None = None,
        pokes: tuple[tuple[str, str, int], ...] = (),
        pace_cycles: int = 0,
    ) -> SimResult:
        """Simulate frames.

        codes: [n, *input shape] integers in the input border's format.
        segment_frames: frames per segment; by default it follows from n.
        progress: called with (frames delivered, n).
        pokes: (scope, signal, value) to write before each reset (limit variant only).
        pace_cycles: cycles per frame at which input is offered, its beats evenly spaced; 0: as fast
            as it is taken.
        The probe and limit variants watch all streams (`SimResult.streams`).
        Raises ConfigError for codes that do not fit, CheckError for a deadlock or a broken stream
        protocol, ToolError if the simulation itself fails.
        """
        frames = flat_codes(self.accelerator, codes)
        size = segment_frames or default_segment(len(frames))
        latency = self._measure_latency(frames, pokes)
        done = 0

        def advance(count: int) -> None:
            nonlocal done
            done += count
            if progress is not None:
                progress(done, len(frames))

        jobs = (
            replace(job, options=replace(job.options, pace_cycles=pace_cycles))
            for job in self._jobs(frames, size, disturbance, pokes)
        )
        results = sorted(self._checked(jobs, advance), key=lambda result: result.index)
        return self._join(results, size, latency)

    def _jobs(
        self,
        frames: IntArray,
        size: int,
        disturbance: Disturbance | None,
        pokes: tuple[tuple[str, str, int], ...],
    ) -> Iterator[Job]:
        watched = self.binary.variant in (Variant.PROBE, Variant.LIMIT)
        probes = probes_of(self.binary.top_name, self.accelerator) if watched else ()
        for index, start in enumerate(range(0, len(frames), size)):
            yield self.job(index, frames[start : start + size], disturbance, probes, pokes)

    def job(
        self,
        index: int,
        frames: IntArray,
        disturbance: Disturbance | None = None,
        probes: tuple[Probe, ...] = (),
        pokes: tuple[tuple[str, str, int], ...] = (),
    ) -> Job:
        """The job that runs ``frames`` [n, in_elems] from reset."""
        source = self.accelerator.stream(self.accelerator.input.stream)
        sink = self.accelerator.stream(self.accelerator.output.stream)
        options = BatchOptions(watchdog_cycles=self._watchdog)
        if disturbance is not None:
            options = BatchOptions(
                watchdog_cycles=self._watchdog + 100 * disturbance.max_run,
                seed=_segment_seed(disturbance.seed, index),
                gap_probability=disturbance.gap_probability,
                stall_probability=disturbance.stall_probability,
                max_run=disturbance.max_run,
            )
        return Job(
            index=index,
            beats=pack(frames, source.fmt, source.elems_per_beat),
            out_beats=sink.beats_per_frame,
            out_bytes=sink.tdata_bytes,
            options=options,
            probes=probes,
            pokes=pokes,
        )

    def run_jobs(self, jobs: Iterator[Job]) -> Iterator[JobResult]:
        """Run jobs as they are; every status other than DONE raises."""
        return self._checked(jobs, None)

    def _checked(
        self, jobs: Iterator[Job], advance: Callable[[int], None] | None
    ) -> Iterator[JobResult]:
        running: dict[int, Job] = {}

        def noted() -> Iterator[Job]:
            for job in jobs:
                running[job.index] = job
                yield job

        for result in self._pool.run(noted(), advance):
            job = running.pop(result.index)
            if result.status is Status.DEADLOCK:
                shown = self._watched(job) if self._explain and not result.counts else result
                raise CheckError(
                    deadlock_message(self.accelerator, shown, self._watchdog),
                    hint="a FIFO is too shallow, or a layer waits for more beats than it gets",
                )
            if result.status is Status.PROTOCOL:
                raise CheckError(f"{self.accelerator.name}: {result.error}")
            if result.status is Status.FAILED:
                raise ToolError(f"{self.accelerator.name}: simulation stopped: {result.error}")
            yield result

    def _watched(self, job: Job) -> JobResult:
        """The result of ``job`` with every stream watched."""
        self._pool.close()
        binary = build(
            self.binary.files, self.accelerator, self.binary.out_dir, variant=Variant.PROBE
        )
        probes = probes_of(binary.top_name, self.accelerator)
        with WorkerPool(binary.library, binary.data_dir, 1) as pool:
            (result,) = pool.run(iter([replace(job, probes=probes)]))
        return result

    def _measure_latency(self, frames: IntArray, pokes: tuple[tuple[str, str, int], ...]) -> int:
        if self._latency is None or pokes:
            job = self.job(0, frames[:1], pokes=pokes)
            (result,) = self._checked(iter([job]), None)
            self._latency = int(result.stamps[3, 0] - result.stamps[0, 0])
        return self._latency

    def _join(self, results: list[JobResult], size: int, latency: int) -> SimResult:
        sink = self.accelerator.stream(self.accelerator.output.stream)
        beats: Bytes = np.concatenate([result.output for result in results])
        stamps = np.concatenate([result.stamps for result in results], axis=1)
        return SimResult(
            outputs=unpack(beats, sink.fmt, sink.elems_per_beat),
            in_first=stamps[0],
            in_last=stamps[1],
            out_first=stamps[2],
            out_last=stamps[3],
            segment_frames=size,
            ii_cycles=mean_ii([result.stamps for result in results], latency),
            latency_cycles=latency,
            cycles=sum(result.borders.cycles for result in results),
            seconds=sum(result.seconds for result in results),
            streams=_sum_counts([result.counts for result in results]),
        )


def simulate(
    binary: SimBinary,
    codes: npt.ArrayLike,
    *,
    disturbance: Disturbance | None = None,
    shards: int = 1,
    progress: ProgressFn | None = None,
    segment_frames: int | None = None,
    watchdog_cycles: int | None = None,
) -> SimResult:
    """`Simulator.run` for a single batch: starts ``shards`` processes and ends them."""
    with Simulator(binary, shards=shards, watchdog_cycles=watchdog_cycles) as simulator:
        return simulator.run(
            codes, disturbance=disturbance, progress=progress, segment_frames=segment_frames
        )


def flat_codes(accelerator: Accelerator, codes: npt.ArrayLike) -> IntArray:
    """Input codes [n, *shape] as [n, elements], checked against the input border."""
    array = np.asarray(codes)
    shape = accelerator.input.shape
    if array.ndim < 1 or array.shape[1:] != shape or len(array) == 0:
        raise ConfigError(f"input codes of shape {array.shape}: must be (n, {shape}) with n >= 1")
    if array.dtype.kind not in "iu":
        raise ConfigError(f"input codes of type {array.dtype}: must be integers")
    if not accelerator.input.fmt.allowed(array):
        raise ConfigError(
            f"input codes from {array.min()} to {array.max()} do not fit {accelerator.input.fmt}"
        )
    return array.reshape(len(array), math.prod(shape)).astype(np.int64)


def default_segment(frames: int) -> int:
    """Frames per segment for a batch of ``frames`` frames."""
    return min(MAX_SEGMENT_FRAMES, max(MIN_SEGMENT_FRAMES, math.ceil(frames / SEGMENTS)))


def default_watchdog(accelerator: Accelerator) -> int:
    """Cycles without a beat at either border after which a design counts as stuck.

    Four times the latency that the cycle model gives, and of the interval.
    """
    model = accelerator_cycles(accelerator)
    return max(MIN_WATCHDOG_CYCLES, 4 * (model.latency_cycles + model.ii_cycles))


def mean_ii(stamps: list[IntArray], latency_cycles: int) -> float | None:
    """Mean cycles per frame between the last beats out, the filling of each segment left out.

    stamps: [4, frames] per segment. The first ``latency / II + 1`` frames of a segment, at most
    half of it, are its filling.
    """
    cycles = frames = 0
    for segment in stamps:
        out_last = segment[3]
        if len(out_last) < 3:
            continue
        rough = max(1.0, float(out_last[-1] - out_last[0]) / (len(out_last) - 1))
        warm = min(len(out_last) // 2, math.ceil(latency_cycles / rough) + 1)
        cycles += int(out_last[-1] - out_last[warm])
        frames += len(out_last) - 1 - warm
    return cycles / frames if frames else None


def deadlock_message(accelerator: Accelerator, result: JobResult, watchdog_cycles: int) -> str:
    """What stood still and where, stream by stream if the streams were watched."""
    b = result.borders
    lines = [
        f"{accelerator.name}: deadlock: no beat moved at its borders for {watchdog_cycles} cycles "
        f"(cycle {b.cycles}, {b.frames_in} frames in, {b.frames_out} out)"
    ]
    levels = {name: (count.valid, count.ready) for name, count in result.counts.items()}
    levels = levels or {
        accelerator.input.stream: (b.s_valid, b.s_ready),
        accelerator.output.stream: (b.m_valid, b.m_ready),
    }
    stuck = [name for name, (valid, ready) in levels.items() if valid and not ready]
    if stuck:
        stream = accelerator.stream(stuck[-1])
        lines.append(
            f"stuck at stream {stream.name}: {stream.consumer or 'the host'} takes nothing"
        )
    else:
        waiting = [name for name, (valid, ready) in levels.items() if ready and not valid]
        if waiting:
            stream = accelerator.stream(waiting[0])
            lines.append(
                f"starved at stream {stream.name}: {stream.producer or 'the host'} gives nothing"
            )
    lines += [f"  {name}: valid={int(v)} ready={int(r)}" for name, (v, r) in levels.items()]
    return "\n".join(lines)


def _segment_seed(seed: int, index: int) -> int:
    state = np.random.SeedSequence([seed, index]).generate_state(1, np.uint64)
    return int(state[0])


def _sum_counts(counts: list[Mapping[str, StreamCounts]]) -> dict[str, StreamCounts]:
    total: dict[str, StreamCounts] = {}
    for segment in counts:
        for name, one in segment.items():
            old = total.get(name)
            total[name] = (
                one
                if old is None
                else StreamCounts(
                    beats=old.beats + one.beats,
                    stall_cycles=old.stall_cycles + one.stall_cycles,
                    starve_cycles=old.starve_cycles + one.starve_cycles,
                    high_water=max(old.high_water, one.high_water),
                    valid=one.valid,
                    ready=one.ready,
                )
            )
    return total

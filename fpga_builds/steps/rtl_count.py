# SPDX-License-Identifier: Apache-2.0
"""Frames counted on the RTL, chunk by chunk, bit for bit against QONNX.

A frame in which the two differ is judged (`hls.float32_frames`): exact integer arithmetic says who
is right. What float32 rounding of QONNX explains is counted and listed, all else is a mismatch.

Every chunk is counted once and kept in the cache, keyed by all that it follows from: a killed
simulation goes on, and more frames are added to those counted. The result does not depend on the
number of processes. What is counted (bit errors, reconstruction errors) the caller says.
"""

from __future__ import annotations

import hashlib
import io
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fpga_builds import stimulus
from fpga_builds.config import BuildConfig
from fpga_builds.flow import StepContext
from fpga_builds.metrics import Better, Metric
from fpga_builds.progress import Advance
from fpga_builds.rtl_index import load_rtl
from fpga_builds.stimulus import Chunk
from fpga_builds.storage import hash_json, hash_path
from fpga_builds.versions import package_version
from hls.borders import decide_outputs
from hls.float32_frames import LISTED, FloatReference, Verdict, listed
from hls.ir import Accelerator, IntArray
from models.errors import CheckError, MismatchError, PhyfoldError
from models.files import write_atomic
from models.limits import UNREADABLE, load_array
from models.sealed import read_sealed, tell_unusable, write_sealed

if TYPE_CHECKING:
    from hls.sim.engine import Disturbance, SimResult

log = logging.getLogger(__name__)

SOURCE = "50-simulate/simulation.json"
Judge = Callable[[Any, IntArray, IntArray, Any], Verdict]


@dataclass(frozen=True)
class Bench:
    """All that a chunk needs, opened once.

    Attributes:
        accelerator: its borders say what codes mean.
        simulate: (codes [n, *shape], progress) to `SimResult`.
        qonnx: host values [n, *shape] float32 to model outputs.
        frames: frames of a chunk: (bits sent or None, host values).
        explain: names layer and value of the mismatch in one frame: (codes, frame) to text.
        score: (chunk, first value of ``frames``, outputs [n, out]) to what is kept of the outputs,
            as plain data; None if there is nothing to count.
        keyed: what the counts follow from beside RTL, model and the settings of the simulation.
        keep_outputs: outputs are kept too, see `outputs_of`.
        judge: (host values, codes, outputs of the RTL, frames that differ) to what these frames
            are, see `hls.float32_frames.FloatReference.judge`. None: mismatches.
    """

    accelerator: Accelerator
    simulate: Callable[[IntArray, Callable[[int, int], None]], SimResult]
    qonnx: Callable[[Any], Any]
    frames: Callable[[Chunk], tuple[Any, Any]]
    explain: Callable[[IntArray, int], str]
    score: Callable[[Chunk, Any, IntArray], dict[str, Any] | None]
    keyed: tuple[Any, ...] = ()
    keep_outputs: bool = False
    judge: Judge | None = None


@contextmanager
def rtl_bench(
    context: StepContext,
    accelerator: Accelerator,
    frames: Callable[[Chunk], tuple[Any, Any]],
    score: Callable[[Chunk, Any, IntArray], dict[str, Any] | None],
    *,
    keyed: tuple[Any, ...] = (),
    keep_outputs: bool = False,
) -> Iterator[Bench]:
    """A bench on the RTL of the build, compiled and started; stopped at the end."""
    from hls.sim.engine import Simulator
    from hls.sim.verilate import build

    with context.reporter.bar("verilate and compile C++"):
        rtl, folder = load_rtl(context.input("rtl_index")), context.cache / "verilator"
        binary = build(rtl, accelerator, folder, jobs=context.jobs)
    context.reporter.kept = f"the compiled simulator in {folder}"
    disturbance = disturbance_of(context.config)
    with Simulator(binary, shards=context.jobs) as simulator:
        yield Bench(
            accelerator=accelerator,
            simulate=lambda codes, progress: simulator.run(
                codes, disturbance=disturbance, progress=progress
            ),
            qonnx=qonnx_runner(context.input("model")),
            frames=frames,
            explain=_explainer(context, accelerator, disturbance),
            score=score,
            keyed=keyed,
            keep_outputs=keep_outputs,
            judge=_judge(context),
        )


def disturbance_of(config: BuildConfig) -> Disturbance | None:
    """Gaps and stalls that the build asks for, if any."""
    from hls.sim.engine import Disturbance

    sim = config.simulate
    if not sim.gap_probability and not sim.stall_probability:
        return None
    return Disturbance(sim.disturb_seed, sim.gap_probability, sim.stall_probability)


def _judge(context: StepContext) -> Judge:
    """Opened for the first frame that differs: mostly there is none."""

    @cache
    def reference() -> FloatReference:
        kind = context.config.compile.output
        return FloatReference.open(context.input("accelerator"), context.input("model"), kind)

    return lambda x, codes, rtl, frames: reference().judge(x, codes, rtl, frames)


def qonnx_runner(model: Path) -> Callable[[Any], Any]:
    """Executes a QONNX file: host values to outputs."""
    from hls.qonnx_exec import load_model, run_qonnx

    loaded = load_model(model)
    return lambda x: run_qonnx(loaded, x)


def _explainer(
    context: StepContext, accelerator: Accelerator, disturbance: Disturbance | None
) -> Callable[[IntArray, int], str]:
    def explain(codes: IntArray, frame: int) -> str:
        from hls.sim.locate import locate

        rtl = load_rtl(context.input("rtl_index"))
        try:
            found = locate(
                rtl, accelerator, codes, frame, context.cache / "verilator", disturbance=disturbance
            )
        except PhyfoldError as error:
            return f"the layer could not be located: {error}"
        if found is None:
            return (
                "every layer agrees with the integer reference, and float32 rounding does not "
                "explain it: QONNX and the compiler differ"
            )
        return (
            f"layer {found.layer} (stream {found.stream}) gives {found.got} at element "
            f"{found.element}, expected {found.expected}"
        )

    return explain


def cache_key(context: StepContext, keyed: tuple[Any, ...] = ()) -> str:
    """Hash of all that a chunk's counts follow from, besides the chunk itself."""
    sim = context.config.simulate
    parts = [
        hash_path(context.input("rtl")),
        hash_path(context.input("accelerator")),
        hash_path(context.input("model")),
        [sim.seed, sim.chunk_frames],
        [sim.gap_probability, sim.stall_probability, sim.disturb_seed],
        context.config.compile.output,
        context.made_by,
        keyed,
    ]
    return hash_json(parts)


def count_chunks(context: StepContext, bench: Bench) -> list[dict[str, Any]]:
    """The records of all chunks: read where they were counted before, else counted now."""
    key = cache_key(context, bench.keyed)
    folder = _cache_folder(context, key)
    chunks = stimulus.chunks_of(context.config)
    total = sum(chunk.frames for chunk in chunks)
    records: list[dict[str, Any]] = []
    done = fresh = 0
    with context.reporter.bar("frames on RTL", total) as advance:
        for number, chunk in enumerate(chunks):
            path = folder / f"{chunk.label}.json"
            belongs_to = f"{key} {chunk.label}"
            record = _kept(path, belongs_to, outputs=bench.keep_outputs)
            if record is None:
                shift = partial(_shifted, advance, done, total)
                record, outputs = count_chunk(context.config, bench, chunk, shift)
                if bench.keep_outputs:
                    save_array(path.with_suffix(".npy"), outputs)
                write_sealed(path, record, belongs_to)
                fresh += 1
            records.append(record)
            done += chunk.frames
            advance(done, total)
            counted = f"{number + 1} of {len(chunks)} chunks of frames, counted"
            context.reporter.kept = f"the compiled simulator; {counted}"
    log.info("%d chunks counted now, %d kept from before", fresh, len(chunks) - fresh)
    return records


def _kept(path: Path, belongs_to: str, *, outputs: bool) -> dict[str, Any] | None:
    """The record of a chunk counted before, its outputs beside it if wanted; None if not whole."""
    record = read_sealed(path, belongs_to)
    if record is not None and outputs:
        place = path.with_suffix(".npy")
        if _outputs_hash(_load_outputs(place)) != record.get("outputs_sha256"):
            tell_unusable(place)
            return None
    return record


def _load_outputs(path: Path) -> IntArray | None:
    try:
        array: IntArray = load_array(path).astype(np.int64)
    except UNREADABLE:
        return None
    return array


def _outputs_hash(outputs: IntArray | None) -> str | None:
    if outputs is None:
        return None
    return hashlib.sha256(outputs.astype(np.int64).tobytes()).hexdigest()


def outputs_of(context: StepContext, bench: Bench) -> IntArray:
    """Outputs [n, out] of all chunks, in order, of a bench that keeps them and has counted."""
    folder = _cache_folder(context, cache_key(context, bench.keyed))
    chunks = stimulus.chunks_of(context.config)
    found = [_load_outputs(folder / f"{chunk.label}.npy") for chunk in chunks]
    parts = [part for part in found if part is not None]
    if len(parts) < len(chunks):
        raise CheckError(
            f"{folder}: outputs of a chunk vanished while they were counted",
            hint="run the same command again",
        )
    outputs: IntArray = np.concatenate(parts)
    return outputs


def save_array(path: Path, array: IntArray) -> None:
    """Write integers as a .npy file, whole or not at all, as narrow as they are."""
    kind = np.min_scalar_type(int(array.min(initial=0)))
    kind = np.promote_types(kind, np.min_scalar_type(int(array.max(initial=0))))
    buffer = io.BytesIO()
    np.save(buffer, array.astype(kind), allow_pickle=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, buffer.getvalue())


def _cache_folder(context: StepContext, key: str) -> Path:
    return context.cache / "simulate" / key[:16]


def _shifted(advance: Advance, before: int, total: int, done: int, _frames: int) -> None:
    advance(before + done, total)


def count_chunk(
    config: BuildConfig, bench: Bench, chunk: Chunk, progress: Callable[[int, int], None]
) -> tuple[dict[str, Any], IntArray]:
    """Simulate one chunk and compare it with QONNX; ``progress`` is told (frames done, frames).

    Returns:
        The chunk's record, plain data, and its outputs [n, out].

    Raises:
        MismatchError: a bit differs; names the first frame, and the layer and value in it.
    """
    truth, x = bench.frames(chunk)
    codes = stimulus.input_codes(bench.accelerator.input, x)
    result = bench.simulate(codes, progress)
    expected = decide_outputs(bench.qonnx(x), config.compile.output, bench.accelerator.output)
    rtl = np.asarray(result.outputs).reshape(len(codes), -1)
    verdict = _judged(bench, x, codes, rtl, expected)
    settled = [*verdict.alone.tolist(), *(place.frame for place in verdict.rounded)]
    expected[settled] = rtl[settled]
    _compare(config, bench, chunk, codes, rtl, expected)
    first = chunk.index * config.simulate.chunk_frames
    record: dict[str, Any] = {
        "snr_db": chunk.snr_db,
        "index": chunk.index,
        "frames": chunk.frames,
        "mismatches": 0,
        "rerun_alone": len(verdict.alone),
        "float32_frames": len(verdict.rounded),
        "float32": listed(verdict.rounded, first, snr_db=chunk.snr_db),
        "ii_cycles": result.ii_cycles,
        "latency_cycles": result.latency_cycles,
        "cycles": result.cycles,
        "seconds": result.seconds,
        "outputs_sha256": _outputs_hash(rtl),
    }
    if (counted := bench.score(chunk, truth, rtl)) is not None:
        # equal, or QONNX was rounded and exact arithmetic gives what the RTL gave
        record["rtl"] = record["qonnx"] = counted
    return record, rtl


def _judged(bench: Bench, x: Any, codes: IntArray, rtl: IntArray, expected: IntArray) -> Verdict:
    """What the frames are in which RTL and QONNX differ."""
    if rtl.shape != expected.shape or bench.judge is None:
        return Verdict()
    differ = np.flatnonzero((rtl != expected).any(axis=1))
    return bench.judge(x, codes, rtl, differ) if len(differ) else Verdict()


def _compare(  # noqa: PLR0917
    config: BuildConfig,
    bench: Bench,
    chunk: Chunk,
    codes: IntArray,
    rtl: IntArray,
    expected: IntArray,
) -> None:
    if rtl.shape != expected.shape:
        raise MismatchError(
            f"{config.name}: RTL gives {rtl.shape} values, QONNX {expected.shape}",
            hint="compile.output does not fit the model",
        )
    wrong = np.flatnonzero((rtl != expected).any(axis=1))
    if not len(wrong):
        return
    frame = int(wrong[0])
    place = int(np.flatnonzero(rtl[frame] != expected[frame])[0])
    number = chunk.index * config.simulate.chunk_frames + frame
    where = "" if chunk.snr_db is None else f" at {chunk.snr_db:g} dB"
    raise MismatchError(
        f"{config.name}: RTL and QONNX differ in {len(wrong)} of {chunk.frames} frames{where}; "
        f"first in frame {number} (seed {config.simulate.seed}), output {place}: RTL gives "
        f"{rtl[frame, place]}, QONNX {expected[frame, place]}; " + bench.explain(codes, frame)
    )


def cycles_summary(
    config: BuildConfig, accelerator: Accelerator, records: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Frames, mismatches, frames of float32 rounding and cycles of all chunks, added up."""
    cycles = sum(record["cycles"] for record in records)
    seconds = sum(record["seconds"] for record in records)
    timed = [record for record in records if record["ii_cycles"] is not None]
    weight = sum(record["frames"] for record in timed)
    ii = sum(r["ii_cycles"] * r["frames"] for r in timed) / weight if weight else None
    return {
        "build": config.name,
        "frames": sum(record["frames"] for record in records),
        "stimulus": stimulus.kind_of(config).value,
        "seed": config.simulate.seed,
        "mismatches": sum(record["mismatches"] for record in records),
        "rerun_alone": sum(record.get("rerun_alone", 0) for record in records),
        "float32_frames": sum(record.get("float32_frames", 0) for record in records),
        "float32": [f for record in records for f in record.get("float32", [])][:LISTED],
        "ii_cycles": ii,
        "latency_cycles": max(record["latency_cycles"] for record in records),
        "clock_mhz": accelerator.clock_mhz,
        "sim_cycles_per_s": cycles / seconds if seconds else None,
        "cycles": cycles,
        "disturbed": bool(config.simulate.gap_probability or config.simulate.stall_probability),
    }


def rtl_metric(
    name: str,
    value: float | None,
    unit: str,
    better: Better,
    *,
    ci95: Sequence[float] | None = None,
    reason: str = "",
) -> Metric:
    """A metric that was measured in simulation of the RTL."""
    version = str(package_version("verilator"))
    interval = None if ci95 is None else (ci95[0], ci95[1])
    why = reason if value is None else ""
    return Metric(
        *(name, value, unit, better, "rtlsim", "verilator", version, SOURCE),
        ci95=interval,
        reason=why,
    )


def cycle_metrics(body: Mapping[str, Any]) -> list[Metric]:
    """Mismatches, frames, cycles and rates of a `cycles_summary`."""
    clock_mhz, ii = body["clock_mhz"], body["ii_cycles"]
    rate = None if ii is None else clock_mhz * 1e6 / ii
    short = "too few frames in a segment to see the steady state"
    rows: list[tuple[str, Any, str, Better, str]] = [
        ("mismatches", body["mismatches"], "frames", "lower", ""),
        ("float32_frames", body["float32_frames"], "frames", "neither", ""),
        ("frames", body["frames"], "frames", "higher", ""),
        ("ii_cycles", ii, "cycles", "lower", short),
        ("latency_cycles", body["latency_cycles"], "cycles", "lower", ""),
        ("latency_us", body["latency_cycles"] / clock_mhz, "us", "lower", ""),
        ("throughput_per_s", rate, "frames/s", "higher", short),
        ("sim_cycles_per_s", body["sim_cycles_per_s"], "cycles/s", "higher", "clock too coarse"),
    ]
    return [rtl_metric(name, value, unit, way, reason=why) for name, value, unit, way, why in rows]

# SPDX-License-Identifier: Apache-2.0
"""Step simulate: BER counted on the RTL, bit for bit against QONNX on the same frames.

Every chunk of frames is counted once and kept in the cache, keyed by RTL, model, channel and seed:
a killed simulation goes on, and more frames are added to those counted. The result does not depend
on the number of processes.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fpga_builds import stimulus
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.progress import Advance
from fpga_builds.state import State
from fpga_builds.steps.hdl import load_rtl
from fpga_builds.stimulus import Chunk
from fpga_builds.storage import hash_json, hash_path, hash_sources, read_json, write_json
from fpga_builds.versions import package_version
from hls.compiler import decide_outputs
from hls.ir import Accelerator, IntArray
from models.errors import ConfigError, MismatchError, PhyfoldError

if TYPE_CHECKING:
    from hls.sim.engine import Disturbance, SimResult

log = logging.getLogger(__name__)

SOURCE = "50-simulate/simulation.json"


@dataclass(frozen=True)
class Bench:
    """All that a chunk needs, opened once.

    Attributes:
        accelerator: its borders say what codes mean.
        simulate: (codes [n, *shape], progress) to `SimResult`.
        qonnx: host values [n, *shape] float32 to model outputs.
        frames: frames of a chunk: (bits sent or None, host values).
        explain: names layer and value of the mismatch in one frame: (codes, frame) to text.
    """

    accelerator: Accelerator
    simulate: Callable[[IntArray, Callable[[int, int], None]], SimResult]
    qonnx: Callable[[Any], Any]
    frames: Callable[[Chunk], tuple[Any, Any]]
    explain: Callable[[IntArray, int], str]


def run(context: StepContext) -> StepOutput:
    """Build the simulation, count all chunks, add them up."""
    from hls.sim.engine import Simulator
    from hls.sim.verilate import build

    config = context.config
    accelerator = Accelerator.load(context.input("accelerator"))
    with context.reporter.bar("verilate and compile C++"):
        binary = build(
            load_rtl(context.input("rtl_index")),
            accelerator,
            context.cache / "verilator",
            jobs=context.jobs,
        )
    disturbance = _disturbance(config)
    with Simulator(binary, shards=context.jobs) as simulator:
        bench = Bench(
            accelerator=accelerator,
            simulate=lambda codes, progress: simulator.run(
                codes, disturbance=disturbance, progress=progress
            ),
            qonnx=_qonnx(context.input("model")),
            frames=stimulus.frame_source(config, accelerator.input),
            explain=_explainer(context, accelerator, disturbance),
        )
        records = count_chunks(context, bench)
    body = summary(config, accelerator, records)
    write_json(context.folder / "simulation.json", body)
    return StepOutput({"simulation": "simulation.json"}, _metrics(body), body)


def _disturbance(config: BuildConfig) -> Disturbance | None:
    from hls.sim.engine import Disturbance

    sim = config.simulate
    if not sim.gap_probability and not sim.stall_probability:
        return None
    return Disturbance(sim.disturb_seed, sim.gap_probability, sim.stall_probability)


def _qonnx(model: Path) -> Callable[[Any], Any]:
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
            return "every layer agrees with the integer reference, so QONNX and the compiler differ"
        return (
            f"layer {found.layer} (stream {found.stream}) gives {found.got} at element "
            f"{found.element}, expected {found.expected}"
        )

    return explain


def write_waveform_of(config: BuildConfig, state: State, frames: range, out: Path) -> Path:
    """All signals while ``frames`` of the first SNR pass, as ``<out>/waveform.fst``."""
    from hls.sim.waveform import write_waveform

    accelerator = Accelerator.load(state.file("accelerator"))
    size = config.simulate.chunk_frames
    if frames.stop > size:
        raise ConfigError(
            f"waveform of frames {frames.start} to {frames.stop - 1}: must lie in the first chunk, "
            f"0 to {size - 1}"
        )
    snr_db = config.simulate.snr_db[0] if config.channel is not None else None
    _sent, x = stimulus.frame_source(config, accelerator.input)(Chunk(snr_db, 0, frames.stop))
    return write_waveform(
        load_rtl(state.file("rtl_index")),
        accelerator,
        stimulus.input_codes(accelerator.input, x),
        frames,
        path=out / "waveform",
        build_dir=out / "cache" / "verilator",
        disturbance=_disturbance(config),
    )


def cache_key(context: StepContext) -> str:
    """Hash of all that a chunk's counts follow from, besides the chunk itself."""
    sim = context.config.simulate
    channel = context.config.channel
    parts = [
        hash_path(context.input("rtl")),
        hash_path(context.input("accelerator")),
        hash_path(context.input("model")),
        channel.model_dump() if channel else None,
        [sim.seed, sim.chunk_frames],
        [sim.gap_probability, sim.stall_probability, sim.disturb_seed],
        [hash_sources(name) for name in ("hls/sim/engine.py", "hls/sim/harness.cpp")],
        [hash_sources(name) for name in ("hls/qonnx_exec.py", "models/mimo.py", "models/ber.py")],
        hash_sources("fpga_builds/stimulus.py"),
    ]
    return hash_json(parts)[:16]


def count_chunks(context: StepContext, bench: Bench) -> list[dict[str, Any]]:
    """The records of all chunks: read where they were counted before, else counted now."""
    folder = context.cache / "simulate" / cache_key(context)
    chunks = stimulus.chunks_of(context.config)
    total = sum(chunk.frames for chunk in chunks)
    records: list[dict[str, Any]] = []
    done = fresh = 0
    with context.reporter.bar("frames on RTL", total) as advance:
        for number, chunk in enumerate(chunks):
            path = folder / f"{chunk.label}.json"
            record = read_json(path)
            if not isinstance(record, dict):
                shift = partial(_shifted, advance, done, total)
                record = count_chunk(context.config, bench, chunk, shift)
                write_json(path, record)
                fresh += 1
            records.append(record)
            done += chunk.frames
            advance(done, total)
            context.reporter.kept = f"{number + 1} of {len(chunks)} chunks of frames are counted"
    log.info("%d chunks counted now, %d kept from before", fresh, len(chunks) - fresh)
    return records


def _shifted(advance: Advance, before: int, total: int, done: int, _frames: int) -> None:
    advance(before + done, total)


def count_chunk(
    config: BuildConfig, bench: Bench, chunk: Chunk, progress: Callable[[int, int], None]
) -> dict[str, Any]:
    """Simulate one chunk and compare it with QONNX; ``progress`` is told (frames done, frames).

    Raises:
        MismatchError: a bit differs; names the first frame, and the layer and value in it.
    """
    from models.ber import count

    sent, x = bench.frames(chunk)
    codes = stimulus.input_codes(bench.accelerator.input, x)
    result = bench.simulate(codes, progress)
    output = bench.accelerator.output
    expected = decide_outputs(bench.qonnx(x), config.compile.output, output)
    rtl = np.asarray(result.outputs).reshape(len(codes), -1)
    _compare(config, bench, chunk, codes, rtl, expected)
    record: dict[str, Any] = {
        "snr_db": chunk.snr_db,
        "index": chunk.index,
        "frames": chunk.frames,
        "mismatches": 0,
        "ii_cycles": result.ii_cycles,
        "latency_cycles": result.latency_cycles,
        "cycles": result.cycles,
        "seconds": result.seconds,
        "outputs_sha256": hashlib.sha256(rtl.astype(np.int64).tobytes()).hexdigest(),
    }
    if sent is not None and output.meaning == "hard_bits":
        record["rtl"] = count(float(chunk.snr_db or 0.0), sent, rtl).to_json()
        record["qonnx"] = count(float(chunk.snr_db or 0.0), sent, expected).to_json()
    return record


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


def summary(
    config: BuildConfig, accelerator: Accelerator, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """The machine view of a simulation, all chunks added up."""
    from models.ber import BerPoint

    frames = sum(record["frames"] for record in records)
    cycles = sum(record["cycles"] for record in records)
    seconds = sum(record["seconds"] for record in records)
    timed = [record for record in records if record["ii_cycles"] is not None]
    weight = sum(record["frames"] for record in timed)
    ii = sum(r["ii_cycles"] * r["frames"] for r in timed) / weight if weight else None
    points: dict[str, list[dict[str, Any]]] = {"rtl": [], "qonnx": []}
    for kind, found in points.items():
        for snr in sorted({r["snr_db"] for r in records if kind in r}):
            parts = [BerPoint.from_json(r[kind]) for r in records if r["snr_db"] == snr]
            found.append(reduce(add, parts).to_json())
    return {
        "build": config.name,
        "frames": frames,
        "seed": config.simulate.seed,
        "mismatches": sum(record["mismatches"] for record in records),
        "ii_cycles": ii,
        "latency_cycles": max(record["latency_cycles"] for record in records),
        "clock_mhz": accelerator.clock_mhz,
        "sim_cycles_per_s": cycles / seconds if seconds else None,
        "cycles": cycles,
        "disturbed": bool(config.simulate.gap_probability or config.simulate.stall_probability),
        "points": points["rtl"],
        "qonnx_points": points["qonnx"],
    }


def _metrics(body: dict[str, Any]) -> tuple[Metric, ...]:
    version = str(package_version("verilator"))
    clock_mhz, ii = body["clock_mhz"], body["ii_cycles"]
    rate = None if ii is None else clock_mhz * 1e6 / ii
    short = "too few frames in a segment to see the steady state"
    rows: list[tuple[str, Any, str, Any, str]] = [
        ("mismatches", body["mismatches"], "frames", "lower", ""),
        ("frames", body["frames"], "frames", "higher", ""),
        ("ii_cycles", ii, "cycles", "lower", short),
        ("latency_cycles", body["latency_cycles"], "cycles", "lower", ""),
        ("latency_us", body["latency_cycles"] / clock_mhz, "us", "lower", ""),
        ("throughput_per_s", rate, "frames/s", "higher", short),
        ("sim_cycles_per_s", body["sim_cycles_per_s"], "cycles/s", "higher", "clock too coarse"),
    ]
    metrics = [
        Metric(
            n,
            v,
            unit,
            better,
            "rtlsim",
            "verilator",
            version,
            SOURCE,
            reason=why if v is None else "",
        )
        for n, v, unit, better, why in rows
    ]
    for point in body["points"]:
        metrics.append(
            Metric(
                name=f"ber.snr_{point['snr_db']:g}",
                value=point["ber"],
                unit="1",
                better="lower",
                stage="rtlsim",
                tool="verilator",
                version=version,
                source=SOURCE,
                ci95=(point["ci95"][0], point["ci95"][1]),
            )
        )
    return tuple(metrics)


STEP = Step(
    name="simulate",
    number=50,
    title="counts bit errors on the RTL and compares every bit with QONNX",
    reads=("model", "rtl", "rtl_index", "accelerator"),
    writes=("simulation",),
    settings=lambda config: [
        config.name,
        config.compile.output,
        config.channel.model_dump() if config.channel else None,
        config.simulate.model_dump(exclude={"baselines"}),
    ],
    run=run,
    sources=(
        "hls/sim/engine.py",
        "hls/sim/harness.cpp",
        "hls/qonnx_exec.py",
        "models/mimo.py",
        "models/ber.py",
        "fpga_builds/stimulus.py",
        "fpga_builds/steps/simulate.py",
    ),
    packages=("verilator", "numpy"),
    compiler=True,
)

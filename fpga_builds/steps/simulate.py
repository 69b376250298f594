# SPDX-License-Identifier: Apache-2.0
"""Step simulate: BER counted on the RTL, bit for bit against QONNX on the same frames."""

from __future__ import annotations

from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from fpga_builds import stimulus
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.state import State
from fpga_builds.steps.hdl import load_rtl
from fpga_builds.steps.rtl_count import (
    count_chunks,
    cycle_metrics,
    cycles_summary,
    disturbance_of,
    rtl_bench,
    rtl_metric,
)
from fpga_builds.stimulus import Chunk
from fpga_builds.storage import hash_sources, write_json
from hls.ir import Accelerator, IntArray
from models.errors import ConfigError


def run(context: StepContext) -> StepOutput:
    """Build the simulation, count all chunks, add them up."""
    config = context.config
    accelerator = Accelerator.load(context.input("accelerator"))
    frames = stimulus.frame_source(config, accelerator.input)
    hard = accelerator.output.meaning == "hard_bits"
    score = count_bits if hard else count_nothing
    with rtl_bench(context, accelerator, frames, score, keyed=_keyed(config)) as bench:
        records = count_chunks(context, bench)
    body = summary(config, accelerator, records)
    write_json(context.folder / "simulation.json", body)
    return StepOutput({"simulation": "simulation.json"}, _metrics(body), body)


def count_bits(chunk: Chunk, sent: Any, outputs: IntArray) -> dict[str, Any] | None:
    """Bit errors of a chunk; None where no bits were sent."""
    from models.ber import count

    if sent is None:
        return None
    return dict(count(float(chunk.snr_db or 0.0), sent, outputs).to_json())


def count_nothing(_chunk: Chunk, _sent: Any, _outputs: IntArray) -> None:
    """Soft outputs: there are no bits to count."""


def _keyed(config: BuildConfig) -> tuple[Any, ...]:
    channel = config.channel.model_dump() if config.channel else None
    return (channel, [hash_sources(name) for name in ("models/mimo.py", "models/ber.py")])


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
        disturbance=disturbance_of(config),
    )


def summary(
    config: BuildConfig, accelerator: Accelerator, records: list[dict[str, Any]]
) -> dict[str, Any]:
    """The machine view of a simulation, all chunks added up."""
    from models.ber import BerPoint

    points: dict[str, list[dict[str, Any]]] = {"rtl": [], "qonnx": []}
    for kind, found in points.items():
        for snr in sorted({r["snr_db"] for r in records if kind in r}):
            parts = [BerPoint.from_json(r[kind]) for r in records if r["snr_db"] == snr]
            found.append(reduce(add, parts).to_json())
    cycles = cycles_summary(config, accelerator, records)
    return {**cycles, "points": points["rtl"], "qonnx_points": points["qonnx"]}


def _metrics(body: dict[str, Any]) -> tuple[Metric, ...]:
    metrics = cycle_metrics(body)
    for point in body["points"]:
        name, interval = f"ber.snr_{point['snr_db']:g}", point["ci95"]
        metrics.append(rtl_metric(name, point["ber"], "1", "lower", ci95=interval))
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
        "hls/float32_frames.py",
        "hls/float32_limits.py",
        "models/mimo.py",
        "models/ber.py",
        "fpga_builds/stimulus.py",
        "fpga_builds/steps/simulate.py",
        "fpga_builds/steps/rtl_count.py",
    ),
    packages=("verilator", "numpy"),
    compiler=True,
)

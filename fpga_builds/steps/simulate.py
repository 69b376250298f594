# SPDX-License-Identifier: Apache-2.0
"""Step simulate: BER counted on the RTL, bit for bit against QONNX on the same frames."""

from __future__ import annotations

from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from fpga_builds import sources, stimulus
from fpga_builds.belongs import FRAMES_KEY
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric, too_few_errors
from fpga_builds.rtl_index import load_rtl
from fpga_builds.state import State
from fpga_builds.steps import needs
from fpga_builds.steps.rtl_count import (
    count_chunks,
    cycle_metrics,
    cycles_summary,
    disturbance_of,
    rtl_bench,
    rtl_metric,
)
from fpga_builds.stimulus import Chunk
from fpga_builds.storage import write_json
from hls.ir import Accelerator
from models.errors import ConfigError


def run(context: StepContext) -> StepOutput:
    """Build the simulation, count all chunks, add them up."""
    config = context.config
    accelerator = Accelerator.load(context.input("accelerator"))
    channel = config.channel.model_dump() if config.channel else None
    frames = sources.open_frames(config, context.input, accelerator.input)
    score = sources.open_score(config, context.input, accelerator)
    with rtl_bench(context, accelerator, frames.of, score, keyed=(channel,)) as bench:
        records = count_chunks(context, bench)
    body = summary(config, accelerator, records)
    write_json(context.folder / "simulation.json", body)
    return StepOutput({"simulation": "simulation.json"}, _metrics(body), body)


def write_waveform_of(config: BuildConfig, state: State, frames: range, out: Path) -> Path:
    """All signals while ``frames`` of the first SNR pass, as ``<out>/waveform.fst``.

    They are frames of the simulation: of the channel, or samples, or codewords.
    """
    from hls.sim.waveform import write_waveform

    accelerator = Accelerator.load(state.file("accelerator"))
    source = sources.open_frames(config, state.file, accelerator.input)
    size = source.within(config.simulate.chunk_frames)
    if frames.stop > size:
        raise ConfigError(
            f"waveform of frames {frames.start} to {frames.stop - 1}: must lie in the first chunk "
            f"of {source.kind.value}, 0 to {size - 1}"
        )
    _truth, x = source.of(Chunk(stimulus.snrs_of(config)[0], 0, frames.stop))
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
            total = reduce(add, parts)
            key = stimulus.frames_key(config, snr, total.frames)
            found.append({**total.to_json(), FRAMES_KEY: key})
    cycles = cycles_summary(config, accelerator, records)
    return {**cycles, "points": points["rtl"], "qonnx_points": points["qonnx"]}


def _metrics(body: dict[str, Any]) -> tuple[Metric, ...]:
    metrics = cycle_metrics(body)
    for point in body["points"]:
        bound, interval = point["upper_bound"], point["ci95"]
        value = point["ber"] if bound is None else None
        reason = "" if bound is None else too_few_errors(point)
        name = f"ber.snr_{point['snr_db']:g}"
        metric = rtl_metric(name, value, "1", "lower", ci95=interval, reason=reason)
        metrics.append(replace(metric, frames_key=point[FRAMES_KEY], counted=point["errors"]))
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
    packages=("verilator", "numpy"),
    compiler=True,
    needs=needs.simulator,
)

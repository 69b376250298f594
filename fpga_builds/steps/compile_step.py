# SPDX-License-Identifier: Apache-2.0
"""Step compile: from QONNX to the folded accelerator, with what it is estimated to need."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.storage import read_json, storage_guard
from fpga_builds.versions import package_version
from hls.ir import Accelerator, Layer
from models.errors import ConfigError

FOLDER = "compiled"


def run(context: StepContext) -> StepOutput:
    """Compile the model; every intermediate ONNX is executed against the golden vectors."""
    from hls.compiler import compile_model

    config = context.config
    golden = np.load(context.input("golden"))["y"] if context.state.has("golden") else None
    out = context.folder / FOLDER
    with context.reporter.bar("compile") as advance, storage_guard(out):

        def progress(*what: Any) -> None:
            if len(what) >= 2 and all(isinstance(item, int | float) for item in what[:2]):
                advance(what[0], what[1])

        accelerator = compile_model(context.input("model"), out, _options(config, golden), progress)
    return StepOutput(
        {"compiled": FOLDER},
        metrics_of(accelerator, read_json(out / "estimates.json")),
        {"layers": [layer_facts(layer) for layer in accelerator.layers]},
    )


def _options(config: BuildConfig, golden: Any) -> Any:
    from hls.compiler import CompileOptions

    return CompileOptions(
        output=config.compile.output,
        folding=folding_target(config),
        clock_mhz=config.compile.clock_mhz,
        part=config.compile.part,
        thresholds=config.compile.thresholds,
        sparse=config.compile.sparse,
        golden_inputs=golden,
    )


def folding_target(config: BuildConfig) -> Any:
    """The [folding] section in the compiler's words."""
    from hls.folding import FoldingTarget

    return FoldingTarget(config.folding)


def layer_facts(layer: Layer) -> dict[str, Any]:
    """What the report's table says of one layer."""
    keep = ("mat_w", "mat_h", "channels", "pe", "simd", "weight_bits", "acc_bits", "in_bits")
    params = {key: int(layer.params[key]) for key in keep if key in layer.params}
    return {"name": layer.name, "kind": layer.kind, "source": layer.source, **params}


def ideal_ii_cycles(accelerator: Accelerator) -> int:
    """Cycles per frame of the slowest layer or border if no cycle were lost: MACs / (PE * SIMD)."""
    cycles = [
        layer.params["mat_w"]
        // layer.params["simd"]
        * (layer.params["mat_h"] // layer.params["pe"])
        for layer in accelerator.layers
        if layer.kind in ("mvau", "mvau_sparse")
    ]
    return max([*cycles, *(stream.beats_per_frame for stream in accelerator.streams)])


def metrics_of(accelerator: Accelerator, estimates: Any) -> tuple[Metric, ...]:
    """Estimates of the whole accelerator."""
    from hls.cycles import accelerator_cycles

    cycles = accelerator_cycles(accelerator)
    version = str(package_version("phyfold"))
    clock_hz = accelerator.clock_mhz * 1e6
    rows: list[tuple[str, float, str, Any]] = [
        ("ii_cycles_ideal", ideal_ii_cycles(accelerator), "cycles", "lower"),
        ("ii_cycles", cycles.ii_cycles, "cycles", "lower"),
        ("latency_cycles", cycles.latency_cycles, "cycles", "lower"),
        ("throughput_per_s", clock_hz / cycles.ii_cycles, "frames/s", "higher"),
        ("latency_us", cycles.latency_cycles / accelerator.clock_mhz, "us", "lower"),
        ("clock_mhz", accelerator.clock_mhz, "MHz", "neither"),
    ]
    totals = estimates.get("totals", {}) if isinstance(estimates, dict) else {}
    metrics = [
        Metric(n, v, unit, better, "estimate", "phyfold", version, "30-compile/compiled")
        for n, v, unit, better in rows
    ]
    for name in ("lut", "ff", "bram18", "dsp"):
        value = totals.get(name)
        if value is None:
            metrics.append(
                Metric.missing(name, "1", "estimate", "the compiler wrote no total of it")
            )
        else:
            metrics.append(
                Metric(
                    name,
                    value,
                    "1",
                    "lower",
                    "estimate",
                    "phyfold",
                    version,
                    "30-compile/compiled/estimates.json",
                )
            )
    return tuple(metrics)


def _external(config: BuildConfig) -> tuple[Path, ...]:
    if config.folding.file is None:
        return ()
    path = Path(config.folding.file)
    if not path.is_file():
        raise ConfigError(f"folding.file = {str(path)!r}: no such file")
    return (path,)


def _reads(config: BuildConfig) -> object:
    folding = config.folding.model_dump(exclude={"fifos"})
    return [config.name, config.compile.model_dump(), folding]


STEP = Step(
    name="compile",
    number=30,
    title="compiles QONNX into hardware layers and folds them",
    reads=("model",),
    writes=("compiled",),
    settings=_reads,
    run=run,
    sources=(
        "hls/ir.py",
        "hls/compiler.py",
        "hls/passes",
        "hls/finn_ops",
        "hls/folding.py",
        "hls/costs.py",
        "hls/cycles.py",
    ),
    packages=("qonnx", "finn-plus", "onnx", "numpy"),
    external=_external,
)

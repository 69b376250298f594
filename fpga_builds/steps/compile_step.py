# SPDX-License-Identifier: Apache-2.0
"""Step compile: from QONNX to the folded accelerator, with what it is estimated to need."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpga_builds.config import BuildConfig, FoldingConfig
from fpga_builds.csi import load_array
from fpga_builds.estimates import layer_facts
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.steps import needs
from hls.devices import device
from models.errors import CompileError, ConfigError, MismatchError
from models.files import storage_guard

if TYPE_CHECKING:
    from hls.compile_options import CompileOptions, FoldingTarget

FOLDER = "compiled"


def run(context: StepContext) -> StepOutput:
    """Compile the model; every intermediate ONNX is executed against the golden vectors."""
    from hls.compiler import compile_model

    config = context.config
    trained = config.network.checkpoint is not None
    golden = load_array(context.input("golden"), "y") if trained else None
    out = context.folder / FOLDER
    model = context.input("model")
    with (
        context.reporter.bar("compile") as advance,
        storage_guard(out),
        named_by_user(config, model),
    ):
        accelerator = compile_model(
            model,
            out,
            _options(config, golden),
            lambda _step, number, total: advance(number, total),
        )
    part = device(config.compile.part)
    layers = [layer_facts(layer, part) for layer in accelerator.layers]
    return StepOutput({"compiled": FOLDER}, (), {"layers": layers})


@contextlib.contextmanager
def named_by_user(config: BuildConfig, copy: Path) -> Iterator[None]:
    """Errors name the model's file as the user knows it, not the copy in the build's folder."""
    try:
        yield
    except (CompileError, MismatchError) as error:
        name = config.network.model or f"the model of {config.name}"
        message = error.message.replace(str(copy), name)
        if name not in message and (config.folding.file or name) not in message:
            message = f"{name}: {message}"
        error.message, error.args = message, (message,)
        raise


def _options(config: BuildConfig, golden: Any) -> CompileOptions:
    from hls.compile_options import CompileOptions

    return CompileOptions(
        name=config.name,
        output=config.compile.output,
        folding=folding_target(config.folding),
        clock_mhz=config.compile.clock_mhz,
        part=config.compile.part,
        thresholds=config.compile.thresholds,
        sparse=config.compile.sparse,
        multipliers=config.compile.multipliers,
        golden_inputs=golden,
    )


def folding_target(folding: FoldingConfig) -> FoldingTarget:
    """The [folding] section in the compiler's words."""
    from hls.compile_options import FoldingTarget

    return FoldingTarget(
        cycles=folding.cycles,
        frames_per_s=folding.fps,
        latency_us=folding.latency_us,
        device_fraction=folding.budget,
        file=Path(folding.file) if folding.file is not None else None,
    )


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


def _step(reads: tuple[str, ...], *, trained: bool) -> Step:
    """The step for a checkpoint of ours, whose golden vectors it reads, or for a QONNX file."""
    return Step(
        name="compile",
        number=30,
        title="compiles QONNX into hardware layers and folds them",
        reads=reads,
        writes=("compiled",),
        settings=_reads,
        run=run,
        packages=("qonnx", "finn-plus", "onnx", "numpy"),
        needs=needs.finn,
        external=_external,
        applies=lambda config: (config.network.checkpoint is not None) == trained,
    )


CHECKPOINT_STEP = _step(("model", "golden"), trained=True)
MODEL_STEP = _step(("model",), trained=False)

# SPDX-License-Identifier: Apache-2.0
"""Step export: the QONNX model, and the vectors that every later link must reproduce."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.versions import package_version
from models.errors import ConfigError, MismatchError
from models.files import storage_guard

log = logging.getLogger(__name__)

FloatArray = npt.NDArray[np.float32]
GOLDEN_FRAMES = 256
GOLDEN_SEED = 7


def run(context: StepContext) -> StepOutput:
    """Export the checkpoint, or take the model that the build names."""
    model = context.folder / "model.onnx"
    if context.config.network.model is not None:
        _take_model(Path(context.config.network.model), model)
        return StepOutput({"model": "model.onnx"})
    from quant.checkpoint import load_checkpoint
    from quant.export import export_qonnx_file

    recipe, network = load_checkpoint(context.input("checkpoint"))
    with storage_guard(model):
        export_qonnx_file(recipe, network, model)
    y = golden_inputs(context.config, recipe.network.inputs)
    outputs = _torch_outputs(network, y)
    differ = require_equal_to_brevitas(
        context.config, model, y, outputs, lambda frame: _torch_outputs(network, frame)
    )
    with storage_guard(model):
        np.savez(context.folder / "golden.npz", y=y, outputs=outputs)
    metric = Metric(
        name="brevitas_qonnx_mismatches",
        value=differ,
        unit="frames",
        better="lower",
        stage="export",
        tool="qonnx",
        version=str(package_version("qonnx")),
        source="20-export/golden.npz",
    )
    return StepOutput({"model": "model.onnx", "golden": "golden.npz"}, (metric,))


def golden_inputs(config: BuildConfig, inputs: int) -> npt.NDArray[np.float32]:
    """Received vectors over the whole SNR range, and vectors that saturate the ADC, [n, N]."""
    rng = np.random.default_rng(GOLDEN_SEED)
    edges = np.stack([np.zeros(inputs), np.full(inputs, 1e3), np.full(inputs, -1e3)])
    wild = rng.normal(0.0, 4.0, (13, inputs))
    parts = [edges, wild]
    if config.channel is not None:
        from fpga_builds.stimulus import system_of

        snr = rng.uniform(0.0, 16.0, GOLDEN_FRAMES - 16)
        parts.append(system_of(config.channel).frames(len(snr), snr, rng)[1].astype(np.float64))
    else:
        parts.append(rng.normal(0.0, 1.0, (GOLDEN_FRAMES - 16, inputs)))
    return np.concatenate(parts).astype(np.float32)


def _torch_outputs(network: object, y: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    import torch

    with torch.no_grad():
        out: npt.NDArray[np.float32] = network(torch.from_numpy(y)).numpy()  # type: ignore[operator]
    return out


def require_equal_to_brevitas(
    config: BuildConfig,
    model: Path,
    y: FloatArray,
    outputs: FloatArray,
    alone: Callable[[FloatArray], FloatArray],
) -> int:
    """Frames in which QONNX and Brevitas differ: 0, or a `MismatchError`.

    Float sums depend on the batch. So a frame that differs is executed by itself, in Brevitas
    (``alone``) and by qonnx' own executor, and is equal if these agree.
    """
    from hls.qonnx_exec import run_qonnx

    ours = np.asarray(run_qonnx(model, y)).reshape(outputs.shape)
    wrong = np.flatnonzero((ours != outputs).reshape(len(y), -1).any(axis=1))
    wrong = wrong[~_agree_alone(model, y[wrong], alone)]
    if len(wrong):
        frame = int(wrong[0])
        here, there = ours[frame].reshape(-1), outputs[frame].reshape(-1)
        place = int(np.flatnonzero(here != there)[0])
        raise MismatchError(
            f"{config.name}: QONNX and Brevitas differ in {len(wrong)} of {len(y)} golden frames, "
            f"first in frame {frame}, output {place}: {here[place]!r} against {there[place]!r}"
        )
    return 0


def _agree_alone(
    model: Path, y: FloatArray, alone: Callable[[FloatArray], FloatArray]
) -> npt.NDArray[np.bool_]:
    """Frames [n] in which Brevitas and qonnx agree, each executing one frame at a time."""
    from hls.float32_frames import execute_alone
    from hls.passes.tidy import named
    from hls.qonnx_exec import load_model

    if not len(y):
        return np.zeros(0, dtype=bool)
    network = named(load_model(model))
    shape = network.get_tensor_shape(network.graph.input[0].name)
    output = network.graph.output[0].name
    theirs = execute_alone(network, y.reshape(len(y), *shape[1:]), [output])[output]
    ours = np.concatenate([alone(y[i : i + 1]) for i in range(len(y))])
    agree: npt.NDArray[np.bool_] = (theirs.reshape(len(y), -1) == ours.reshape(len(y), -1)).all(
        axis=1
    )
    return agree


def _take_model(source: Path, target: Path) -> None:
    """The model as one file, external data in it, and nothing of it that could act."""
    from hls.onnx_file import read_model, write_model

    if not source.is_file():
        raise ConfigError(f"network.model = {str(source)!r}: no such file")
    model = read_model(source)
    with storage_guard(target):
        write_model(model, target)


def _external(config: BuildConfig) -> tuple[Path, ...]:
    from hls.onnx_file import external_files

    if config.network.model is None:
        return ()
    path = Path(config.network.model)
    if not path.is_file():
        raise ConfigError(f"network.model = {str(path)!r}: no such file")
    return (path, *external_files(path))


def _settings(config: BuildConfig) -> object:
    return [config.network.model, config.channel.model_dump() if config.channel else None]


CHECKPOINT_STEP = Step(
    name="export",
    number=20,
    title="writes the QONNX model",
    reads=("checkpoint",),
    writes=("model", "golden"),
    settings=_settings,
    run=run,
    packages=("torch", "brevitas", "qonnx", "onnx"),
    applies=lambda config: config.network.checkpoint is not None,
)

MODEL_STEP = Step(
    name="export",
    number=20,
    title="takes the QONNX model",
    reads=(),
    writes=("model",),
    settings=_settings,
    run=run,
    packages=("onnx",),
    external=_external,
    applies=lambda config: config.network.model is not None,
)

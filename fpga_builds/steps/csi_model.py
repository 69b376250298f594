# SPDX-License-Identifier: Apache-2.0
"""Steps of a CSI build that need torch: checkpoint, both halves as QONNX, floating point."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fpga_builds import csi
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Better, Metric
from fpga_builds.shipped import checkpoint_files
from fpga_builds.steps.csi_train import csi_checkpoint, train_csi_here
from fpga_builds.steps.export import require_equal_to_brevitas
from fpga_builds.steps.train import CHECKPOINT_FILES, keep_checkpoint
from fpga_builds.stimulus import FloatArray
from fpga_builds.storage import hash_path, write_json
from fpga_builds.versions import package_version
from models.errors import ConfigError
from models.files import storage_guard
from models.received import refuse_links

if TYPE_CHECKING:
    pass

GOLDEN_SAMPLES = 12
"""Samples that every link of the chain must reproduce, four extreme ones beside them."""
GOLDEN_SEED = 7
METRICS_FILE = "10-train/checkpoint/metrics.json"


def take(context: StepContext) -> StepOutput:
    """Take the checkpoint, checked to be whole and quantized; train it where none is shipped."""
    from quant.csi.checkpoint import load_csi_checkpoint

    source = csi_checkpoint(context.config)
    if not (source / "recipe.json").is_file() and "/" not in str(context.config.network.checkpoint):
        source = _train(context, source.name)
    refuse_links(source, CHECKPOINT_FILES)
    recipe, _network = load_csi_checkpoint(source)
    if recipe.quant is None:
        raise ConfigError(
            f"{context.config.name}: checkpoint {recipe.name} is in floating point",
            hint="hardware needs a recipe with a [quant] section",
        )
    body = keep_checkpoint(source, context.folder / "checkpoint")
    info = {"recipe": recipe.model_dump(mode="json"), "trained": body}
    return StepOutput({"checkpoint": "checkpoint"}, _metrics(body), info)


def _train(context: StepContext, name: str) -> Path:
    from quant.csi.recipe import load_csi_recipe

    folder = context.cache / "train" / name
    train_csi_here(load_csi_recipe(name), folder, context.reporter, device="auto", data=None)
    return folder


def _metrics(body: dict[str, Any]) -> tuple[Metric, ...]:
    version = str(body.get("torch") or package_version("torch"))
    cost = body.get("cost", {})
    rows: list[tuple[str, str, Better]] = [
        ("weights", "1", "lower"),
        ("macs", "1", "lower"),
        ("weight_memory_bits", "bit", "lower"),
        ("sparsity", "1", "higher"),
    ]
    return tuple(
        Metric(name, cost[name], unit, better, "train", "torch", version, METRICS_FILE)
        for name, unit, better in rows
        if cost.get(name) is not None
    )


def export(context: StepContext) -> StepOutput:
    """Both halves as QONNX, and golden vectors of this one, equal to Brevitas'."""
    import torch

    from models.csi.csinet import CsiNet
    from quant.csi.checkpoint import load_csi_checkpoint
    from quant.csi.export import export_csi_qonnx

    config, folder = context.config, context.folder
    half = csi.csi_of(config).half
    recipe, network = load_csi_checkpoint(context.input("checkpoint"))
    with storage_guard(folder):
        if isinstance(network, CsiNet):
            raise ConfigError(f"{config.name}: CsiNet has no halves for hardware")
        export_csi_qonnx(recipe, network, half, folder / "model.onnx")
        export_csi_qonnx(recipe, network, csi.OTHER[half], folder / "other_model.onnx")
    samples = golden_samples(csi.load_samples(context.input("samples")))
    with torch.no_grad():
        codes = network.encoder(torch.from_numpy(samples))
        inputs = samples if half == "encoder" else codes.numpy()
        outputs = (codes if half == "encoder" else network.decoder(codes)).numpy()

        def alone(x: FloatArray) -> FloatArray:
            half_of = network.encoder if half == "encoder" else network.decoder
            found: FloatArray = half_of(torch.from_numpy(x)).numpy()
            return found

        differ = require_equal_to_brevitas(config, folder / "model.onnx", inputs, outputs, alone)
    with storage_guard(folder):
        np.savez(folder / "golden.npz", y=inputs, outputs=outputs)
    metric = Metric(
        *("brevitas_qonnx_mismatches", differ, "frames", "lower", "export", "qonnx"),
        str(package_version("qonnx")),
        "20-export/golden.npz",
    )
    files = {"model": "model.onnx", "other_model": "other_model.onnx", "golden": "golden.npz"}
    return StepOutput(files, (metric,))


def golden_samples(samples: FloatArray) -> FloatArray:
    """The first samples, and such as saturate every quantizer, [n, 2, 32, 32] float32."""
    shape = samples.shape[1:]
    rng = np.random.default_rng(GOLDEN_SEED)
    wild = rng.normal(0.0, 30.0 * float(samples.std()), (1, *shape))
    edges = np.stack([np.zeros(shape), np.full(shape, 1e3), np.full(shape, -1e3)])
    parts = [samples[:GOLDEN_SAMPLES].astype(np.float64), wild, edges]
    return np.concatenate(parts).astype(np.float32)


def reference(context: StepContext) -> StepOutput:
    """NMSE and rho of the floating-point network on the samples of the simulation."""
    from models.csi.metrics import count
    from quant.csi.checkpoint import load_csi_checkpoint
    from quant.csi.evaluate import reconstruct

    samples = csi.load_samples(context.input("samples"))
    recipe, network = load_csi_checkpoint(reference_path(context.config))
    with context.reporter.bar("floating point"):
        images = reconstruct(network, samples)
    point = count(samples, images)
    title = f"floating point ({recipe.name})"
    write_json(context.folder / "baselines.json", {"float": {"title": title, **point.to_json()}})
    metric = Metric(
        *("nmse_float_db", point.nmse_db, "dB", "lower", "software", "torch"),
        str(package_version("torch")),
        "60-baselines/baselines.json",
        ci95=point.ci95 if point.samples > 1 else None,
        frames_key=hash_path(context.input("samples"))[:16],
    )
    return StepOutput({"baselines": "baselines.json"}, (metric,))


def reference_path(config: BuildConfig) -> Path:
    """Folder of the floating-point checkpoint that the build names."""
    from quant.csi.checkpoint import csi_checkpoint_folder

    return csi_checkpoint_folder(str(config.network.reference))


def _checkpoint_files(config: BuildConfig) -> tuple[Path, ...]:
    return checkpoint_files(csi_checkpoint(config))


TRAIN_STEP = Step(
    name="train",
    number=10,
    title="takes the checkpoint, or trains it",
    reads=(),
    writes=("checkpoint",),
    settings=lambda config: [config.network.checkpoint],
    run=take,
    packages=("torch",),
    external=_checkpoint_files,
)

EXPORT_STEP = Step(
    name="export",
    number=20,
    title="writes the QONNX models of both halves",
    reads=("checkpoint", "samples"),
    writes=("model", "other_model", "golden"),
    settings=lambda config: [csi.csi_of(config).half],
    run=export,
    packages=("torch", "brevitas", "qonnx", "onnx"),
)

BASELINES_STEP = Step(
    name="baselines",
    number=60,
    title="counts floating point on the same samples",
    reads=("samples",),
    writes=("baselines",),
    settings=lambda config: [config.network.reference],
    run=reference,
    packages=("torch", "numpy"),
    external=lambda config: checkpoint_files(reference_path(config))[:2],
    applies=lambda config: config.network.reference is not None,
)

# SPDX-License-Identifier: Apache-2.0
"""Training of a CSI recipe: float or quantization-aware, with or without pruning.

Loss: the NMSE, the mean of ||x - y||^2 / ||x||^2. Encoder and decoder are trained together, through
the quantizer of the codeword. `quant.training_run` has the loop: what is interrupted goes on where
it was.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from models.csi.csinet import CsiNet
from models.csi.data import CsiData
from models.csi.networks import conv_units
from models.errors import ConfigError
from quant.checkpoint import load_tensors
from quant.csi.calibrate import calibrate, snap_biases
from quant.csi.checkpoint import (
    CsiNetwork,
    build_csi_network,
    csi_checkpoint_folder,
    csi_tensors,
    float_network,
    kernels_of,
    load_csi_checkpoint,
    save_csi_checkpoint,
)
from quant.csi.data import BatchSource, load_csi
from quant.csi.evaluate import evaluate
from quant.csi.mirror import mirror
from quant.csi.network import QuantCsiAutoencoder, quant_convs
from quant.csi.recipe import CsiRecipe
from quant.pruning import Pruner
from quant.training_run import TrainingRun, TrainOptions

LOG_FIELDS = ("step", "train_nmse_db", "lr", "sparsity", "val_nmse_db", "seconds")
VALIDATE_EVERY = 5
"""Rows of the log between two validations."""

CALIBRATION_SAMPLES = 500


@dataclass(frozen=True)
class CsiTrainOptions(TrainOptions):
    """How to run a recipe, and where its samples are."""

    data: Path | None = None
    """Folder of generated sets; default: `models.csi.data.data_folder`."""
    cost2100: Path | None = None
    """Folder of CsiNet's COST2100 files."""
    drawing: Callable[[int, int], None] | None = None
    """Told (samples drawn, samples in all) while a set is generated."""


@dataclass(frozen=True)
class CsiProgress:
    """What the trainer tells while it works."""

    step: int
    steps: int
    train_nmse_db: float
    val_nmse_db: float | None
    sparsity: float


class CsiTrainer(TrainingRun[CsiProgress]):
    """One training run of encoder and decoder."""

    fields = LOG_FIELDS

    def __init__(
        self, recipe: CsiRecipe, folder: Path, options: CsiTrainOptions, data: CsiData
    ) -> None:
        train = recipe.train
        super().__init__(recipe, folder, options, train.steps)
        self.recipe, self.data = recipe, data
        torch.manual_seed(train.seed)
        self.source = BatchSource(data.train, train.batch, train.augment, train.seed, self.device)
        self.generator = self.source.generator
        saved = load_tensors(self.state_path, recipe) if self.state_path.exists() else None
        self.network: CsiNetwork = (
            build_csi_network(recipe, saved) if saved is not None else self._initial_network()
        ).to(self.device)
        quantized = isinstance(self.network, QuantCsiAutoencoder)
        self.model = mirror(self.network) if quantized else self.network
        self.pruner = self._make_pruner()
        self.kernels, self.others = kernels_of(self.network)
        # Muon takes matrices only: the same memory, seen as [out, in * ky * kx]
        self.matrices = [nn.Parameter(k.detach().view(len(k), -1)) for k in self.kernels]
        self.optimizers = self._make_optimizers()
        if saved is not None:
            self.restore(saved)

    def _initial_network(self) -> CsiNetwork:
        recipe = self.recipe
        start: CsiNetwork = float_network(recipe)
        if recipe.train.init is not None:
            parent = self.options.checkpoints
            name = recipe.train.init
            source, start = load_csi_checkpoint(
                parent / name if parent else csi_checkpoint_folder(name)
            )
            if source.network != recipe.network:
                start = self._other_ratio(source, start)
        if recipe.quant is None:
            if isinstance(start, QuantCsiAutoencoder):
                raise ConfigError(f"train.init={recipe.train.init!r} is quantized, the recipe not")
            return start
        if isinstance(start, QuantCsiAutoencoder) and start.quant == recipe.quant:
            return start
        assert not isinstance(start, CsiNet)
        self.options.doing("calibrates the quantizers")
        samples = torch.tensor(self.data.train[:CALIBRATION_SAMPLES])
        return calibrate(start.eval(), recipe.quant, samples)

    def _other_ratio(self, source: CsiRecipe, parent: CsiNetwork) -> CsiNetwork:
        """A floating-point network that starts from one of another ratio.

        It takes all layers but those that write and read the codeword, whose shapes differ.
        """
        recipe = self.recipe
        plain = recipe.quant is None and source.quant is None
        if source.network.kind != recipe.network.kind or not plain:
            raise ConfigError(
                f"train.init={recipe.train.init!r} is {source.network}, the recipe "
                f"{recipe.network}: only floating-point networks of one kind may differ in ratio"
            )
        network: CsiNetwork = float_network(recipe)
        state = network.state_dict()
        fits = {k: v for k, v in parent.state_dict().items() if v.shape == state[k].shape}
        network.load_state_dict(state | fits)
        return network

    def _make_pruner(self) -> Pruner | None:
        """Masks for all kernels; balanced ones where the block divides a row of the kernel."""
        config = self.recipe.pruning
        if config is None or isinstance(self.network, CsiNet):
            return None
        quantized = isinstance(self.network, QuantCsiAutoencoder)
        units = quant_convs(self.network) if quantized else conv_units(self.network)
        layers = [unit.conv for unit in units if config.fits(unit.conv.weight[0].numel())]
        if not layers:
            raise ConfigError(f"pruning.block={config.block} divides no kernel's inputs")
        return Pruner(layers, config)

    def _make_optimizers(self) -> list[torch.optim.Optimizer]:
        train = self.recipe.train
        others = torch.optim.AdamW(
            self.others, lr=train.other_lr, weight_decay=0.0, betas=(0.9, 0.99)
        )
        if train.optimizer == "adamw":
            return [torch.optim.AdamW(self.matrices, lr=train.lr, weight_decay=0.0), others]
        muon = torch.optim.Muon(
            self.matrices, lr=train.lr, weight_decay=0.0, momentum=0.95, ns_steps=5
        )
        return [muon, others]

    def rate(self, step: int) -> float:
        """Factor on the learning rates at ``step``: linear warm-up, then cosine to zero."""
        train = self.recipe.train
        warm = min(1.0, (step + 1) / max(1, train.warmup_steps))
        return warm * 0.5 * (1.0 + math.cos(math.pi * step / train.steps))

    def one_step(self) -> float:
        """One optimiser step; returns the NMSE of its batch before it."""
        train = self.recipe.train
        factor = self.rate(self.step)
        self.set_rates([train.lr * factor, train.other_lr * factor])
        x = self.source.draw()
        with self.autocast(train.precision, train.exact_from):
            y = self.model(x)
        loss = nmse_loss(x, y.float())
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        if self.pruner is not None:
            self.pruner.mask_gradients()
        for matrix, kernel in zip(self.matrices, self.kernels, strict=True):
            matrix.grad = kernel.grad.reshape(matrix.shape)
        self.optimise()
        return float(loss.detach())

    def tensors(self) -> dict[str, Tensor]:
        """Parameters, statistics and scales of the network."""
        return csi_tensors(self.network)

    def finish(self) -> None:
        """Biases on the accumulator's grid; checkpoint."""
        if isinstance(self.network, QuantCsiAutoencoder):
            snap_biases(self.network)
        save_csi_checkpoint(self.folder, self.recipe, self.network)

    def log_row(
        self, loss: float, seconds: float, progress: Callable[[CsiProgress], None] | None
    ) -> None:
        """Add a row to the learning curve, and tell it."""
        steps, every = self.recipe.train.steps, self.options.log_every * VALIDATE_EVERY
        sparse = self.pruner.sparsity if self.pruner else 0.0
        val = None
        if self.step % every == 0 or self.step == steps:
            self.options.doing("validates")
            val = evaluate(self.network, self.data.val).nmse_db
            self.network.train()
        loss_db = 10.0 * math.log10(loss)
        self.rows.append(
            {
                "step": self.step,
                "train_nmse_db": f"{loss_db:.3f}",
                "lr": f"{self.recipe.train.lr * self.rate(self.step - 1):.6f}",
                "sparsity": f"{sparse:.4f}",
                "val_nmse_db": "" if val is None else f"{val:.3f}",
                "seconds": f"{seconds:.1f}",
            }
        )
        if progress is not None:
            progress(CsiProgress(self.step, steps, loss_db, val, sparse))


def nmse_loss(x: Tensor, y: Tensor) -> Tensor:
    """Mean over the samples of ||x - y||^2 / ||x||^2, for x and y [n, 2, 32, 32]."""
    each = (1, 2, 3)
    loss: Tensor = ((x - y).square().sum(each) / x.square().sum(each)).mean()
    return loss


def train_csi(
    recipe: CsiRecipe,
    folder: Path,
    options: CsiTrainOptions | None = None,
    progress: Callable[[CsiProgress], None] | None = None,
    data: CsiData | None = None,
) -> CsiNetwork:
    """Train ``recipe`` in ``folder`` (resuming what is there) and return the network, eval mode.

    ``data`` replaces the samples that the recipe and the options name.
    """
    options = options or CsiTrainOptions()
    if (folder / "weights.safetensors").exists() and not (folder / "state.safetensors").exists():
        done, network = load_csi_checkpoint(folder)
        if done == recipe:
            return network
    if data is None:
        data = load_csi(recipe.data, options.data, options.cost2100, options.drawing)
    trainer = CsiTrainer(recipe, folder, options, data)
    trainer.run(progress)
    return trainer.network.eval()

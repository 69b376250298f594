# SPDX-License-Identifier: Apache-2.0
"""Training of a recipe: float or quantization-aware, with or without pruning.

Loss: binary cross-entropy of the pair difference d_k = o[2k] - o[2k+1], i.e.
mean softplus(-x_k d_k), over fresh frames at SNR drawn uniformly in dB. `quant.training_run` has
the loop: what is interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.errors import ConfigError
from models.fullycon import FullyCon, pair_difference
from models.mimo import MimoSystem
from quant.checkpoint import (
    build_network,
    checkpoint_folder,
    load_checkpoint,
    load_tensors,
    network_tensors,
    save_checkpoint,
)
from quant.network import QuantFullyCon, calibrate, clipped_weights, shape_of, snap_biases
from quant.pruning import Pruner
from quant.recipe import ChannelConfig, Recipe
from quant.training_run import TrainingRun, TrainOptions, pick_device

__all__ = [
    "FrameSource",
    "Progress",
    "TrainOptions",
    "Trainer",
    "detection_loss",
    "pick_device",
    "quick_ber",
    "system_of",
    "train_recipe",
]

LOG_FIELDS = ("step", "loss", "lr", "sparsity", "ber_10db", "seconds")


@dataclass(frozen=True)
class Progress:
    """What the trainer tells while it works."""

    step: int
    steps: int
    loss: float
    ber_10db: float | None
    sparsity: float


def system_of(channel: ChannelConfig, n: int, k: int) -> MimoSystem:
    """The MIMO system that a recipe's channel section describes."""
    if channel.kind == "fixed_toeplitz":
        return MimoSystem.fixed_toeplitz(k=k, n=n, rho=channel.rho, seed=channel.seed)
    return MimoSystem.iid_gaussian(k=k, n=n, seed=channel.seed)


class FrameSource:
    """Endless training frames of one system on one device.

    y = H x + w with SNR uniform in dB. With ``project_noise`` the noise lies in the column space of
    H: H^T y is a sufficient statistic, so what is left out carries no information on x.
    """

    def __init__(self, system: MimoSystem, recipe: Recipe, device: torch.device) -> None:
        self.device = device
        self.snr_db = recipe.train.snr_db
        self.h_t = torch.tensor(system.h.T, dtype=torch.float32, device=device)
        self.unit_noise_variance = float(system.noise_variance(0.0))
        basis = torch.linalg.qr(torch.tensor(system.h)).Q.T.float()
        self.basis = basis.to(device) if recipe.train.project_noise else None
        self.generator = torch.Generator(device=device).manual_seed(recipe.train.seed)

    def draw(self, frames: int) -> tuple[Tensor, Tensor]:
        """(x [frames, K] of -1 and +1, y [frames, N]), float32."""
        k, n = self.h_t.shape
        options = {"generator": self.generator, "device": self.device}
        x = torch.randint(0, 2, (frames, k), **options).float() * 2 - 1
        low, high = self.snr_db
        snr_db = low + (high - low) * torch.rand(frames, 1, **options)
        sigma = torch.sqrt(self.unit_noise_variance * 10 ** (-snr_db / 10))
        dims = n if self.basis is None else self.basis.shape[0]
        noise = torch.randn(frames, dims, **options)
        if self.basis is not None:
            noise = noise @ self.basis
        return x, x @ self.h_t + sigma * noise


def detection_loss(outputs: Tensor, x: Tensor) -> Tensor:
    """Mean binary cross-entropy [nat/bit] of one-hot outputs [n, 2K] for x [n, K] in [-1, +1].

    x is what was sent, or a teacher's expectation tanh(d/2) of it: both have the same minimum, but
    the expectation is free of the noise of the single frame (Hinton, Vinyals, Dean 2015).
    """
    difference = pair_difference(outputs.float())
    probability = (1.0 + x) / 2.0
    return nn.functional.binary_cross_entropy_with_logits(difference, probability)


def quick_ber(
    network: nn.Module,
    system: MimoSystem,
    snr_db: float,
    frames: int = 10_000,
    basis: Tensor | None = None,
) -> float:
    """BER on a fixed set of frames, for the learning curve.

    With ``basis`` [K, N] the frames are projected first, as `Trainer.finish` will do by weights.
    """
    bits, y = system.frames(frames, snr_db, np.random.default_rng(12345))
    received = torch.from_numpy(y).to(next(network.parameters()).device)
    if basis is not None:
        received = (received @ basis.T) @ basis
    network.eval()
    with torch.no_grad():
        decided = (pair_difference(network(received)) >= 0).cpu().numpy()
    network.train()
    return float((decided != (bits > 0)).mean())


class Trainer(TrainingRun[Progress]):
    """One training run of a detector."""

    fields = LOG_FIELDS

    def __init__(self, recipe: Recipe, folder: Path, options: TrainOptions) -> None:
        super().__init__(recipe, folder, options, recipe.train.steps)
        self.recipe = recipe
        torch.manual_seed(recipe.train.seed)
        net = recipe.network
        self.system = system_of(recipe.channel, net.inputs, net.bits)
        self.source = FrameSource(self.system, recipe, self.device)
        self.generator = self.source.generator
        saved = load_tensors(self.state_path, recipe) if self.state_path.exists() else None
        self.network: FullyCon | QuantFullyCon = (
            build_network(recipe, saved) if saved is not None else self._initial_network()
        ).to(self.device)
        self.teacher = (
            self._load(recipe.train.teacher).to(self.device) if recipe.train.teacher else None
        )
        layers = list(self.network.layers)
        self.pruner = Pruner(layers, recipe.pruning) if recipe.pruning else None
        self.optimizers = self._make_optimizers()
        if saved is not None:
            self.restore(saved)

    def _initial_network(self) -> FullyCon | QuantFullyCon:
        train = self.recipe.train
        start = FullyCon(shape_of(self.recipe))
        if train.init is not None:
            loaded = self._load(train.init)
            if loaded.shape != start.shape:
                raise ConfigError(
                    f"train.init={train.init!r} has sizes {loaded.shape}, the recipe {start.shape}"
                )
            if isinstance(loaded, QuantFullyCon) and loaded.quant == self.recipe.quant:
                return loaded
            with torch.no_grad():
                weights = clipped_weights(loaded)
                for mine, theirs, weight in zip(start.layers, loaded.layers, weights, strict=True):
                    mine.weight.copy_(weight)
                    mine.bias.copy_(theirs.bias)
        if self.recipe.quant is None:
            return start
        self.options.doing("calibrates the quantizers")
        _, y = self.source.draw(4000)
        return calibrate(start, self.recipe.quant, y.cpu())

    def _load(self, name: str) -> FullyCon | QuantFullyCon:
        parent = self.options.checkpoints
        return load_checkpoint(parent / name if parent else checkpoint_folder(name))[1]

    def _make_optimizers(self) -> list[torch.optim.Optimizer]:
        train = self.recipe.train
        weights = [layer.weight for layer in self.network.layers]
        biases = [layer.bias for layer in self.network.layers]
        return [
            torch.optim.Muon(weights, lr=train.lr, weight_decay=0.0, momentum=0.95, ns_steps=4),
            torch.optim.AdamW(biases, lr=train.bias_lr, weight_decay=0.0, betas=(0.9, 0.99)),
        ]

    def rate(self, step: int) -> float:
        """Factor on the learning rates at ``step``: linear warm-up, flat, linear to zero."""
        train = self.recipe.train
        warm = min(1.0, (step + 1) / max(1, train.warmup_steps))
        left = (1.0 - step / train.steps) / (1.0 - train.decay_from)
        return warm * min(1.0, left)

    def one_step(self) -> float:
        """One optimiser step on fresh frames; returns the loss [nat/bit]."""
        train = self.recipe.train
        factor = self.rate(self.step)
        self.set_rates([train.lr * factor, train.bias_lr * factor])
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        x, y = self.source.draw(train.batch)
        with self.autocast(train.precision, train.exact_from):
            outputs = self.network(y)
            if self.teacher is not None:
                with torch.no_grad():
                    x = torch.tanh(pair_difference(self.teacher(y).float()) / 2.0)
        loss = detection_loss(outputs, x)
        loss.backward()
        if self.pruner is not None:
            self.pruner.mask_gradients()
        self.optimise()
        return float(loss.detach())

    def tensors(self) -> dict[str, Tensor]:
        """Parameters and scales of the network."""
        return network_tensors(self.network)

    def finish(self) -> None:
        """Biases on the accumulator's grid; first layer blind to projected-out noise; checkpoint.

        Training on projected noise never moves the part of the first layer's weights outside the
        column space of H, where real frames have noise: W <- W Q Q^T removes it.
        """
        if isinstance(self.network, QuantFullyCon):
            snap_biases(self.network)
        elif self.source.basis is not None:
            with torch.no_grad():
                weight, basis = self.network.layers[0].weight, self.source.basis
                weight.copy_((weight @ basis.T) @ basis)
        save_checkpoint(self.folder, self.recipe, self.network)

    def log_row(
        self, loss: float, seconds: float, progress: Callable[[Progress], None] | None
    ) -> None:
        """Add a row to the learning curve, and tell it."""
        sparse = self.pruner.sparsity if self.pruner else 0.0
        every = self.options.log_every * 5
        ber = None
        if self.step % every == 0 or self.step == self.recipe.train.steps:
            self.options.doing("counts bit errors at 10 dB")
            ber = quick_ber(self.network, self.system, 10.0, basis=self.source.basis)
        self.rows.append(
            {
                "step": self.step,
                "loss": f"{loss:.6f}",
                "lr": f"{self.recipe.train.lr * self.rate(self.step - 1):.6f}",
                "sparsity": f"{sparse:.4f}",
                "ber_10db": "" if ber is None else f"{ber:.4e}",
                "seconds": f"{seconds:.1f}",
            }
        )
        if progress is not None:
            progress(Progress(self.step, self.recipe.train.steps, loss, ber, sparse))


def train_recipe(
    recipe: Recipe,
    folder: Path,
    options: TrainOptions | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> FullyCon | QuantFullyCon:
    """Train ``recipe`` in ``folder`` (resuming what is there) and return the network, eval mode."""
    options = options or TrainOptions()
    if (folder / "weights.safetensors").exists() and not (folder / "state.safetensors").exists():
        done, network = load_checkpoint(folder)
        if done == recipe:
            return network
    trainer = Trainer(recipe, folder, options)
    trainer.run(progress)
    return trainer.network.eval()

# SPDX-License-Identifier: Apache-2.0
"""Gradual magnitude pruning with retraining, unstructured and balanced.

The part of the weights that is zero follows the cubic schedule of Zhu and Gupta ("To prune, or not
to prune", 2017): s(t) = s_end (1 - (1 - t)^3) for t from 0 to 1 between ``start`` and ``end``.
Masks only grow: a weight once removed stays zero, and stays an exact zero in the export.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from quant.recipe import PruningConfig


def scheduled_sparsity(progress: float, config: PruningConfig) -> float:
    """Part of the weights to be zero at ``progress`` (0 to 1) of the training."""
    t = (progress - config.start) / (config.end - config.start)
    t = min(max(t, 0.0), 1.0)
    return config.target * (1.0 - (1.0 - t) ** 3)


def _unstructured(weights: Sequence[Tensor], sparsity: float) -> list[Tensor]:
    """Masks that keep the largest magnitudes of all tensors together."""
    flat = torch.cat([w.detach().abs().reshape(-1) for w in weights])
    remove = round(sparsity * flat.numel())
    keep = torch.ones_like(flat)
    keep[torch.argsort(flat, stable=True)[:remove]] = 0
    parts = torch.split(keep, [w.numel() for w in weights])
    return [part.reshape(w.shape) for part, w in zip(parts, weights, strict=True)]


def _balanced(weight: Tensor, sparsity: float, block: int) -> Tensor:
    """A mask with the same number of ones in every ``block`` columns of every row.

    The columns of a kernel [out, in, ky, kx] are (ky, kx, in), as the hardware reads a window.
    """
    if weight.ndim == 4:
        flat = weight.permute(0, 2, 3, 1)
        mask = _balanced(flat.reshape(len(weight), -1), sparsity, block)
        return mask.reshape(flat.shape).permute(0, 3, 1, 2).contiguous()
    rows, columns = weight.shape
    blocks = weight.detach().abs().reshape(rows, columns // block, block)
    keep = max(1, block - int(sparsity * block + 1e-9))
    order = torch.argsort(blocks, dim=-1, descending=True, stable=True)
    mask = torch.zeros_like(blocks)
    mask.scatter_(-1, order[..., :keep], 1.0)
    return mask.reshape(rows, columns)


def magnitude_masks(
    weights: Sequence[Tensor], config: PruningConfig, sparsity: float
) -> list[Tensor]:
    """Masks (1 keeps, 0 removes) of weights for a part ``sparsity`` of zeros.

    Weights are matrices [out, in] or kernels [out, in, ky, kx].
    """
    if config.kind == "balanced":
        if config.block is None:
            raise ValueError("balanced pruning needs block")
        return [_balanced(w, sparsity, config.block) for w in weights]
    if config.scope == "global":
        return _unstructured(weights, sparsity)
    return [_unstructured([w], sparsity)[0] for w in weights]


class Pruner:
    """Holds the masks of a network's weight matrices and applies them after every step.

    Args:
        layers: dense layers or convolutions, each with a ``weight``.
        config: what to prune, and when.
    """

    def __init__(self, layers: Sequence[nn.Module], config: PruningConfig) -> None:
        self.config = config
        self.weights: list[Tensor] = [layer.weight for layer in layers]
        self.masks = [(w.detach() != 0).to(w.dtype) for w in self.weights]

    def step(self, step: int, steps: int) -> None:
        """Call after the optimiser's step number ``step`` of ``steps``: prunes when it is time."""
        due = step % self.config.every_steps == 0 or step == round(self.config.end * steps)
        if due and step <= round(self.config.end * steps):
            sparsity = scheduled_sparsity(step / steps, self.config)
            fresh = magnitude_masks(
                [w.detach() * m for w, m in zip(self.weights, self.masks, strict=True)],
                self.config,
                sparsity,
            )
            self.masks = [old * new for old, new in zip(self.masks, fresh, strict=True)]
        self.apply()

    def mask_gradients(self) -> None:
        """Call before the optimiser's step: what is removed must not steer what is kept.

        Muon orthogonalises a whole matrix; with the removed entries in it, most of its step would
        be spent where the mask then takes it back (what that costs: docs/compression.md).
        """
        for weight, mask in zip(self.weights, self.masks, strict=True):
            if weight.grad is not None:
                weight.grad.mul_(mask)

    def apply(self) -> None:
        """Set the removed weights to zero."""
        with torch.no_grad():
            for weight, mask in zip(self.weights, self.masks, strict=True):
                weight.mul_(mask)

    @property
    def sparsity(self) -> float:
        """Part of the weights that is removed now."""
        total = sum(m.numel() for m in self.masks)
        return 1.0 - float(sum(m.sum() for m in self.masks)) / total

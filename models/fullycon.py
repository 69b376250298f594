# SPDX-License-Identifier: Apache-2.0
"""FullyCon: the fully connected MIMO detector of "Learning to Detect" (Samuel, Diskin, Wiesel).

    a_0 = y,   a_l = ReLU(W_l a_{l-1} + b_l)  for l = 1..depth,   o = W a_depth + b

y is the received vector [N]; o holds two values a symbol, one for each BPSK point ("one-hot"), and
the decision is the sign of their difference: bit k = 1 (x_k = +1) when o[2k] >= o[2k+1].
For the reference system (K = 30, N = 60) depth 5 and width 300 give 396,000 weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.errors import ConfigError


@dataclass(frozen=True)
class FullyConShape:
    """Sizes of a FullyCon: ``inputs`` N, ``depth`` hidden layers of ``width``, ``bits`` K."""

    inputs: int = 60
    width: int = 300
    depth: int = 5
    bits: int = 30

    def __post_init__(self) -> None:
        for key in ("inputs", "width", "depth", "bits"):
            if getattr(self, key) < 1:
                raise ConfigError(f"FullyCon {key}={getattr(self, key)}: must be at least 1")

    @property
    def layer_sizes(self) -> tuple[tuple[int, int], ...]:
        """(inputs, outputs) of each dense layer, in order."""
        sizes = [self.inputs, *[self.width] * self.depth, 2 * self.bits]
        return tuple(pairwise(sizes))

    @property
    def weights(self) -> int:
        """Number of weights, which is also the number of multiplications of one detection."""
        return sum(i * o for i, o in self.layer_sizes)


class FullyCon(nn.Module):
    """Floating-point FullyCon. Input y [..., N], output o [..., 2K] (one-hot pairs), float32."""

    def __init__(self, shape: FullyConShape) -> None:
        super().__init__()
        self.shape = shape
        self.layers = nn.ModuleList(nn.Linear(i, o) for i, o in shape.layer_sizes)
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)

    def forward(self, y: Tensor) -> Tensor:
        """One-hot outputs o [..., 2K] for received vectors y [..., N]."""
        a = y
        for layer in self.layers[:-1]:
            a = torch.relu(layer(a))
        out: Tensor = self.layers[-1](a)
        return out


def pair_difference(outputs: Tensor) -> Tensor:
    """o[2k] - o[2k+1] for outputs o [..., 2K]: positive means x_k = +1. Result [..., K]."""
    return outputs[..., 0::2] - outputs[..., 1::2]


def hard_decision(outputs: Tensor) -> Tensor:
    """Bits [..., K] (uint8; 1 is x = +1, a tie gives 1) of one-hot outputs [..., 2K]."""
    return (pair_difference(outputs) >= 0).to(torch.uint8)

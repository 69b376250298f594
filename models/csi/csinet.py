# SPDX-License-Identifier: Apache-2.0
"""CsiNet as published (Wen, Shih, Jin: "Deep Learning for Massive MIMO CSI Feedback", 2018).

    encoder   conv 3x3 2 -> 2, BatchNorm, LeakyReLU(0.3), dense 2048 -> M
    decoder   dense M -> 2048, two RefineNets, conv 3x3 2 -> 2, sigmoid
    RefineNet conv 3x3 2 -> 8 -> 16 -> 2, BatchNorm each, LeakyReLU between, plus its input,
              LeakyReLU

It works on values in [0, 1]: 0.5 + x / 64 for samples with a peak of 32. A floating-point
reference: its dense layers never become hardware.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from models.csi.metrics import ANGLES, DELAYS, PEAK, RATIOS, VALUES
from models.errors import ConfigError

SLOPE = 0.3
REFINE = (2, 8, 16, 2)
RANGE = 2.0 * PEAK
MOMENTUM = 0.01
"""Keras' default, which the published code used (there 0.99, counted the other way round)."""


class RefineNet(nn.Module):
    """Residual block on an image [n, 2, 32, 32]."""

    def __init__(self) -> None:
        super().__init__()
        parts: list[nn.Module] = []
        for inputs, outputs in pairwise(REFINE):
            parts.append(nn.Conv2d(inputs, outputs, 3, padding=1))
            parts.append(nn.BatchNorm2d(outputs, momentum=MOMENTUM))
            parts.append(nn.LeakyReLU(SLOPE))
        self.body = nn.Sequential(*parts[:-1])
        self.activation = nn.LeakyReLU(SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        out: Tensor = self.activation(x + self.body(x))
        return out


class CsiNet(nn.Module):
    """Floating-point CsiNet at 1 / ``ratio``. Input and output [n, 2, 32, 32], centred."""

    def __init__(self, ratio: int) -> None:
        super().__init__()
        if ratio not in RATIOS:
            raise ConfigError(f"compression ratio {ratio}: choices are {RATIOS}")
        self.ratio = ratio
        self.encoder = nn.Sequential(
            nn.Conv2d(2, 2, 3, padding=1),
            nn.BatchNorm2d(2, momentum=MOMENTUM),
            nn.LeakyReLU(SLOPE),
            nn.Flatten(),
            nn.Linear(VALUES, VALUES // ratio),
        )
        self.decoder = nn.Sequential(
            nn.Linear(VALUES // ratio, VALUES),
            nn.Unflatten(1, (2, DELAYS, ANGLES)),
            RefineNet(),
            RefineNet(),
            nn.Conv2d(2, 2, 3, padding=1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x."""
        out: Tensor = self.decoder(self.encoder(x / RANGE + 0.5))
        return (out - 0.5) * RANGE

    @property
    def weights(self) -> int:
        """Weights of convolutions and dense layers, without biases."""
        return sum(p.numel() for p in self.parameters() if p.ndim > 1)

    @property
    def macs(self) -> int:
        """Multiplications of one sample: a dense weight counts once, a kernel's once a pixel."""
        kernels = sum(p.numel() for p in self.parameters() if p.ndim == 4)
        return self.weights - kernels + kernels * DELAYS * ANGLES

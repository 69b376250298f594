# SPDX-License-Identifier: Apache-2.0
"""The networks of `models.csi.spec` in floating point, built from the description."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from models.csi.spec import (
    IMAGE,
    Conv,
    Fire,
    Layer,
    NetworkSpec,
    Pair,
    Shape,
    Upsample,
    next_shape,
)


class ConvUnit(nn.Module):
    """Convolution -> average pooling -> BatchNorm, and ReLU where asked for."""

    def __init__(self, inputs: int, outputs: int, kernel: int, pool: Pair, relu: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
        self.pool = nn.AvgPool2d(pool) if pool != (1, 1) else nn.Identity()
        self.norm = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU() if relu else nn.Identity()
        nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu" if relu else "linear")

    def forward(self, x: Tensor) -> Tensor:
        """[n, outputs, h, w] of [n, inputs, h * pool, w * pool]."""
        return self.relu(self.norm(self.pool(self.conv(x))))

    def folded(self) -> tuple[Tensor, Tensor]:
        """(weight, bias) of the one convolution that computes the same in eval mode.

        BatchNorm is affine in each channel, so it commutes with average pooling.
        """
        norm = self.norm
        gain = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        bias = norm.bias.detach() - norm.running_mean * gain
        return self.conv.weight.detach() * gain.reshape(-1, 1, 1, 1), bias


class FireUnit(nn.Module):
    """Squeeze, two expansions, concatenation."""

    def __init__(self, inputs: int, fire: Fire) -> None:
        super().__init__()
        self.squeeze = ConvUnit(inputs, fire.squeeze, 1, (1, 1), False)
        self.expand1 = ConvUnit(fire.squeeze, fire.expand1, 1, fire.pool, fire.relu)
        self.expand3 = ConvUnit(fire.squeeze, fire.expand3, 3, fire.pool, fire.relu)

    def forward(self, x: Tensor) -> Tensor:
        """[n, expand1 + expand3, h, w]."""
        a = self.squeeze(x)
        return torch.cat([self.expand1(a), self.expand3(a)], dim=1)


class ResidualUnit(nn.Module):
    """y = x + body(x). The body's last BatchNorm starts at zero: the block starts as identity."""

    def __init__(self, body: nn.Sequential) -> None:
        super().__init__()
        self.body = body
        last = body[-1]
        ends = [last.expand1, last.expand3] if isinstance(last, FireUnit) else [last]
        for unit in ends:
            nn.init.zeros_(unit.norm.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.body(x)


def build_layer(layer: Layer, shape: Shape) -> nn.Module:
    """Module of one layer on an input of ``shape``."""
    if isinstance(layer, Conv):
        return ConvUnit(shape[0], layer.channels, layer.kernel, layer.pool, layer.relu)
    if isinstance(layer, Fire):
        return FireUnit(shape[0], layer)
    if isinstance(layer, Upsample):
        return nn.Upsample(scale_factor=tuple(map(float, layer.scale)), mode="nearest")
    return ResidualUnit(build_stack(layer.body, shape))


def build_stack(layers: Sequence[Layer], shape: Shape) -> nn.Sequential:
    """Modules of all layers, in order."""
    modules = []
    for layer in layers:
        modules.append(build_layer(layer, shape))
        shape = next_shape(layer, shape)
    return nn.Sequential(*modules)


class CsiAutoencoder(nn.Module):
    """Floating-point encoder and decoder. Input and output [n, 2, 32, 32], float32."""

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = build_stack(spec.encoder, IMAGE)
        self.decoder = build_stack(spec.decoder, spec.code_shape)

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x."""
        out: Tensor = self.decoder(self.encoder(x))
        return out


def conv_units(module: nn.Module) -> Iterator[ConvUnit]:
    """All convolutions below ``module`` in the order of `models.csi.spec.convolutions`."""
    for child in module.modules():
        if isinstance(child, ConvUnit):
            yield child

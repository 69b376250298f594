# SPDX-License-Identifier: Apache-2.0
"""The quantized network as its trainer computes it: the same numbers as Brevitas, in less time.

Brevitas takes a dozen tensor operations for a quantizer, forwards and backwards; with constant
scales two and one are enough. `mirror` makes a network that shares its parameters with the Brevitas
one and gives the same outputs and the same gradients, bit for bit (a test compares both). Nothing
but the trainer uses it: what is measured, exported and shipped is the Brevitas network.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from models.csi.spec import ConvCost, NetworkSpec, Pair
from quant.csi.network import (
    CsiHalves,
    QuantConv,
    QuantCsiAutoencoder,
    Scales,
    act_bits_of,
    quant_convs,
)
from quant.csi.recipe import CsiQuantConfig
from quant.network import weight_code_max


class WeightQuant(torch.autograd.Function):
    """q = s clip(half_even(x / s), -top, top); its gradient is 1 everywhere."""

    @staticmethod
    def forward(_ctx: Any, x: Tensor, step: Tensor, top: int) -> Tensor:
        """q, of the shape of x."""
        return (x / step).round_().clamp_(-top, top).mul_(step)

    @staticmethod
    def backward(_ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Gradient of x."""
        return grads[0], None, None


class ActQuant(torch.autograd.Function):
    """q = s clip(half_even(x / s), low, high); its gradient is 1 where nothing is clipped.

    With ``relu`` the gradient is that of a ReLU before the quantizer: none for x <= 0.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, step: float, bounds: Pair, relu: bool) -> Tensor:
        """q, of the shape of x."""
        low, high = bounds
        codes = (x / step).round_()
        passed = codes <= high
        passed &= x > 0 if relu else codes >= low
        ctx.save_for_backward(passed)
        return codes.clamp_(low, high).mul_(step)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        """Gradient of x."""
        (passed,) = ctx.saved_tensors
        return grads[0] * passed, None, None, None


class MirrorConv(nn.Module):
    """Convolution with the parameters of ``unit``, then average pooling."""

    def __init__(self, unit: QuantConv) -> None:
        super().__init__()
        self.weight, self.bias, self.pool = unit.conv.weight, unit.conv.bias, unit.pool
        self.padding = unit.cost.kernel // 2
        self.top = weight_code_max(unit.bits)
        self.register_buffer("step", 2.0 ** unit.log2.float().reshape(-1, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Exact pre-activation."""
        weight = WeightQuant.apply(self.weight, self.step, self.top)
        out: Tensor = self.pool(nn.functional.conv2d(x, weight, self.bias, padding=self.padding))
        return out


class MirrorQuant(nn.Module):
    """(ReLU and) quantizer of a stream."""

    def __init__(self, bits: int, log2: int, relu: bool) -> None:
        super().__init__()
        self.step, self.relu = 2.0**log2, relu
        half = 2 ** (bits - 1)
        self.bounds = (0, 2 * half - 1) if relu else (-half, half - 1)

    def forward(self, x: Tensor) -> Tensor:
        """Codes times scale."""
        out: Tensor = ActQuant.apply(x, self.step, self.bounds, self.relu)
        return out


@dataclass(frozen=True)
class MirrorParts:
    """Modules that share the parameters ``units`` of a Brevitas network, by name."""

    spec: NetworkSpec
    config: CsiQuantConfig
    scales: Scales
    units: dict[str, QuantConv]

    def conv(self, cost: ConvCost, _pool: Pair, _stream: str) -> nn.Module:
        """Convolution of the unit of this name."""
        return MirrorConv(self.units[cost.name])

    def quant(self, stream: str, relu: bool) -> nn.Module:
        """Quantizer with the stream's bits and scale."""
        bits = act_bits_of(self.spec, self.config, stream)
        return MirrorQuant(bits, self.scales.acts[stream], relu)


def mirror(network: QuantCsiAutoencoder) -> CsiHalves:
    """``network`` as its trainer computes it; both have the same parameters."""
    units = {unit.cost.name: unit for unit in quant_convs(network)}
    parts = MirrorParts(network.spec, network.quant, network.scales, units)
    halves = CsiHalves(network.spec, parts)
    return halves.to(next(network.parameters()).device)

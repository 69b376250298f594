# SPDX-License-Identifier: Apache-2.0
"""From a floating-point CSI network to a quantized one: folding, scales, biases on the grid."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from models.csi.networks import CsiAutoencoder, conv_units
from models.csi.spec import ConvCost, NetworkSpec, Pair
from quant.csi.network import (
    INPUT,
    CsiHalves,
    QuantCsiAutoencoder,
    Scales,
    act_bits_of,
    quant_convs,
    weight_bits_of,
)
from quant.csi.recipe import CsiQuantConfig
from quant.network import best_weight_scale

MAX_EXACT = 2**24
"""Whole numbers up to here are exact in float32."""

SAMPLED = 200_000
"""Values of a stream that its scale is chosen from."""


class Recorder(nn.Module):
    """Keeps the values that pass, behind a ReLU where there is one."""

    def __init__(self, relu: bool) -> None:
        super().__init__()
        self.relu = relu
        self.values: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """x, or ReLU(x)."""
        x = torch.relu(x) if self.relu else x
        flat = x.detach().reshape(-1)
        self.values.append(flat[:: max(1, flat.numel() // SAMPLED)])
        return x


@dataclass
class RecorderParts:
    """Plain convolutions with folded weights, and one `Recorder` a stream."""

    folded: dict[str, tuple[Tensor, Tensor]]
    recorders: dict[str, Recorder] = field(default_factory=dict)

    def conv(self, cost: ConvCost, pool: Pair, _stream: str) -> nn.Module:
        """Floating-point convolution and pooling."""
        conv = nn.Conv2d(cost.inputs, cost.outputs, cost.kernel, padding=cost.kernel // 2)
        with torch.no_grad():
            conv.weight.copy_(self.folded[cost.name][0])
            conv.bias.copy_(self.folded[cost.name][1])
        return nn.Sequential(conv, nn.AvgPool2d(pool))

    def quant(self, stream: str, relu: bool) -> nn.Module:
        """The stream's recorder; joined streams share it."""
        return self.recorders.setdefault(stream, Recorder(relu))


def folded_weights(network: CsiAutoencoder) -> dict[str, tuple[Tensor, Tensor]]:
    """(weight, bias) of every convolution by name, BatchNorm folded."""
    names = [conv.name for conv in network.spec.convolutions]
    return {name: unit.folded() for name, unit in zip(names, conv_units(network), strict=True)}


def current_weights(network: QuantCsiAutoencoder) -> dict[str, tuple[Tensor, Tensor]]:
    """(weight, bias) of every convolution of a quantized network, weights within their range."""
    weights = {}
    for unit in quant_convs(network):
        scale = 2.0 ** unit.log2.float().reshape(-1, 1, 1, 1)
        largest = scale * (2 ** (unit.bits - 1) - 0.5)
        weight = unit.conv.weight.detach().cpu()
        clipped = torch.minimum(torch.maximum(weight, -largest), largest)
        weights[unit.cost.name] = (clipped, unit.conv.bias.detach().cpu())
    return weights


def best_step(values: Tensor, bits: int, signed: bool) -> int:
    """log2 of the power-of-two step with the least squared error on ``values``."""
    low, top = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    largest = float(values.abs().max().clamp_min(1e-12))
    start = math.ceil(math.log2(largest / top))
    errors = {}
    for log2 in range(start - 6, start + 1):
        scale = 2.0**log2
        quantized = torch.clamp(torch.round(values / scale), low, top) * scale
        errors[log2] = float(((quantized - values) ** 2).mean())
    return min(errors, key=lambda log2: errors[log2])


def find_scales(
    spec: NetworkSpec,
    folded: dict[str, tuple[Tensor, Tensor]],
    quant: CsiQuantConfig,
    x: Tensor,
) -> Scales:
    """Scales for weights ``folded`` and samples x [n, 2, 32, 32]."""
    parts = RecorderParts(folded)
    with torch.no_grad():
        CsiHalves(spec, parts).eval()(x)
    scales = Scales()
    for stream, recorder in parts.recorders.items():
        bits = act_bits_of(spec, quant, stream)
        scales.acts[stream] = best_step(torch.cat(recorder.values), bits, not recorder.relu)
    scales.acts[INPUT] = quant.input_scale_log2
    for name, bits in weight_bits_of(spec, quant).items():
        weight = folded[name][0]
        rows = weight.reshape(weight.shape[0], -1)
        scales.weights[name] = best_weight_scale(rows, bits, quant.weight_scale == "channel")
    return scales


def calibrate(
    source: CsiAutoencoder | QuantCsiAutoencoder, quant: CsiQuantConfig, x: Tensor
) -> QuantCsiAutoencoder:
    """A quantized network that starts from ``source``; scales from weights and samples x.

    Args:
        source: floating-point network in eval mode, or a quantized one of other bit widths.
        quant: bit widths.
        x: samples [n, 2, 32, 32]; some hundred are enough.
    """
    folded = (
        folded_weights(source) if isinstance(source, CsiAutoencoder) else current_weights(source)
    )
    network = QuantCsiAutoencoder(source.spec, quant, find_scales(source.spec, folded, quant, x))
    with torch.no_grad():
        for unit in quant_convs(network):
            weight, bias = folded[unit.cost.name]
            unit.conv.weight.copy_(weight)
            unit.conv.bias.copy_(bias)
    snap_biases(network)
    return network


def snap_biases(network: QuantCsiAutoencoder) -> None:
    """Round every bias to a whole number of its accumulator's steps s_w s_a, half to even.

    See `quant.network.snap_biases`. Pooling divides by a power of two, which keeps the grid whole.
    """
    with torch.no_grad():
        for unit in quant_convs(network):
            log2 = unit.log2.to(unit.conv.bias.device).float()
            step = 2.0 ** (log2 + network.scales.acts[unit.stream])
            unit.conv.bias.copy_(torch.round(unit.conv.bias / step) * step)

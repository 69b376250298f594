# SPDX-License-Identifier: Apache-2.0
"""The quantization-aware FullyCon, in Brevitas.

    codes_0 = clip(half_even(y / s_0));   a_l = s_l * clip(half_even(ReLU(W_l a_{l-1} + b_l) / s_l))

All scales are constants and powers of two, chosen once from the network it starts from
(`calibrate`). Weight codes times activation codes then sum to integers below 2^24, so that float32
computes every pre-activation without rounding, whatever the order of the sum: Brevitas, QONNX and
the integer hardware see the same numbers.
"""

from __future__ import annotations

import math

import torch
from brevitas import nn as qnn
from brevitas.core.zero_point import ZeroZeroPoint
from brevitas.inject.enum import (
    BitWidthImplType,
    FloatToIntImplType,
    QuantType,
    RestrictValueType,
    ScalingImplType,
)
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver
from torch import Tensor, nn

from models.errors import ConfigError
from models.fullycon import FullyCon, FullyConShape
from quant.recipe import QuantConfig, Recipe


class ConstWeightQuant(WeightQuantSolver):
    """Signed, narrow range, constant scale; the bit width is given with the layer."""

    quant_type = QuantType.INT
    bit_width_impl_type = BitWidthImplType.CONST
    float_to_int_impl_type = FloatToIntImplType.ROUND
    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    scaling_per_output_channel = False
    zero_point_impl = ZeroZeroPoint
    narrow_range = True
    signed = True
    bit_width = 8


class ConstBinaryWeightQuant(ConstWeightQuant):
    """Weights -1 and +1 times a constant scale."""

    quant_type = QuantType.BINARY
    bit_width = 1


class ConstActQuant(ActQuantSolver):
    """Unsigned, constant scale; the bit width is given with the layer."""

    quant_type = QuantType.INT
    bit_width_impl_type = BitWidthImplType.CONST
    float_to_int_impl_type = FloatToIntImplType.ROUND
    scaling_impl_type = ScalingImplType.CONST
    restrict_scaling_type = RestrictValueType.FP
    scaling_per_output_channel = False
    zero_point_impl = ZeroZeroPoint
    narrow_range = False
    signed = False
    bit_width = 8


class ConstInputQuant(ConstActQuant):
    """The ADC: signed codes over the full two's complement range."""

    signed = True


def weight_code_max(bits: int) -> int:
    """Largest weight code: 1 for binary and ternary, 2^(bits-1) - 1 otherwise."""
    return max(1, 2 ** (bits - 1) - 1)


class QuantFullyCon(nn.Module):
    """FullyCon with quantized input, weights and activations; interface of `FullyCon`.

    ``weight_scale_log2`` [layer] holds log2 of each layer's weight scale, one value or one a row;
    ``act_scale_log2`` [layer] of each hidden activation.
    """

    def __init__(
        self,
        shape: FullyConShape,
        quant: QuantConfig,
        weight_scale_log2: list[Tensor],
        act_scale_log2: list[int],
    ) -> None:
        super().__init__()
        self.shape = shape
        self.quant = quant
        self.input_quant = qnn.QuantIdentity(
            act_quant=ConstInputQuant,
            bit_width=quant.input_bits,
            scaling_init=2.0**quant.input_scale_log2 * 2 ** (quant.input_bits - 1),
            return_quant_tensor=False,
        )
        self.layers = nn.ModuleList()
        self.activations = nn.ModuleList()
        for index, (inputs, outputs) in enumerate(shape.layer_sizes):
            weight_bits, act_bits = quant.bits_of(index)
            scale = 2.0 ** weight_scale_log2[index].float()
            self.layers.append(_quant_linear(inputs, outputs, weight_bits, scale))
            if index < shape.depth:
                step = 2.0 ** act_scale_log2[index]
                self.activations.append(
                    qnn.QuantReLU(
                        act_quant=ConstActQuant,
                        bit_width=act_bits,
                        scaling_init=step * (2**act_bits - 1),
                        return_quant_tensor=False,
                    )
                )

    def forward(self, y: Tensor) -> Tensor:
        """One-hot outputs o [..., 2K] for received vectors y [..., N]."""
        a = self.input_quant(y)
        for layer, activation in zip(self.layers, self.activations, strict=False):
            a = activation(layer(a))
        out: Tensor = self.layers[-1](a)
        return out


def _quant_linear(inputs: int, outputs: int, bits: int, scale: Tensor) -> nn.Module:
    if bits == 1:
        return qnn.QuantLinear(
            inputs,
            outputs,
            bias=True,
            weight_quant=ConstBinaryWeightQuant,
            weight_scaling_init=scale,
        )
    per_row = scale.numel() > 1
    if per_row:
        scale = scale.reshape(outputs, 1)
    return qnn.QuantLinear(
        inputs,
        outputs,
        bias=True,
        weight_quant=ConstWeightQuant,
        weight_bit_width=bits,
        weight_scaling_init=scale * weight_code_max(bits),
        weight_scaling_per_output_channel=per_row,
    )


def best_weight_scale(weight: Tensor, bits: int, per_row: bool) -> Tensor:
    """log2 of the power-of-two scale with the least squared error on ``weight`` [out, in].

    Trained weights have tails of 30 standard deviations, which the least squared error of one or
    two bits would follow, leaving nearly all weights zero. There the scale is the one of ternary
    weight networks (Li, Zhang, Liu 2016: weights above 0.7 mean|w| count), or mean|w| for binary.

    Args:
        weight: float weights; zeros (pruned weights) do not count.
        bits: weight bits; 1 is binary, 2 ternary.
        per_row: one scale a row, [out, 1], else one in all, [1].
    """
    rows = weight if per_row else weight.reshape(1, -1)
    top = weight_code_max(bits)
    if bits <= 2:
        kept = (rows != 0).sum(dim=1, keepdim=True).clamp_min(1)
        mean = rows.abs().sum(dim=1, keepdim=True) / kept
        log2 = torch.round(torch.log2((1.4 if bits == 2 else 1.0) * mean.clamp_min(1e-12)))
        return log2 if per_row else log2.reshape(1)
    largest = rows.abs().amax(dim=1, keepdim=True).clamp_min(1e-12)
    start = torch.ceil(torch.log2(largest / top))
    best, best_error = start, torch.full_like(start, math.inf)
    for shift in range(5):
        log2 = start - shift
        scale = 2.0**log2
        quantized = torch.clamp(torch.round(rows / scale), -top, top) * scale
        error = ((quantized - rows) ** 2 * (rows != 0)).sum(dim=1, keepdim=True)
        best = torch.where(error < best_error, log2, best)
        best_error = torch.minimum(error, best_error)
    return best if per_row else best.reshape(1)


def best_act_scale(values: Tensor, bits: int) -> int:
    """log2 of the power-of-two step with the least squared error on post-ReLU ``values``."""
    top = 2**bits - 1
    largest = float(values.max().clamp_min(1e-12))
    start = math.ceil(math.log2(largest / top))
    errors = {}
    for log2 in range(start - 5, start + 1):
        scale = 2.0**log2
        quantized = torch.clamp(torch.round(values / scale), 0, top) * scale
        errors[log2] = float(((quantized - values) ** 2).mean())
    return min(errors, key=lambda log2: errors[log2])


def calibrate(source: FullyCon, quant: QuantConfig, y: Tensor) -> QuantFullyCon:
    """A quantized network that starts from ``source``; scales from weights and frames y [n, N]."""
    weight_log2, act_log2 = [], []
    with torch.no_grad():
        a = y
        for index, layer in enumerate(source.layers):
            weight_bits, act_bits = quant.bits_of(index)
            weight_log2.append(
                best_weight_scale(layer.weight, weight_bits, quant.weight_scale == "channel")
            )
            if index < source.shape.depth:
                a = torch.relu(layer(a))
                act_log2.append(best_act_scale(a, act_bits))
    network = QuantFullyCon(source.shape, quant, weight_log2, act_log2)
    with torch.no_grad():
        for mine, theirs in zip(network.layers, source.layers, strict=True):
            mine.weight.copy_(theirs.weight)
            mine.bias.copy_(theirs.bias)
    snap_biases(network)
    return network


def snap_biases(network: QuantFullyCon) -> None:
    """Round every bias to a whole number of its accumulator's steps s_w s_a, half to even.

    A float32 sum rounds where a bias is off this grid, and the result then depends on the order of
    the sum; on the grid every link of the chain computes the same integers. The error is at most
    half a step of the accumulator, a few hundredths of an activation step.
    """
    weights, acts = scales_of(network)
    inputs = [network.quant.input_scale_log2, *acts]
    with torch.no_grad():
        for layer, weight_log2, input_log2 in zip(network.layers, weights, inputs, strict=True):
            step = 2.0 ** (weight_log2.float().reshape(-1) + input_log2)
            layer.bias.copy_(torch.round(layer.bias / step) * step)


def clipped_weights(network: FullyCon | QuantFullyCon) -> list[Tensor]:
    """Weights [layer][out, in] before rounding: of a quantized network within its code range."""
    if isinstance(network, FullyCon):
        return [layer.weight.detach() for layer in network.layers]
    weights = []
    for index, (layer, log2) in enumerate(zip(network.layers, scales_of(network)[0], strict=True)):
        largest = (weight_code_max(network.quant.bits_of(index)[0]) + 0.5) * 2.0 ** log2.float()
        weights.append(torch.minimum(torch.maximum(layer.weight.detach(), -largest), largest))
    return weights


def scales_of(network: QuantFullyCon) -> tuple[list[Tensor], list[int]]:
    """(weight_scale_log2, act_scale_log2) of a network, as its constructor takes them."""
    weights = [torch.log2(layer.quant_weight().scale).round().int() for layer in network.layers]
    weights = [w.reshape(-1, 1) if w.numel() > 1 else w.reshape(1) for w in weights]
    acts = []
    for index, activation in enumerate(network.activations):
        bits = network.quant.bits_of(index)[1]
        step = float(activation.act_quant.scale())
        log2 = round(math.log2(step))
        if 2.0**log2 != step:
            raise ConfigError(f"activation {index} ({bits} bits): step {step} is no power of two")
        acts.append(log2)
    return weights, acts


def shape_of(recipe: Recipe) -> FullyConShape:
    """The sizes that a recipe asks for."""
    n = recipe.network
    return FullyConShape(inputs=n.inputs, width=n.width, depth=n.depth, bits=n.bits)

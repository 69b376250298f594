# SPDX-License-Identifier: Apache-2.0
"""The quantization-aware CSI networks, in Brevitas, built from `models.csi.spec`.

    input codes -> convolution + bias -> average pooling -> ReLU -> activation codes -> ...

BatchNorm is folded into the convolution before. All scales are constant powers of two, chosen once
from the network it starts from (`quant.csi.calibrate`), and biases lie on the accumulator's grid,
so float32 computes every pre-activation exactly: Brevitas, QONNX and the integer hardware see the
same numbers. Streams that join have one quantizer: the two expansions of a fire module, and x and
body(x) of a residual block. The encoder ends with the quantizer of the codeword; the decoder begins
with the same one, which leaves codes as they are. The decoder's last convolution has no quantizer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from brevitas import nn as qnn
from torch import Tensor, nn

from models.csi.spec import (
    IMAGE,
    Conv,
    ConvCost,
    Fire,
    Layer,
    NetworkSpec,
    Pair,
    Residual,
    Shape,
    Upsample,
    next_shape,
)
from quant.csi.recipe import CsiQuantConfig
from quant.network import ConstActQuant, ConstInputQuant, ConstWeightQuant, weight_code_max

INPUT = "enc.input"
CODE = "code"


@dataclass
class Scales:
    """log2 of all scales of a network, by name.

    Attributes:
        acts: one a stream: `INPUT`, `CODE`, "enc.2", "enc.2.squeeze", "dec.1.body.0" ...
        weights: one a convolution (names of `models.csi.spec.ConvCost`): [1], or [outputs].
    """

    acts: dict[str, int] = field(default_factory=dict)
    weights: dict[str, Tensor] = field(default_factory=dict)


class Parts(Protocol):
    """Makes the modules that `build_half` puts together."""

    def conv(self, cost: ConvCost, pool: Pair, _stream: str) -> nn.Module:
        """Convolution with bias of a stream, and the average pooling behind it."""

    def quant(self, stream: str, relu: bool) -> nn.Module:
        """(ReLU and) quantizer of a stream."""


class Unit(nn.Module):
    """Convolution with pooling, and a quantizer."""

    def __init__(self, conv: nn.Module, quant: nn.Module) -> None:
        super().__init__()
        self.conv, self.quant = conv, quant

    def forward(self, x: Tensor) -> Tensor:
        """Codes times scale; the exact pre-activation where there is no quantizer."""
        return self.quant(self.conv(x))


class FireUnit(nn.Module):
    """Squeeze, two expansions with one quantizer, concatenation."""

    def __init__(self, squeeze: nn.Module, expand1: nn.Module, expand3: nn.Module) -> None:
        super().__init__()
        self.squeeze, self.expand1, self.expand3 = squeeze, expand1, expand3

    def forward(self, x: Tensor) -> Tensor:
        """[n, expand1 + expand3, h, w]."""
        a = self.squeeze(x)
        return torch.cat([self.expand1(a), self.expand3(a)], dim=1)


class ResidualUnit(nn.Module):
    """y = quant(x + body(x)); x and body(x) have one scale."""

    def __init__(self, body: nn.Module, quant: nn.Module) -> None:
        super().__init__()
        self.body, self.quant = body, quant

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return self.quant(x + self.body(x))


@dataclass(frozen=True)
class HalfBuilder:
    """Builds encoder or decoder from the description, with ``parts``."""

    parts: Parts

    def stack(
        self, layers: Sequence[Layer], shape: Shape, prefix: str, stream: str, last: str | None
    ) -> nn.Sequential:
        """Modules of ``layers``.

        Args:
            layers: what to build.
            shape: of the input.
            prefix: of the names.
            stream: the input's quantizer.
            last: name of the quantizer behind the last layer; None: it has none.
        """
        modules = []
        for index, layer in enumerate(layers):
            name = f"{prefix}.{index}"
            final = index == len(layers) - 1
            after = last if final else name
            modules.append(self._layer(layer, shape, name, stream, after))
            if not isinstance(layer, Upsample):
                stream = after or ""
            shape = next_shape(layer, shape)
        return nn.Sequential(*modules)

    def _layer(
        self, layer: Layer, shape: Shape, name: str, stream: str, after: str | None
    ) -> nn.Module:
        if isinstance(layer, Upsample):
            return nn.Upsample(scale_factor=tuple(map(float, layer.scale)), mode="nearest")
        if isinstance(layer, Residual):
            body = self.stack(layer.body, shape, f"{name}.body", stream, stream)
            return ResidualUnit(body, self.parts.quant(after or name, False))
        if isinstance(layer, Conv):
            cost = ConvCost(name, shape[0], layer.channels, layer.kernel, shape[1] * shape[2])
            return self._unit(cost, layer.pool, stream, after, layer.relu)
        return self._fire(layer, shape, name, stream, after)

    def _fire(
        self, fire: Fire, shape: Shape, name: str, stream: str, after: str | None
    ) -> nn.Module:
        pixels, middle = shape[1] * shape[2], fire.squeeze
        squeeze = ConvCost(f"{name}.squeeze", shape[0], middle, 1, pixels)
        expand1 = ConvCost(f"{name}.expand1", middle, fire.expand1, 1, pixels)
        expand3 = ConvCost(f"{name}.expand3", middle, fire.expand3, 3, pixels)
        return FireUnit(
            self._unit(squeeze, (1, 1), stream, squeeze.name, False),
            self._unit(expand1, fire.pool, squeeze.name, after, fire.relu),
            self._unit(expand3, fire.pool, squeeze.name, after, fire.relu),
        )

    def _unit(self, cost: ConvCost, pool: Pair, stream: str, after: str | None, relu: bool) -> Unit:
        quant = self.parts.quant(after, relu) if after is not None else nn.Identity()
        return Unit(self.parts.conv(cost, pool, stream), quant)


class CsiHalves(nn.Module):
    """Encoder and decoder made of ``parts``. Input and output [n, 2, 32, 32], float32."""

    def __init__(self, spec: NetworkSpec, parts: Parts) -> None:
        super().__init__()
        self.spec = spec
        builder = HalfBuilder(parts)
        self.encoder = nn.Sequential(
            parts.quant(INPUT, False), builder.stack(spec.encoder, IMAGE, "enc", INPUT, CODE)
        )
        self.decoder = nn.Sequential(
            parts.quant(CODE, False),
            builder.stack(spec.decoder, spec.code_shape, "dec", CODE, None),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The reconstruction of x."""
        out: Tensor = self.decoder(self.encoder(x))
        return out


class QuantConv(nn.Module):
    """Convolution with quantized weights and a bias, then average pooling."""

    def __init__(self, cost: ConvCost, pool: Pair, stream: str, bits: int, log2: Tensor) -> None:
        super().__init__()
        self.cost, self.stream, self.bits = cost, stream, bits
        self.pooled = pool[0] * pool[1]
        self.log2 = log2.int().reshape(-1)
        per_channel = log2.numel() > 1
        scale = 2.0 ** log2.float()
        self.conv = qnn.QuantConv2d(
            cost.inputs,
            cost.outputs,
            cost.kernel,
            padding=cost.kernel // 2,
            bias=True,
            weight_quant=ConstWeightQuant,
            weight_bit_width=bits,
            weight_scaling_init=(scale.reshape(-1, 1, 1, 1) if per_channel else scale)
            * weight_code_max(bits),
            weight_scaling_per_output_channel=per_channel,
        )
        self.pool = nn.AvgPool2d(pool) if pool != (1, 1) else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Exact pre-activation."""
        return self.pool(self.conv(x))


@dataclass(frozen=True)
class QuantParts:
    """Brevitas modules with the bit widths of a recipe and given scales."""

    spec: NetworkSpec
    quant_config: CsiQuantConfig
    scales: Scales

    def conv(self, cost: ConvCost, pool: Pair, stream: str) -> nn.Module:
        """Quantized convolution."""
        bits = weight_bits_of(self.spec, self.quant_config)[cost.name]
        return QuantConv(cost, pool, stream, bits, self.scales.weights[cost.name])

    def quant(self, stream: str, relu: bool) -> nn.Module:
        """Quantizer with the stream's bits and scale."""
        bits = act_bits_of(self.spec, self.quant_config, stream)
        step = 2.0 ** self.scales.acts[stream]
        kind, act, top = (
            (qnn.QuantReLU, ConstActQuant, 2**bits - 1)
            if relu
            else (qnn.QuantIdentity, ConstInputQuant, 2 ** (bits - 1))
        )
        return kind(
            act_quant=act, bit_width=bits, scaling_init=step * top, return_quant_tensor=False
        )


class QuantCsiAutoencoder(CsiHalves):
    """The quantized network; ``scales`` as `quant.csi.calibrate` finds them."""

    def __init__(self, spec: NetworkSpec, quant: CsiQuantConfig, scales: Scales) -> None:
        super().__init__(spec, QuantParts(spec, quant, scales))
        self.quant, self.scales = quant, scales


def weight_bits_of(spec: NetworkSpec, quant: CsiQuantConfig) -> dict[str, int]:
    """Weight bits of every convolution, by name."""
    names = [conv.name for conv in spec.convolutions]
    bits = dict.fromkeys(names, quant.weight_bits)
    if quant.edge_bits is not None:
        for half in ("enc", "dec"):
            own = [name for name in names if name.startswith(half)]
            bits[own[0]] = bits[own[-1]] = quant.edge_bits
    return bits


def act_bits_of(spec: NetworkSpec, quant: CsiQuantConfig, stream: str) -> int:
    """Bits of a stream's codes."""
    if stream in (INPUT, CODE):
        return quant.input_bits if stream == INPUT else quant.code_bits
    return (quant.edge_bits or quant.act_bits) if stream in edge_streams(spec) else quant.act_bits


def edge_streams(spec: NetworkSpec) -> set[str]:
    """Streams behind the first layer and before the last layer of each half."""
    edges = set()
    for half, layers in (("enc", spec.encoder), ("dec", spec.decoder)):
        owners = [i for i, layer in enumerate(layers[:-1]) if not isinstance(layer, Upsample)]
        edges |= {f"{half}.{owners[0]}", f"{half}.{owners[-1]}"}
    return edges


def quant_convs(network: nn.Module) -> Iterator[QuantConv]:
    """All quantized convolutions, in the order of computation."""
    for module in network.modules():
        if isinstance(module, QuantConv):
            yield module

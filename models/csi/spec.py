# SPDX-License-Identifier: Apache-2.0
"""ConvCsiNet and ConvSquCsiNet as data: one description from which all else is built or counted.

Both are **our own reconstruction**. Known of the article's networks is: ConvCsiNet replaces the
dense layers of CsiNet by convolutions and average pooling (encoder) and by upsampling, convolutions
and RefineNet-type residual blocks (decoder); ConvSquCsiNet has fire modules (SqueezeNet: Iandola et
al., 2016) instead of convolutions. The sizes are ours.

Most energy of the angular-delay form lies in the first delays, while all angles are used alike: the
delay axis is pooled away, the channels grow, and the angles keep their resolution, so that every
value of the codeword [64 / ratio channels, 1, 32 angles] carries something. A layer computes, in
this order,

    convolution (stride 1, zero padding) -> average pooling -> BatchNorm -> ReLU

so that pooling sums the integers of the convolution exactly and only one rounding follows. All
kernels are 3x3 or 1x1 and all pooling windows hold a power of two of values.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from models.csi.metrics import ANGLES, DELAYS, RATIOS, VALUES
from models.errors import ConfigError

Pair = tuple[int, int]
Shape = tuple[int, int, int]
"""Channels, delays, angles."""

Kind = Literal["conv", "squ"]
IMAGE: Shape = (2, DELAYS, ANGLES)
CODE_MAP: Pair = (1, ANGLES)
"""Delays and angles of the codeword; its channels follow from the ratio."""


@dataclass(frozen=True)
class Conv:
    """A convolution.

    Attributes:
        channels: of the output.
        kernel: 3 (zero padding 1) or 1.
        pool: window and stride (delay, angle) of the average pooling behind it.
        relu: False leaves the result linear (signed).
    """

    channels: int
    kernel: int = 3
    pool: Pair = (1, 1)
    relu: bool = True


@dataclass(frozen=True)
class Fire:
    """A fire module: squeeze 1x1, then expand 1x1 and expand 3x3 side by side, concatenated.

    The squeeze is linear: a ReLU there would need twice the channels to let signed values through.

    Attributes:
        squeeze: channels between.
        expand1, expand3: channels of the two outputs, in this order.
        pool: average pooling behind both expansions.
        relu: False leaves the expansions linear too.
    """

    squeeze: int
    expand1: int
    expand3: int
    pool: Pair = (1, 1)
    relu: bool = True


@dataclass(frozen=True)
class Upsample:
    """Nearest neighbour, by whole factors (delay, angle)."""

    scale: Pair


@dataclass(frozen=True)
class Residual:
    """RefineNet-type block y = x + body(x). x and body(x) are signed: their last layers linear."""

    body: tuple[Conv | Fire, ...]


Layer = Conv | Fire | Upsample | Residual


@dataclass(frozen=True)
class ConvCost:
    """One convolution of a network: what it costs and where it stands.

    Attributes:
        name: path of the layer, such as "enc.2.expand3".
        inputs, outputs: channels.
        kernel: 3 or 1.
        pixels: output pixels before pooling.
    """

    name: str
    inputs: int
    outputs: int
    kernel: int
    pixels: int

    @property
    def weights(self) -> int:
        """Weights without biases."""
        return self.inputs * self.outputs * self.kernel**2

    @property
    def macs(self) -> int:
        """Multiplications of one sample."""
        return self.weights * self.pixels


@dataclass(frozen=True)
class NetworkSpec:
    """Encoder and decoder of one network.

    Attributes:
        kind: "conv" (ConvCsiNet) or "squ" (ConvSquCsiNet).
        ratio: compression ratio: the codeword has 2048 / ratio values.
        encoder: layers from the image [2, 32, 32] to the codeword.
        decoder: layers from the codeword to the image.
    """

    kind: str
    ratio: int
    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]

    def __post_init__(self) -> None:
        code = shape_after(self.encoder, IMAGE)
        if math.prod(code) * self.ratio != VALUES:
            raise ConfigError(
                f"{self.kind} at 1/{self.ratio}: codeword {code} has {math.prod(code)} values, "
                f"the ratio wants {VALUES // self.ratio}"
            )
        if (image := shape_after(self.decoder, code)) != IMAGE:
            raise ConfigError(f"{self.kind} at 1/{self.ratio}: decoder gives {image}, not {IMAGE}")
        for layers in (self.encoder, self.decoder):
            self._check_residuals(layers)
            last = layers[-1]
            if not isinstance(last, Conv) or last.relu:
                raise ConfigError(f"{self.kind}: the last layer must be a linear Conv, not {last}")

    def _check_residuals(self, layers: Sequence[Layer]) -> None:
        """What a residual block reads must be signed, as what it adds."""
        signed = True
        for layer in layers:
            if isinstance(layer, Residual) and not signed:
                raise ConfigError(f"{self.kind}: {layer} follows a ReLU: its two sides differ")
            if isinstance(layer, Conv | Fire):
                signed = not layer.relu

    @property
    def code_shape(self) -> Shape:
        """Shape of the codeword."""
        return shape_after(self.encoder, IMAGE)

    @property
    def convolutions(self) -> tuple[ConvCost, ...]:
        """All convolutions, in the order of computation, encoder first."""
        return (
            *convolutions(self.encoder, IMAGE, "enc"),
            *convolutions(self.decoder, self.code_shape, "dec"),
        )

    @property
    def weights(self) -> int:
        """Weights of encoder and decoder, without biases."""
        return sum(conv.weights for conv in self.convolutions)

    @property
    def macs(self) -> int:
        """Multiplications of encoder and decoder for one sample."""
        return sum(conv.macs for conv in self.convolutions)


def next_shape(layer: Layer, shape: Shape) -> Shape:
    """Shape behind a layer.

    Raises:
        ConfigError: a pooling window that does not divide the map or is no power of two, a kernel
            other than 1 and 3, a residual block that changes the shape or ends with a ReLU.
    """
    channels, height, width = shape
    if isinstance(layer, Upsample):
        return channels, height * layer.scale[0], width * layer.scale[1]
    if isinstance(layer, Residual):
        if shape_after(layer.body, shape) != shape or layer.body[-1].relu:
            raise ConfigError(f"{layer}: must keep the shape {shape} and end without ReLU")
        return shape
    window = math.prod(layer.pool)
    if window & (window - 1) or height % layer.pool[0] or width % layer.pool[1]:
        raise ConfigError(
            f"{layer}: pool={layer.pool} must divide the map {height} x {width} and hold a power "
            "of two of values"
        )
    if isinstance(layer, Conv) and layer.kernel not in (1, 3):
        raise ConfigError(f"{layer}: kernel={layer.kernel}: choices are 1, 3")
    outputs = layer.channels if isinstance(layer, Conv) else layer.expand1 + layer.expand3
    return outputs, height // layer.pool[0], width // layer.pool[1]


def shape_after(layers: Sequence[Layer], shape: Shape) -> Shape:
    """Shape behind all layers."""
    for layer in layers:
        shape = next_shape(layer, shape)
    return shape


def convolutions(layers: Sequence[Layer], shape: Shape, prefix: str) -> Iterator[ConvCost]:
    """The convolutions of ``layers`` on an input of ``shape``, in the order of computation."""
    for index, layer in enumerate(layers):
        name = f"{prefix}.{index}"
        pixels = shape[1] * shape[2]
        if isinstance(layer, Conv):
            yield ConvCost(name, shape[0], layer.channels, layer.kernel, pixels)
        elif isinstance(layer, Fire):
            yield ConvCost(f"{name}.squeeze", shape[0], layer.squeeze, 1, pixels)
            yield ConvCost(f"{name}.expand1", layer.squeeze, layer.expand1, 1, pixels)
            yield ConvCost(f"{name}.expand3", layer.squeeze, layer.expand3, 3, pixels)
        elif isinstance(layer, Residual):
            yield from convolutions(layer.body, shape, f"{name}.body")
        shape = next_shape(layer, shape)


def network_spec(kind: str, ratio: int) -> NetworkSpec:
    """ConvCsiNet ("conv") or ConvSquCsiNet ("squ") at a compression of 1 / ``ratio``.

    Raises:
        ConfigError: an unknown kind or ratio.
    """
    if ratio not in RATIOS:
        raise ConfigError(f"compression ratio {ratio}: choices are {', '.join(map(str, RATIOS))}")
    code = VALUES // ratio // math.prod(CODE_MAP)
    if kind == "conv":
        return _conv_csinet(ratio, code)
    if kind == "squ":
        return _conv_squ_csinet(ratio, code)
    raise ConfigError(f"network kind {kind!r}: choices are conv, squ")


def _conv_csinet(ratio: int, code: int) -> NetworkSpec:
    encoder = (
        Conv(8, pool=(2, 1)),
        Conv(16, pool=(2, 1)),
        Conv(32, pool=(2, 1)),
        Conv(48, pool=(2, 1)),
        Conv(64, pool=(2, 1)),
        Conv(code, 1, relu=False),
    )
    decoder = (
        Conv(64, relu=False),
        Residual((Conv(64), Conv(64, relu=False))),
        Upsample((2, 1)),
        Conv(48),
        Upsample((2, 1)),
        Conv(32),
        Upsample((2, 1)),
        Conv(16),
        Upsample((2, 1)),
        Conv(16),
        Upsample((2, 1)),
        Conv(2, relu=False),
    )
    return NetworkSpec("conv", ratio, encoder, decoder)


def _conv_squ_csinet(ratio: int, code: int) -> NetworkSpec:
    encoder = (
        Conv(8, pool=(2, 1)),
        Conv(24, pool=(2, 1)),
        Fire(12, 16, 24, pool=(2, 1)),
        Fire(16, 24, 32, pool=(2, 1)),
        Fire(16, 32, 32, pool=(2, 1)),
        Conv(code, 1, relu=False),
    )
    decoder = (
        Conv(48, 1, relu=False),
        Residual((Fire(12, 24, 24, relu=False),)),
        Residual((Fire(12, 24, 24, relu=False),)),
        Upsample((2, 1)),
        Fire(12, 24, 24),
        Upsample((2, 1)),
        Fire(12, 16, 16),
        Upsample((2, 1)),
        Fire(8, 12, 12),
        Upsample((2, 1)),
        Conv(12),
        Upsample((2, 1)),
        Conv(2, relu=False),
    )
    return NetworkSpec("squ", ratio, encoder, decoder)

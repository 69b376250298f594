# SPDX-License-Identifier: Apache-2.0
"""QONNX convolutional networks written by hand, for the compiler's tests.

Scales are powers of two unless a network says otherwise, so float32 is exact.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from qonnx_mlp import GraphBuilder

IN_SCALE = 2.0**-5
W_SCALE = 2.0**-3


class ImageBuilder(GraphBuilder):
    """Layers of convolutional networks; every method returns the name of the tensor it made."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def conv(
        self,
        x: str,
        channels: tuple[int, int],
        kernel: tuple[int, int] = (3, 3),
        *,
        pads: tuple[int, ...] | None = None,
        bias_step: float | None = None,
        scale=W_SCALE,
        bits: int = 4,
        **attrs,
    ) -> str:
        """channels (in, out); pads (top, left, bottom, right) keep the size by default."""
        inputs, outputs = channels
        top = 2 ** (bits - 1) - 1
        codes = self.rng.integers(-top, top + 1, (outputs, inputs, *kernel))
        w = self.quant(self.const(codes * scale, "w"), scale, bits, signed=True, narrow=True)
        if pads is None:
            half_h, half_w = kernel[0] // 2, kernel[1] // 2
            pads = (half_h, half_w, half_h, half_w)
        args = [x, w]
        if bias_step is not None:
            args.append(self.const(self.rng.integers(-30, 30, outputs) * bias_step, "bias"))
        return self.op("Conv", args, kernel_shape=kernel, pads=pads, **attrs)

    def norm(self, x: str, channels: int, *, signs: bool = False) -> str:
        """BatchNormalization, with some negative factors if asked for."""
        rng = self.rng
        gamma = rng.uniform(0.5, 1.5, channels) * (rng.choice([-1, 1], channels) if signs else 1)
        stats = [gamma, rng.normal(0, 0.2, channels), rng.normal(0, 0.2, channels)]
        stats.append(rng.uniform(0.3, 2, channels))
        return self.op("BatchNormalization", [x, *[self.const(s, "bn") for s in stats]])

    def relu(self, x: str, scale: float = 0.25, bits: int = 4) -> str:
        """ReLU and its quantizer."""
        return self.quant(self.op("Relu", [x]), scale, bits, signed=False)

    def pool(self, x: str, kernel: tuple[int, int], kind: str = "AveragePool", **attrs) -> str:
        """Tiles: stride = kernel."""
        attrs = {"strides": kernel, **attrs}
        return self.op(kind, [x], kernel_shape=kernel, **attrs)

    def upsample(self, x: str, scale: tuple[float, float], **attrs) -> str:
        """Nearest neighbour, as torch exports it."""
        attrs = {
            "mode": "nearest",
            "coordinate_transformation_mode": "asymmetric",
            "nearest_mode": "floor",
            **attrs,
        }
        return self.op("Resize", [x, "", self.const([1.0, 1.0, *scale])], **attrs)

    def shapeless(self, inputs: tuple[int, ...], last: str, path: Path) -> None:
        """The model with the shape of its output found by inference."""
        import onnx
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.infer_shapes import InferShapes

        model = self.model(inputs, (1,) * len(inputs), last)
        del model.graph.output[0].type.tensor_type.shape.dim[:]
        model.graph.output[0].type.tensor_type.ClearField("shape")
        wrapper = ModelWrapper(model).transform(InferShapes())
        onnx.save(wrapper.model, str(path))


def conv_chain(path: Path, seed: int = 0) -> Path:
    """2 x 6 x 5 -> 3 x 6 x 5: 3x3, BatchNormalization, ReLU, 1x1 with a bias."""
    b = ImageBuilder(seed)
    x = b.quant("x", IN_SCALE, 8, signed=True)
    x = b.conv(x, (2, 4), bias_step=W_SCALE * IN_SCALE)
    x = b.relu(b.norm(x, 4, signs=True), 0.19)
    x = b.conv(x, (4, 6), (3, 1), scale=b.rng.uniform(0.05, 0.2, (6, 1, 1, 1)))
    x = b.relu(x, 0.25, 3)
    x = b.conv(x, (6, 3), (1, 1), bias_step=0.25 * W_SCALE)
    b.model((2, 6, 5), (3, 6, 5), x, path)
    return path


def encoder(path: Path, seed: int = 1) -> Path:
    """2 x 8 x 8 -> codeword 3 x 2 x 4 of 5-bit codes: pooling of every kind, asymmetric padding."""
    b = ImageBuilder(seed)
    x = b.quant("x", IN_SCALE, 8, signed=True, narrow=True)
    x = b.relu(b.pool(b.conv(x, (2, 4), bias_step=W_SCALE * IN_SCALE), (2, 2)))
    x = b.relu(b.conv(x, (4, 5), pads=(2, 1, 0, 1)), 0.5, 6)
    x = b.pool(x, (2, 1), "MaxPool")
    x = b.conv(x, (5, 3), (1, 1))
    x = b.quant(x, 0.5, 5, signed=True)
    b.model((2, 8, 8), (3, 2, 4), x, path)
    return path


def decoder(path: Path, seed: int = 2) -> Path:
    """Codeword 3 x 2 x 4 -> 2 x 8 x 8: upsampling by (2, 1) and 2, accumulators at the end."""
    b = ImageBuilder(seed)
    x = b.quant("x", 0.5, 5, signed=True)
    x = b.relu(b.conv(x, (3, 4)), 0.5)
    x = b.upsample(x, (2, 1))
    x = b.relu(b.conv(x, (4, 4)), 0.5)
    x = b.upsample(x, (2, 2))
    x = b.conv(x, (4, 2), bias_step=0.5 * W_SCALE / 3)
    b.model((3, 2, 4), (2, 8, 8), x, path)
    return path


def fire(path: Path, seed: int = 3) -> Path:
    """Squeeze, two expands with one quantizer's scale, concat; and pooled codes requantized."""
    b = ImageBuilder(seed)
    x = b.quant("x", IN_SCALE, 8, signed=True)
    squeezed = b.relu(b.conv(x, (2, 2), (1, 1)), 0.125)
    one = b.relu(b.conv(squeezed, (2, 4), (1, 1)), 0.25)
    three = b.relu(b.conv(squeezed, (2, 4)), 0.25)
    x = b.op("Concat", [one, three], axis=1)
    x = b.quant(b.pool(x, (2, 2)), 0.5, 4, signed=False)
    x = b.conv(x, (8, 3))
    b.model((2, 6, 6), (3, 3, 3), x, path)
    return path


def residual(path: Path, seed: int = 4) -> Path:
    """A refinement block: x + conv(relu(conv(x))) with shared scales, twice; a fork in three."""
    b = ImageBuilder(seed)
    x = b.quant("x", IN_SCALE, 6, signed=True)
    x = b.quant(b.conv(x, (2, 4)), 0.25, 4, signed=True)
    y = b.relu(b.conv(x, (4, 6)), 0.5)
    y = b.quant(b.conv(y, (6, 4)), 0.25, 4, signed=True)
    total = b.op("Add", [x, y])
    z = b.quant(b.op("Relu", [total]), 0.5, 4, signed=True)
    one = b.quant(b.conv(z, (4, 4), (1, 1)), 0.5, 4, signed=True)
    two = b.quant(b.conv(z, (4, 4)), 0.5, 4, signed=True)
    inner = b.quant(b.op("Add", [one, z]), 0.5, 4, signed=True)
    x = b.op("Add", [inner, two])
    x = b.conv(x, (4, 2))
    b.model((2, 5, 4), (2, 5, 4), x, path)
    return path


def pooled_sums(path: Path, seed: int = 7) -> Path:
    """Pools between a convolution and its quantizer, one with factors that negate behind it.

    One convolution is quantized twice, with and without the pool in between.
    """
    b = ImageBuilder(seed)
    x = b.quant("x", IN_SCALE, 8, signed=True)
    x = b.pool(b.conv(x, (2, 4), bias_step=W_SCALE * IN_SCALE), (2, 1))
    factors = np.array([1.0, -0.5, 2.0, -1.0]).reshape(4, 1, 1)
    x = b.relu(b.op("Mul", [x, b.const(factors)]), 0.125)
    y = b.conv(x, (4, 3), (1, 1), bias_step=0.125 * W_SCALE)
    pooled = b.quant(b.pool(y, (1, 4)), 0.125, 5, signed=True)
    whole = b.pool(b.quant(y, 0.125, 5, signed=True), (1, 4), "MaxPool")
    x = b.conv(b.op("Concat", [pooled, whole], axis=1), (6, 2), (1, 1))
    b.model((2, 6, 8), (2, 3, 2), x, path)
    return path


NETWORKS = (conv_chain, encoder, decoder, fire, residual, pooled_sums)

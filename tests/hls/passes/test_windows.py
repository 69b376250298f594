# SPDX-License-Identifier: Apache-2.0
"""What convolutions, pools, upsampling and joins cannot be, by message and way out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hls.compiler import CompileOptions, compile_model
from models.errors import CompileError

Builder = Any
Case = tuple[Callable[[Builder], str], str, str]


def first(b: Builder) -> str:
    """Quantized input, 2 x 6 x 6."""
    return b.quant("x", 0.25, 6, signed=True)


def last(b: Builder, x: str, channels: int = 2) -> str:
    return b.conv(x, (channels, 2), (1, 1))


def stride(b: Builder) -> str:
    return b.conv(first(b), (2, 2), strides=[2, 2])


def dilation(b: Builder) -> str:
    return b.conv(first(b), (2, 2), dilations=[2, 2], pads=(2, 2, 2, 2))


def groups(b: Builder) -> str:
    return b.conv(first(b), (1, 2), group=2)


def wide_padding(b: Builder) -> str:
    return b.conv(first(b), (2, 2), (1, 1), pads=(1, 1, 1, 1))


def automatic_padding(b: Builder) -> str:
    codes = b.quant(b.const(np.ones((2, 2, 3, 3))), 1.0, 2, signed=True)
    return b.op("Conv", [first(b), codes], auto_pad="SAME_UPPER")


def overlapping_pool(b: Builder) -> str:
    return last(b, b.pool(first(b), (3, 3), "MaxPool", strides=[1, 1]))


def padded_pool(b: Builder) -> str:
    return last(b, b.pool(first(b), (2, 2), pads=[1, 1, 1, 1]))


def ragged_pool(b: Builder) -> str:
    return last(b, b.pool(first(b), (4, 2)))


def float_pool(b: Builder) -> str:
    return last(b, b.relu(b.pool(b.op("Relu", [b.conv(first(b), (2, 2))]), (2, 2))))


def linear_upsampling(b: Builder) -> str:
    return last(b, b.upsample(first(b), (2, 2), mode="linear"))


def fractional_upsampling(b: Builder) -> str:
    return last(b, b.upsample(first(b), (1.5, 1.5)))


def shifted_upsampling(b: Builder) -> str:
    return last(b, b.upsample(first(b), (2, 2), nearest_mode="ceil"))


def float_maximum(b: Builder) -> str:
    return last(b, b.relu(b.pool(b.conv(first(b), (2, 2)), (2, 2), "MaxPool")))


def float_upsampling(b: Builder) -> str:
    return last(b, b.upsample(b.conv(first(b), (2, 2)), (2, 2)))


def scales_of_an_add(b: Builder) -> str:
    x = first(b)
    y = b.quant(b.conv(x, (2, 2)), 0.5, 6, signed=True)
    return last(b, b.op("Add", [x, y]))


def scale_of_a_pool(b: Builder) -> str:
    """Four times the mean against the mean."""
    x = b.pool(first(b), (2, 2))
    y = b.quant(b.conv(x, (2, 2)), 0.25, 8, signed=True)
    return last(b, b.op("Concat", [x, y], axis=1), 4)


def formats_of_a_concat(b: Builder) -> str:
    x = first(b)
    y = b.quant(b.conv(x, (2, 2)), 0.25, 4, signed=True)
    return last(b, b.op("Concat", [x, y], axis=1), 4)


def float_add(b: Builder) -> str:
    x = first(b)
    return b.op("Add", [b.conv(x, (2, 2)), b.conv(x, (2, 2))])


def float_concat(b: Builder) -> str:
    x = first(b)
    return b.op("Concat", [x, b.conv(x, (2, 2))], axis=1)


def three_inputs(b: Builder) -> str:
    x = first(b)
    return b.op("Concat", [x, x, x], axis=1)


def wrong_axis(b: Builder) -> str:
    x = first(b)
    return b.op("Concat", [x, x], axis=2)


def broadcast_add(b: Builder) -> str:
    x = first(b)
    return b.op("Add", [x, b.pool(x, (6, 6))])


def product_of_streams(b: Builder) -> str:
    x = first(b)
    y = b.op("Mul", [x, b.quant(b.conv(x, (2, 2)), 0.25, 6, signed=True)])
    return last(b, b.quant(y, 0.25, 6, signed=True))


def position_dependent(b: Builder) -> str:
    x = b.op("Mul", [b.conv(first(b), (2, 2)), b.const(np.ones((1, 2, 6, 6)) * 2)])
    return b.quant(x, 0.5, 4, signed=True)


def bipolar_padding(b: Builder) -> str:
    x = b.op("BipolarQuant", [b.conv(first(b), (2, 2)), b.const(0.5)], "qonnx.custom_op.general")
    return b.conv(x, (2, 2))


def float_weights(b: Builder) -> str:
    return b.op("Conv", [first(b), b.const(np.ones((2, 2, 3, 3)), "raw")], pads=[1, 1, 1, 1])


def float_activation(b: Builder) -> str:
    return b.conv(b.op("Relu", [b.conv(first(b), (2, 2))]), (2, 2))


def scale_per_input_channel(b: Builder) -> str:
    return b.conv(first(b), (2, 4), scale=np.array([0.5, 0.25]).reshape(1, 2, 1, 1))


def transposed_convolution(b: Builder) -> str:
    codes = b.quant(b.const(np.ones((2, 2, 3, 3))), 1.0, 2, signed=True)
    return b.op("ConvTranspose", [first(b), codes])


def relu_before_a_join(b: Builder) -> str:
    x = first(b)
    return last(b, b.op("Add", [x, b.op("Relu", [x])]))


def shared_negative_factor(b: Builder) -> str:
    x = b.norm(b.conv(first(b), (2, 4)), 4, signs=True)
    one, two = b.quant(x, 0.5, 4, signed=True), b.quant(x, 0.5, 4, signed=True)
    return b.op("Add", [one, two])


def forked_input(b: Builder) -> str:
    one = b.conv(b.quant("x", 0.25, 6, signed=True), (2, 2))
    two = b.quant("x", 0.25, 6, signed=True)
    return b.op("Add", [b.quant(one, 0.25, 6, signed=True), two])


CASES: list[Case] = [
    (stride, r"Conv node 'Conv_.*stride \(2, 2\) has no hardware layer", "pool behind"),
    (dilation, r"dilation \(2, 2\) has no hardware layer", "with its zeros"),
    (groups, "has 2 groups", "zero weights"),
    (wide_padding, r"padding .* of a 1x1 kernel", "smaller|no use"),
    (automatic_padding, "auto_pad=SAME_UPPER", "explicit padding"),
    (overlapping_pool, r"stride \(1, 1\) of a kernel \(3, 3\)", "stride = kernel_size"),
    (padded_pool, r"padding \(1, 1, 1, 1\) has no hardware layer", "without padding"),
    (ragged_pool, r"kernel \(4, 2\) does not divide the image 6x6", "divides height and width"),
    (float_pool, "'relu_.*input of ReduceSum node 'AveragePool_.*not quantized", "on integers"),
    (float_maximum, "'conv_.*input of ReduceMax node 'MaxPool_.*not quantized", "on integers"),
    (linear_upsampling, "mode 'linear'", "nearest neighbour"),
    (fractional_upsampling, "whole factors", "scale_factor"),
    (shifted_upsampling, "does not repeat every pixel", "asymmetric"),
    (float_upsampling, "input of Resize node .* not quantized", "on integers"),
    (scales_of_an_add, "Add node .* of scale 0.25 and .* of scale 0.5", "one shared quantizer"),
    (scale_of_a_pool, "Concat node .* of scale 0.0625 and .* of scale 0.25", "shared quantizer"),
    (formats_of_a_concat, "of type INT6 and .* of type INT4", "shared quantizer"),
    (float_add, "an input of Add node .* is not quantized: floating-point", "shared quantizer"),
    (float_concat, "an input of Concat node .* is not quantized", "shared quantizer"),
    (three_inputs, "joins 3 tensors", "two at a time"),
    (wrong_axis, "on axis 2", "on channels"),
    (broadcast_add, "tensors of different shapes", "one shape"),
    (product_of_streams, "Mul node .* joins 2 computed tensors", "products of activations"),
    (position_dependent, "varies over the image", "each channel"),
    (bipolar_padding, r"bipolar activations \(-1, 1\) have no zero", "2-bit signed"),
    (float_weights, "the weights of MatMul node 'Conv_.* is not quantized", "QuantConv2d"),
    (float_activation, "'relu_.* the input of MatMul node 'Conv_.*not quantized", "QuantReLU"),
    (scale_per_input_channel, "weight scale of shape .* one an output channel", "per-output"),
    (transposed_convolution, "ConvTranspose node .* transposed convolution", "nn.Upsample"),
    (relu_before_a_join, "Relu node .* after its quantizer and before Add node", "or a join"),
    (shared_negative_factor, "negative factor .* is used elsewhere", "fork behind the quantizer"),
    (forked_input, "the input, goes to 2 nodes", "before it forks"),
]


@pytest.mark.parametrize(
    ("build", "message", "way_out"), CASES, ids=lambda v: getattr(v, "__name__", "")
)
def test_message(
    cnn: ModuleType, tmp_path: Path, build: Callable[[Builder], str], message: str, way_out: str
) -> None:
    b = cnn.ImageBuilder()
    path = tmp_path / "net.onnx"
    b.shapeless((2, 6, 6), build(b), path)
    with pytest.raises(CompileError, match=message) as caught:
        compile_model(path, tmp_path / "out", CompileOptions())
    assert any(part in caught.value.hint for part in way_out.split("|")), caught.value.hint

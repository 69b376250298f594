# SPDX-License-Identifier: Apache-2.0
"""What cannot be mapped is named, with its reason and a way out."""

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


def quantized_layer(b: Builder, x: str, n: int = 4, m: int = 4, scale: object = 0.25) -> str:
    """x W with 4-bit weights."""
    weights = np.random.default_rng(0).integers(-7, 8, (n, m)) * 0.25
    return b.op("MatMul", [x, b.quant(b.const(weights), scale, 4, signed=True)])


def float_model(b: Builder) -> str:
    x = b.op("MatMul", ["x", b.const(np.ones((4, 4)))])
    return b.op("Relu", [x])


def float_weights(b: Builder) -> str:
    x = b.quant("x", 0.5, 8, signed=True)
    return b.op("MatMul", [x, b.const(np.ones((4, 4)), "raw_weights")])


def float_input(b: Builder) -> str:
    return quantized_layer(b, "x")


def no_quantizer_between(b: Builder) -> str:
    x = b.quant("x", 0.5, 8, signed=True)
    return quantized_layer(b, b.op("Relu", [quantized_layer(b, x)]))


def sigmoid(b: Builder) -> str:
    return b.op("Sigmoid", [quantized_layer(b, b.quant("x", 0.5, 8, signed=True))])


def unknown_operator(b: Builder) -> str:
    return b.op("Det", [quantized_layer(b, b.quant("x", 0.5, 8, signed=True))])


def residual(b: Builder) -> str:
    x = b.quant("x", 0.5, 8, signed=True)
    return b.op("Add", [quantized_layer(b, x), x])


def scale_per_input(b: Builder) -> str:
    x = b.quant("x", 0.5, 8, signed=True)
    return quantized_layer(b, x, scale=np.array([[0.1], [0.2], [0.3], [0.4]]))


def activation_scales(b: Builder) -> str:
    x = quantized_layer(b, b.quant("x", 0.5, 8, signed=True))
    x = b.quant(x, np.array([[0.1, 0.2, 0.3, 0.4]]), 4, signed=True)
    return quantized_layer(b, x)


def negative_scale(b: Builder) -> str:
    x = b.quant("x", 0.5, 8, signed=True)
    return quantized_layer(b, b.quant(quantized_layer(b, x), -0.5, 4, signed=True))


def zero_point_at_input(b: Builder) -> str:
    return quantized_layer(b, b.quant("x", 0.5, 8, signed=True, zero=3.0))


def input_rounds_down(b: Builder) -> str:
    return quantized_layer(b, b.quant("x", 0.5, 8, signed=True, mode="FLOOR"))


def no_layer(b: Builder) -> str:
    return b.quant("x", 0.5, 8, signed=True)


def relu_at_the_end(b: Builder) -> str:
    return b.op("Relu", [quantized_layer(b, b.quant("x", 0.5, 8, signed=True))])


def relu_before_product(b: Builder) -> str:
    x = b.op("Relu", [b.quant("x", 0.5, 8, signed=True)])
    return quantized_layer(b, x)


CASES = [
    (float_model, "floating-point one: tensor 'x'", "Brevitas"),
    (float_weights, "tensor 'raw_weights.*weights of MatMul node.*is not quantized", "QuantLinear"),
    (float_input, "'x'.*input of MatMul node.*is not quantized", "QuantIdentity"),
    (no_quantizer_between, "is not quantized", "put a quantizer before this layer"),
    (sigmoid, "Sigmoid node 'Sigmoid_.*smooth function", "hard tanh"),
    (unknown_operator, "Det node 'Det_.*'Det' is unknown", "supported: Quant"),
    (residual, "an input of Add node 'Add_.*is not quantized", "one shared quantizer"),
    (scale_per_input, r"weight scale of shape \(4, 1\)", "per-output-channel"),
    (activation_scales, "4 scales for one activation tensor", "one activation scale a tensor"),
    (negative_scale, "scale -0.5 must be finite and positive", "step"),
    (
        zero_point_at_input,
        "input quantizer, needs zero point 0",
        "train with a symmetric input quantizer",
    ),
    (input_rounds_down, "input quantizer, needs rounding half to even", "half_even"),
    (no_layer, "no dense layer", "dense layers"),
    (relu_at_the_end, "Relu node .* at the output without a quantizer", "add a quantizer"),
    (relu_before_product, "Relu node .* after its quantizer", "last operation before a MatMul"),
]


@pytest.mark.parametrize(
    ("build", "message", "way_out"), CASES, ids=lambda v: getattr(v, "__name__", "")
)
def test_message(
    mlp: ModuleType, tmp_path: Path, build: Callable[[Builder], str], message: str, way_out: str
) -> None:
    b = mlp.GraphBuilder()
    path = tmp_path / "net.onnx"
    b.model(4, 4, build(b), path)
    with pytest.raises(CompileError, match=message) as caught:
        compile_model(path, tmp_path / "out", CompileOptions())
    assert way_out in caught.value.hint

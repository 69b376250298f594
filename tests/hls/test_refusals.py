# SPDX-License-Identifier: Apache-2.0
"""Networks of others that cannot be mapped: node, tensor, rule and a way out, never a traceback."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hls.compiler import compile_model
from models.errors import CompileError

Builder = Any


def quant(b: Builder, x: str, bits: int = 4, scale: object = 0.5) -> str:
    return b.quant(x, scale, bits, signed=True)


def weights(b: Builder, *shape: int) -> str:
    codes = np.random.default_rng(0).integers(-7, 8, shape)
    return b.quant(b.const(codes * 0.25, "w"), 0.25, 4, signed=True)


def dense(b: Builder, x: str, n: int = 6, m: int = 4) -> str:
    return b.op("MatMul", [x, weights(b, n, m)])


def conv(b: Builder, x: str, inputs: int = 2, outputs: int = 3) -> str:
    w = weights(b, outputs, inputs, 3, 3)
    return quant(b, b.op("Conv", [x, w], kernel_shape=[3, 3], pads=[1] * 4))


def integers(b: Builder, name: str, values: object) -> str:
    b.constants.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
    return name


# Shapes


def flatten_behind_convolution(b: Builder) -> str:
    return dense(b, b.op("Flatten", [conv(b, quant(b, "x"))], axis=1), 48)


def flatten_last(b: Builder) -> str:
    return b.op("Flatten", [conv(b, quant(b, "x"))], axis=1)


def view_behind_convolution(b: Builder) -> str:
    x = conv(b, quant(b, "x"))
    size = b.op("Gather", [b.op("Shape", [x]), integers(b, "zero", 0)], axis=0)
    size = b.op("Unsqueeze", [size, integers(b, "axis", [0])])
    shape = b.op("Concat", [size, integers(b, "rest", [-1])], axis=0)
    return dense(b, b.op("Reshape", [x, shape]), 48)


def flatten_of_a_sequence(b: Builder) -> str:
    return dense(b, b.op("Flatten", [quant(b, dense(b, quant(b, "x"), 8, 10))], axis=1), 40)


def vector_to_image(b: Builder) -> str:
    x = b.op("Reshape", [quant(b, "x"), integers(b, "shape", [1, 2, 4, 4])])
    return conv(b, x)


def dense_to_image(b: Builder) -> str:
    x = quant(b, dense(b, quant(b, "x"), 6, 32))
    return conv(b, b.op("Reshape", [x, integers(b, "shape", [1, 2, 4, 4])]))


def channel_scales_before_flatten(b: Builder) -> str:
    x = b.op("Mul", [quant(b, "x"), b.const(np.array([[[0.5]], [[0.25]]]))])
    return dense(b, b.op("Flatten", [quant(b, x)], axis=1), 32)


def conv1d(b: Builder) -> str:
    w = weights(b, 3, 2, 3)
    return b.op("Conv", [quant(b, "x"), w], kernel_shape=[3], pads=[1, 1])


def dense_on_an_image(b: Builder) -> str:
    return dense(b, conv(b, quant(b, "x")), 4)


def wrong_inner_size(b: Builder) -> str:
    return dense(b, quant(b, "x"), 7)


IMAGE, VECTOR = (2, 4, 4), (6,)
SHAPES = [
    (flatten_behind_convolution, IMAGE, r"Flatten node 'Flatten_\d+' reshapes \[1, 3, 4, 4\] to "
     r"\[1, 48\]", "convolution with a 4x4 kernel and no padding, its weights reshaped to [out, 3"),
    (flatten_last, IMAGE, r"Flatten node .* reshapes", "take it out: the accelerator gives [1, 3"),
    (view_behind_convolution, IMAGE, r"Reshape node .* reshapes", "convolution with a 4x4 kernel"),
    (flatten_of_a_sequence, (4, 8), r"Flatten node .* \[1, 4, 10\] to \[1, 40\]", "two networks"),
    (vector_to_image, (32,), r"Reshape node .* \[1, 32\] to \[1, 2, 4, 4\]",
     "let the network's input have the shape [1, 2, 4, 4]"),
    (dense_to_image, VECTOR, r"Reshape node .* \[1, 32\] to \[1, 2, 4, 4\]", "two networks"),
    (channel_scales_before_flatten, IMAGE, r"Flatten node .* reshapes", "4x4 kernel"),
    (conv1d, (2, 8), r"Conv node .* works on \[1, 2, 8\]", "[1, channels, 1, length]"),
    (dense_on_an_image, IMAGE, r"MatMul node .* last axis of \[1, 3, 4, 4\]", "1x1 convolution"),
    (wrong_inner_size, VECTOR, r"MatMul node .* does not fit.*\[1, 6\].*\[7, 4\]", "fixed sizes"),
]  # fmt: skip


# Operators


def normalised_before_its_quantizer(b: Builder) -> str:
    x = b.op("Sub", ["x", b.const(0.5)])
    return dense(b, quant(b, b.op("Div", [x, b.const(0.25)])))


def shifted_without_quantizer(b: Builder) -> str:
    return dense(b, b.op("Add", ["x", b.const(0.5)]))


def lstm(b: Builder) -> str:
    w, r = b.const(np.ones((1, 16, 6))), b.const(np.ones((1, 16, 4)))
    return b.op("LSTM", [quant(b, "x"), w, r], hidden_size=4)


def hard_sigmoid(b: Builder) -> str:
    return quant(b, b.op("HardSigmoid", [dense(b, quant(b, "x"))]))


def hard_swish(b: Builder) -> str:
    return quant(b, b.op("HardSwish", [dense(b, quant(b, "x"))]))


def leaky(b: Builder) -> str:
    return quant(b, b.op("LeakyRelu", [dense(b, quant(b, "x"))]))


def softmax(b: Builder) -> str:
    return b.op("Softmax", [dense(b, quant(b, "x"))])


def arg_max(b: Builder) -> str:
    return b.op("ArgMax", [dense(b, quant(b, "x"))])


def transposed(b: Builder) -> str:
    return dense(b, b.op("Transpose", [quant(b, "x")], perm=[1, 0]), 1)


def qdq(b: Builder) -> str:
    b.constants.append(numpy_helper.from_array(np.array(0, np.int8), "zero"))
    x = b.op("QuantizeLinear", ["x", b.const(0.25), "zero"])
    return dense(b, b.op("DequantizeLinear", [x, b.const(0.25), "zero"]))


def integer_operators(b: Builder) -> str:
    return b.op("QLinearMatMul", ["x"] * 8)


def product_of_activations(b: Builder) -> str:
    x = quant(b, dense(b, quant(b, "x")))
    return dense(b, b.op("Mul", [x, x]), 4)


def attention(b: Builder) -> str:
    x = quant(b, dense(b, quant(b, "x"), 4, 4))
    return b.op("MatMul", [x, quant(b, dense(b, x, 4, 4))])


def norm_in_training(b: Builder) -> str:
    stats = [b.const(np.ones(4)) for _ in range(4)]
    x = b.op("BatchNormalization", [dense(b, quant(b, "x")), *stats], training_mode=1)
    return quant(b, x)


def dropout_in_training(b: Builder) -> str:
    b.constants.append(numpy_helper.from_array(np.array(True), "training"))
    x = b.op("Dropout", [dense(b, quant(b, "x")), b.const(0.5), "training"])
    return quant(b, x)


def condition(b: Builder) -> str:
    x = dense(b, quant(b, "x"))
    inner = helper.make_graph(
        [helper.make_node("Identity", [x], ["inner"])],
        "branch",
        [],
        [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [1, 4])],
    )
    b.constants.append(numpy_helper.from_array(np.array(True), "yes"))
    return b.op("If", ["yes"], then_branch=inner, else_branch=inner)


def only_a_quantizer(b: Builder) -> str:
    return quant(b, b.op("Relu", [quant(b, "x")]))


OPERATORS = [
    (normalised_before_its_quantizer, VECTOR, "Sub node .* changes tensor 'x', the input, which is "
     "not quantized yet", "one quantizer in front of it and one behind it"),
    (shifted_without_quantizer, VECTOR, "Add node .* changes tensor 'x', the input", "host do it"),
    (lstm, (5, 6), "LSTM node 'LSTM_.*recurrent layer", "networks without state"),
    (hard_sigmoid, VECTOR, "HardSigmoid node .*made of three that are", "Mul, Add, Clip"),
    (hard_swish, VECTOR, "HardSwish node .* multiplies activations", "ReLU"),
    (leaky, VECTOR, "LeakyRelu node .* two slopes", "ReLU or by Clip"),
    (softmax, VECTOR, "Softmax node .* smooth function", "left to the host"),
    (arg_max, VECTOR, "ArgMax node .* choice among outputs", "cut it off"),
    (transposed, VECTOR, "Transpose node .*permuted in hardware", "host"),
    (qdq, VECTOR, r"QuantizeLinear node .* \(QDQ\); the compiler reads QONNX", "QCDQToQuant"),
    (integer_operators, VECTOR, "QLinearMatMul node .* integer operators", "export_qonnx"),
    (product_of_activations, VECTOR, "Mul node .* joins 2 computed tensors", "not supported"),
    (attention, (4, 4), "MatMul node .* joins 2 computed tensors", "not supported"),
    (norm_in_training, VECTOR, "BatchNormalization node .* training mode", "model.eval()"),
    (dropout_in_training, VECTOR, "Dropout node .* training mode", "model.eval()"),
    (condition, VECTOR, "If node .*'If' is unknown", "supported: Quant"),
    (only_a_quantizer, VECTOR, "between input 'x' and output .*only Quant, Relu", "dense layers"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "shape", "message", "way_out"),
    [*SHAPES, *OPERATORS],
    ids=lambda v: getattr(v, "__name__", ""),
)
def test_message(
    mlp: ModuleType,
    tmp_path: Path,
    build: Callable[[Builder], str],
    shape: tuple[int, ...],
    message: str,
    way_out: str,
) -> None:
    b = mlp.GraphBuilder()
    model = b.model(shape, 1, build(b))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    path = tmp_path / "net.onnx"
    onnx.save(model, str(path))
    with pytest.raises(CompileError, match=message) as caught:
        compile_model(path, tmp_path / "out")
    assert way_out in caught.value.hint

# SPDX-License-Identifier: Apache-2.0
"""Files in forms that exporters write compile to the integers of the file; so does what is advised.

Each advice in a message of the compiler was followed here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.qcdq_to_qonnx import QCDQToQuant

from hls import reference
from hls.borders import decide_outputs, to_codes
from hls.compiler import compile_model
from hls.qonnx_exec import load_model, run_qonnx

Builder = Any


def quant(b: Builder, x: str, bits: int = 4, scale: float = 0.5) -> str:
    return b.quant(x, scale, bits, signed=True)


def dense(b: Builder, x: str, n: int, m: int = 4) -> str:
    codes = np.random.default_rng(0).integers(-7, 8, (n, m))
    w = b.quant(b.const(codes * 0.25, "w"), 0.25, 4, signed=True)
    return b.op("MatMul", [x, w])


def integers(b: Builder, name: str, values: object) -> str:
    b.constants.append(numpy_helper.from_array(np.asarray(values, np.int64), name))
    return name


def view(b: Builder, x: str) -> str:
    """torch's ``x.view(x.shape[0], -1)`` as it is exported."""
    size = b.op("Gather", [b.op("Shape", [x]), integers(b, "zero", 0)], axis=0)
    size = b.op("Unsqueeze", [size, integers(b, "axis", [0])])
    shape = b.op("Concat", [size, integers(b, "rest", [-1])], axis=0)
    return b.op("Reshape", [x, shape])


def flattened_image(b: Builder) -> ModelProto:
    x = b.op("Flatten", [quant(b, "x")], axis=1)
    return b.model((2, 3, 4), 4, dense(b, x, 24))


def flattened_before_its_quantizer(b: Builder) -> ModelProto:
    return b.model((2, 3, 4), 4, dense(b, quant(b, b.op("Flatten", ["x"], axis=1)), 24))


def viewed_image(b: Builder) -> ModelProto:
    return b.model((2, 3, 4), 4, dense(b, view(b, quant(b, "x")), 24))


def open_batch(b: Builder) -> ModelProto:
    model = viewed_image(b)
    for item in (*model.graph.input, *model.graph.output):
        item.type.tensor_type.shape.dim[0].dim_param = "batch"
    return model


def batch_of_four(b: Builder) -> ModelProto:
    """The shape of the output left out, a Reshape to the batch."""
    x = b.op("Reshape", [quant(b, "x"), integers(b, "shape", [4, 24])])
    model = b.model((2, 3, 4), 4, dense(b, x, 24))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return model


def input_not_used(b: Builder) -> ModelProto:
    model = b.model(6, 4, dense(b, quant(b, "x"), 6))
    model.graph.input.append(model.graph.input[0])
    model.graph.input[0].name = "unused"
    return model


# What messages advise


def normalised_between_quantizers(b: Builder) -> ModelProto:
    x = b.op("Sub", [quant(b, "x", 6, 0.125), b.const(0.5)])
    return b.model(6, 4, dense(b, quant(b, b.op("Div", [x, b.const(0.25)])), 6))


def hard_sigmoid_of_three(b: Builder) -> ModelProto:
    x = b.op("Mul", [dense(b, quant(b, "x"), 6), b.const(0.25)])
    x = b.op("Clip", [b.op("Add", [x, b.const(0.5)]), b.const(0.0), b.const(1.0)])
    return b.model(6, 4, b.quant(x, 1 / 16, 4, signed=False))


def row_convolution(b: Builder) -> ModelProto:
    codes = np.random.default_rng(0).integers(-7, 8, (3, 2, 1, 3))
    w = b.quant(b.const(codes * 0.25), 0.25, 4, signed=True)
    x = b.op("Conv", [quant(b, "x"), w], kernel_shape=[1, 3], pads=[0, 1, 0, 1])
    return b.model((2, 1, 8), (3, 1, 8), x)


def converted_qdq(b: Builder) -> ModelProto:
    b.constants.append(numpy_helper.from_array(np.array(0, np.int8), "zero"))
    scale = b.const(0.25)

    def qdq(x: str) -> str:
        x = b.op("QuantizeLinear", [x, scale, "zero"])
        return b.op("DequantizeLinear", [x, scale, "zero"])

    codes = np.random.default_rng(0).integers(-7, 8, (6, 4))
    x, w = qdq("x"), qdq(b.const(codes * 0.25))
    wrapper = ModelWrapper(b.model(6, 4, b.op("MatMul", [x, w])))
    return wrapper.transform(InferShapes()).transform(QCDQToQuant()).model


@pytest.mark.parametrize(
    "build",
    [
        *(flattened_image, flattened_before_its_quantizer, viewed_image, open_batch),
        *(batch_of_four, input_not_used, normalised_between_quantizers, hard_sigmoid_of_three),
        *(row_convolution, converted_qdq),
    ],
)
def test_every_integer_is_that_of_the_file(
    mlp: ModuleType, tmp_path: Path, build: Callable[[Builder], ModelProto]
) -> None:
    path = tmp_path / "net.onnx"
    onnx.save(build(mlp.GraphBuilder()), str(path))
    acc = compile_model(path, tmp_path / "out")
    model = load_model(path)
    shape = model.get_tensor_shape(model.graph.input[0].name)[1:]
    x = np.random.default_rng(1).normal(0, 1.5, (200, *shape)).astype(np.float32)
    expected = decide_outputs(run_qonnx(path, x), "soft", acc.output)
    codes = to_codes(acc.input, x.reshape(len(x), -1)).reshape(len(x), *acc.input.shape)
    np.testing.assert_array_equal(reference.run(acc, codes).reshape(len(x), -1), expected)
    flat = run_qonnx(path, x.reshape(len(x), -1))  # frames as the input border names them
    np.testing.assert_array_equal(decide_outputs(flat, "soft", acc.output), expected)


@pytest.mark.parametrize("build", [viewed_image, open_batch, batch_of_four])
def test_one_frame_is_what_qonnx_makes_of_it(
    mlp: ModuleType, tmp_path: Path, build: Callable[[Builder], ModelProto]
) -> None:
    """The file itself, executed by qonnx with the batch that it states (an open one is 1)."""
    path, model = tmp_path / "net.onnx", build(mlp.GraphBuilder())
    onnx.save(model, str(path))
    count = 4 if build is batch_of_four else 1
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = count
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    whole = ModelWrapper(model).transform(InferShapes())
    x = np.random.default_rng(2).normal(0, 1, (count, 2, 3, 4)).astype(np.float32)
    theirs = execute_onnx(whole, {"x": x})[whole.graph.output[0].name]
    np.testing.assert_array_equal(run_qonnx(path, x), theirs)


def test_a_convolution_that_covers_the_image_is_the_dense_layer_behind_flatten(
    mlp: ModuleType, tmp_path: Path
) -> None:
    """The way out that the message for Flatten behind a convolution names."""
    rng = np.random.default_rng(0)
    kernel = rng.integers(-7, 8, (2, 2, 3, 3)) * 0.25
    rows = rng.integers(-7, 8, (3, 2 * 4 * 5)) * 0.25
    results = []
    x = rng.normal(0, 1, (50, 2, 4, 5)).astype(np.float32)
    for way in ("dense", "covering"):
        b = mlp.GraphBuilder()
        w = b.quant(b.const(kernel), 0.25, 4, signed=True)
        y = b.op("Conv", [quant(b, "x"), w], kernel_shape=[3, 3], pads=[1] * 4)
        y = quant(b, y)
        if way == "dense":
            w = b.quant(b.const(rows.T), 0.25, 4, signed=True)
            y, shape = b.op("MatMul", [b.op("Flatten", [y], axis=1), w]), (3,)
        else:
            w = b.quant(b.const(rows.reshape(3, 2, 4, 5)), 0.25, 4, signed=True)
            y, shape = b.op("Conv", [y, w], kernel_shape=[4, 5]), (3, 1, 1)
        path = tmp_path / f"{way}.onnx"
        b.model((2, 4, 5), shape, y, path)
        results.append(run_qonnx(path, x).reshape(len(x), 3))
    np.testing.assert_array_equal(*results)
    acc = compile_model(tmp_path / "covering.onnx", tmp_path / "out")
    found = reference.run(acc, to_codes(acc.input, x)).reshape(len(x), -1)
    expected = decide_outputs(results[1].reshape(-1, 3, 1, 1), "soft", acc.output)
    np.testing.assert_array_equal(found, expected)

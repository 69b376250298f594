# SPDX-License-Identifier: Apache-2.0
"""Parameters that are no numbers, or of no legal size: the node and the tensor are named."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, helper, numpy_helper

from hls.compiler import compile_model
from models.errors import CompileError

ROLES = {
    "input_scale": (0, 1, "Quant node .*: scale"),
    "input_zero": (0, 2, "Quant node .*: zero point"),
    "input_bits": (0, 3, "Quant node .*: bit width"),
    "weights": (1, 0, "Quant node .*: value"),
    "weight_scale": (1, 1, "Quant node .*: scale"),
    "bias": (3, 1, "Add node .*: constant"),
    "bn_scale": (4, 1, "BatchNormalization node .*: scale"),
    "bn_bias": (4, 2, "BatchNormalization node .*: bias"),
    "bn_mean": (4, 3, "BatchNormalization node .*: mean"),
    "bn_variance": (4, 4, "BatchNormalization node .*: variance"),
    "factor": (5, 1, "Mul node .*: constant"),
    "low": (6, 1, "Clip node .*: min"),
    "high": (6, 2, "Clip node .*: max"),
    "gemm_bias": (9, 2, "Gemm node .*: bias"),
}
"""(number of the node, its input, what the message says)."""


def network(mlp: ModuleType) -> ModelProto:
    """6 -> 5 -> 4 with every kind of parameter; nodes in the order of `ROLES`."""
    b, rng = mlp.GraphBuilder(), np.random.default_rng(0)

    def weights(n: int, m: int) -> str:
        return b.quant(b.const(rng.integers(-7, 8, (n, m)) * 0.25, "w"), 0.25, 4, signed=True)

    x = b.quant("x", 0.25, 4, signed=True)
    x = b.op("Add", [b.op("MatMul", [x, weights(6, 5)]), b.const(np.arange(5) * 0.5)])
    stats = [b.const(v, "bn") for v in (np.ones(5), np.zeros(5), np.zeros(5), np.ones(5))]
    x = b.op("Mul", [b.op("BatchNormalization", [x, *stats]), b.const(0.5)])
    x = b.quant(b.op("Clip", [x, b.const(-2.0), b.const(2.0)]), 0.5, 3, signed=True)
    return b.model(6, 4, b.op("Gemm", [x, weights(5, 4), b.const(np.arange(4) * 0.1)]))


def stored(model: ModelProto, node: int, place: int) -> Any:
    name = model.graph.node[node].input[place]
    return next(item for item in model.graph.initializer if item.name == name)


def put(item: Any, value: np.ndarray) -> None:
    item.CopyFrom(numpy_helper.from_array(value, item.name))


def refused(model: ModelProto, tmp_path: Path, message: str) -> CompileError:
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match=message) as caught:
        compile_model(path, tmp_path / "out")
    assert str(path) in caught.value.message or "node '" in caught.value.message
    assert caught.value.hint
    return caught.value


def test_the_network_itself_compiles(mlp: ModuleType, tmp_path: Path) -> None:
    onnx.save(network(mlp), str(tmp_path / "net.onnx"))
    compile_model(tmp_path / "net.onnx", tmp_path / "out")


NO_LIMIT = (("low", -np.inf), ("high", np.inf))
WRONG = [(r, v) for r in ROLES for v in (np.nan, np.inf, -np.inf) if (r, v) not in NO_LIMIT]


@pytest.mark.parametrize(("role", "value"), WRONG)
def test_a_parameter_that_is_no_number_is_named(
    mlp: ModuleType, tmp_path: Path, role: str, value: float
) -> None:
    number, place, message = ROLES[role]
    model = network(mlp)
    item = stored(model, number, place)
    array = numpy_helper.to_array(item).copy()
    array.reshape(-1)[array.size // 2] = value
    put(item, array)
    where = "" if array.size == 1 else r" at \["
    refused(
        model, tmp_path, f"{message} = {value} must be a number, in tensor '{item.name}'{where}"
    )


def test_a_limit_that_is_none_compiles(mlp: ModuleType, tmp_path: Path) -> None:
    model = network(mlp)
    put(stored(model, 6, 1), np.array(-np.inf, np.float32))
    put(stored(model, 6, 2), np.array(np.inf, np.float32))
    onnx.save(model, str(tmp_path / "net.onnx"))
    compile_model(tmp_path / "net.onnx", tmp_path / "out")


def test_attributes_that_are_no_numbers_are_named(mlp: ModuleType, tmp_path: Path) -> None:
    model = network(mlp)
    model.graph.node[9].attribute.append(helper.make_attribute("alpha", float("nan")))
    refused(model, tmp_path, "Gemm node .*: alpha = nan must be a number")


def test_a_negative_variance_is_named(mlp: ModuleType, tmp_path: Path) -> None:
    model = network(mlp)
    put(stored(model, 4, 4), np.array([1, 1, -1, 1, 1], np.float32))
    message = r"BatchNormalization node .*: variance = -1.0 at \[2\] of tensor .* must be positive"
    assert "variance" in refused(model, tmp_path, message).hint


def test_constants_that_become_infinite_are_named(mlp: ModuleType, tmp_path: Path) -> None:
    """Computed by the file itself, of finite constants: a factor 1 / 0."""
    model = network(mlp)
    zero = numpy_helper.from_array(np.array(0.0, np.float32), "zero")
    model.graph.initializer.append(zero)
    factor = model.graph.node[5]
    made = helper.make_node("Div", [factor.input[1], "zero"], ["factor"], name="inverse")
    model.graph.node.insert(0, made)
    model.graph.node[6].input[1] = "factor"
    refused(model, tmp_path, "Mul node 'Mul_.*: constant = inf must be a number")


@pytest.mark.parametrize(
    ("role", "value", "message"),
    [
        (
            "bn_mean",
            np.zeros(0),
            "BatchNormalization node .* parameter 'bn_.*' has no elements",
        ),
        ("bn_scale", np.ones(4), r"'bn_.*' has the shape \[4\], must be \[5\]"),
        ("low", np.zeros(2), r"Clip node .*shape \[2\], must be \[\]: one number"),
        ("input_scale", np.ones((1, 1, 1)), r"scale .* of shape \[1, 1, 1\] does not fit"),
        (
            "weight_scale",
            np.ones(7),
            r"scale .* of shape \[7\] does not fit a tensor of .*\[6, 5\]",
        ),
        ("input_bits", np.array(4, np.uint8), "Quant node .* holds uint8, must hold float32"),
        ("factor", np.array(1, np.float64), "Mul node .* holds float64, must hold float32"),
        ("input_zero", np.array(1e30), "zero point 1e\\+30 must be below"),
        ("weights", np.zeros((6, 0)), "has no elements"),
        ("gemm_bias", np.array([-1e30, 0, 0, 0]), "channel 0 of the output float32 cannot tell"),
    ],
)
def test_parameters_of_other_sizes_and_types(
    mlp: ModuleType, tmp_path: Path, role: str, value: np.ndarray, message: str
) -> None:
    model = network(mlp)
    number, place, _ = ROLES[role]
    typed = value if role in ("input_bits", "factor") else value.astype(np.float32)
    put(stored(model, number, place), typed)
    refused(model, tmp_path, message)


@pytest.mark.parametrize(
    ("index", "shape", "message"),
    [
        (1, (3, 4, 3, 3), "weights 'w' of shape .* do not fit an input of shape"),
        (1, (3, 2, 2, 2), r"kernel \[3, 3\] and 1 groups do not fit"),
        (2, (1,), r"'bias' has the shape \[1\], must be \[3\]: one number for each output"),
    ],
)
def test_parameters_of_a_convolution(
    mlp: ModuleType, tmp_path: Path, index: int, shape: tuple[int, ...], message: str
) -> None:
    b = mlp.GraphBuilder()
    shapes = {1: (3, 2, 3, 3), 2: (3,), index: shape}
    for name, place in (("w", 1), ("bias", 2)):
        b.constants.append(numpy_helper.from_array(np.ones(shapes[place], np.float32), name))
    x = b.quant("x", 0.25, 4, signed=True)
    x = b.op("Conv", [x, "w", "bias"], kernel_shape=[3, 3], pads=[1] * 4)
    refused(b.model((2, 4, 4), (3, 4, 4), x), tmp_path, f"Conv node .*{message}")

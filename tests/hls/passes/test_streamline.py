# SPDX-License-Identifier: Apache-2.0
"""The graph passes: each keeps the function, reaches a fixed point and leaves what it promises."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls import reference
from hls.compiler import compile_model, to_codes
from hls.passes.decision import decide
from hls.passes.graph import activation_nodes
from hls.passes.integer_input import SplitInputQuantizer, input_border
from hls.passes.integer_weights import IntegerWeights
from hls.passes.scales import ScalePastMatMul
from hls.passes.streamline import (
    IntegerActivations,
    integer_activations_step,
    integer_weights_step,
)
from hls.passes.tidy import (
    FlattenInput,
    FoldConstantBranches,
    GemmToMatMulExact,
    RemoveNeutralNodes,
    tidy,
)
from hls.qonnx_exec import load_model, run_qonnx

NETWORKS = ["power_of_two_mlp", "foreign_mlp", "exotic_mlp"]


@pytest.fixture(params=NETWORKS)
def model(request: pytest.FixtureRequest, mlp: ModuleType, tmp_path: Path) -> ModelWrapper:
    """A tidy model of each hand-written network."""
    return tidy(load_model(getattr(mlp, request.param)(tmp_path / "net.onnx")))


def frames(model: ModelWrapper, count: int = 300) -> np.ndarray:
    shape = model.get_tensor_shape(model.graph.input[0].name)
    return np.random.default_rng(0).normal(0, 1, (count, *shape[1:])).astype(np.float32)


PASSES: list[Callable[[], Transformation]] = [
    GemmToMatMulExact,
    FoldConstantBranches,
    RemoveNeutralNodes,
    FlattenInput,
    IntegerWeights,
    SplitInputQuantizer,
]


@pytest.mark.parametrize("make", PASSES, ids=lambda p: p.__name__)
def test_a_second_run_changes_nothing(
    model: ModelWrapper, make: Callable[[], Transformation]
) -> None:
    once = model.transform(make())
    text = once.model.SerializeToString(deterministic=True)
    assert once.transform(make()).model.SerializeToString(deterministic=True) == text


def test_integer_activations_is_idempotent(model: ModelWrapper) -> None:
    once = model.transform(IntegerWeights()).transform(IntegerActivations())
    text = once.model.SerializeToString(deterministic=True)
    again = once.transform(IntegerActivations())
    assert again.model.SerializeToString(deterministic=True) == text


def test_each_pass_keeps_the_outputs(model: ModelWrapper) -> None:
    x = frames(model)
    expected = run_qonnx(model, x)
    for step in (IntegerWeights(), SplitInputQuantizer(), ScalePastMatMul()):
        model = model.transform(step)
        # scales behind the sum instead of before it: float32 rounding, nothing else
        np.testing.assert_allclose(run_qonnx(model, x), expected, atol=5e-6)
    model = model.transform(IntegerActivations())
    np.testing.assert_allclose(run_qonnx(model, x), expected, atol=5e-6)


def test_between_the_borders_there_are_integers_only(model: ModelWrapper) -> None:
    model, _ = integer_activations_step(integer_weights_step(model))
    decided = decide(model, "soft", "output").model
    assert {n.op_type for n in decided.graph.node} == {"MatMul", "MultiThreshold"}
    for node in activation_nodes(decided):
        for name in (*node.input, *node.output):
            assert decided.get_tensor_datatype(name).is_integer(), name


def test_codes_of_the_first_product_lie_in_the_annotated_type(model: ModelWrapper) -> None:
    border = input_border(model, "input")
    x = frames(model)
    ints, _ = integer_activations_step(integer_weights_step(model))
    decided = decide(ints, "soft", "output").model
    codes = to_codes(border, x.reshape(len(x), -1))
    from hls.qonnx_exec import run_tensors

    names = [n.output[0] for n in decided.graph.node]
    for name, values in run_tensors(decided, codes.astype(np.float32), names).items():
        kind = decided.get_tensor_datatype(name)
        assert kind.min() <= values.min()
        assert values.max() <= kind.max()
        np.testing.assert_array_equal(values, np.rint(values))


def test_tiny_biases_survive(mlp: ModuleType, tmp_path: Path) -> None:
    """qonnx' own pass drops additions below 1e-5: with scales of 2^-20 that is a wrong network."""
    b = mlp.GraphBuilder()
    step = 2.0**-20
    x = b.quant("x", step, 8, signed=True)
    w = b.quant(b.const(np.eye(3)), 1.0, 2, signed=True)
    x = b.op("Gemm", [x, w, b.const(np.array([3, -2, 1]) * step)], transB=1)
    path = tmp_path / "net.onnx"
    b.model(3, 3, x, path)
    tidied = tidy(load_model(path))
    x = np.zeros((1, 3), np.float32)
    np.testing.assert_array_equal(run_qonnx(tidied, x), np.array([[3, -2, 1]]) * step)


def test_alpha_and_beta_of_gemm(mlp: ModuleType, tmp_path: Path) -> None:
    b = mlp.GraphBuilder()
    x = b.quant("x", 0.5, 8, signed=True)
    w = b.quant(b.const(np.arange(-3, 3).reshape(3, 2)), 1.0, 4, signed=True)
    x = b.op("Gemm", [x, w, b.const([1.0, 2.0])], alpha=0.5, beta=2.0)
    path = tmp_path / "net.onnx"
    b.model(3, 2, x, path)
    model = load_model(path)
    data = frames(model, 20)
    tidied = tidy(model)
    assert "Gemm" not in {n.op_type for n in tidied.graph.node}
    np.testing.assert_array_equal(run_qonnx(tidied, data), run_qonnx(model, data))


@pytest.mark.parametrize("how", ["Flatten", "Reshape"])
def test_flatten_at_the_input_is_dropped(mlp: ModuleType, tmp_path: Path, how: str) -> None:
    import onnx

    b = mlp.GraphBuilder()
    x = b.quant("x", 0.5, 8, signed=True)
    if how == "Flatten":
        x = b.op("Flatten", [x], axis=1)
    else:
        b.constants.append(onnx.numpy_helper.from_array(np.array([1, -1]), "shape"))
        x = b.op("Reshape", [x, "shape"])
    w = b.quant(b.const(np.arange(-6, 6).reshape(6, 2)), 1.0, 4, signed=True)
    built = b.model(6, 2, b.op("MatMul", [x, w]))
    shape = built.graph.input[0].type.tensor_type.shape
    del shape.dim[:]
    for size in (1, 2, 3):
        shape.dim.add().dim_value = size
    path = tmp_path / "net.onnx"
    onnx.save(built, str(path))
    tidied = tidy(load_model(path))
    assert tidied.get_tensor_shape("x") == [1, 6]
    assert input_border(tidied, "input").shape == (6,)
    acc = compile_model(path, tmp_path / "out")
    frames = np.random.default_rng(0).normal(0, 20, (50, 2, 3)).astype(np.float32)
    codes = reference.run(acc, to_codes(acc.input, frames.reshape(50, 6)))
    np.testing.assert_array_equal(codes * acc.output.scale[0], run_qonnx(path, frames))

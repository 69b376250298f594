# SPDX-License-Identifier: Apache-2.0
"""The batched executor against qonnx' own, frame by frame."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from hls.qonnx_exec import count_thresholds, integer_matmul, load_model, run_qonnx, run_tensors
from models.errors import CompileError


def one_by_one(path: Path, x: np.ndarray) -> np.ndarray:
    """qonnx' execution of every frame."""
    model = ModelWrapper(str(path)).transform(InferShapes())
    entry, output = model.graph.input[0].name, model.graph.output[0].name
    return np.concatenate([execute_onnx(model, {entry: row[None]})[output] for row in x])


def test_power_of_two_network_is_bit_exact(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    x = np.random.default_rng(0).normal(0, 1, (40, 12)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(path, x), one_by_one(path, x))


def test_foreign_network_differs_by_float_rounding_only(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.foreign_mlp(tmp_path / "net.onnx")
    x = np.random.default_rng(0).normal(0, 0.5, (40, 10)).astype(np.float32)
    # onnxruntime and numpy add float32 products in different orders
    np.testing.assert_allclose(run_qonnx(path, x), one_by_one(path, x), atol=2e-6)


def test_batches_do_not_change_the_result(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    x = np.random.default_rng(1).normal(0, 1, (33, 12)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(path, x, batch=8), run_qonnx(path, x))


def test_inner_tensors_can_be_read(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    model = load_model(path)
    name = next(n for n in model.graph.node if n.op_type == "Relu").output[0]
    x = np.random.default_rng(1).normal(0, 1, (5, 12)).astype(np.float32)
    found = run_tensors(model, x, [name])[name]
    assert found.shape == (5, 20)
    assert (found >= 0).all()


def test_operator_without_a_kernel_runs_in_onnxruntime(mlp: ModuleType, tmp_path: Path) -> None:
    b = mlp.GraphBuilder()
    path = tmp_path / "net.onnx"
    b.model(3, 3, b.op("Sigmoid", ["x"]), path)
    x = np.array([[-1, 0, 2], [3, 4, 5]], np.float32)
    np.testing.assert_allclose(run_qonnx(path, x), 1 / (1 + np.exp(-x)), rtol=1e-6)


def test_large_integer_products_are_exact() -> None:
    x = np.full((1, 4), 2.0**20, np.float32)
    w = np.full((4, 1), 2.0**10 + 1, np.float32)
    assert integer_matmul(x, w)[0, 0] == 4 * 2**20 * (2**10 + 1)


def test_thresholds_are_counted_per_channel_or_for_all() -> None:
    x = np.array([[0.0, 5.0], [3.0, -9.0]], np.float32)
    np.testing.assert_array_equal(count_thresholds(x, np.array([[0.0, 3.0]])), [[1, 2], [2, 0]])
    own = np.array([[1.0, 2.0], [-9.0, 6.0]])
    np.testing.assert_array_equal(count_thresholds(x, own), [[0, 1], [2, 1]])


@pytest.mark.parametrize("content", [b"", b"not onnx at all"])
def test_a_broken_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(content)
    with pytest.raises(CompileError, match=r"broken\.onnx: not a readable ONNX file"):
        load_model(path)


def test_constants_are_no_batch(mlp: ModuleType, tmp_path: Path) -> None:
    """Weights [6, 4] reshaped and squeezed by the graph, then used on many frames."""
    b, rng = mlp.GraphBuilder(), np.random.default_rng(0)
    weights = rng.integers(-3, 4, (1, 24)).astype(np.float32)
    shape = onnx.numpy_helper.from_array(np.array([6, 4]), "shape")
    b.constants.append(shape)
    w = b.op("Reshape", [b.op("Squeeze", [b.const(weights)]), "shape"])
    path = tmp_path / "net.onnx"
    b.model(6, 4, b.op("MatMul", ["x", w]), path)
    x = rng.integers(-3, 4, (9, 6)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(path, x), x @ weights.reshape(6, 4))
    np.testing.assert_array_equal(run_qonnx(path, x), one_by_one(path, x))


@pytest.mark.parametrize(
    ("op", "values", "facts"),
    [
        ("Reshape", [3, 2], {}),
        ("Squeeze", [0], {}),
        ("Flatten", None, {"axis": 2}),
        ("Concat", None, {"axis": 0}),
    ],
)
def test_a_shape_without_the_batch_in_front_is_named(
    mlp: ModuleType, op: str, values: list[int] | None, facts: dict[str, int]
) -> None:
    b = mlp.GraphBuilder()
    inputs = ["x"]
    if values is not None:
        b.constants.append(onnx.numpy_helper.from_array(np.array(values), "values"))
        inputs.append("values")
    model = ModelWrapper(b.model((2, 3), (2, 3), b.op(op, inputs, **facts)))
    with pytest.raises(CompileError, match=rf"{op} node .* batch"):
        run_qonnx(model, np.zeros((5, 2, 3), np.float32))

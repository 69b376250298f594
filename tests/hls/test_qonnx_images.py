# SPDX-License-Identifier: Apache-2.0
"""The batched executor on networks of images against qonnx' own, frame by frame."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from hls import qonnx_exec
from hls.borders import channels_last
from hls.finn_env import setup_finn
from hls.passes.decision import decide
from hls.passes.streamline import integer_activations_step, integer_weights_step
from hls.passes.tidy import tidy
from hls.passes.to_finn import to_finn
from hls.qonnx_exec import load_model, run_qonnx

NETWORKS = ["conv_chain", "encoder", "decoder", "fire", "residual", "pooled_sums"]


def one_by_one(model: ModelWrapper, x: np.ndarray) -> np.ndarray:
    """qonnx' execution of every frame."""
    entry, output = model.graph.input[0].name, model.graph.output[0].name
    return np.concatenate([execute_onnx(model, {entry: row[None]})[output] for row in x])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_stage_is_executed_as_qonnx_and_finn_do(
    cnn: ModuleType, tmp_path: Path, name: str
) -> None:
    model = load_model(getattr(cnn, name)(tmp_path / "net.onnx"))
    shape = model.get_tensor_shape("x")
    x = np.random.default_rng(0).integers(-30, 31, (4, *shape[1:])).astype(np.float32)
    scaled = x * np.float32(2.0**-5)
    tidied = tidy(model)
    # an arbitrary scale rounds differently in onnxruntime's convolution and numpy's product
    shaped = model.transform(InferShapes())
    np.testing.assert_allclose(run_qonnx(model, scaled), one_by_one(shaped, scaled), atol=1e-6)
    last = channels_last(scaled)
    np.testing.assert_allclose(run_qonnx(tidied, last), one_by_one(tidied, last), atol=1e-6)
    decided = decide(integer_activations_step(integer_weights_step(tidied))[0], "soft", "out").model
    codes = np.clip(channels_last(x), -15, 15)
    np.testing.assert_array_equal(run_qonnx(decided, codes), one_by_one(decided, codes))
    setup_finn(tmp_path / "finn")
    finn = to_finn(decided)
    np.testing.assert_array_equal(run_qonnx(finn, codes), run_qonnx(decided, codes))
    np.testing.assert_array_equal(run_qonnx(finn, codes), one_by_one(finn, codes))


@pytest.mark.parametrize("name", ["encoder", "residual"])
def test_batches_of_images_do_not_change_the_result(
    cnn: ModuleType, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tidy(load_model(getattr(cnn, name)(tmp_path / "net.onnx")))
    shape = model.get_tensor_shape(model.graph.input[0].name)
    x = np.random.default_rng(1).normal(0, 1, (23, *shape[1:])).astype(np.float32)
    whole = run_qonnx(model, x)
    np.testing.assert_array_equal(run_qonnx(model, x, batch=5), whole)
    monkeypatch.setattr(qonnx_exec, "MAX_ELEMENTS", 3000)
    assert 1 <= qonnx_exec.batch_size(model, qonnx_exec._constants(model), x) < 10
    np.testing.assert_array_equal(run_qonnx(model, x), whole)


def test_an_image_is_one_product_not_one_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each product is shared by all cores: hundreds of small ones wait for each other."""
    rng = np.random.default_rng(0)
    x = rng.integers(-8, 8, (3, 5, 7, 4)).astype(np.float32)
    weights = rng.integers(-8, 8, (4, 6)).astype(np.float32)
    expected = np.einsum("nhwc,co->nhwo", x.astype(np.int64), weights.astype(np.int64))
    wide = np.float32(1 << 12)
    with monkeypatch.context() as patch:
        patch.setattr(np, "matmul", None)
        np.testing.assert_array_equal(qonnx_exec.integer_matmul(x, weights), expected)
        product = qonnx_exec.integer_matmul(x * wide, weights * wide)
    np.testing.assert_array_equal(product, expected << 24)
    vectors = qonnx_exec.integer_matmul(x[:, 0, 0], weights)
    np.testing.assert_array_equal(vectors, expected[:, 0, 0])


def test_float_sums_of_a_frame_do_not_depend_on_its_batch(cnn: ModuleType, tmp_path: Path) -> None:
    model = tidy(load_model(cnn.encoder(tmp_path / "net.onnx")))
    shape = model.get_tensor_shape(model.graph.input[0].name)
    x = np.random.default_rng(2).normal(0, 1, (9, *shape[1:])).astype(np.float32)
    whole = run_qonnx(model, x)
    alone = np.concatenate([run_qonnx(model, frame[None]) for frame in x])
    np.testing.assert_array_equal(whole, alone)
    assert run_qonnx(model, x[:0]).shape == (0, *whole.shape[1:])


def test_sizes_of_a_resize_are_those_of_one_frame(cnn: ModuleType, tmp_path: Path) -> None:
    import onnx

    b = cnn.ImageBuilder()
    sizes = onnx.numpy_helper.from_array(np.array([1, 2, 4, 6]), "sizes")
    b.constants.append(sizes)
    out = b.op("Resize", ["x", "", "", "sizes"], mode="nearest", nearest_mode="floor",
        coordinate_transformation_mode="asymmetric")  # fmt: skip
    path = tmp_path / "net.onnx"
    b.model((2, 2, 3), (2, 4, 6), out, path)
    x = np.random.default_rng(0).normal(0, 1, (7, 2, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(path, x), x.repeat(2, axis=2).repeat(2, axis=3))

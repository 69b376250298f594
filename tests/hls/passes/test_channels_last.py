# SPDX-License-Identifier: Apache-2.0
"""Images with their channels last: the same function, in the order of the streams."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper

from hls.borders import channels_first, channels_last
from hls.passes.channels_last import NHWC, ChannelsLast
from hls.passes.check_model import check_quantized
from hls.passes.tidy import tidy
from hls.qonnx_exec import load_model, run_qonnx

NETWORKS = ["conv_chain", "encoder", "decoder", "fire", "residual", "pooled_sums"]


def images(model: ModelWrapper, count: int = 30, seed: int = 0) -> np.ndarray:
    shape = model.get_tensor_shape(model.graph.input[0].name)
    return np.random.default_rng(seed).normal(0, 1, (count, *shape[1:])).astype(np.float32)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_function_stays_and_a_second_run_changes_nothing(
    cnn: ModuleType, tmp_path: Path, name: str
) -> None:
    model = load_model(getattr(cnn, name)(tmp_path / "net.onnx"))
    x = images(model)
    tidied = tidy(model)
    check_quantized(tidied)
    # sums of power-of-two scales are exact; the arbitrary ones of conv_chain differ by rounding
    result = channels_first(run_qonnx(tidied, channels_last(x)))
    np.testing.assert_allclose(result, run_qonnx(model, x), atol=1e-6)
    shapes = [tidied.get_tensor_shape(n) for n in tidied.get_all_tensor_names()]
    assert all(s is not None for s in shapes)
    assert tidied.get_tensor_layout(tidied.graph.input[0].name) == NHWC
    assert {n.op_type for n in tidied.graph.node}.isdisjoint(
        {"Conv", "MaxPool", "AveragePool", "BatchNormalization", "Transpose"}
    )
    text = tidied.model.SerializeToString(deterministic=True)
    again = tidied.transform(ChannelsLast())
    assert again.model.SerializeToString(deterministic=True) == text


def test_vectors_are_left_alone(mlp: ModuleType, tmp_path: Path) -> None:
    model = tidy(load_model(mlp.power_of_two_mlp(tmp_path / "net.onnx")))
    text = model.model.SerializeToString(deterministic=True)
    again = model.transform(ChannelsLast())
    assert again.model.SerializeToString(deterministic=True) == text


@pytest.mark.parametrize(
    ("pads", "kernel"),
    [
        ((0, 0, 0, 0), (3, 3)),
        ((1, 0, 2, 1), (3, 2)),
        ((0, 0, 0, 0), (4, 5)),
        ((0, 2, 0, 0), (1, 3)),
    ],
    ids=["valid", "asymmetric", "whole-image", "left-only"],
)
def test_kernels_and_paddings(
    cnn: ModuleType, tmp_path: Path, pads: tuple[int, ...], kernel: tuple[int, int]
) -> None:
    b = cnn.ImageBuilder()
    x = b.quant("x", 0.25, 6, signed=True)
    x = b.conv(x, (3, 4), kernel, pads=pads, bias_step=0.125)
    height = 4 + pads[0] + pads[2] - kernel[0] + 1
    width = 5 + pads[1] + pads[3] - kernel[1] + 1
    path = tmp_path / "net.onnx"
    b.model((3, 4, 5), (4, height, width), x, path)
    model = load_model(path)
    tidied = tidy(model)
    x = images(model, seed=1)
    np.testing.assert_array_equal(
        channels_first(run_qonnx(tidied, channels_last(x))), run_qonnx(model, x)
    )


def test_a_global_pool_covers_the_image(cnn: ModuleType, tmp_path: Path) -> None:
    b = cnn.ImageBuilder()
    x = b.op("GlobalAveragePool", [b.quant("x", 0.25, 6, signed=True)])
    x = b.conv(x, (3, 2), (1, 1))
    path = tmp_path / "net.onnx"
    b.model((3, 4, 8), (2, 1, 1), x, path)
    model = load_model(path)
    x = images(model)
    np.testing.assert_array_equal(
        channels_first(run_qonnx(tidy(model), channels_last(x))), run_qonnx(model, x)
    )


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3, 1, 1), (1, 1, 1, 1)])
def test_parameters_of_a_channel(cnn: ModuleType, tmp_path: Path, shape: tuple[int, ...]) -> None:
    b = cnn.ImageBuilder()
    x = b.conv(b.quant("x", 0.25, 6, signed=True), (2, 3))
    x = b.op("Mul", [x, b.const(2.0 ** np.arange(np.prod(shape)).reshape(shape))])
    x = b.op("Sub", [x, b.const(np.arange(np.prod(shape)).reshape(shape))])
    path = tmp_path / "net.onnx"
    b.model((2, 4, 4), (3, 4, 4), x, path)
    model = load_model(path)
    x = images(model)
    np.testing.assert_array_equal(
        channels_first(run_qonnx(tidy(model), channels_last(x))), run_qonnx(model, x)
    )

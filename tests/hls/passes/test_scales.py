# SPDX-License-Identifier: Apache-2.0
"""Factors move past forks, windows, pools, upsampling and joins, and no number changes."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.borders import channels_last
from hls.passes.decision import decide
from hls.passes.graph import activation_nodes
from hls.passes.integer_input import SplitInputQuantizer
from hls.passes.integer_weights import IntegerWeights
from hls.passes.scale_past_fork import ScalePastFork
from hls.passes.scale_past_join import ScalePastJoin
from hls.passes.scale_past_reshaping import ScalePastReshaping
from hls.passes.streamline import (
    IntegerActivations,
    MoveScales,
    integer_activations_step,
    integer_weights_step,
)
from hls.passes.tidy import tidy
from hls.qonnx_exec import load_model, run_qonnx, run_tensors

NETWORKS = ["conv_chain", "encoder", "decoder", "fire", "residual", "pooled_sums"]
EXACT = [n for n in NETWORKS if n not in ("conv_chain", "pooled_sums")]


def split(cnn: ModuleType, tmp_path: Path, name: str) -> ModelWrapper:
    """A network with integer weights and input codes, scales where they began."""
    model = tidy(load_model(getattr(cnn, name)(tmp_path / "net.onnx")))
    return model.transform(IntegerWeights()).transform(SplitInputQuantizer())


def images(model: ModelWrapper, count: int = 20) -> np.ndarray:
    shape = model.get_tensor_shape(model.graph.input[0].name)
    return np.random.default_rng(3).normal(0, 1, (count, *shape[1:])).astype(np.float32)


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(
    "make", [ScalePastFork, ScalePastReshaping, ScalePastJoin, MoveScales], ids=lambda p: p.__name__
)
def test_each_step_keeps_every_number_and_has_a_fixed_point(
    cnn: ModuleType, tmp_path: Path, name: str, make: type[Transformation]
) -> None:
    model = split(cnn, tmp_path, name)
    x = images(model)
    once = model.transform(make())
    np.testing.assert_array_equal(run_qonnx(once, x), run_qonnx(model, x))
    text = once.model.SerializeToString(deterministic=True)
    assert once.transform(make()).model.SerializeToString(deterministic=True) == text


@pytest.mark.parametrize("name", NETWORKS)
def test_between_the_borders_there_are_annotated_integers_only(
    cnn: ModuleType, tmp_path: Path, name: str
) -> None:
    model = tidy(load_model(getattr(cnn, name)(tmp_path / "net.onnx")))
    x = images(model, 40)
    ints, reports = integer_activations_step(integer_weights_step(model))
    assert all(r.proven for r in reports)
    text = ints.model.SerializeToString(deterministic=True)
    again = ints.transform(IntegerActivations())
    assert again.model.SerializeToString(deterministic=True) == text
    decided = decide(ints, "soft", "output")
    kinds = {n.op_type for n in decided.model.graph.node}
    assert kinds <= {
        *("MatMul", "MultiThreshold", "Im2Col", "Reshape"),
        *("ReduceSum", "ReduceMax", "Resize", "Concat", "Add"),
    }
    scale = float(model.get_initializer(activation_nodes(model)[0].input[1]).reshape(-1)[0])
    codes = np.rint(np.clip(x / np.float32(scale), -15, 15))
    names = [n.output[0] for n in decided.model.graph.node]
    for tensor, values in run_tensors(decided.model, codes, names).items():
        kind = decided.model.get_tensor_datatype(tensor)
        assert kind.is_integer(), tensor
        assert kind.min() <= values.min(), tensor
        assert values.max() <= kind.max(), tensor
        np.testing.assert_array_equal(values, np.rint(values))


def test_an_average_becomes_a_sum_and_its_division_a_scale(cnn: ModuleType, tmp_path: Path) -> None:
    b = cnn.ImageBuilder()
    x = b.pool(b.quant("x", 0.5, 4, signed=True), (2, 4))
    path = tmp_path / "net.onnx"
    b.model((1, 4, 4), (2, 2, 1), b.conv(x, (1, 2), (1, 1), scale=1.0), path)
    model = load_model(path)
    ints, _ = integer_activations_step(integer_weights_step(tidy(model)))
    decided = decide(ints, "soft", "output")
    reduce = next(n for n in decided.model.graph.node if n.op_type == "ReduceSum")
    assert decided.model.get_tensor_datatype(reduce.output[0]).name == "INT7"
    assert decided.output.scale == (0.5 / 8,)
    x = np.random.default_rng(0).integers(-8, 8, (50, 1, 4, 4)).astype(np.float32)
    codes = run_qonnx(decided.model, channels_last(x))
    expected = run_qonnx(model, x * np.float32(0.5))
    np.testing.assert_array_equal(channels_last(expected), codes * (0.5 / 8))


def test_pools_of_nine_pixels_are_within_their_error_bound(cnn: ModuleType, tmp_path: Path) -> None:
    """1/9 rounds: every level of float32 has to agree where the analysis calls it proven."""
    b = cnn.ImageBuilder()
    x = b.pool(b.quant("x", 0.25, 6, signed=True), (3, 3))
    x = b.quant(x, 0.31, 5, signed=True)
    path = tmp_path / "net.onnx"
    b.model((2, 3, 9), (2, 1, 3), b.conv(x, (2, 2), (1, 1)), path)
    model = tidy(load_model(path))
    ints, reports = integer_activations_step(integer_weights_step(model))
    assert [(r.exact, r.proven, r.thresholds) for r in reports] == [(False, True, 62)]
    x = np.random.default_rng(0).normal(0, 3, (4000, 3, 9, 2)).astype(np.float32)
    # one level of the quantizer would be 0.31 / 8 of the output
    np.testing.assert_allclose(run_qonnx(ints, x), run_qonnx(model, x), atol=1e-5)


def test_equal_scales_of_different_factors_join(cnn: ModuleType, tmp_path: Path) -> None:
    """The mean of 4 of scale 1/4 and a quantizer of scale 1/16 carry the same integers."""
    b = cnn.ImageBuilder()
    x = b.quant("x", 0.25, 4, signed=True)
    mean = b.pool(x, (2, 2))
    other = b.quant(b.conv(x, (2, 2), pads=(0, 0, 0, 0)), 0.0625, 6, signed=True)
    joined = b.op("Add", [mean, b.pool(other, (1, 1))])
    path = tmp_path / "net.onnx"
    b.model((2, 4, 4), (3, 2, 2), b.conv(joined, (2, 3), (1, 1)), path)
    model = load_model(path)
    decided = decide(integer_activations_step(integer_weights_step(tidy(model)))[0], "soft", "out")
    x = np.random.default_rng(0).integers(-8, 8, (50, 2, 4, 4)).astype(np.float32)
    codes = run_qonnx(decided.model, channels_last(x))
    expected = channels_last(run_qonnx(model, x * np.float32(0.25)))
    np.testing.assert_array_equal(codes * decided.output.scale[0], expected)

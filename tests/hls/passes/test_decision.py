# SPDX-License-Identifier: Apache-2.0
"""Hard decisions in hardware and soft outputs: equal to the comparison of the float outputs."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.compiler import CompileOptions, compile_model, decide_outputs, to_codes
from hls.passes.decision import decide
from hls.passes.integer_input import input_border
from hls.passes.streamline import integer_activations_step, integer_weights_step
from hls.passes.tidy import tidy
from hls.qonnx_exec import load_model, run_qonnx
from models.errors import CompileError


def one_layer(
    mlp: ModuleType,
    weights: np.ndarray,
    bias: np.ndarray,
    w_scale: Any = 0.25,
    factor: Any = None,
) -> Any:
    """A tidy model of one dense layer [in, out], input scale 0.5, 4 bits."""
    b = mlp.GraphBuilder()
    x = b.quant("x", 0.5, 4, signed=True)
    scaled = weights * np.asarray(w_scale)
    x = b.op("MatMul", [x, b.quant(b.const(scaled), w_scale, 4, signed=True)])
    x = b.op("Add", [x, b.const(bias)])
    if factor is not None:
        x = b.op("Mul", [x, b.const(factor)])
    from qonnx.core.modelwrapper import ModelWrapper

    return tidy(ModelWrapper(b.model(weights.shape[0], weights.shape[1], x)))


def all_inputs(count: int) -> np.ndarray:
    """Every frame of ``count`` 4-bit codes."""
    grid = np.meshgrid(*[np.arange(-8, 8)] * count)
    return np.stack(grid, -1).reshape(-1, count)


def check(model: Any, kind: str) -> Any:
    """Decide, and compare with the float outputs on every possible input."""
    expected = run_qonnx(model, all_inputs(2) * np.float32(0.5))
    ints, _ = integer_activations_step(integer_weights_step(model))
    decided = decide(ints, kind, "output")
    result = run_qonnx(decided.model, all_inputs(2).astype(np.float32))
    np.testing.assert_array_equal(
        np.rint(result).astype(np.int64), decide_outputs(expected, kind, decided.output)
    )
    return decided


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_every_input_gets_the_bit_of_the_float_comparison(
    mlp: ModuleType, data: st.DataObject
) -> None:
    seed = data.draw(st.integers(0, 10_000))
    kind = data.draw(st.sampled_from(["hard_pairs", "sign", "soft"]))
    rng = np.random.default_rng(seed)
    # power-of-two scales: float32 is exact, so equality has to hold on ties too
    w_scale = 2.0 ** rng.integers(-3, 1, (1, 4))
    bias = rng.integers(-8, 9, 4) * 0.0625
    factor = 2.0 ** rng.integers(-1, 2, 4) * rng.choice([-1, 1], 4) if seed % 2 else None
    model = one_layer(mlp, rng.integers(-8, 8, (2, 4)), bias, w_scale, factor)
    decided = check(model, kind)
    assert decided.ties is None or decided.ties.fragile == 0


def test_a_tie_is_a_one(mlp: ModuleType) -> None:
    model = one_layer(mlp, np.zeros((2, 2)), np.array([0.5, 0.5]))
    ints, _ = integer_activations_step(integer_weights_step(model))
    for kind in ("hard_pairs", "sign"):
        decided = decide(ints, kind, "output")
        assert (run_qonnx(decided.model, all_inputs(2).astype(np.float32)) == 1).all()
        assert decided.output.meaning == "hard_bits"


def test_merging_takes_one_bit_more(mlp: ModuleType) -> None:
    weights = np.array([[7, -7], [-7, 7]])
    decided = check(one_layer(mlp, weights, np.zeros(2)), "hard_pairs")
    product = decided.model.graph.node[0]
    assert decided.model.get_tensor_datatype(product.input[1]).name == "INT5"


def test_arbitrary_scales_of_a_pair_are_refused(mlp: ModuleType) -> None:
    scale = np.array([[0.123, 0.456]])
    model = one_layer(mlp, np.array([[1, 2], [3, 4]]), np.zeros(2), scale)
    ints, _ = integer_activations_step(integer_weights_step(model))
    with pytest.raises(CompileError, match=r"takes \d+-bit weights \(limit 18\)") as caught:
        decide(ints, "hard_pairs", "output")
    assert "one weight scale (per tensor)" in caught.value.hint


def test_odd_outputs_have_no_pairs(mlp: ModuleType) -> None:
    model = one_layer(mlp, np.ones((2, 3)), np.zeros(3))
    ints, _ = integer_activations_step(integer_weights_step(model))
    with pytest.raises(CompileError, match="even number of outputs, the model has 3"):
        decide(ints, "hard_pairs", "output")


def test_soft_border_gives_the_value_back(mlp: ModuleType) -> None:
    rng = np.random.default_rng(0)
    scale = rng.uniform(0.1, 0.4, (1, 3)).astype(np.float32)
    model = one_layer(mlp, rng.integers(-8, 8, (2, 3)), rng.normal(0, 1, 3), scale)
    ints, _ = integer_activations_step(integer_weights_step(model))
    decided = decide(ints, "soft", "output")
    codes = run_qonnx(decided.model, all_inputs(2).astype(np.float32))
    value = codes * np.array(decided.output.scale) + np.array(decided.output.offset)
    expected = run_qonnx(model, all_inputs(2) * np.float32(0.5))
    np.testing.assert_allclose(value, expected, atol=1e-5)  # float32 against float64


@pytest.mark.parametrize("kind", ["soft", "sign"])
def test_one_of_everything(mlp: ModuleType, tmp_path: Path, kind: str) -> None:
    """Bipolar, offset, narrow, clipped and oddly rounded activations; see `exotic_mlp`."""
    path = mlp.exotic_mlp(tmp_path / "net.onnx")
    acc = compile_model(path, tmp_path / "out", CompileOptions(output=kind))
    x = np.random.default_rng(7).normal(0, 2, (2000, *acc.input.shape)).astype(np.float32)
    from hls import reference

    bits = reference.run(acc, to_codes(acc.input, x))
    np.testing.assert_array_equal(bits, decide_outputs(run_qonnx(path, x), kind, acc.output))
    assert len(np.unique(bits)) > 1


def test_input_border(mlp: ModuleType, tmp_path: Path) -> None:
    border = input_border(tidy(load_model(mlp.exotic_mlp(tmp_path / "net.onnx"))), "in")
    assert (border.scale, border.narrow, str(border.fmt)) == ((0.25,), True, "INT5")
    edges = np.array([[-100.0, -3.876, 0.125, 0.375, 100.0]], np.float32)
    np.testing.assert_array_equal(to_codes(border, edges), [[-15, -15, 0, 2, 15]])

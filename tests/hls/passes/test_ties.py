# SPDX-License-Identifier: Apache-2.0
"""The tie analysis: silent where float32 is exact, loud where it is not."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hls.passes.streamline import integer_activations_step, integer_weights_step
from hls.passes.tidy import tidy
from hls.passes.ties import TieReport
from hls.qonnx_exec import load_model, run_qonnx


def report_of(mlp: ModuleType, tmp_path: Path, scale: float, bias: float, act: float) -> TieReport:
    """A dense layer of ones with one bias for all, then 4-bit activations."""
    b = mlp.GraphBuilder()
    x = b.quant("x", scale, 8, signed=True)
    w = b.quant(b.const(np.ones((4, 3)) * scale), scale, 3, signed=True)
    x = b.op("Add", [b.op("MatMul", [x, w]), b.const(np.full(3, bias))])
    x = b.quant(x, act, 4, signed=False)
    w = b.quant(b.const(np.ones((3, 2))), 1.0, 3, signed=True)
    path = tmp_path / "net.onnx"
    b.model(4, 2, b.op("MatMul", [x, w]), path)
    _, reports = integer_activations_step(integer_weights_step(tidy(load_model(path))))
    return reports[0]


def test_powers_of_two_are_exact_and_proven(mlp: ModuleType, tmp_path: Path) -> None:
    report = report_of(mlp, tmp_path, 0.125, 3 / 64, 0.5)
    assert (report.exact, report.proven, report.thresholds) == (True, True, 45)


def test_a_bias_off_the_grid_is_not_exact_but_may_be_proven(
    mlp: ModuleType, tmp_path: Path
) -> None:
    report = report_of(mlp, tmp_path, 0.125, 0.1, 0.5)
    assert (report.exact, report.proven) == (False, True)


def test_ties_of_inexact_scales_are_fragile(mlp: ModuleType, tmp_path: Path) -> None:
    """0.1 * 0.1 * acc / 0.02 = acc / 2 but for rounding: every odd accumulator is a tie."""
    report = report_of(mlp, tmp_path, 0.1, 0.0, 0.02)
    assert not report.exact
    assert report.fragile > 20


def test_the_foreign_network_is_proven(mlp: ModuleType, tmp_path: Path) -> None:
    model = tidy(load_model(mlp.foreign_mlp(tmp_path / "net.onnx")))
    _, reports = integer_activations_step(integer_weights_step(model))
    assert [r.thresholds for r in reports] == [18 * 15, 14 * 7]
    assert all(r.proven and not r.exact for r in reports)


@pytest.mark.parametrize("seed", range(3))
def test_proven_means_equal_on_many_inputs(mlp: ModuleType, tmp_path: Path, seed: int) -> None:
    model = tidy(load_model(mlp.foreign_mlp(tmp_path / "net.onnx", seed=seed)))
    ints, reports = integer_activations_step(integer_weights_step(model))
    if not all(r.proven for r in reports):
        return
    x = np.random.default_rng(seed).normal(0, 0.5, (5000, 10)).astype(np.float32)
    # one activation step at the output would be far above this
    np.testing.assert_allclose(run_qonnx(ints, x), run_qonnx(model, x), atol=1e-5)

# SPDX-License-Identifier: Apache-2.0
"""From hand-written QONNX files to RTL: the last link, QONNX against Verilator."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hls import reference
from hls.compiler import CompileOptions, FoldingTarget, compile_model, decide_outputs, to_codes
from hls.cycles import accelerator_cycles
from hls.qonnx_exec import load_model, run_qonnx
from hls.sim.engine import simulate
from hls.sim.verilate import build
from hls.stitch import write_rtl

CASES: list[tuple[str, dict[str, Any], set[str]]] = [
    ("power_of_two_mlp", {"output": "hard_pairs"}, {"mvau", "requant", "thresholding", "dwc"}),
    ("foreign_mlp", {"output": "soft"}, {"mvau", "thresholding"}),
    ("exotic_mlp", {"output": "sign", "thresholds": "memory"}, {"mvau", "thresholding"}),
    ("balanced_mlp", {"output": "soft"}, {"mvau_sparse", "requant"}),
]


@pytest.mark.verilator
@pytest.mark.parametrize(("network", "options", "kinds"), CASES, ids=[c[0] for c in CASES])
def test_rtl_gives_what_qonnx_gives(
    mlp: ModuleType, tmp_path: Path, network: str, options: dict[str, Any], kinds: set[str]
) -> None:
    path = getattr(mlp, network)(tmp_path / "net.onnx")
    target = FoldingTarget(cycles=24)
    acc = compile_model(path, tmp_path / "out", CompileOptions(name="n", folding=target, **options))
    assert kinds <= {la.kind for la in acc.layers}
    top = acc.input.scale[0] * acc.input.fmt.max
    x = np.random.default_rng(3).normal(0, top / 3, (300, *acc.input.shape)).astype(np.float32)
    codes = to_codes(acc.input, x)
    golden = decide_outputs(run_qonnx(path, x), options["output"], acc.output)
    np.testing.assert_array_equal(reference.run(acc, codes), golden)
    binary = build(write_rtl(acc, tmp_path / "rtl"), acc, tmp_path / "sim", jobs=1)
    result = simulate(binary, codes)
    np.testing.assert_array_equal(result.outputs, golden)
    model = accelerator_cycles(acc)
    assert result.ii_cycles == pytest.approx(model.ii_cycles, rel=0.02)
    assert result.latency_cycles == pytest.approx(model.latency_cycles, rel=0.1)


IMAGES: list[tuple[str, int, set[str]]] = [
    ("encoder", 900, {"window", "mvau", "pool", "requant"}),
    ("decoder", 900, {"window", "mvau", "upsample"}),
    ("fire", 700, {"window", "duplicate", "concat", "thresholding"}),
    ("residual", 600, {"window", "duplicate", "add"}),
]


@pytest.mark.verilator
@pytest.mark.parametrize(("network", "cycles", "kinds"), IMAGES, ids=[c[0] for c in IMAGES])
def test_rtl_of_images_gives_what_qonnx_gives(
    cnn: ModuleType, tmp_path: Path, network: str, cycles: int, kinds: set[str]
) -> None:
    path = getattr(cnn, network)(tmp_path / "net.onnx")
    target = FoldingTarget(cycles=cycles)
    acc = compile_model(path, tmp_path / "out", CompileOptions(name="n", folding=target))
    assert kinds <= {la.kind for la in acc.layers}
    # deep enough for any branch: sizes are found by simulation elsewhere
    acc = acc.with_fifo_depths({s.name: 256 for s in acc.streams if s.producer and s.consumer})
    shape = load_model(path).get_tensor_shape("x")
    top = acc.input.scale[0] * acc.input.fmt.max
    x = np.random.default_rng(3).normal(0, top / 3, (40, *shape[1:])).astype(np.float32)
    golden = decide_outputs(run_qonnx(path, x), "soft", acc.output)
    binary = build(write_rtl(acc, tmp_path / "rtl"), acc, tmp_path / "sim", jobs=1)
    result = simulate(binary, to_codes(acc.input, x))
    np.testing.assert_array_equal(result.outputs, golden)
    assert result.ii_cycles <= 1.05 * accelerator_cycles(acc).ii_cycles

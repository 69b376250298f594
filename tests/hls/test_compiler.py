# SPDX-License-Identifier: Apache-2.0
"""The compiler end to end: hand-written QONNX files up to the integer reference."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hls import reference
from hls.borders import decide_outputs
from hls.compiler import STEPS, CompileOptions, FoldingTarget, compile_model, to_codes
from hls.ir import Accelerator
from hls.qonnx_exec import run_qonnx
from models.errors import CompileError, MismatchError

ROOT = Path(reference.__file__).parents[1]


def _frames(acc: Accelerator, count: int = 500, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    top = acc.input.scale[0] * acc.input.fmt.max
    return rng.normal(0, top / 3, (count, *acc.input.shape)).astype(np.float32)


def test_power_of_two_network_gives_the_bits_of_qonnx(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    acc = compile_model(path, tmp_path / "out", CompileOptions(name="net", output="hard_pairs"))
    x = _frames(acc)
    out = run_qonnx(path, x)
    bits = reference.run(acc, to_codes(acc.input, x))
    np.testing.assert_array_equal(bits, out[:, 0::2] >= out[:, 1::2])
    assert 0.05 < bits[:, 2].mean() < 0.95


def test_torch_is_not_loaded_to_compile_and_stays_usable(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    code = f"""
import sys
from pathlib import Path
from hls.compiler import compile_model
compile_model(Path({str(path)!r}), Path({str(tmp_path / "out")!r}))
print([name for name in sys.modules if name.split(".")[0] in ("torch", "brevitas")])
import torch
from finn.custom_op.fpgadataflow import layernorm
print(layernorm.torch.tensor is torch.tensor, layernorm.F.relu is torch.nn.functional.relu)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-2:] == ["[]", "True True"]


def test_every_step_is_kept_and_the_result_loads(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    seen: list[str] = []
    acc = compile_model(path, tmp_path / "out", progress=lambda step, *_: seen.append(step))
    assert tuple(seen) == STEPS
    for number, step in enumerate(STEPS[:-1]):
        assert (tmp_path / "out" / f"{number:02d}_{step}.onnx").is_file()
    again = Accelerator.load(tmp_path / "out")
    x = _frames(acc, 50)
    codes = to_codes(acc.input, x)
    np.testing.assert_array_equal(reference.run(again, codes), reference.run(acc, codes))
    report = json.loads((tmp_path / "out" / "compile_report.json").read_text())
    assert report["equality"]["proven_for_all_inputs"] is True


def test_foreign_network_with_arbitrary_scales(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.foreign_mlp(tmp_path / "net.onnx")
    acc = compile_model(path, tmp_path / "out", CompileOptions(folding=FoldingTarget(cycles=60)))
    x = _frames(acc)
    codes = reference.run(acc, to_codes(acc.input, x))
    value = codes * np.array(acc.output.scale) + np.array(acc.output.offset)
    # float32 sums against exact ones: a few units in the last place of the largest output
    np.testing.assert_allclose(value, run_qonnx(path, x), atol=2e-5)


@pytest.mark.parametrize("kind", ["sign", "hard_pairs"])
def test_sign_of_foreign_network(mlp: ModuleType, tmp_path: Path, kind: str) -> None:
    path = mlp.foreign_mlp(tmp_path / "net.onnx")
    options = CompileOptions(output=kind)
    if kind == "hard_pairs":
        with pytest.raises(CompileError, match="different weight scales"):
            compile_model(path, tmp_path / "out", options)
        return
    acc = compile_model(path, tmp_path / "out", options)
    x = _frames(acc)
    np.testing.assert_array_equal(
        reference.run(acc, to_codes(acc.input, x)), run_qonnx(path, x) >= 0
    )


def test_missing_file_is_a_compile_error(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="no such file"):
        compile_model(tmp_path / "none.onnx", tmp_path / "out")


def test_a_wrong_pass_is_found(
    mlp: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hls.passes import integer_thresholds

    exact = integer_thresholds.smallest_accumulators
    monkeypatch.setattr(integer_thresholds, "smallest_accumulators", lambda *args: exact(*args) + 1)
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    with pytest.raises(MismatchError, match=r"step integer_activations: .* frame "):
        compile_model(path, tmp_path / "out")


@pytest.mark.parametrize(
    "limits", [(None, 0.5), (-0.5, None), (-0.5, 0.75), (2.0, 0.5), (-np.inf, 0.5), (-0.5, np.inf)]
)
def test_clips_with_one_limit_and_with_crossed_ones(
    mlp: ModuleType, tmp_path: Path, limits: tuple[float | None, float | None]
) -> None:
    """min above max gives max everywhere, in the file, in the thresholds and in hardware."""
    b, rng = mlp.GraphBuilder(), np.random.default_rng(0)
    x = b.quant("x", 0.25, 4, signed=True)
    w = b.quant(b.const(rng.integers(-3, 4, (5, 6)) * 0.25), 0.25, 3, signed=True)
    names = ["" if v is None else b.const(v) for v in limits]
    x = b.op("Clip", [b.op("MatMul", [x, w]), *names])
    x = b.quant(x, 0.125, 5, signed=True)
    w = b.quant(b.const(rng.integers(-3, 4, (6, 3)) * 0.25), 0.25, 3, signed=True)
    path = tmp_path / "net.onnx"
    b.model(5, 3, b.op("MatMul", [x, w]), path)
    acc = compile_model(path, tmp_path / "out")
    x = np.random.default_rng(1).normal(0, 1, (500, 5)).astype(np.float32)
    expected = decide_outputs(run_qonnx(path, x), "soft", acc.output)
    np.testing.assert_array_equal(reference.run(acc, to_codes(acc.input, x)), expected)


@pytest.mark.parametrize("limits", [(np.nan, 1.0), (np.inf, 1.0), (0.0, -np.inf)])
def test_a_clip_without_numbers_is_named(
    mlp: ModuleType, tmp_path: Path, limits: tuple[float, float]
) -> None:
    b = mlp.GraphBuilder()
    w = b.quant(b.const(np.ones((5, 6))), 0.25, 3, signed=True)
    x = b.op("MatMul", [b.quant("x", 0.25, 4, signed=True), w])
    x = b.quant(b.op("Clip", [x, *map(b.const, limits)]), 0.125, 5, signed=True)
    w = b.quant(b.const(np.ones((6, 3))), 0.25, 3, signed=True)
    path = tmp_path / "net.onnx"
    b.model(5, 3, b.op("MatMul", [x, w]), path)
    with pytest.raises(CompileError, match=r"Clip node .*: (min|max) = .* must be a number"):
        compile_model(path, tmp_path / "out")

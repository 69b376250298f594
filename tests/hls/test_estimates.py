# SPDX-License-Identifier: Apache-2.0
"""estimates.json and the choices behind it."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pydantic import ValidationError

from hls.compiler import CompileOptions, FoldingTarget, compile_model
from hls.cycles import accelerator_cycles
from hls.ir import Accelerator
from models.errors import CompileError, StorageError


def compiled(path: Path, out: Path, **options: Any) -> tuple[Accelerator, dict[str, Any]]:
    """Accelerator and estimates."""
    acc = compile_model(path, out, CompileOptions(**options))
    return acc, json.loads((out / "estimates.json").read_text())


def test_estimates_add_up(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    acc, body = compiled(path, tmp_path / "out", folding=FoldingTarget(cycles=30))
    model = accelerator_cycles(acc)
    assert (body["ii_cycles"], body["latency_cycles"]) == (model.ii_cycles, model.latency_cycles)
    assert body["frames_per_s"] == pytest.approx(100e6 / model.ii_cycles)
    for key in ("lut", "ff", "bram18", "dsp"):
        assert body["totals"][key] == sum(row[key] for row in body["layers"])
    assert [row["name"] for row in body["layers"]] == [la.name for la in acc.layers]
    assert all(row["lut"] > 0 for row in body["layers"])


def test_what_finn_does_not_know_is_null_with_a_reason(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    _, body = compiled(path, tmp_path / "out")
    rows = {row["name"]: row["finn"] for row in body["layers"]}
    assert rows["fc0"]["lut"] > 100
    assert rows["fc0"]["dsp"] == 0
    assert (rows["fc0"]["ff"], rows["act0"]["lut"]) == (None, None)
    assert rows["fc0"]["reason"] == "FINN has no model of it for ff"
    assert rows["act0"]["reason"].endswith("lut, ff, bram18, dsp")
    assert rows["fc0"]["cycles"] == body["layers"][0]["ii_cycles"]


def test_multipliers_in_dsp_blocks_are_finns_rtl_unit(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    acc, body = compiled(
        path, tmp_path / "out", folding=FoldingTarget(cycles=60), multipliers="dsp"
    )
    row, layer = body["layers"][0], acc.layer("fc0")
    assert layer.params["dsp"] == 1
    assert row["dsp"] == row["multipliers"] > 1
    p = layer.params
    assert row["finn"]["dsp"] == -(-p["pe"] // 4) * p["simd"]
    assert row["finn"]["lut"] is None
    assert body["totals"]["dsp"] == sum(item.get("multipliers", 0) for item in body["layers"])


@pytest.mark.parametrize(
    ("thresholds", "kind"), [("memory", "thresholding"), ("requant", "requant")]
)
def test_activations_are_built_as_asked_for(
    mlp: ModuleType, tmp_path: Path, thresholds: str, kind: str
) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    acc, _ = compiled(path, tmp_path / "out", thresholds=thresholds)
    assert acc.layer("act0").kind == kind
    report = json.loads((tmp_path / "out" / "compile_report.json").read_text())
    reasons = [c["reason"] for c in report["layers"] if c["node"].startswith("Thresholding")]
    assert all("as asked for" in r for r in reasons[:2])


def test_sparsity_can_be_switched_off(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.balanced_mlp(tmp_path / "net.onnx")
    fast = FoldingTarget(cycles=24)
    sparse, body = compiled(path, tmp_path / "a", folding=fast)
    dense, _ = compiled(path, tmp_path / "b", folding=fast, sparse="off")
    given, _ = compiled(path, tmp_path / "c", folding=fast, sparse_block=8, sparse_nnz=3)
    slow, _ = compiled(path, tmp_path / "d", folding=FoldingTarget(cycles=2000))
    assert sparse.layer("fc0").kind == "mvau_sparse"
    assert dense.layer("fc0").kind == "mvau"
    assert slow.layer("fc0").kind == "mvau", "one multiplier costs less than a block's selection"
    assert given.layer("fc0").params["nnz"] == 3
    row = body["layers"][0]
    assert row["weight_memory_bits"] == 24 * 16 // 8 * 2 * (4 + 3)


@pytest.mark.parametrize(
    "target",
    [
        FoldingTarget(frames_per_s=2e6),
        FoldingTarget(latency_us=2.0),
        FoldingTarget(device_fraction=0.05),
    ],
    ids=["rate", "latency", "device"],
)
def test_every_kind_of_target_is_met(
    mlp: ModuleType, tmp_path: Path, target: FoldingTarget
) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    _, body = compiled(path, tmp_path / "out", folding=target)
    if target.frames_per_s is not None:
        assert body["frames_per_s"] >= target.frames_per_s
    if target.latency_us is not None:
        assert body["latency_us"] <= target.latency_us
    if target.device_fraction is not None:
        assert 0 < body["utilisation"]["lut"] <= target.device_fraction


def test_the_folding_written_can_be_read_back(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    first, _ = compiled(path, tmp_path / "a", folding=FoldingTarget(cycles=30))
    file = FoldingTarget(file=tmp_path / "a" / "folding.json")
    second, _ = compiled(path, tmp_path / "b", folding=file)
    assert [la.params for la in first.layers] == [la.params for la in second.layers]


def test_two_targets_are_refused() -> None:
    with pytest.raises(ValidationError, match="cycles and latency_us are given; choose one"):
        FoldingTarget(cycles=3, latency_us=1.0)
    with pytest.raises(ValidationError, match="belong together"):
        CompileOptions(sparse_block=4)
    with pytest.raises(ValidationError, match="Extra inputs"):
        CompileOptions(clock=3)  # type: ignore[call-arg]


def test_unknown_part_is_refused(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    with pytest.raises(CompileError, match="part 'abc' is unknown; known: LFE5U-25F"):
        compile_model(path, tmp_path / "out", CompileOptions(part="abc"))


def test_golden_inputs_of_another_shape_are_refused(mlp: ModuleType, tmp_path: Path) -> None:
    import numpy as np

    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    options = CompileOptions(golden_inputs=np.zeros((3, 11)))
    with pytest.raises(CompileError, match=r"golden inputs \(3, 11\): the model takes"):
        compile_model(path, tmp_path / "out", options)


def test_a_folder_that_cannot_be_written_is_a_storage_error(
    mlp: ModuleType, tmp_path: Path
) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="could not be written"):
        compile_model(path, tmp_path / "file" / "out")

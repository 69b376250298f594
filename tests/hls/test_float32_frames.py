# SPDX-License-Identifier: Apache-2.0
"""Who is right where float32 execution and exact integers differ: rounding is told from faults."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hls import reference
from hls.borders import channels_last, decide_outputs
from hls.compiler import CompileOptions, compile_model
from hls.float32_frames import FloatReference, Verdict
from hls.float32_limits import FILE, FloatLimits, Stage
from hls.ir import Accelerator
from hls.passes.spans import widen
from hls.qonnx_exec import load_model, run_qonnx
from models.errors import CompileError, MismatchError

FRAMES = 3000


def decimal_mlp(b: Any, path: Path, mode: str = "ROUND", norm: bool = False, seed: int = 0) -> Path:
    """Scales of 0.1, 0.3 and 0.06: in decimals, half of all sums are ties."""
    rng = np.random.default_rng(seed)
    x = b.quant("x", 0.3, 5, signed=True)
    for n, m in ((12, 10), (10, 8)):
        w = b.quant(b.const(rng.integers(-7, 8, (n, m)) * 0.1), 0.1, 4, signed=True)
        x = b.op("MatMul", [x, w])
        if norm:
            stats = [rng.normal(0, 1, (3, m)), rng.uniform(0.3, 2, (1, m))]
            x = b.op("BatchNormalization", [x, *map(b.const, np.concatenate(stats))])
        x = b.quant(x, 0.06, 6, signed=True, mode=mode)
    w = b.quant(b.const(rng.integers(-7, 8, (8, 4)) * 0.1), 0.1, 4, signed=True)
    b.model(12, 4, b.op("MatMul", [x, w]), path)
    return path


def decimal_cnn(b: Any, path: Path) -> Path:
    """Images: convolutions, an average, a fork and a join, all with decimal scales."""
    x = b.quant("x", 0.3, 5, signed=True)
    x = b.quant(b.conv(x, (2, 3), scale=0.1), 0.06, 5, signed=True)
    y = b.quant(b.conv(x, (3, 3), (1, 1), scale=0.1), 0.06, 5, signed=True)
    x = b.quant(b.pool(b.op("Add", [x, y]), (2, 1)), 0.06, 5, signed=True)
    b.model((2, 4, 3), (2, 2, 3), b.conv(x, (3, 2), scale=0.1), path)
    return path


def learned_mlp(b: Any, path: Path, seed: int) -> Path:
    """Random scales, one a channel, biases, BatchNormalization: ties are rare."""
    rng = np.random.default_rng(seed)
    x = b.quant("x", float(rng.uniform(0.03, 0.2)), 6, signed=True)
    for n, m in itertools.pairwise((32, 64, 64, 6)):
        scale = rng.uniform(0.02, 0.06, (1, m))
        w = b.quant(b.const(rng.normal(size=(n, m)) * 0.3), scale, 6, signed=True)
        x = b.op("Add", [b.op("MatMul", [x, w]), b.const(rng.normal(size=m))])
        if m != 6:
            stats = [rng.normal(0, 1, (3, m)), rng.uniform(0.3, 2, (1, m))]
            x = b.op("BatchNormalization", [x, *map(b.const, np.concatenate(stats))])
            x = b.quant(b.op("Relu", [x]), float(rng.uniform(0.05, 0.2)), 5, signed=False)
    b.model(32, 6, x, path)
    return path


@dataclass(frozen=True)
class Case:
    """A compiled network, frames, and which of them float32 execution makes differ."""

    folder: Path
    accelerator: Accelerator
    judge: FloatReference
    x: np.ndarray
    codes: np.ndarray
    exact: np.ndarray
    differ: np.ndarray

    def verdict(self, got: np.ndarray | None = None) -> Verdict:
        return self.judge.judge(self.x, self.codes, self.exact if got is None else got, self.differ)


def case(path: Path, kind: str = "soft", frames: int = FRAMES) -> Case:
    folder = path.parent / "out"
    acc = compile_model(path, folder, CompileOptions(output=kind))
    model = load_model(path)
    rng = np.random.default_rng(5)
    shape = model.get_tensor_shape("x")[1:]
    entry = acc.input
    host = rng.integers(entry.lowest, entry.fmt.max + 1, (frames, *shape))
    x = (host * entry.scale[0]).astype(np.float32)
    codes = channels_last(host).astype(np.int64)
    exact = reference.run(acc, codes)
    found = decide_outputs(run_qonnx(model, x), kind, acc.output)
    differ = np.flatnonzero((found != exact).any(axis=1))
    judge = FloatReference(acc, FloatLimits.load(folder), model, kind)
    return Case(folder, acc, judge, x, codes, exact, differ)


def require_explained(found: Case) -> Verdict:
    """Every frame that differs is float32 rounding, and some are."""
    verdict = found.verdict()
    assert len(verdict.mismatches) == 0
    seen = [*verdict.alone.tolist(), *(place.frame for place in verdict.rounded)]
    assert sorted(seen) == found.differ.tolist()
    return verdict


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "HALF_UP"])
@pytest.mark.parametrize("norm", [False, True])
def test_decimal_scales_compile_and_every_frame_is_explained(
    mlp: ModuleType, tmp_path: Path, mode: str, norm: bool
) -> None:
    path = decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx", mode, norm)
    verdict = require_explained(case(path))
    report = json.loads((tmp_path / "out" / "compile_report.json").read_text())
    assert report["equality"]["proven_for_all_inputs"] is (
        report["equality"]["fragile_thresholds"] == 0
    )
    if not norm:
        assert len(verdict.rounded) > 20
        assert report["float32"]["float32_frames"] > 0


@pytest.mark.parametrize("kind", ["sign", "hard_pairs"])
def test_decided_bits_are_explained(mlp: ModuleType, tmp_path: Path, kind: str) -> None:
    found = case(decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx"), kind)
    assert len(require_explained(found).rounded) > 5


def test_the_sign_of_a_quantizer_at_the_output(mlp: ModuleType, tmp_path: Path) -> None:
    """Its threshold is one of the quantizer's, and as fragile."""
    b, rng = mlp.GraphBuilder(), np.random.default_rng(0)
    x = b.quant("x", 0.3, 5, signed=True)
    w = b.quant(b.const(rng.integers(-7, 8, (12, 6)) * 0.1), 0.1, 4, signed=True)
    x = b.op("Add", [b.op("MatMul", [x, w]), b.const(np.full(6, 0.03))])
    b.model(12, 6, b.quant(x, 0.06, 6, signed=True), tmp_path / "net.onnx")
    found = case(tmp_path / "net.onnx", "sign")
    assert len(found.differ) > 0
    require_explained(found)


def test_images_are_explained_in_their_own_order(cnn: ModuleType, tmp_path: Path) -> None:
    found = case(decimal_cnn(cnn.ImageBuilder(), tmp_path / "net.onnx"), frames=600)
    verdict = require_explained(found)
    assert len(verdict.rounded) > 20
    assert {place.layer for place in verdict.rounded} >= {"act0"}


@pytest.mark.parametrize("seed", range(4))
def test_learned_scales_and_norms_are_explained(mlp: ModuleType, tmp_path: Path, seed: int) -> None:
    found = case(learned_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx", seed), frames=20_000)
    require_explained(found)


def test_a_place_is_a_fragile_threshold(mlp: ModuleType, tmp_path: Path) -> None:
    found = case(decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx"))
    streams = reference.trace(found.accelerator, found.codes)
    for place in found.verdict().rounded:
        layer = found.accelerator.layer(place.layer)
        if place.layer == "act0":  # behind it, sums are those of the float32 execution
            sums = streams[layer.inputs[0]][place.frame]
            assert sums[place.channel] == place.accumulator
        assert place.threshold is not None
        assert place.accumulator in (place.threshold, place.threshold - 1)
        assert f"layer {place.layer}, channel {place.channel}" in str(place)


def test_hardware_that_is_wrong_is_a_mismatch(mlp: ModuleType, tmp_path: Path) -> None:
    found = case(decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx"))
    got = found.exact.copy()
    victim = found.differ[7]
    got[victim, 1] += 1
    assert found.verdict(got).mismatches.tolist() == [victim]


def test_without_the_spans_a_frame_is_a_mismatch(mlp: ModuleType, tmp_path: Path) -> None:
    found = case(decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx"))
    rounded = [place.frame for place in found.verdict().rounded]
    limits = found.judge.limits
    bare = replace(limits, stages=tuple(replace(s, spans=s.spans[:0]) for s in limits.stages))
    judge = FloatReference(found.accelerator, bare, load_model(tmp_path / "net.onnx"), "soft")
    verdict = judge.judge(found.x, found.codes, found.exact, found.differ)
    assert set(rounded[:50]) <= set(verdict.mismatches.tolist())
    assert verdict.rounded == ()


def test_a_wrong_layer_behind_a_tie_is_no_rounding(mlp: ModuleType, tmp_path: Path) -> None:
    """One weight of the last layer is wrong: frames with ties are not excused for it."""
    path = decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx")
    found = case(path)
    layers = list(found.accelerator.layers)
    index = max(i for i, la in enumerate(layers) if "weights" in la.arrays)
    weights = layers[index].arrays["weights"].copy()
    weights[2, 3] += 1
    layers[index] = replace(layers[index], arrays={"weights": weights})
    wrong = replace(found.accelerator, layers=tuple(layers))
    got = reference.run(wrong, found.codes)
    qonnx = decide_outputs(run_qonnx(load_model(path), found.x), "soft", wrong.output)
    differ = np.flatnonzero((got != qonnx).any(axis=1))
    judge = FloatReference(wrong, found.judge.limits, load_model(path), "soft")
    verdict = judge.judge(found.x, found.codes, got, differ)
    changed = np.flatnonzero((got != found.exact).any(axis=1))
    assert len(changed) > FRAMES // 2
    excused = {*verdict.alone.tolist(), *(place.frame for place in verdict.rounded)}
    assert len(excused & set(changed.tolist())) < len(changed) // 20


def test_a_wrong_pass_is_found_in_a_network_full_of_ties(
    mlp: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hls.passes import integer_thresholds

    exact = integer_thresholds.smallest_accumulators
    monkeypatch.setattr(integer_thresholds, "smallest_accumulators", lambda *a: exact(*a) + 1)
    path = decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx")
    with pytest.raises(MismatchError, match=r"step \w+: .* frame "):
        compile_model(path, tmp_path / "out")


def wide(mlp: ModuleType, path: Path) -> Path:
    """16-bit weights, 16-bit inputs: sums of 36 bits."""
    b, rng = mlp.GraphBuilder(), np.random.default_rng(0)
    x = b.quant("x", 2.0**-15, 16, signed=True)
    codes = rng.integers(-(2**15), 2**15, (64, 4)) * 2.0**-15
    w = b.quant(b.const(codes), 2.0**-15, 16, signed=True)
    b.model(64, 4, b.op("MatMul", [x, w]), path)
    return path


def test_sums_too_wide_for_float32_are_rounding_up_to_the_bound(
    mlp: ModuleType, tmp_path: Path
) -> None:
    found = case(wide(mlp, tmp_path / "net.onnx"), frames=200)
    verdict = require_explained(found)
    assert len(verdict.rounded) > 150
    assert all(place.threshold is None for place in verdict.rounded)
    (layer,) = (la for la in found.accelerator.layers if "weights" in la.arrays)
    reach = np.abs(layer.arrays["weights"]).sum(axis=1) * 2.0**15
    bound = found.judge.limits.outputs
    assert (bound >= reach * 2.0**-24).all()
    assert (bound <= reach * 80 * 2.0**-24).all()
    report = json.loads((tmp_path / "out" / "compile_report.json").read_text())
    assert report["equality"]["soft_output_tolerance"] == bound.max()
    assert report["equality"]["proven_for_all_inputs"] is False
    tight = replace(found.judge.limits, outputs=bound * 0)
    judge = FloatReference(found.accelerator, tight, load_model(tmp_path / "net.onnx"), "soft")
    assert len(judge.judge(found.x, found.codes, found.exact, found.differ).mismatches) > 150


def test_ordinary_soft_outputs_have_no_tolerance(mlp: ModuleType, tmp_path: Path) -> None:
    path = mlp.power_of_two_mlp(tmp_path / "net.onnx")
    compile_model(path, tmp_path / "out")
    assert not FloatLimits.load(tmp_path / "out").outputs.any()
    compile_model(learned_mlp(mlp.GraphBuilder(), tmp_path / "n2.onnx", 0), tmp_path / "out2")
    assert not FloatLimits.load(tmp_path / "out2").outputs.any()


def test_limits_are_written_and_read_again(mlp: ModuleType, tmp_path: Path) -> None:
    found = case(decimal_mlp(mlp.GraphBuilder(), tmp_path / "net.onnx"))
    limits = found.judge.limits
    limits.save(tmp_path)
    again = FloatLimits.load(tmp_path)
    assert again.fragile == limits.fragile > 100
    for one, two in zip(limits.stages, again.stages, strict=True):
        assert replace(one, spans=0) == replace(two, spans=0)  # type: ignore[arg-type]
        np.testing.assert_array_equal(one.spans, two.spans)
    np.testing.assert_array_equal(limits.outputs, again.outputs)
    layers = {la.name for la in found.accelerator.layers if la.kind in ("thresholding", "requant")}
    assert {stage.layer for stage in again.stages} == layers


def test_limits_of_many_thresholds_are_a_small_file_that_is_read_again(tmp_path: Path) -> None:
    """Two layers of 16 bits; what is unpacked of a file has a limit (`models.limits`)."""
    steps, channels = 2**16 - 1, 4
    step, channel = np.tile(np.arange(steps), channels), np.repeat(np.arange(channels), steps)
    at = 512 * (step - 2**15) + 7 * channel - 256
    table = np.stack([channel, step, at, at - 1 - channel, at + 200], axis=1)
    last = np.array([[0, 3, -(2**52), -(2**52) - 300, 2**52], [5, 0, 2**52, -(2**52), 2**52]])
    stages = [
        Stage(f"act{i}", f"q{i}", 0.5, bias=-(2**15), bipolar=False, spans=spans)
        for i, spans in enumerate((table, last[:0], table + np.array([0, 0, 3, 3, 3]), last))
    ]
    limits = FloatLimits(tuple(stages[:3]))
    limits.save(tmp_path)
    with np.load(tmp_path / FILE) as arrays:
        assert sum(arrays[name].nbytes for name in arrays.files) < 16 * limits.fragile
    assert (tmp_path / FILE).stat().st_size < limits.fragile / 10
    for kept in (limits, FloatLimits(tuple(stages))):
        kept.save(tmp_path)
        again = FloatLimits.load(tmp_path)
        for one, two in zip(kept.stages, again.stages, strict=True):
            np.testing.assert_array_equal(one.spans, two.spans)
            assert two.spans.dtype == np.int64


def test_limits_whose_counts_do_not_fit_are_named(tmp_path: Path) -> None:
    stage = Stage("act0", "q", 1.0, bias=0, bipolar=False, spans=np.array([[0, 0, 1, 0, 1]]))
    FloatLimits((stage,)).save(tmp_path)
    with np.load(tmp_path / FILE) as arrays:
        held = dict(arrays)
    np.savez(tmp_path / FILE, **{**held, "counts": np.array([2])})
    with pytest.raises(CompileError, match=r"not readable \(1 spans, announced are \[2\]\)"):
        FloatLimits.load(tmp_path)


def test_a_folder_without_the_file_has_no_limits_and_a_broken_one_is_named(tmp_path: Path) -> None:
    assert FloatLimits.load(tmp_path).stages == ()
    (tmp_path / FILE).write_bytes(b"no npz")
    with pytest.raises(CompileError, match=rf"{FILE}: not readable"):
        FloatLimits.load(tmp_path)


@pytest.mark.parametrize("name", ["encoder", "fire", "residual", "pooled_sums"])
def test_every_threshold_layer_belongs_to_its_quantizer(
    cnn: ModuleType, tmp_path: Path, name: str
) -> None:
    """Forks and joins: what a quantizer of the file gives is what the layer gives."""
    found = case(getattr(cnn, name)(tmp_path / "net.onnx"), frames=5)
    streams = reference.trace(found.accelerator, found.codes)
    codes = found.judge.network.batched(found.x).codes
    layers = [la for la in found.accelerator.layers if la.kind in ("thresholding", "requant")]
    assert codes.keys() == {la.name for la in layers}
    for layer in layers:
        np.testing.assert_array_equal(codes[layer.name], streams[layer.outputs[0]])


def test_spans_are_as_wide_as_the_rounding() -> None:
    """Float32 that is wrong up to 5 below and 3 above, and never beyond the accumulators."""
    table = np.array([[-4, 0, 9], [8, 2, -9]])
    spans = widen(table, lambda at: at >= table - 5, lambda at: at < table + 3, (-9, 8))
    rows = zip(*(spans.column(n).tolist() for n in ("channel", "step", "low", "high")), strict=True)
    assert list(rows) == [
        (0, 0, -9, -2), (0, 1, -5, 2), (0, 2, 4, 8), (1, 0, 3, 8), (1, 1, -3, 4), (1, 2, -9, -7)
    ]  # fmt: skip
    exact = widen(table, lambda at: at >= table, lambda at: at < table, (-9, 8))
    assert len(exact) == 0

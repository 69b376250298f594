# SPDX-License-Identifier: Apache-2.0
"""Networks of images from QONNX to the integer reference."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hls import reference
from hls.compiler import (
    CompileOptions,
    FoldingTarget,
    compile_model,
    decide_outputs,
    to_codes,
    to_values,
)
from hls.cycles import accelerator_cycles
from hls.ir import Accelerator
from hls.qonnx_exec import load_model, run_qonnx
from models.errors import CompileError, MismatchError

NETWORKS = ["conv_chain", "encoder", "decoder", "fire", "residual", "pooled_sums"]
LAYERS = {
    "pooled_sums": {"win": 1, "conv": 3, "act": 3, "pool": 3, "dup": 1, "cat": 1},
    "conv_chain": {"win": 2, "conv": 3, "act": 2},
    "encoder": {"win": 2, "conv": 3, "act": 3, "pool": 2},
    "decoder": {"win": 3, "conv": 3, "act": 2, "up": 2},
    "fire": {"win": 2, "conv": 4, "act": 4, "pool": 1, "dup": 1, "cat": 1},
    "residual": {"win": 5, "conv": 6, "act": 7, "dup": 3, "add": 3},
}


def frames(path: Path, acc: Accelerator, count: int = 200, seed: int = 5) -> np.ndarray:
    shape = load_model(path).get_tensor_shape("x")
    top = acc.input.scale[0] * acc.input.fmt.max
    return np.random.default_rng(seed).normal(0, top / 3, (count, *shape[1:])).astype(np.float32)


@pytest.mark.parametrize("cycles", [600, 3000])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_accelerator_gives_the_integers_of_qonnx(
    cnn: ModuleType, tmp_path: Path, name: str, cycles: int
) -> None:
    path = getattr(cnn, name)(tmp_path / "net.onnx")
    options = CompileOptions(name="net", folding=FoldingTarget(cycles=cycles))
    acc = compile_model(path, tmp_path / "out", options)
    x = frames(path, acc)
    codes = to_codes(acc.input, x)
    assert codes.shape == (len(x), *acc.input.shape)
    result = reference.run(acc, codes)
    expected = run_qonnx(path, x)
    np.testing.assert_array_equal(result, decide_outputs(expected, "soft", acc.output))
    # offsets that are no multiples of the scale are added in float64 here, in float32 there
    np.testing.assert_allclose(to_values(acc.output, result), expected, atol=1e-6)
    assert len(np.unique(result)) > 8
    names = [la.name.rstrip("0123456789") for la in acc.layers if la.kind != "dwc"]
    assert {n: names.count(n) for n in set(names)} == LAYERS[name]
    assert accelerator_cycles(acc).ii_cycles <= cycles
    again = Accelerator.load(tmp_path / "out")
    np.testing.assert_array_equal(reference.run(again, codes), result)
    report = json.loads((tmp_path / "out" / "compile_report.json").read_text())
    assert report["equality"]["proven_for_all_inputs"] is True
    assert [s["step"] for s in report["steps"]][-2:] == ["folded", "accelerator"]


def test_encoder_and_decoder_share_their_codes(cnn: ModuleType, tmp_path: Path) -> None:
    first = cnn.encoder(tmp_path / "encoder.onnx")
    second = cnn.decoder(tmp_path / "decoder.onnx")
    quick = FoldingTarget(cycles=3000)
    options = CompileOptions(output="codes", folding=quick)
    encoder = compile_model(first, tmp_path / "enc", options)
    decoder = compile_model(second, tmp_path / "dec", CompileOptions(folding=quick))
    assert encoder.output.meaning == "codes"
    assert encoder.output.shape == decoder.input.shape == (2, 4, 3)
    assert encoder.output.scale == decoder.input.scale
    assert encoder.output.fmt == decoder.input.fmt
    x = frames(first, encoder, 100)
    codeword = reference.run(encoder, to_codes(encoder.input, x))
    image = reference.run(decoder, codeword.reshape(-1, *decoder.input.shape))
    expected = run_qonnx(second, run_qonnx(first, x))
    np.testing.assert_array_equal(image, decide_outputs(expected, "soft", decoder.output))


def test_golden_frames_can_be_given(cnn: ModuleType, tmp_path: Path) -> None:
    path = cnn.encoder(tmp_path / "net.onnx")
    x = np.random.default_rng(0).normal(0, 1, (7, 2, 8, 8)).astype(np.float32)
    options = CompileOptions(golden_inputs=x, folding=FoldingTarget(cycles=3000))
    compile_model(path, tmp_path / "out", options)
    report = json.loads((tmp_path / "out" / "compile_report.json").read_text())
    assert {s["frames"] for s in report["steps"]} == {7}


@pytest.mark.parametrize("kind", ["hard_pairs", "sign"])
def test_bits_are_decided_of_vectors_only(cnn: ModuleType, tmp_path: Path, kind: str) -> None:
    path = cnn.decoder(tmp_path / "net.onnx")
    with pytest.raises(CompileError, match="decides the bits of a vector") as caught:
        compile_model(path, tmp_path / "out", CompileOptions(output=kind))
    assert "'codes'" in caught.value.hint


def test_codes_need_a_quantizer_at_the_output(cnn: ModuleType, tmp_path: Path) -> None:
    path = cnn.decoder(tmp_path / "net.onnx")
    with pytest.raises(CompileError, match=r"MatMul node 'Conv_.* is the last integer operation"):
        compile_model(path, tmp_path / "out", CompileOptions(output="codes"))


def test_a_rate_that_no_window_reaches_is_named(cnn: ModuleType, tmp_path: Path) -> None:
    """8 x 8 windows of 9 pixels, one pixel a cycle."""
    path = cnn.encoder(tmp_path / "net.onnx")
    options = CompileOptions(folding=FoldingTarget(cycles=500))
    with pytest.raises(CompileError, match=r"win0: no folding takes 500 cycles.* takes 576"):
        compile_model(path, tmp_path / "out", options)


def test_a_wrong_pass_is_found(
    cnn: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hls.passes import lower_windows

    exact = lower_windows.convolution_matrix
    monkeypatch.setattr(lower_windows, "convolution_matrix", lambda v: exact(v[:, :, ::-1]))
    path = cnn.conv_chain(tmp_path / "net.onnx")
    with pytest.raises(MismatchError, match=r"step tidy: .* frame "):
        compile_model(path, tmp_path / "out")

# SPDX-License-Identifier: Apache-2.0
"""Float32 rounding of QONNX is counted and listed by every step that compares, and fails none."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from fake_bench import accelerator, bench, config_of, context_of
from onnx import TensorProto, helper, numpy_helper

from fpga_builds import stimulus
from fpga_builds.config import parse_build
from fpga_builds.sources import open_frames
from fpga_builds.steps.export import require_equal_to_brevitas
from fpga_builds.steps.rtl_count import count_chunks
from fpga_builds.steps.simulate import _metrics, summary
from fpga_builds.views import SHOWN, float32_lines
from hls import reference
from hls.compiler import CompileOptions, compile_model
from hls.float32_frames import ROUNDED_TEXT, Rounded, Verdict
from hls.float32_limits import FILE
from models.errors import MismatchError

QONNX = "qonnx.custom_op.general"
NETS = (1, 7, 14)
"""Seeds of networks of which float32 rounds some frames."""


def dense_network(path: Path, seed: int, sizes: tuple[int, ...], *, decimal: bool = False) -> Path:
    """Scales as learned ones are, one a channel, and biases; or decimal ones, full of ties."""
    rng = np.random.default_rng(seed)
    nodes: list[Any] = []
    constants: list[Any] = []

    def const(value: Any) -> str:
        constants.append(
            numpy_helper.from_array(np.asarray(value, np.float32), f"c{len(constants)}")
        )
        return str(constants[-1].name)

    def op(kind: str, inputs: list[str], **attributes: Any) -> str:
        out = f"t{len(nodes)}"
        domain = QONNX if kind == "Quant" else ""
        nodes.append(helper.make_node(kind, inputs, [out], out, domain=domain, **attributes))
        return out

    def quant(x: str, scale: Any, bits: int, signed: int = 1) -> str:
        inputs = [x, const(scale), const(0.0), const(float(bits))]
        return op("Quant", inputs, signed=signed, narrow=0, rounding_mode="ROUND")

    x = quant("x", 0.3 if decimal else float(rng.uniform(0.03, 0.2)), 6)
    for n, m in itertools.pairwise(sizes):
        scale = np.full((1, m), 0.1) if decimal else rng.uniform(0.02, 0.06, (1, m))
        weights = quant(const(rng.normal(size=(n, m)) * 0.3), scale, 6)
        x = op("MatMul", [x, weights])
        if not decimal:
            x = op("Add", [x, const(rng.normal(size=m))])
        if m != sizes[-1]:
            x = quant(op("Relu", [x]), 0.06 if decimal else float(rng.uniform(0.05, 0.2)), 5, 0)
    entry = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, sizes[0]])
    last = helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, sizes[-1]])
    graph = helper.make_graph(nodes, "net", [entry], [last], constants)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(QONNX, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), str(path))
    return path


def judged(verdict: Any, **simulate: Any) -> tuple[Any, Any]:
    """(config, a bench with one wrong bit in frame 60 of the first chunks, so judged)."""
    config = config_of(**simulate)
    return config, replace(bench(config, flip=(60, 2)), judge=verdict)


def test_rounded_frames_are_counted_and_listed(tmp_path: Path) -> None:
    asked: list[list[int]] = []

    def verdict(_x: Any, _codes: Any, _rtl: Any, frames: Any) -> Verdict:
        asked.append(frames.tolist())
        return Verdict(rounded=(Rounded(60, "act1", 3, 8, 9),))

    config, counting = judged(verdict)
    records = count_chunks(context_of(config, tmp_path), counting)
    body = summary(config, accelerator(), records)
    assert asked == [[60]] * 4  # two whole chunks of 100 frames at each of two SNRs
    assert (body["mismatches"], body["float32_frames"], body["rerun_alone"]) == (0, 4, 0)
    place = {"layer": "act1", "channel": 3, "accumulator": 8, "threshold": 9}
    assert body["float32"] == [
        {"snr_db": snr, "frame": frame, **place} for snr in (0.0, 4.0) for frame in (60, 160)
    ]
    found = {metric.name: metric.value for metric in _metrics(body)}
    assert (found["mismatches"], found["float32_frames"]) == (0, 4)
    again = count_chunks(context_of(config, tmp_path), counting)
    assert (json.dumps(again), len(asked)) == (json.dumps(records), 4)


def test_a_frame_that_agrees_alone_is_no_difference(tmp_path: Path) -> None:
    config, counting = judged(lambda *_: Verdict(alone=np.array([60])))
    records = count_chunks(context_of(config, tmp_path), counting)
    body = summary(config, accelerator(), records)
    assert (body["mismatches"], body["float32_frames"], body["rerun_alone"]) == (0, 0, 4)
    assert float32_lines(body) == []


def test_what_is_not_explained_stays_a_mismatch(tmp_path: Path) -> None:
    config, counting = judged(lambda *_: Verdict(mismatches=np.array([60])))
    with pytest.raises(MismatchError, match="RTL and QONNX differ in 1 of 100 frames at 0 dB"):
        count_chunks(context_of(config, tmp_path), counting)


def test_the_terminal_shows_a_few_frames() -> None:
    place = {"snr_db": 4.0, "layer": "act1", "channel": 3, "accumulator": 8, "threshold": 9}
    listed = [{**place, "frame": frame} for frame in range(9)]
    lines = float32_lines({"float32_frames": 9, "float32": listed})
    assert lines[0] == f"float32     9 frames: {ROUNDED_TEXT}"
    assert lines[1].strip() == "frame 0 at 4 dB: layer act1, channel 3, sum 8, threshold 9"
    assert len(lines) == SHOWN + 2
    soft = {**listed[0], "snr_db": None, "threshold": None}
    lines = float32_lines({"float32_frames": 1, "float32": [soft]})
    assert lines[1].strip() == "frame 0: layer act1, channel 3, sum 8"


def test_vectors_expect_exact_integers(tmp_path: Path) -> None:
    path = dense_network(tmp_path / "net.onnx", 0, (12, 10, 4), decimal=True)
    acc = compile_model(path, tmp_path / "out")
    body = {"name": "demo", "network": {"model": str(path)}}
    config = parse_build({**body, "compile": {"output": "soft"}}, "test")
    chunks = [stimulus.Chunk(None, 0, 500)]
    source = open_frames(config, Path, acc.input)
    found = stimulus.vectors(config, tmp_path / "out", path, source.of, chunks)
    np.testing.assert_array_equal(found.expected, reference.run(acc, found.codes))
    assert len(found.verdict.rounded) > 5
    assert found.truth is None
    (tmp_path / "out" / FILE).unlink()
    with pytest.raises(MismatchError, match=r"compiled integers and QONNX differ in \d+ of 500"):
        stimulus.vectors(config, tmp_path / "out", path, source.of, chunks)


def test_export_asks_both_for_a_frame_alone(tmp_path: Path) -> None:
    from hls.float32_frames import execute_alone
    from hls.passes.tidy import named
    from hls.qonnx_exec import load_model, run_qonnx

    path = dense_network(tmp_path / "net.onnx", 3, (12, 10, 4))
    model = named(load_model(path))
    name = model.graph.output[0].name

    def alone(x: Any) -> Any:
        return execute_alone(model, x, [name])[name]

    y = np.random.default_rng(0).normal(0, 1, (20, 12)).astype(np.float32)
    outputs = run_qonnx(path, y)
    assert require_equal_to_brevitas(config_of(), path, y, outputs, alone) == 0
    outputs[3] = np.nextafter(outputs[3], np.float32(9))  # a sum in another order
    assert require_equal_to_brevitas(config_of(), path, y, outputs, alone) == 0
    with pytest.raises(MismatchError, match="differ in 1 of 20 golden frames, first in frame 3"):
        require_equal_to_brevitas(config_of(), path, y, outputs, lambda x: alone(x) + 1)


def phyfold(*words: object) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "fpga_builds.cli", *map(str, words), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


@pytest.mark.verilator
def test_ties_everywhere_pass_through_the_whole_flow(tmp_path: Path) -> None:
    path = dense_network(tmp_path / "net.onnx", 0, (12, 10, 4), decimal=True)
    code, body = phyfold("simulate", path, "--out", tmp_path / "out", "--frames", 400)
    assert (code, body["frames"], body["mismatches"]) == (0, 400, 0)
    assert body["float32_frames"] > 5
    assert len(body["float32"]) == min(body["float32_frames"], 100)
    code, body = phyfold("report", path, "--out", tmp_path / "out")
    assert body["float32"]["frames"] > 5
    report = (tmp_path / "out" / "report.md").read_text()
    assert f"frames {ROUNDED_TEXT}" in report
    assert ROUNDED_TEXT in (tmp_path / "out" / "report.html").read_text()


@pytest.mark.slow
@pytest.mark.verilator
@pytest.mark.parametrize("seed", NETS)
def test_networks_with_learned_scales_have_no_mismatch(tmp_path: Path, seed: int) -> None:
    path = dense_network(tmp_path / "net.onnx", seed, (64, 128, 128, 8))
    code, body = phyfold("simulate", path, "--out", tmp_path / "out")
    assert (code, body["frames"], body["mismatches"]) == (0, 20_000, 0)
    assert 0 < body["float32_frames"] + body["rerun_alone"] < 40
    assert len(body["float32"]) == body["float32_frames"]


def test_a_compiled_folder_says_what_its_golden_frames_met(tmp_path: Path) -> None:
    path = dense_network(tmp_path / "net.onnx", 0, (12, 10, 4), decimal=True)
    compile_model(path, tmp_path / "out", CompileOptions())
    report = json.loads((tmp_path / "out" / "compile_report.json").read_text())
    assert report["float32"]["float32_frames"] == len(report["float32"]["frames"]) > 0
    steps = {line["step"]: line for line in report["steps"]}
    assert steps["tidy"]["float32_frames"] > 0
    assert steps["integer_activations"]["float32_frames"] == 0

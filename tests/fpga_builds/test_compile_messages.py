# SPDX-License-Identifier: Apache-2.0
"""`phyfold compile` of a file: names of the user's file, targets that work, logs that are there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import run
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper

from fpga_builds.config import load_build
from fpga_builds.steps import compile_step
from hls.passes import to_finn
from hls.sim import tools, verilator_runtime
from models.errors import ToolError

QONNX = "qonnx.custom_op.general"


def network(path: Path, size: int = 4, operator: str = "Relu", **save: object) -> Path:
    """One 3x3 convolution of 2 x size x size, quantizers, an operator behind it."""
    constants = {
        "scale": np.float32(0.5),
        "zero": np.float32(0),
        "bits": np.float32(4),
        "w": np.random.default_rng(0).integers(-7, 8, (2, 2, 3, 3)).astype(np.float32) * 0.5,
    }
    options = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND", "domain": QONNX}
    more = ["scale", "zero", "bits"]
    nodes = [
        helper.make_node("Quant", ["x", *more], ["codes"], "first", **options),
        helper.make_node("Quant", ["w", *more], ["kernel"], "weights", **options),
        helper.make_node(
            "Conv", ["codes", "kernel"], ["sums"], "conv", kernel_shape=[3, 3], pads=[1] * 4
        ),
        helper.make_node(operator, ["sums"], ["active"], "active"),
        helper.make_node("Quant", ["active", *more], ["y"], "last", **options),
    ]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2, size, size]) for name in "xy"
    ]
    stored = [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()]
    graph = helper.make_graph(nodes, "net", infos[:1], infos[1:], stored)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(QONNX, 2)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path), **save)
    return path


def compiled(capsys: pytest.CaptureFixture[str], source: Path, out: Path) -> tuple[int, str]:
    """Exit code and all that was printed of one ``phyfold compile``."""
    code, printed, errors = run(capsys, "compile", str(source), "--out", str(out), "--quiet")
    assert "Traceback" not in errors
    return code, printed + errors


def test_an_image_without_a_target_takes_the_images_default(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """16 x 16 windows of 9 pixels take 2,304 cycles: more than a network of vectors is given."""
    path = network(tmp_path / "net.onnx", 16)
    assert load_build(str(path)).folding.cycles is None
    code, text = compiled(capsys, path, tmp_path / "out")
    assert code == 0
    cycles = re.search(r"one frame every ([0-9,]+) cycles", text)
    assert cycles is not None
    assert 2304 <= int(cycles[1].replace(",", "")) <= 50_000


def test_a_target_that_is_missed_names_one_that_is_met(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network(tmp_path / "net.onnx", 16)
    build = tmp_path / "build.toml"
    text = 'name = "net"\n[network]\nmodel = "net.onnx"\n[compile]\noutput = "soft"\n[folding]\n'
    build.write_text(text + "cycles = 1500\n")
    code, said = compiled(capsys, build, tmp_path / "out")
    assert code == 2
    assert "no folding takes 1500 cycles a frame; the fastest takes 2304" in said
    advised = re.search(r"`(folding\.cycles = \d+)`", said)
    assert advised is not None
    build.write_text(text + advised[1].removeprefix("folding.") + "\n")
    assert compiled(capsys, build, tmp_path / "out")[0] == 0


def test_every_message_names_the_file_that_was_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = network(tmp_path / "net.onnx", operator="Sigmoid")
    code, said = compiled(capsys, path, tmp_path / "out")
    assert code == 2
    assert f"{path}: Sigmoid node 'active' cannot be mapped" in said
    assert "model.onnx" not in said
    log = re.search(r"log: (\S+)", said)
    assert log is not None
    assert Path(log[1]).is_file()


def test_what_finn_raises_is_one_line_with_the_users_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen

    def broken(_self: object, _model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        raise AssertionError("no such\nwidth")

    monkeypatch.setattr(InferConvInpGen, "apply", broken)
    path = network(tmp_path / "net.onnx")
    code, said = compiled(capsys, path, tmp_path / "out")
    assert code == 2
    assert (
        f"{path}: finn's pass InferConvInpGen does not take this network: "
        "AssertionError: no such width" in said
    )
    log = next((tmp_path / "out").glob("*.part/step.log")).read_text()
    assert "Traceback" in log
    assert to_finn.run_foreign.__name__ in log


def test_a_copy_is_never_named(tmp_path: Path) -> None:
    path = network(tmp_path / "net.onnx")
    copy = tmp_path / "20-export" / "model.onnx"
    with (
        pytest.raises(compile_step.CompileError, match=r"net\.onnx: no good$") as caught,
        compile_step.named_by_user(load_build(str(path)), copy),
    ):
        raise compile_step.CompileError(f"{copy}: no good", hint="way out")
    assert str(caught.value) == caught.value.message
    assert caught.value.hint == "way out"


def test_external_data_is_taken_hashed_and_missed_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    external = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
    path, data = network(tmp_path / "net.onnx", **external), tmp_path / "net.data"
    out = tmp_path / "out"
    assert compiled(capsys, path, out)[0] == 0
    state = out / "20-export" / "state.json"
    first = state.read_bytes()
    assert compiled(capsys, path, out)[0] == 0
    assert state.read_bytes() == first

    stored = bytearray(data.read_bytes())
    place = stored.index(numpy_helper.to_array(_weights(path, data)).tobytes())
    stored[place : place + 4] = np.float32(-1.5).tobytes()
    data.write_bytes(stored)
    assert compiled(capsys, path, out)[0] == 0
    assert state.read_bytes() != first
    taken = onnx.load(str(out / "20-export" / "model.onnx"))
    kernel = next(item for item in taken.graph.initializer if item.name == "w")
    assert numpy_helper.to_array(kernel).flat[0] == -1.5

    data.unlink()
    code, said = compiled(capsys, path, out)
    assert code == 2
    assert f"{path}: external data of tensor" in said
    assert "'net.data': No such file" in said


def _weights(path: Path, data: Path) -> TensorProto:
    """The stored kernel, read from both files."""
    model = onnx.load(str(path))
    assert data.is_file()
    return next(item for item in model.graph.initializer if item.name == "w")


def test_the_log_of_a_failed_build_is_named_where_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_make: Path, folder: Path, build_log: Path, _jobs: int) -> None:
        build_log.write_text("g++: error")
        raise ToolError(f"make failed in {build_log}", hint=f"see {build_log}; try again")

    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(verilator_runtime, "run_make", failing)
    monkeypatch.setattr(
        verilator_runtime,
        "_compile",
        lambda work, *_rest: failing(work, work, work / verilator_runtime.LOG, 1),
    )
    folder = tmp_path / "verilator-1"
    with pytest.raises(ToolError) as caught:
        verilator_runtime._make_anew(folder, "", (), tmp_path, tmp_path, tmp_path)
    log = re.search(r"see (.*); try", caught.value.hint)
    assert log is not None
    assert Path(log[1]).read_text() == "g++: error"
    assert log[1] in caught.value.message
    assert not folder.with_suffix(".part").exists()
    assert tools.log_tail(Path(log[1]))

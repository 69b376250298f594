# SPDX-License-Identifier: Apache-2.0
"""Simulation processes that die, fall silent or are interrupted."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hls.sim import pool
from hls.sim.engine import Simulator
from hls.sim.verilate import SimBinary
from models.errors import ToolError

pytestmark = pytest.mark.verilator


def test_a_process_that_dies_is_an_error(
    toy, toy_binary: SimBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SERVE", "import os; print('last words', flush=True); os._exit(9)")
    with pytest.raises(ToolError, match=r"ended with code 9(.|\n)*last words"):
        _run(toy_binary, toy.codes(4))


def test_nothing_is_imported_from_the_folder_of_the_memories(
    toy, toy_binary: SimBinary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder may have been received: a module in it must not take a library's place."""
    (tmp_path / "colorsys.py").write_text("open('trace', 'w').close()\n")
    late = "import os, sys; os.chdir(sys.argv[3]); import colorsys; os._exit(9)"
    monkeypatch.setattr(pool, "SERVE", late)
    with pytest.raises(ToolError, match="ended with code 9"):
        _run(replace(toy_binary, data_dir=tmp_path), toy.codes(4))
    assert not (tmp_path / "trace").exists()


def test_a_process_that_falls_silent_is_an_error(
    toy, toy_binary: SimBinary, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "SERVE", "import time; time.sleep(60)")
    monkeypatch.setattr(pool, "SILENCE_S", 0.5)
    with pytest.raises(ToolError, match=r"has not answered for 0\.5 s"):
        _run(toy_binary, toy.codes(4))


def test_ctrl_c_ends_all_processes(toy, toy_binary: SimBinary, tmp_path: Path) -> None:
    arguments = tmp_path / "arguments"
    arguments.write_bytes(pickle.dumps((toy_binary, toy.codes(100))))
    script = tmp_path / "script.py"
    script.write_text(
        "import os, pickle, sys, numpy as np\n"
        "from pathlib import Path\n"
        "from hls.sim.engine import simulate\n"
        f"binary, codes = pickle.loads(Path({str(arguments)!r}).read_bytes())\n"
        "codes = np.tile(codes, (50_000, 1))\n"
        "print('go', flush=True)\n"
        "simulate(binary, codes, shards=2)\n"
    )
    root = str(Path(pool.__file__).parents[2])
    paths = os.pathsep.join([root, str(Path(__file__).parent), *sys.path])
    process = subprocess.Popen(
        [sys.executable, script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths},
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == "go\n"
    end = time.monotonic() + 90
    while len(children := _children(process.pid)) < 2:
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=90) != 0
    assert "KeyboardInterrupt" in process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    end = time.monotonic() + 30  # one that had just started ends itself, once its pipe is closed
    while left := [pid for pid in children if _runs(pid)]:
        assert time.monotonic() < end, f"{left} still run"
        time.sleep(0.05)


def _run(binary: SimBinary, codes: np.ndarray) -> None:
    with Simulator(binary) as simulator:
        simulator.run(codes)


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False

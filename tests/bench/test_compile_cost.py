# SPDX-License-Identifier: Apache-2.0
"""What is no longer done twice, as ratios of CPU time within one run.

Children (Verilator, g++, simulations) are counted with the process that started them.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rtl_graphs import residual
from sim_chains import Dense, chain

from hls.devices import device
from hls.folding import apply_folding, solve_cycles
from hls.ir import Accelerator
from hls.sim.fifo_sizing import size_fifos
from hls.sim.verilate import build
from hls.stitch import write_rtl

pytestmark = pytest.mark.verilator

PRODUCT = """
import time
import numpy as np
from hls.qonnx_exec import integer_matmul
x, w = np.ones((8, 32, 32, 576), np.float32), np.ones((576, 64), np.float32)
integer_matmul(x, w)
started = time.perf_counter()
integer_matmul(x, w)
print(time.perf_counter() - started)
"""
IMPORT = "from pathlib import Path; from hls.finn_env import setup_finn; setup_finn(Path({!r}))"


def cpu_s(work: Callable[[], object]) -> float:
    """CPU time of ``work`` and of the children that it waited for [s]."""
    before = os.times()
    work()
    return sum(os.times()[:4]) - sum(before[:4])


def python(code: str, **environment: str) -> str:
    """Standard output of a program."""
    words, env = [sys.executable, "-c", code], {**os.environ, **environment}
    return subprocess.run(words, capture_output=True, text=True, check=True, env=env).stdout


def show(capsys: pytest.CaptureFixture[str], what: str, now: float, twice: float) -> None:
    """One line of the comparison."""
    with capsys.disabled():
        print(f"\n{what:40} {now:7.2f} s {twice:7.2f} s  ratio {now / twice:.2f}")  # noqa: T201


def folded_residual() -> Accelerator:
    """A residual block of 1,300 cycles a frame, no FIFO in it."""
    acc = residual()
    return apply_folding(acc, solve_cycles(acc, 1300, device("LFE5U-85F")))


def test_a_shared_library_costs_nothing_the_second_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acc = chain(24, [Dense(32, 8, 6), Dense(32, 4, 8), Dense(8, 2, 8)])
    first = cpu_s(lambda: build(write_rtl(acc, tmp_path / "a"), acc, tmp_path / "library"))
    again = cpu_s(lambda: build(write_rtl(acc, tmp_path / "b"), acc, tmp_path / "library"))
    show(capsys, "library of a chain, found again", again, first)
    assert again < 0.1 * first


def test_fifo_depths_by_the_model_cost_less_than_by_builds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    acc = folded_residual()
    model = cpu_s(lambda: size_fifos(acc, tmp_path / "model"))
    builds = cpu_s(lambda: size_fifos(acc, tmp_path / "builds", write_rtl=write_rtl))
    show(capsys, "FIFO depths of a residual block", model, builds)
    assert model < 0.5 * builds


def test_an_image_product_does_not_suffer_from_threads(
    capsys: pytest.CaptureFixture[str],
) -> None:
    alone, shared = (float(python(PRODUCT, OPENBLAS_NUM_THREADS=n)) for n in ("1", "2"))
    show(capsys, "product of 8 images, two threads", shared, alone)
    assert shared < 4 * alone


def test_finn_without_torch_starts_sooner(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = IMPORT.format(str(tmp_path))
    without = cpu_s(lambda: python(code))
    loaded = cpu_s(lambda: python(f"import torch; {code}"))
    show(capsys, "FINN set up, torch not loaded", without, loaded)
    assert without < 0.9 * loaded

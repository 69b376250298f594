# SPDX-License-Identifier: Apache-2.0
"""The modules of a board alone under cocotb: lines off their rate, broken packets, stalls."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from hls.board.generate import BOARD_RTL
from hls.sim import tools
from hls.stitch import KERNELS

pytestmark = pytest.mark.verilator

HERE = Path(__file__).parent
TESTS = 10
MODULES = (
    *("uart_rx", "uart_tx", "packet_rx", "packet_tx", "report", "golden", "compare", "selftest"),
    *("meter", "frames", "reset", "counters"),
)

RUN = """
import json, sys
from cocotb_tools.runner import get_results, get_runner
sources, build = json.loads(sys.argv[1])
runner = get_runner("verilator")
runner.build(sources=sources, hdl_toplevel="board_tb", build_dir=build,
             build_args=["-Wno-fatal"], timescale=("1ns", "1ps"))
results = runner.test(test_module="cocotb_board", hdl_toplevel="board_tb", build_dir=build)
print("results", *get_results(results))
"""


def test_board_modules(tmp_path: Path) -> None:
    pytest.importorskip("cocotb_tools.runner")
    kernels = [KERNELS / f"phy_{name}.sv" for name in ("pkg", "fifo", "dwc", "outbuf", "spill")]
    mine = [BOARD_RTL / f"phy_{name}.sv" for name in MODULES]
    sources = [
        kernels[0],
        BOARD_RTL / "phy_board_pkg.sv",
        *kernels[1:],
        *mine,
        HERE / "board_tb.sv",
    ]
    build = tmp_path / "build"
    build.mkdir()
    rng = random.Random(1)
    golden = "".join(f"{rng.randrange(4096):03x}\n" for _ in range(15))
    (build / "golden.dat").write_text(golden)
    root = tools.verilator_root()
    env = {
        **os.environ,
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{HERE}{os.pathsep}{KERNELS.parents[1]}",
        # The packaged verilated.mk was configured on another machine.
        "MAKEFLAGS": f"CXX={tools.find_tool('g++')} LINK={tools.find_tool('g++')} AR=ar "
        "PERL=perl CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=c++17 "
        f"PYTHON3={sys.executable} OPT_FAST=-O0 OPT_GLOBAL=-O0 OPT_SLOW=-O0",
    }
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([[str(s) for s in sources], str(build)])],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"results {TESTS} 0" in run.stdout, (run.stdout + run.stderr)[-6000:]

# SPDX-License-Identifier: Apache-2.0
"""Stream glue under cocotb: FIFOs and spill register; kernels that fork and join streams."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hls.sim import tools
from hls.stitch import KERNELS

pytestmark = pytest.mark.verilator

HERE = Path(__file__).parent

RUN = """
import json, sys
from cocotb_tools.runner import get_results, get_runner
sources, build, name = json.loads(sys.argv[1])
runner = get_runner("verilator")
runner.build(sources=sources, hdl_toplevel=f"{name}_tb", build_dir=build,
             build_args=["-Wno-fatal"], defines={"PHY_FIFO_LIMIT": 1}, timescale=("1ns", "1ps"))
results = runner.test(test_module=f"cocotb_{name}", hdl_toplevel=f"{name}_tb", build_dir=build)
print("results", *get_results(results))
"""


@pytest.mark.parametrize(
    ("name", "kernels", "tests"),
    [
        pytest.param("streams", ("spill", "fifo"), 5, id="fifos and spill register"),
        pytest.param(
            "joins", ("spill", "turn", "duplicate", "concat", "split", "add"), 2, id="joins"
        ),
    ],
)
def test_stream_glue(name: str, kernels: tuple[str, ...], tests: int, tmp_path: Path) -> None:
    pytest.importorskip("cocotb_tools.runner")
    paths = [KERNELS / f"phy_{kernel}.sv" for kernel in ("pkg", *kernels)]
    sources = [str(path) for path in (*paths, HERE / f"{name}_tb.sv")]
    root = tools.verilator_root()
    env = {
        **os.environ,
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(HERE),
        # The packaged verilated.mk was configured on another machine.
        "MAKEFLAGS": f"CXX={tools.find_tool('g++')} LINK={tools.find_tool('g++')} AR=ar "
        "PERL=perl CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=c++17 "
        f"PYTHON3={sys.executable} OPT_FAST=-O0 OPT_GLOBAL=-O0 OPT_SLOW=-O0",
    }
    run = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps([sources, str(tmp_path / "build"), name])],
        env=env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert f"results {tests} 0" in run.stdout, (run.stdout + run.stderr)[-6000:]

# SPDX-License-Identifier: Apache-2.0
"""Our simulation engine beside cocotb: the same design, the same frames, one run, one core.

The design has the shape of the FullyCon detector: six dense layers, 60 inputs, 300 neurons, 4-bit
weights and activations, folded to 220 multiplications per cycle. Times are CPU times.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from sim_chains import Dense, chain

from hls import reference, stitch
from hls.ir import Accelerator, IntArray
from hls.sim import tools
from hls.sim.engine import simulate
from hls.sim.fifo_sizing import random_codes
from hls.sim.packing import pack, unpack
from hls.sim.verilate import RtlFiles, build

pytestmark = pytest.mark.verilator

FRAMES, COCOTB_FRAMES = 2000, 20
GOAL_CYCLES_PER_S = 1e6


@dataclass(frozen=True)
class Speed:
    """Cycles simulated and the CPU time they took [s]."""

    cycles: int
    seconds: float

    @property
    def per_s(self) -> float:
        """Cycles per second."""
        return self.cycles / self.seconds


@pytest.mark.timeout(1200)
def test_speed_beside_cocotb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hidden = [Dense(300, 5, 10)] * 4
    accelerator = chain(60, [Dense(300, 5, 2), *hidden, Dense(30, 1, 10)])
    codes = random_codes(accelerator, FRAMES, 1)
    expected = reference.run(accelerator, codes)
    rtl = stitch.write_rtl(accelerator, tmp_path)

    binary = build(rtl, accelerator, tmp_path / "sim")
    result = simulate(binary, codes)
    np.testing.assert_array_equal(result.outputs, expected)
    ours = Speed(result.cycles, result.seconds)

    few = codes[:COCOTB_FRAMES]
    outputs, theirs = _cocotb(rtl, accelerator, few, tmp_path / "cocotb")
    np.testing.assert_array_equal(outputs, expected[:COCOTB_FRAMES])
    with capsys.disabled():
        print(  # noqa: T201
            f"\nphyfold {ours.per_s:12,.0f} cycles/s ({ours.cycles:,} cycles, "
            f"built in {binary.build_s:.0f} s)\n"
            f"cocotb  {theirs.per_s:12,.0f} cycles/s ({theirs.cycles:,} cycles)\n"
            f"ratio   {ours.per_s / theirs.per_s:12.1f}"
        )
    assert ours.per_s >= GOAL_CYCLES_PER_S
    assert ours.per_s > 5 * theirs.per_s


def _cocotb(
    rtl: RtlFiles, accelerator: Accelerator, codes: IntArray, folder: Path
) -> tuple[IntArray, Speed]:
    """Outputs and speed of cocotb's usual style: a clock, a driver coroutine, a monitor loop."""
    source = accelerator.stream(accelerator.input.stream)
    sink = accelerator.stream(accelerator.output.stream)
    folder.mkdir()
    beats = pack(codes.reshape(len(codes), -1), source.fmt, source.elems_per_beat)
    np.save(folder / "in.npy", beats.reshape(-1, source.tdata_bytes))
    shape = (len(codes), sink.beats_per_frame, sink.tdata_bytes)
    np.save(folder / "out.npy", np.zeros(shape, dtype=np.uint8).reshape(-1, sink.tdata_bytes))
    job = {
        "sources": [str(path.resolve()) for path in rtl.sources],
        "data": str(rtl.data_files[0].parent.resolve()),
        "top": rtl.top_name,
        "build": str(folder / "build"),
    }
    root = tools.verilator_root()
    env = {
        **os.environ,
        "VERILATOR_ROOT": str(root),
        "PATH": f"{root / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(__file__).parent),
        # The packaged verilated.mk was configured on another machine.
        "MAKEFLAGS": f"CXX={tools.find_tool('g++')} LINK={tools.find_tool('g++')} AR=ar "
        "PERL=perl CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=c++17 "
        f"PYTHON3={sys.executable} OPT_FAST=-O2",
        "PHYFOLD_BENCH_IN": str(folder / "in.npy"),
        "PHYFOLD_BENCH_OUT": str(folder / "out.npy"),
        "PHYFOLD_BENCH_TIME": str(folder / "time.json"),
    }
    words = [sys.executable, str(Path(__file__).with_name("cocotb_run.py")), json.dumps(job)]
    with (folder / "log").open("w") as log:
        subprocess.run(words, env=env, stdout=log, stderr=log, cwd=folder, check=True)
    got = np.load(folder / "out.npy").reshape(shape)
    times = json.loads((folder / "time.json").read_text())
    return unpack(got, sink.fmt, sink.elems_per_beat), Speed(times["cycles"], times["seconds"])

# SPDX-License-Identifier: Apache-2.0
"""What every kernel has to pass: bits and cycles at full speed, bits under disturbances."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from rtl_chains import frames

from hls import reference
from hls.cycles import accelerator_cycles
from hls.ir import Accelerator
from hls.sim.engine import Disturbance, Simulator
from hls.sim.verilate import build
from hls.stitch import write_rtl


def check_bits_and_cycles(acc: Accelerator, folder: Path, count: int) -> None:
    """The RTL of ``acc`` gives what the reference gives, in the cycles of the model."""
    codes = frames(acc, count)
    expected = reference.run(acc, codes)
    assert len(np.unique(expected)) > 1
    model = accelerator_cycles(acc)
    with Simulator(build(write_rtl(acc, folder), acc, folder / "sim", jobs=1)) as simulator:
        free = simulator.run(codes, segment_frames=len(codes))
        np.testing.assert_array_equal(free.outputs, expected)
        assert free.ii_cycles == model.ii_cycles
        assert free.latency_cycles == model.latency_cycles
        for seed, gap, stall, run in ((1, 0.5, 0.0, 3), (2, 0.0, 0.6, 4), (3, 0.3, 0.3, 40)):
            disturbance = Disturbance(seed, gap, stall, run)
            held = simulator.run(codes, disturbance=disturbance, segment_frames=count // 2)
            np.testing.assert_array_equal(held.outputs, expected)


def break_source(source: Path, old: str, new: str) -> None:
    """Change the one place of a file that reads ``old``."""
    text = source.read_text()
    assert text.count(old) == 1
    source.write_text(text.replace(old, new))

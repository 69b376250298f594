# SPDX-License-Identifier: Apache-2.0
"""Step hdl: the FIFO depths that a build gets, with and without simulation."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rtl_chains import frames
from rtl_graphs import crnet_block
from sim_chains import Dense, chain

from fpga_builds.config import BuildConfig
from fpga_builds.flow import StepContext
from fpga_builds.rtl_index import load_rtl
from fpga_builds.steps import hdl
from hls.beat_times import beat_times
from hls.cycles import accelerator_cycles
from hls.float32_limits import FloatLimits
from hls.ir import Accelerator
from hls.sim import verilate
from hls.sim.engine import Simulator


@dataclass(frozen=True)
class Compiled:
    """What the step reads: one folder."""

    folder: Path

    def file(self, name: str) -> Path:
        """The output of that name."""
        assert name == "compiled"
        return self.folder


def context(acc: Accelerator, folder: Path, fifos: str) -> StepContext:
    """The step for ``acc``."""
    acc.save(folder / "compiled")
    FloatLimits().save(folder / "compiled")
    body: dict[str, Any] = {
        "name": "fork",
        "network": {"model": "net.onnx"},
        "folding": {"target": "cycles", "cycles": 5000, "fifos": fifos},
    }
    (folder / "40-hdl").mkdir()
    state: Any = Compiled(folder / "compiled")
    config = BuildConfig.model_validate(body)
    return StepContext(config, folder / "40-hdl", folder / "cache", state)


@pytest.mark.verilator
def test_default_depths_of_a_fork_do_not_deadlock(tmp_path: Path) -> None:
    acc = crnet_block(4, 2, ((3,), (5,)))
    assert not len(beat_times(acc).ends)
    output = hdl.run(context(acc, tmp_path, "default"))
    assert output.info["fifo_sizing"] == {}
    assert any(output.info["fifo_depths"].values())
    sized = Accelerator.load(tmp_path / "40-hdl" / "accelerator")
    rtl = load_rtl(tmp_path / "40-hdl" / "rtl.json")
    with Simulator(verilate.build(rtl, sized, tmp_path / "sim", jobs=1)) as simulator:
        result = simulator.run(frames(sized, 8), segment_frames=8)
    model = accelerator_cycles(sized)
    assert result.ii_cycles is not None
    assert result.ii_cycles <= model.ii_cycles
    assert result.latency_cycles == model.latency_cycles


def test_a_chain_is_sized_without_a_simulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verilate, "build_library", None)
    output = hdl.run(context(chain(12, [Dense(24, 4, 3), Dense(16, 2, 4)]), tmp_path, "simulate"))
    assert not any(output.info["fifo_depths"].values())
    assert output.info["fifo_sizing"]["simulations"] == 0
    (metric,) = (m for m in output.metrics if m.name == "fifo_bits")
    assert (metric.value, metric.stage, metric.tool) == (0, "estimate", "phyfold")

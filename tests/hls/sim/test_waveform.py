# SPDX-License-Identifier: Apache-2.0
"""Waveforms of chosen frames."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hls.sim.waveform import write_waveform
from models.errors import ConfigError

FRAME_CYCLES = 16


@pytest.mark.verilator
def test_the_waveform_covers_the_frames_asked_for(toy, tmp_path: Path) -> None:
    codes = toy.codes(30)
    path = write_waveform(
        toy.files, toy.accelerator, codes, range(20, 22), tmp_path / "wave", tmp_path / "sim"
    )
    if path.suffix == ".fst":
        assert path.stat().st_size > 100
        return
    text = path.read_text()
    assert "mid_tdata" in text
    times = [int(line[1:]) for line in re.findall(r"^#\d+", text, flags=re.M)]
    cycles = (times[-1] - times[0]) / 10
    # two frames in, and the way out of the last
    assert 2 * FRAME_CYCLES <= cycles <= 3 * FRAME_CYCLES
    # frame 20 comes after 8 frames of filling, not at the start of the simulation
    assert times[0] >= 8 * FRAME_CYCLES * 10


def test_frames_outside_the_batch_are_refused(toy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="waveform of frames 3 to 5: must lie in 0 to 4"):
        write_waveform(
            toy.files, toy.accelerator, toy.codes(5), range(3, 6), tmp_path / "w", tmp_path
        )

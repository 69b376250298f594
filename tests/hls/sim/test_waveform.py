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
        toy.files,
        toy.accelerator,
        codes,
        range(20, 22),
        path=tmp_path / "wave",
        build_dir=tmp_path,
        vcd=True,
    )
    assert path == tmp_path / "wave.vcd"
    text = path.read_text()
    assert "s_mid_tdata" in text
    times = [int(line[1:]) for line in re.findall(r"^#\d+", text, flags=re.M)]
    cycles = (times[-1] - times[0]) / 10
    # two frames in, and the way out of the last
    assert 2 * FRAME_CYCLES <= cycles <= 3 * FRAME_CYCLES
    # frame 20 comes after 8 frames of filling, not at the start of the simulation
    assert times[0] >= 8 * FRAME_CYCLES * 10


@pytest.mark.verilator
def test_fst_holds_the_same_signals(toy, tmp_path: Path) -> None:
    path = write_waveform(
        toy.files,
        toy.accelerator,
        toy.codes(30),
        range(20, 22),
        path=tmp_path / "wave",
        build_dir=tmp_path,
    )
    assert path == tmp_path / "wave.fst"
    hierarchy = _fst_hierarchy(path.read_bytes())
    for name in (b"toy_top", b"s_mid_tdata", b"hold_q", b"table_q"):
        assert name in hierarchy


def _fst_hierarchy(data: bytes) -> bytes:
    """The names in an FST file: blocks of (kind, length, body), kind 6 is the LZ4 hierarchy."""
    at = 0
    while data[at] != 6:
        at += 1 + int.from_bytes(data[at + 1 : at + 9], "big")
    length, size = (int.from_bytes(data[at + k : at + k + 8], "big") for k in (1, 9))
    names = _lz4_block(data[at + 17 : at + 1 + length])
    assert len(names) == size
    return names


def _lz4_block(block: bytes) -> bytes:
    """Plain decoder of an LZ4 block."""
    out, at = bytearray(), 0

    def length(code: int) -> int:
        nonlocal at
        total, more = code, code == 15
        while more:
            total += block[at]
            more = block[at] == 255
            at += 1
        return total

    while True:
        token = block[at]
        at += 1
        literals = length(token >> 4)
        out += block[at : at + literals]
        at += literals
        if at == len(block):
            return bytes(out)
        offset = int.from_bytes(block[at : at + 2], "little")
        at += 2
        for _ in range(length(token & 15) + 4):
            out.append(out[-offset])


def test_frames_outside_the_batch_are_refused(toy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="waveform of frames 3 to 5: must lie in 0 to 4"):
        write_waveform(
            toy.files,
            toy.accelerator,
            toy.codes(5),
            range(3, 6),
            path=tmp_path / "w",
            build_dir=tmp_path,
        )

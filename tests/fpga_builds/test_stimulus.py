# SPDX-License-Identifier: Apache-2.0
"""Frames, codes and expected integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from fpga_builds.config import BuildConfig, parse_build
from fpga_builds.stimulus import (
    Chunk,
    chunks_of,
    dequantize,
    random_codes,
    received,
    system_of,
)
from hls.compiler import to_codes
from hls.ir import Border, IntFormat
from models.mimo import frame_chunks

ADC = Border("s_axis", (4,), IntFormat(8, signed=True), (2.0**-5,), (0.0,), "codes")


def build(**sections: Any) -> BuildConfig:
    """A build with a small channel."""
    channel = {"symbols": 2, "antennas": 4}
    body = {"name": "demo", "network": {"checkpoint": "x"}, "channel": channel, **sections}
    return parse_build(body, "test")


def test_chunks_cover_every_frame_once() -> None:
    config = build(simulate={"snr_db": [1, 2], "frames": 25, "chunk_frames": 10})
    chunks = chunks_of(config)
    assert [(c.snr_db, c.index, c.frames) for c in chunks] == [
        (1, 0, 10), (1, 1, 10), (1, 2, 5), (2, 0, 10), (2, 1, 10), (2, 2, 5)
    ]  # fmt: skip
    assert len({c.label for c in chunks}) == 6


def test_chunks_are_the_frames_of_the_models() -> None:
    config = build(simulate={"snr_db": [6.0], "frames": 25, "chunk_frames": 10, "seed": 3})
    assert config.channel is not None
    system = system_of(config.channel)
    ours = np.concatenate([received(config, system, c)[1] for c in chunks_of(config)])
    theirs = np.concatenate([y for _, y in frame_chunks(system, 6.0, 25, 3, chunk=10)])
    np.testing.assert_array_equal(ours, theirs)


def test_more_frames_begin_with_the_same_ones() -> None:
    short = build(simulate={"snr_db": [6.0], "frames": 7, "chunk_frames": 10})
    full = build(simulate={"snr_db": [6.0], "frames": 10, "chunk_frames": 10})
    assert short.channel is not None
    system = system_of(short.channel)
    a = received(short, system, chunks_of(short)[0])[1]
    b = received(full, system, chunks_of(full)[0])[1]
    np.testing.assert_array_equal(a, b[:7])


def test_codes_survive_the_way_to_host_values_and_back() -> None:
    codes = np.arange(-128, 128).reshape(-1, 4)
    np.testing.assert_array_equal(to_codes(ADC, dequantize(ADC, codes)), codes)


def test_random_codes_reach_both_ends() -> None:
    codes = random_codes(ADC, Chunk(None, 0, 50), seed=1)
    assert codes.shape == (50, 4)
    assert (codes.min(), codes.max()) == (-128, 127)
    assert not np.array_equal(codes, random_codes(ADC, Chunk(None, 1, 50), seed=1))

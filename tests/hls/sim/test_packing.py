# SPDX-License-Identifier: Apache-2.0
"""Packing against a naive model with Python's big integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.ir import IntFormat
from hls.sim.packing import beat_bytes, pack, unpack


@st.composite
def batches(draw: st.DrawFn) -> tuple[np.ndarray, IntFormat, int]:
    fmt = IntFormat(draw(st.integers(1, 64)), draw(st.booleans()))
    if fmt.bits == 64 and not fmt.signed:
        fmt = IntFormat(63, signed=False)  # int64 codes cannot hold more
    elems, beats, frames = (draw(st.integers(1, n)) for n in (9, 4, 3))
    values = st.integers(fmt.min, fmt.max)
    flat = draw(st.lists(values, min_size=frames * beats * elems, max_size=frames * beats * elems))
    return np.array(flat, dtype=np.int64).reshape(frames, beats * elems), fmt, elems


@settings(max_examples=200, deadline=None)
@given(batches())
def test_pack_is_the_big_integer_and_unpack_its_inverse(
    batch: tuple[np.ndarray, IntFormat, int],
) -> None:
    codes, fmt, elems = batch
    beats = pack(codes, fmt, elems)
    size = beat_bytes(fmt.bits, elems)
    mask = (1 << fmt.bits) - 1
    for row, packed in zip(codes.reshape(-1, elems), beats.reshape(-1, size), strict=True):
        word = sum((int(code) & mask) << (i * fmt.bits) for i, code in enumerate(row))
        assert packed.tobytes() == word.to_bytes(size, "little")
    np.testing.assert_array_equal(unpack(beats, fmt, elems), codes)


@pytest.mark.parametrize("signed", [True, False])
def test_pad_bits_are_ignored(signed: bool) -> None:
    fmt = IntFormat(3, signed)
    codes = np.array([[fmt.min, fmt.max, fmt.max]])
    beats = pack(codes, fmt, 3)
    beats[..., -1] |= 0b1111_1110
    np.testing.assert_array_equal(unpack(beats, fmt, 3), codes)


def test_chunks_join(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hls.sim.packing.CHUNK_ELEMENTS", 7)
    codes = np.random.default_rng(1).integers(-4, 4, (50, 6))
    fmt = IntFormat(3, signed=True)
    np.testing.assert_array_equal(unpack(pack(codes, fmt, 2), fmt, 2), codes)


def test_refuses_codes_outside_the_format() -> None:
    with pytest.raises(ValueError, match=r"codes from 0 to 8 do not fit INT4 \(-8 to 7\)"):
        pack(np.array([[0, 8]]), IntFormat(4, signed=True), 2)


def test_refuses_broken_beats() -> None:
    with pytest.raises(ValueError, match="3 elements are no whole number of beats of 2"):
        pack(np.zeros((1, 3), dtype=np.int64), IntFormat(4, signed=True), 2)
    with pytest.raises(ValueError, match="beats of 2 bytes; 2 x INT4 are 1"):
        unpack(np.zeros((1, 1, 2), dtype=np.uint8), IntFormat(4, signed=True), 2)

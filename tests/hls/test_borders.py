# SPDX-License-Identifier: Apache-2.0
"""Codes and values at the borders: images have their channels first at the host, last inside."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.borders import (
    channels_first,
    channels_last,
    decide_outputs,
    golden_frames,
    to_codes,
    to_values,
)
from hls.ir import Border, IntFormat

SHAPES = [(5,), (3, 4, 2), (1, 2, 3)]


def border(shape: tuple[int, ...], *, narrow: bool = False, own: bool = False) -> Border:
    """6-bit codes of scale 1/4; ``own``: scale and offset for every channel."""
    channels = shape[-1]
    scale = tuple(2.0 ** -(2 + c) for c in range(channels)) if own else (0.25,)
    offset = tuple(c / 3 for c in range(channels)) if own else (0.0,)
    return Border("s", shape, IntFormat(6, signed=True), scale, offset, "codes", narrow)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("own", [False, True], ids=["scalar", "per-channel"])
def test_codes_become_values_and_codes_again(shape: tuple[int, ...], own: bool) -> None:
    codes = np.random.default_rng(0).integers(-32, 32, (7, *shape))
    output = border(shape, own=own)
    values = to_values(output, codes.reshape(7, -1))
    assert values.shape == (7, *((shape[2], *shape[:2]) if len(shape) == 3 else shape))
    found = decide_outputs(values.astype(np.float32), "soft", output)
    np.testing.assert_array_equal(found, codes.reshape(7, -1))
    if not own:
        np.testing.assert_array_equal(to_codes(output, values.astype(np.float32)), codes)


def test_one_pixel_of_an_image() -> None:
    x = np.zeros((1, 2, 3, 4), np.float32)
    x[0, 1, 2, 3] = 5.0
    codes = to_codes(border((3, 4, 2)), x)
    assert codes[0, 2, 3, 1] == 20
    assert np.abs(codes).sum() == 20
    np.testing.assert_array_equal(to_codes(border((3, 4, 2)), x.reshape(1, -1)), codes)


@given(data=st.data())
def test_codes_are_clipped_and_rounded_half_to_even(data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(-80, 80), min_size=5, max_size=5))
    narrow = data.draw(st.booleans())
    x = np.array([values], np.float32) / 8  # halves of a code
    expected = [min(max(round(v / 2), -32 + narrow), 31) for v in values]
    np.testing.assert_array_equal(to_codes(border((5,), narrow=narrow), x), [expected])


@pytest.mark.parametrize("shape", [(4, 3), (4, 3, 5, 6)], ids=str)
def test_orders_of_axes_undo_each_other(shape: tuple[int, ...]) -> None:
    x = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(channels_first(channels_last(x)), x)
    assert channels_last(x).shape[-1] == shape[1]


def test_golden_frames_reach_both_ends_of_the_range() -> None:
    entry = border((3, 4, 2))
    frames = golden_frames(entry, 16)
    assert frames.shape == (16, 24)
    codes = to_codes(entry, frames)
    assert (codes.min(), codes.max()) == (-32, 31)

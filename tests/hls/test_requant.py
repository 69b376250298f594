# SPDX-License-Identifier: Apache-2.0
"""Thresholds turned into arithmetic: equal on every accumulator, or refused."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.reference import half_even_shift
from hls.requant import find_requant, level_bounds

LOW, HIGH = -200, 180


def table_of(mul: np.ndarray, add: np.ndarray, shift: int, low: int, steps: int) -> np.ndarray:
    """Thresholds of the arithmetic, by trying every accumulator."""
    x = np.arange(LOW, HIGH + 1)
    y = np.clip(half_even_shift(x[:, None] * mul + add, shift), low, low + steps)
    levels = np.arange(low + 1, low + steps + 1)
    reached = y[:, :, None] >= levels
    first = np.where(reached.any(0), reached.argmax(0) + LOW, HIGH + 1)
    return first.astype(np.int64)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_what_is_found_has_the_same_thresholds(data: st.DataObject) -> None:
    shift = data.draw(st.integers(0, 9))
    channels = data.draw(st.integers(1, 4))
    low, steps = data.draw(st.integers(-4, 0)), data.draw(st.integers(1, 15))
    mul = np.array([data.draw(st.integers(0, 60)) for _ in range(channels)])
    add = np.array([data.draw(st.integers(-3000, 3000)) for _ in range(channels)])
    table = table_of(mul, add, shift, low, steps)
    found = find_requant(table, low, LOW, HIGH)
    assert found is not None
    assert found.shift <= shift or found.shift <= 14
    again = table_of(found.mul, found.add, found.shift, low, steps)
    np.testing.assert_array_equal(again, table)


def test_power_of_two_scales_need_no_multiplier() -> None:
    table = np.array([[8 + 16 * k + (k % 2 == 0) - 3 for k in range(15)]])
    found = find_requant(table, 0, -1000, 1000)
    assert found is not None
    assert (found.mul.tolist(), found.shift) == ([1], 4)


def test_uneven_thresholds_are_refused() -> None:
    assert find_requant(np.array([[0, 1, 50, 51, 90]]), 0, -100, 100) is None


def test_level_bounds_are_the_first_values_that_round_to_the_level() -> None:
    for shift in range(5):
        bounds = level_bounds(-4, 8, shift)
        levels = np.arange(-3, 5)
        np.testing.assert_array_equal(half_even_shift(bounds, shift), levels)
        assert (half_even_shift(bounds - 1, shift) < levels).all()


@given(value=st.integers(-(2**40), 2**40), shift=st.integers(0, 20))
def test_half_even_shift_is_python_round(value: int, shift: int) -> None:
    from fractions import Fraction

    expected = round(Fraction(value, 2**shift))
    assert half_even_shift(np.array([value]), shift)[0] == expected


@pytest.mark.parametrize("constant", [0, 7, 15])
def test_a_constant_channel(constant: int) -> None:
    table = np.where(np.arange(15) < constant, -100, 101)[None, :]
    found = find_requant(table, 0, -100, 100)
    assert found is not None
    y = np.clip(half_even_shift(np.arange(-100, 101) * found.mul + found.add, found.shift), 0, 15)
    np.testing.assert_array_equal(y, constant)

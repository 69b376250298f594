# SPDX-License-Identifier: Apache-2.0
"""Exact thresholds against a naive evaluation of every accumulator."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hls.passes.monotone import MonotoneMap
from hls.passes.quantizer import ROUNDINGS, Quantizer, smallest_format
from hls.passes.thresholds import AccRange, accumulator_range, smallest_accumulators
from models.errors import CompileError

LOW, HIGH = -40, 37


def naive_round(value: Fraction, mode: str) -> int:
    """Rounding by its definition."""
    if mode in ("ROUND", "HALF_EVEN"):
        return round(value)  # of a Fraction: half to even
    if mode == "FLOOR":
        return math.floor(value)
    if mode == "CEIL":
        return math.ceil(value)
    sign = -1 if value < 0 else 1
    size = abs(value)
    if mode == "UP":
        return sign * math.ceil(size)
    if mode == "DOWN":
        return sign * math.floor(size)
    half = Fraction(1, 2)
    return sign * (math.floor(size + half) if mode == "HALF_UP" else math.ceil(size - half))


def naive_level(q: Quantizer, value: Fraction) -> int:
    """Level of a value by the quantizer's definition."""
    if q.bipolar:
        return 1 if value >= 0 else -1
    scaled = value / Fraction(float(q.scale)) + q.zero_point
    return min(max(naive_round(scaled, q.rounding), q.low), q.high)


# Few different numbers and powers of two among them, so that ties happen all the time.
numbers = st.one_of(
    st.sampled_from([0.0, 0.25, 0.5, -0.5, 1.0, -1.0, 2.0, 3.0, -3.0, 0.75]),
    st.floats(-8, 8, width=32),
)
scales = st.one_of(st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.floats(0.015625, 4, width=32))


@st.composite
def quantizers(draw: st.DrawFn) -> Quantizer:
    scale = np.float32(draw(scales))
    low = draw(st.integers(-6, 0))
    high = draw(st.integers(low + 1, 9))
    zero = draw(st.integers(-2, 2))
    mode = draw(st.sampled_from(ROUNDINGS))
    bipolar = draw(st.booleans()) and draw(st.booleans())
    if bipolar:
        return Quantizer(scale, 0, -1, 1, "ROUND", bipolar=True, node="q")
    return Quantizer(scale, zero, low, high, mode, bipolar=False, node="q")


@st.composite
def maps(draw: st.DrawFn) -> MonotoneMap:
    chain = MonotoneMap.identity(1)
    for _ in range(draw(st.integers(0, 4))):
        kind = draw(st.sampled_from(["times", "plus", "relu", "clip"]))
        if kind == "times":
            chain = chain.times(draw(numbers))
        elif kind == "plus":
            chain = chain.plus(draw(numbers))
        elif kind == "relu":
            chain = chain.clip(Fraction(0), None)
        else:
            low = Fraction(draw(numbers))
            chain = chain.clip(low, low + abs(Fraction(draw(numbers))))
    return chain


@settings(max_examples=400, deadline=None)
@given(chain=maps(), q=quantizers())
def test_thresholds_count_the_level_of_every_accumulator(chain: MonotoneMap, q: Quantizer) -> None:
    flip = chain.a[0] < 0
    table = smallest_accumulators(chain.flipped([flip]), q, AccRange(LOW, HIGH))[0]
    assert (np.diff(table) >= 0).all()
    for acc in range(LOW, HIGH + 1):
        value = chain.value(0, -acc if flip else acc)
        count = int((acc >= table).sum())
        level = (2 * count - 1) if q.bipolar else q.low + count
        assert level == naive_level(q, value), (acc, value)


@settings(max_examples=200, deadline=None)
@given(chain=maps(), factor=numbers, offset=numbers, acc=st.integers(-50, 50))
def test_maps_compose_exactly(chain: MonotoneMap, factor: float, offset: float, acc: int) -> None:
    value = chain.value(0, acc)
    assert chain.times(factor).value(0, acc) == value * Fraction(factor)
    assert chain.plus(offset).value(0, acc) == value + Fraction(offset)
    relu = chain.clip(Fraction(0), None)
    assert relu.value(0, acc) == max(value, 0)
    assert chain.flipped([True]).value(0, -acc) == value
    assert chain.flipped([False]) == chain


def test_ties_fall_to_the_even_level() -> None:
    """scale 1, acc / 2: 0.5 -> 0, 1.5 -> 2, 2.5 -> 2."""
    chain = MonotoneMap.identity(1).times(0.5)
    q = Quantizer(np.float32(1), 0, 0, 3, "ROUND", bipolar=False, node="q")
    table = smallest_accumulators(chain, q, AccRange(-8, 8))
    np.testing.assert_array_equal(table, [[2, 3, 6]])


def test_a_negative_factor_has_to_be_flipped_first() -> None:
    chain = MonotoneMap.identity(1).times(-1.0)
    q = Quantizer(np.float32(1), 0, 0, 3, "ROUND", bipolar=False, node="q")
    with pytest.raises(CompileError, match=r"factor -1\.0 must not be negative"):
        smallest_accumulators(chain, q, AccRange(-8, 8))


def test_two_numbers_for_three_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="2 parameters for 3 channels"):
        MonotoneMap.identity(3).times([1.0, 2.0])


@given(low=st.integers(-300, 300), size=st.integers(0, 600))
def test_smallest_format_holds_its_range_and_no_smaller_one_does(low: int, size: int) -> None:
    fmt = smallest_format(low, low + size)
    assert fmt.allowed([low, low + size])
    assert fmt.signed == (low < 0)
    if fmt.bits > (2 if fmt.signed else 1):
        smaller = type(fmt)(fmt.bits - 1, fmt.signed)
        assert not smaller.allowed([low, low + size])


@given(
    weights=st.lists(st.lists(st.integers(-3, 3), min_size=2, max_size=2), min_size=3, max_size=3),
    low=st.integers(-3, 0),
    high=st.integers(0, 3),
)
def test_accumulator_range_is_reached(weights: list[list[int]], low: int, high: int) -> None:
    w = np.array(weights)
    grid = np.stack(np.meshgrid(*[np.arange(low, high + 1)] * 3), -1).reshape(-1, 3)
    sums = grid @ w
    found = accumulator_range(w, low, high)
    assert (found.low, found.high) == (sums.min(), sums.max())


def test_crossed_limits_are_the_upper_one() -> None:
    """ONNX: min(max(y, low), high)."""
    crossed = MonotoneMap.identity(1).clip(Fraction(3), Fraction(1))
    assert [crossed.value(0, acc) for acc in (-9, 0, 2, 9)] == [1, 1, 1, 1]
    assert (crossed.lo, crossed.hi) == ((1,), (1,))

# SPDX-License-Identifier: Apache-2.0
"""Exact integer thresholds of a monotone map followed by a quantizer.

    T[c, k] = smallest integer acc for which the quantizer's level is at least low + 1 + k

computed with integers of any size, so ties fall exactly as the rounding mode says.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
import numpy.typing as npt

from hls.passes.monotone import MonotoneMap
from hls.passes.quantizer import Bounds, Quantizer
from models.errors import CompileError

IntArray = npt.NDArray[np.int64]
LARGE = 1 << 62
"""Below it integers are kept in int64."""


@dataclass(frozen=True)
class AccRange:
    """The accumulators of a layer lie in [low, high]."""

    low: int
    high: int


def accumulator_range(weights: npt.NDArray[np.int64], low: int, high: int) -> AccRange:
    """Range of x W over all x in [low, high]^in; weights [in, out]."""
    positive = np.maximum(weights, 0).sum(axis=0)
    negative = np.minimum(weights, 0).sum(axis=0)
    return AccRange(
        int((positive * low + negative * high).min()), int((positive * high + negative * low).max())
    )


def smallest_accumulators(chain: MonotoneMap, quantizer: Quantizer, acc: AccRange) -> IntArray:
    """Thresholds [channels, steps], clipped to [acc.low, acc.high + 1] (always, never).

    Every ``chain.a`` has to be non-negative: rows with a negative factor are flipped before.
    """
    bounds = quantizer.bounds()
    rows = [_row(chain, c, quantizer, bounds, acc) for c in range(chain.channels)]
    return np.stack(rows)


def _row(
    chain: MonotoneMap, channel: int, quantizer: Quantizer, bounds: Bounds, acc: AccRange
) -> IntArray:
    a, b = chain.a[channel], chain.b[channel]
    if a < 0:
        raise CompileError(f"channel {channel}: factor {float(a)} must not be negative here")
    half = Fraction(float(quantizer.scale.reshape(-1)[0])) / 2  # bounds count half steps
    never = acc.high + 1
    if a == 0:
        row = np.where(_passed(bounds, b / half), acc.low, never)
    else:
        row = _edges(bounds, half / a, b / a, acc)
    lo, hi = chain.lo[channel], chain.hi[channel]
    if hi is not None:
        row = np.where(_passed(bounds, hi / half), row, never)
    if lo is not None:
        row = np.where(_passed(bounds, lo / half), acc.low, row)
    return row


def _passed(bounds: Bounds, value: Fraction) -> npt.NDArray[np.bool_]:
    """Which bounds a value, in half steps, passes: [steps]."""
    floor, whole = value.numerator // value.denominator, value.denominator == 1
    floor = min(max(floor, -LARGE), LARGE)
    equal = (bounds.twice == floor) & ~(bounds.strict & whole)
    passed: npt.NDArray[np.bool_] = (bounds.twice < floor) | equal
    return passed


def _edges(bounds: Bounds, step: Fraction, offset: Fraction, acc: AccRange) -> IntArray:
    """Smallest integers above twice * step - offset, or equal to it where that suffices: [steps].

    With int64 where it holds every product, else with Python's integers.
    """
    bottom = lcm(step.denominator, offset.denominator)
    by = step.numerator * (bottom // step.denominator)
    less = offset.numerator * (bottom // offset.denominator)
    peak = (int(np.abs(bounds.twice).max()) + 1) * by + abs(less)
    kind = np.int64 if max(peak, bottom) < LARGE else object
    top = bounds.twice.astype(kind) * by - less
    floor = top // bottom
    whole = (floor * bottom == top).astype(bool)
    first = floor + ~(whole & ~bounds.strict)
    clipped: IntArray = np.clip(first, acc.low, acc.high + 1).astype(np.int64)
    return clipped

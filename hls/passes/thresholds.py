# SPDX-License-Identifier: Apache-2.0
"""Exact integer thresholds of a monotone map followed by a quantizer.

    T[c, k] = smallest integer acc for which the quantizer's level is at least low + 1 + k

computed with integers of any size, so ties fall exactly as the rounding mode says.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from hls.passes.monotone import MonotoneMap
from hls.passes.quantizer import Quantizer
from models.errors import CompileError

IntArray = npt.NDArray[np.int64]


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
    scale = Fraction(float(quantizer.scale.reshape(-1)[0]))
    levels = [1] if quantizer.bipolar else range(quantizer.low + 1, quantizer.high + 1)
    bounds = [(t * scale, strict) for t, strict in map(quantizer.bound, levels)]
    rows = [_row(chain, c, bounds, acc) for c in range(chain.channels)]
    return np.array(rows, dtype=np.int64).reshape(chain.channels, len(bounds))


def _row(
    chain: MonotoneMap, channel: int, bounds: list[tuple[Fraction, bool]], acc: AccRange
) -> list[int]:
    a, b = chain.a[channel], chain.b[channel]
    lo, hi = chain.lo[channel], chain.hi[channel]
    if a < 0:
        raise CompileError(f"channel {channel}: factor {float(a)} must not be negative here")
    never = acc.high + 1
    row = []
    for t, strict in bounds:
        if lo is not None and (lo > t or (lo == t and not strict)):
            row.append(acc.low)
        elif hi is not None and (hi < t or (hi == t and strict)):
            row.append(never)
        elif a == 0:
            row.append(acc.low if (b > t if strict else b >= t) else never)
        else:
            # edge (t - b) / a as a quotient of integers: much faster than Fraction
            top = (t.numerator * b.denominator - b.numerator * t.denominator) * a.denominator
            bottom = t.denominator * b.denominator * a.numerator
            first = top // bottom + 1 if strict else -(-top // bottom)
            row.append(min(max(first, acc.low), never))
    return row

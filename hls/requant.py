# SPDX-License-Identifier: Apache-2.0
"""Thresholds as arithmetic: y = clip(half_even((x * mul + add) / 2^shift), low, high).

`find_requant` looks for integers that reproduce a table of thresholds, all of them. The level k is
reached when

    x * mul + add >= R_k,    R_k = (2 k - 1) 2^(shift - 1) + (k odd)        (half to even)

so a threshold T holds if T mul + add >= R_k > (T - 1) mul + add: for a given mul that is an interval
of add, and a channel is solved if its intervals meet.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

MAX_SHIFT = 20
LIMIT = 1 << 62


@dataclass(frozen=True)
class RequantParams:
    """mul [channels] (never negative), add [channels], shift; both are stored signed."""

    mul: IntArray
    add: IntArray
    shift: int

    @property
    def mul_bits(self) -> int:
        """Width of the signed factor."""
        return int(self.mul.max()).bit_length() + 1

    @property
    def add_bits(self) -> int:
        """Width of the signed addend."""
        low, high = int(self.add.min()), int(self.add.max())
        return max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0) + 1


def level_bounds(low: int, steps: int, shift: int) -> IntArray:
    """R_k for the levels low + 1 ... low + steps."""
    k = np.arange(low + 1, low + 1 + steps, dtype=np.int64)
    if shift == 0:
        return k
    return (2 * k - 1) * (1 << (shift - 1)) + (k & 1)


def add_interval(
    thresholds: IntArray, bounds: IntArray, mul: IntArray, acc_low: int, acc_high: int
) -> tuple[IntArray, IntArray]:
    """(lowest, highest) add [channels] with which ``mul`` reproduces every threshold.

    A threshold at or below acc_low is always reached, one above acc_high never.
    """
    t, m = thresholds, mul[:, None]
    reached = np.maximum(t, acc_low)
    lowest = np.where(t <= acc_high, bounds - reached * m, -LIMIT).max(axis=1)
    before = np.minimum(t - 1, acc_high)
    highest = np.where(t > acc_low, bounds - 1 - before * m, LIMIT).min(axis=1)
    return lowest, highest


def find_requant(
    thresholds: IntArray, out_low: int, acc_low: int, acc_high: int, max_shift: int = MAX_SHIFT
) -> RequantParams | None:
    """The smallest shift, with mul and add, that reproduces ``thresholds`` [channels, steps].

    Returns:
        None if no shift up to ``max_shift`` does.
    """
    slope = _slopes(thresholds, acc_low, acc_high)
    reach = max(abs(acc_low), abs(acc_high)) + 1
    for shift in range(max_shift + 1):
        guess = np.rint(slope * 2.0**shift).astype(np.int64)
        if int(guess.max(initial=0) + 2) * reach >= LIMIT >> 2:
            return None
        found = _solve(thresholds, out_low, acc_low, acc_high, shift, guess)
        if found is not None:
            return found
    return None


def _solve(
    thresholds: IntArray, out_low: int, acc_low: int, acc_high: int, shift: int, guess: IntArray
) -> RequantParams | None:
    bounds = level_bounds(out_low, thresholds.shape[1], shift)
    mul, add = np.zeros_like(guess), np.zeros_like(guess)
    open_rows = np.ones(len(guess), dtype=bool)
    for offset in (0, -1, 1, -2, 2):
        candidate = np.maximum(guess + offset, 0)
        lowest, highest = add_interval(thresholds, bounds, candidate, acc_low, acc_high)
        hit = open_rows & (lowest <= highest)
        mul[hit] = candidate[hit]
        add[hit] = _smallest(lowest, highest)[hit]
        open_rows &= ~hit
        if not open_rows.any():
            return RequantParams(mul, add, shift)
    return None


def _smallest(lowest: IntArray, highest: IntArray) -> IntArray:
    """The value of least magnitude in [lowest, highest]: fewest bits."""
    return np.where(lowest > 0, lowest, np.where(highest < 0, highest, 0))


def _slopes(thresholds: IntArray, acc_low: int, acc_high: int) -> npt.NDArray[np.float64]:
    """Levels per accumulator step [channels], from the first and last threshold that is in range."""
    inside = (thresholds > acc_low) & (thresholds <= acc_high)
    count = inside.sum(axis=1)
    first = np.where(inside, thresholds, LIMIT).min(axis=1)
    last = np.where(inside, thresholds, -LIMIT).max(axis=1)
    spread = np.where(count > 1, last - first, 1).astype(np.float64)
    steps = np.where(count > 1, count - 1, 0).astype(np.float64)
    slope = steps / np.maximum(spread, 1)
    single = np.where(count == 1, 1.0, 0.0)
    return np.where(count > 1, slope, single * _typical(slope[count > 1]))


def _typical(slopes: npt.NDArray[np.float64]) -> float:
    return float(np.median(slopes)) if slopes.size else 1.0

# SPDX-License-Identifier: Apache-2.0
"""Thresholds as arithmetic: y = clip(half_even((x * mul + add) / 2^shift), low, high).

`find_requant` looks for integers that reproduce a table of thresholds, all of them. The level k is
reached when

    x * mul + add >= R_k,    R_k = (2 k - 1) 2^(shift - 1) + (k odd)        (half to even)

so a threshold T holds if T mul + add >= R_k > (T - 1) mul + add: for a given mul that is an
interval of add, and a channel is solved if its intervals meet.
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
        return (
            max((-low - 1).bit_length() if low < 0 else 0, high.bit_length() if high > 0 else 0) + 1
        )


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
    slopes = slope_interval(thresholds, acc_low, acc_high)
    reach = max(abs(acc_low), abs(acc_high)) + 1
    for shift in range(max_shift + 1):
        candidates = _candidates(slopes, shift)
        if int(candidates.max()) * reach >= LIMIT >> 2:
            return None
        found = _solve(
            thresholds, out_low, acc=(acc_low, acc_high), shift=shift, candidates=candidates
        )
        if found is not None:
            return found
    return None


def _solve(
    thresholds: IntArray,
    out_low: int,
    *,
    acc: tuple[int, int],
    shift: int,
    candidates: IntArray,
) -> RequantParams | None:
    """candidates: [tries, channels] factors."""
    bounds = level_bounds(out_low, thresholds.shape[1], shift)
    mul, add = np.zeros_like(candidates[0]), np.zeros_like(candidates[0])
    unsolved = np.ones(len(mul), dtype=bool)
    for candidate in candidates:
        lowest, highest = add_interval(thresholds, bounds, candidate, *acc)
        hit = unsolved & (lowest <= highest)
        mul[hit] = candidate[hit]
        add[hit] = _smallest(lowest, highest)[hit]
        unsolved &= ~hit
        if not unsolved.any():
            return RequantParams(mul, add, shift)
    return None


def _smallest(lowest: IntArray, highest: IntArray) -> IntArray:
    """The value of least magnitude in [lowest, highest]: fewest bits."""
    return np.where(lowest > 0, lowest, np.where(highest < 0, highest, 0))


def slope_interval(thresholds: IntArray, acc_low: int, acc_high: int) -> npt.NDArray[np.float64]:
    """[channels, 2]: lowest and highest mul / 2^shift that any pair of thresholds allows.

    If level k is reached at A_k and level l is not yet at B_l, then slope (A_k - B_l) >= k - l, but
    for the rounding of ties.
    """
    rows = []
    levels = np.arange(thresholds.shape[1])
    rise = (levels[:, None] - levels[None, :]).astype(np.float64)
    for row in thresholds:
        reached, before = np.maximum(row, acc_low), np.minimum(row - 1, acc_high)
        run = (reached[:, None] - before[None, :]).astype(np.float64)
        valid = (row <= acc_high)[:, None] & (row > acc_low)[None, :]
        with np.errstate(divide="ignore", invalid="ignore"):
            quotient = rise / run
        low = np.where(valid & (run > 0), quotient, 0.0).max(initial=0.0)
        high = np.where(valid & (run < 0), quotient, np.inf).min(initial=np.inf)
        rows.append((low, high))
    return np.array(rows)


def _candidates(slopes: npt.NDArray[np.float64], shift: int) -> IntArray:
    """Factors to try [tries, channels]: ends and middle of the interval, and neighbours."""
    low, high = slopes.T
    high = np.where(np.isfinite(high), high, np.where(low > 0, 2 * low, 1.0))
    low, high = low * 2.0**shift, high * 2.0**shift
    first, last = np.floor(low), np.ceil(high)
    middle = np.rint((low + high) / 2)
    tries = [middle, first, first + 1, last, last - 1, middle + 1, middle - 1]
    candidates: IntArray = np.maximum(np.stack(tries), 0).astype(np.int64)
    return candidates

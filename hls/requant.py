# SPDX-License-Identifier: Apache-2.0
"""Thresholds as arithmetic: y = clip(half_even((x * mul + add) / 2^shift), low, high).

`find_requant` looks for integers that reproduce a table of thresholds, all of them. The level k is
reached when

    x * mul + add >= R_k,    R_k = (2 k - 1) 2^(shift - 1) + (k odd)        (half to even)

so a threshold T holds if T mul + add >= R_k > (T - 1) mul + add: for a given mul that is an
interval of add, and a channel is solved if its intervals meet. The work is linear in the number of
thresholds, of which a 16-bit activation has 65,535 a channel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]

MAX_SHIFT = 40
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
        None if no shift up to ``max_shift`` does, or none whose numbers are sure to fit 64 bits.
    """
    reach = max(abs(acc_low), abs(acc_high)) + 1
    if reach * (thresholds.shape[1] + 1) >= LIMIT:
        return None
    slopes = slope_interval(thresholds, acc_low, acc_high)
    order = list(range(len(thresholds)))
    for shift in range(max_shift + 1):
        candidates = _candidates(slopes, shift)
        if int(candidates.max()) * reach >= LIMIT >> 2:
            return None
        bounds = level_bounds(out_low, thresholds.shape[1], shift)
        found = np.zeros((len(thresholds), 2), dtype=np.int64)
        for channel in order:
            row = thresholds[channel : channel + 1]
            pair = _solve(row, bounds, candidates[:, channel], (acc_low, acc_high))
            if pair is None:  # asked first from now on: it may fail at the next shift too
                order.insert(0, order.pop(order.index(channel)))
                break
            found[channel] = pair
        else:
            return RequantParams(found[:, 0].copy(), found[:, 1].copy(), shift)
    return None


def _solve(
    row: IntArray, bounds: IntArray, candidates: IntArray, acc: tuple[int, int]
) -> tuple[int, int] | None:
    """(mul, add) by the first of the factors [tries] that gives the thresholds [1, steps]."""
    for candidate in candidates:
        lowest, highest = add_interval(row, bounds, candidate[None], *acc)
        if lowest[0] <= highest[0]:
            return int(candidate), int(_smallest(lowest, highest)[0])
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
    levels = np.arange(thresholds.shape[1], dtype=np.int64)
    for row in thresholds:
        ever, late = row <= acc_high, row > acc_low
        reached = np.maximum(row[ever], acc_low), levels[ever]
        before = np.minimum(row[late] - 1, acc_high), levels[late]
        rows.append((_steepest(reached, before), _flattest(reached, before)))
    return np.array(rows)


_Points = tuple[IntArray, IntArray]
"""Accumulators and levels, both ascending."""


def _steepest(reached: _Points, before: _Points) -> float:
    """Largest (k - l) / (A_k - B_l) of all pairs with A_k > B_l; 0 where there is none above 0.

    Dinkelbach's method: the pair that gains most over the line of the last one is the next, until
    none gains. Few rounds, each linear in the number of levels.
    """
    (a, k), (b, m) = reached, before
    if not len(a) or not len(b):
        return 0.0
    place = np.searchsorted(m, k, side="right") - 1  # the last l that is at most k
    usable = np.flatnonzero(place >= 0)
    rise, run = 0, 1
    while len(usable):
        cost = run * m - rise * b
        best = _argmin_so_far(cost)[place[usable]]
        gain = run * k[usable] - rise * a[usable] - cost[best]
        at = int(np.argmax(gain))
        if gain[at] <= 0:
            break
        first, second = int(usable[at]), int(best[at])
        rise, run = int(k[first] - m[second]), int(a[first] - b[second])
    return rise / run


def _flattest(reached: _Points, before: _Points) -> float:
    """Smallest (l - k) / (B_l - A_k) of all pairs with B_l > A_k; infinite where there is none."""
    (a, k), (b, m) = reached, before
    if not len(a) or not len(b) or b[-1] <= a[0]:
        return float("inf")
    place = np.searchsorted(k, m, side="left") - 1  # the last k that is below l
    usable = np.flatnonzero(place >= 0)
    rise, run = int(m[-1] - k[0]), int(b[-1] - a[0])
    while True:
        cost = rise * a - run * k
        best = _argmin_so_far(cost)[place[usable]]
        gain = rise * b[usable] - run * m[usable] - cost[best]
        at = int(np.argmax(gain))
        if gain[at] <= 0:
            return rise / run
        first, second = int(best[at]), int(usable[at])
        rise, run = int(m[second] - k[first]), int(b[second] - a[first])


def _argmin_so_far(values: IntArray) -> IntArray:
    """Where the smallest of values[: i + 1] is, for every i."""
    lowest = np.minimum.accumulate(values)
    new = np.concatenate([[True], lowest[1:] < lowest[:-1]])
    places: IntArray = np.maximum.accumulate(np.where(new, np.arange(len(values)), 0))
    return places


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

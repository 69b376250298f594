# SPDX-License-Identifier: Apache-2.0
"""Accumulators at which float32 may take another side of a threshold than exact arithmetic."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Wrong = Callable[[IntArray], npt.NDArray[np.bool_]]
"""Which accumulators [channels, steps] float32 may take to the wrong side of their thresholds."""


def _none() -> IntArray:
    return np.zeros(0, np.int64)


@dataclass(frozen=True)
class Spans:
    """One entry for each fragile threshold, all arrays [entries].

    At accumulators ``low`` to ``high`` of ``channel``, float32 may or may not reach the level that
    ``threshold``, number ``step`` of the channel from 0 on, stands for; everywhere else it does as
    exact arithmetic does.
    """

    channel: IntArray = field(default_factory=_none)
    step: IntArray = field(default_factory=_none)
    threshold: IntArray = field(default_factory=_none)
    low: IntArray = field(default_factory=_none)
    high: IntArray = field(default_factory=_none)

    def __len__(self) -> int:
        return len(self.channel)

    def only(self, keep: npt.NDArray[np.bool_]) -> Spans:
        """The entries in ``keep``."""
        arrays = (self.channel, self.step, self.threshold, self.low, self.high)
        return Spans(*(array[keep] for array in arrays))


def widen(table: IntArray, reached: Wrong, missed: Wrong, limits: tuple[int, int]) -> Spans:
    """The spans of all thresholds [channels, steps].

    Args:
        table: the exact thresholds.
        reached: float32 may reach the level at these accumulators (asked for some below T).
        missed: float32 may miss the level at these accumulators (asked for some from T on).
        limits: smallest and largest accumulator.

    ``reached`` and ``missed`` are monotone in the accumulator, as float32 chains are.
    """
    low = table - _far(table - 1, -1, reached, limits)
    high = table - 1 + _far(table, 1, missed, limits)
    channel, step = np.nonzero(low <= high)
    at = (channel, step)
    return Spans(channel, step, table[at], low[at], high[at])


def _far(start: IntArray, way: int, wrong: Wrong, limits: tuple[int, int]) -> IntArray:
    """How many accumulators from ``start`` on, in direction ``way``, are wrong: [channels, steps].

    Doubling steps, then halving ones: few are more than one.
    """
    room = (start - limits[0] if way < 0 else limits[1] - start) + 1

    def bad(count: IntArray) -> npt.NDArray[np.bool_]:
        inside = (count >= 1) & (count <= room)
        at = np.clip(start + way * (count - 1), *limits)
        result: npt.NDArray[np.bool_] = inside & wrong(at)
        return result

    good, trial = np.zeros_like(start), np.ones_like(start)
    growing = bad(trial)
    while growing.any():
        good = np.where(growing, trial, good)
        trial = np.where(growing, np.minimum(trial * 2, room + 1), trial)
        growing = growing & bad(trial)
    while (open_ := trial - good > 1).any():
        middle = (good + trial) // 2
        hit = open_ & bad(middle)
        good = np.where(hit, middle, good)
        trial = np.where(open_ & ~hit, middle, trial)
    return good

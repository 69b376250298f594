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


COLUMNS = ("channel", "step", "threshold", "low", "high")


def _no_table() -> IntArray:
    return np.zeros((0, len(COLUMNS)), np.int64)


@dataclass(frozen=True)
class Spans:
    """One row for each fragile threshold, columns as in `COLUMNS`, sorted by channel and step.

    At accumulators ``low`` to ``high`` of ``channel``, float32 may or may not reach the level that
    ``threshold``, number ``step`` of the channel from 0 on, stands for; everywhere else it does as
    exact arithmetic does.
    """

    table: IntArray = field(default_factory=_no_table)

    @classmethod
    def of(cls, *columns: IntArray) -> Spans:
        """Of the five columns."""
        table = np.empty((len(columns[0]), len(COLUMNS)), np.int64, order="F")
        for index, column in enumerate(columns):
            table[:, index] = column
        return cls(table)

    def __len__(self) -> int:
        return len(self.table)

    def column(self, name: str) -> IntArray:
        """One column, not a copy."""
        return self.table[:, COLUMNS.index(name)]

    def moved(self, steps: int) -> Spans:
        """The same with every ``step`` raised by ``steps``."""
        self.column("step")[:] += steps
        return self

    @classmethod
    def joined(cls, parts: list[Spans]) -> Spans:
        """All rows of ``parts``."""
        if len(parts) == 1:
            return parts[0]
        keys = [np.concatenate([p.column(name) for p in parts]) for name in ("step", "channel")]
        order = np.lexsort(keys)
        del keys
        table = np.empty((len(order), len(COLUMNS)), np.int64, order="F")
        for index, name in enumerate(COLUMNS):  # one at a time: millions of rows take memory
            table[:, index] = np.concatenate([p.column(name) for p in parts])[order]
        return cls(table)

    def only(self, keep: npt.NDArray[np.bool_]) -> Spans:
        """The rows in ``keep``."""
        return self if keep.all() else Spans.of(*self.table[keep].T)


def widen(
    table: IntArray,
    reached: Wrong,
    missed: Wrong,
    limits: tuple[int, int],
    guess: npt.ArrayLike = 1,
) -> Spans:
    """The spans of all thresholds [channels, steps].

    Args:
        table: the exact thresholds.
        reached: float32 may reach the level at these accumulators (asked for some below T).
        missed: float32 may miss the level at these accumulators (asked for some from T on).
        limits: smallest and largest accumulator.
        guess: how far a span may go, a number or [channels]: where the search begins, no more.

    ``reached`` and ``missed`` are monotone in the accumulator, as float32 chains are.
    """
    low = table - _far(table - 1, -1, reached, limits, guess)
    high = table - 1 + _far(table, 1, missed, limits, guess)
    channel, step = np.nonzero(low <= high)
    at = (channel, step)
    return Spans.of(channel, step, table[at], low[at], high[at])


def _far(
    start: IntArray, way: int, wrong: Wrong, limits: tuple[int, int], guess: npt.ArrayLike
) -> IntArray:
    """How many accumulators from ``start`` on, in direction ``way``, are wrong: [channels, steps].

    Doubling steps from ``guess``, then halving ones.
    """
    room = (start - limits[0] if way < 0 else limits[1] - start) + 1

    def bad(count: IntArray) -> npt.NDArray[np.bool_]:
        inside = (count >= 1) & (count <= room)
        at = np.clip(start + way * (count - 1), *limits)
        result: npt.NDArray[np.bool_] = inside & wrong(at)
        return result

    good = np.zeros_like(start)
    trial = np.clip(np.reshape(guess, (-1, 1)), 1, np.maximum(room, 0) + 1)
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

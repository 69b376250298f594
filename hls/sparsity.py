# SPDX-License-Identifier: Apache-2.0
"""Block-balanced sparse weights: in every row, every block of columns has few non-zeros."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from hls.ir import IntArray

MIN_SAVING = 1.2
"""Cost of a dense layer over that of a sparse one, at least; below, the simpler kernel is used."""
MAX_BLOCK = 64


@dataclass(frozen=True)
class BlockForm:
    """At most ``nnz`` non-zeros in every ``block`` columns of every row."""

    block: int
    nnz: int

    @property
    def saving(self) -> float:
        """Columns per multiplier."""
        return self.block / self.nnz


def divisors(n: int) -> list[int]:
    """All divisors of n, ascending."""
    return [d for d in range(1, n + 1) if n % d == 0]


def largest_count(weights: IntArray, block: int) -> int:
    """Most non-zeros in any block of any row; weights [rows, columns], block divides columns."""
    rows, columns = weights.shape
    return int((weights.reshape(rows, columns // block, block) != 0).sum(axis=2).max(initial=0))


def holds(weights: IntArray, form: BlockForm) -> bool:
    """True if weights [rows, columns] have that form."""
    return weights.shape[1] % form.block == 0 and largest_count(weights, form.block) <= form.nnz


def find_block_form(
    weights: IntArray, cost: Callable[[BlockForm | None], float], form: BlockForm | None = None
) -> BlockForm | None:
    """The block form that costs least, or None where a dense layer costs about as little.

    Args:
        weights: [rows, columns].
        cost: of one column of one row per cycle, computed in that form or (None) densely.
        form: a form to use wherever it holds; where it does not (the merged last layer), a
            form is looked for.
    """
    if form is not None and holds(weights, form):
        return form
    if np.all(weights != 0):
        return None
    dense = cost(None)
    best, least = None, dense / MIN_SAVING
    for block in divisors(weights.shape[1]):
        if not 2 <= block <= MAX_BLOCK:
            continue
        found = BlockForm(block, max(1, largest_count(weights, block)))
        if found.nnz < block and cost(found) < least:
            best, least = found, cost(found)
    return best

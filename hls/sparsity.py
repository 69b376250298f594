# SPDX-License-Identifier: Apache-2.0
"""Block-balanced sparse weights: in every row, every block of neighbouring columns has few non-zeros."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hls.ir import IntArray
from models.errors import CompileError

MIN_SAVING = 1.6
"""Multipliers saved at least: below, the selection in front of each costs more than it saves."""
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


def find_block_form(weights: IntArray, form: BlockForm | None = None) -> BlockForm | None:
    """The block form that saves most multipliers, or None where dense is as good.

    Args:
        weights: [rows, columns].
        form: a form to check instead of a search.

    Raises:
        CompileError: the form given does not hold for weights that are sparse.
    """
    columns = weights.shape[1]
    if form is not None:
        return _checked(weights, form)
    if np.count_nonzero(weights) * MIN_SAVING > weights.size:
        return None
    best: BlockForm | None = None
    for block in divisors(columns):
        if not 2 <= block <= MAX_BLOCK:
            continue
        found = BlockForm(block, max(1, largest_count(weights, block)))
        if best is None or found.saving > best.saving:
            best = found
    return best if best is not None and best.saving >= MIN_SAVING else None


def _checked(weights: IntArray, form: BlockForm) -> BlockForm | None:
    columns = weights.shape[1]
    if columns % form.block:
        return None
    count = largest_count(weights, form.block)
    if count <= form.nnz:
        return form
    if np.count_nonzero(weights) * form.block > weights.size * form.nnz:
        return None  # a dense layer beside sparse ones
    raise CompileError(
        f"sparse block form {form.nnz} in {form.block}: a block of {form.block} columns has {count} "
        "non-zero weights",
        hint="choose nnz at least as large, or leave the block form to be found",
    )

# SPDX-License-Identifier: Apache-2.0
"""Block forms of sparse weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hls.costs import gather_luts, multiplier_luts
from hls.devices import device
from hls.memfiles import compress
from hls.sparsity import BlockForm, find_block_form, holds, largest_count

PART = device("LFE5U-85F")


def cost(form: BlockForm | None) -> float:
    """4-bit multipliers and the selection in front of each."""
    lane = multiplier_luts(4, 4, PART)
    if form is None:
        return lane
    return (lane + gather_luts(form.block, 4, PART)) / form.saving


def balanced(rows: int, columns: int, block: int, nnz: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    keep = np.argsort(rng.random((rows, columns // block, block)), axis=2) < nnz
    return rng.integers(1, 8, (rows, columns)) * keep.reshape(rows, columns)


@pytest.mark.parametrize(("block", "nnz"), [(10, 2), (20, 2), (12, 3), (5, 1)])
def test_balanced_weights_are_recognized(block: int, nnz: int) -> None:
    assert find_block_form(balanced(60, 60, block, nnz), cost) == BlockForm(block, nnz)


def test_dense_weights_stay_dense() -> None:
    rng = np.random.default_rng(0)
    assert find_block_form(rng.integers(1, 8, (20, 20)), cost) is None
    assert find_block_form(rng.integers(-7, 8, (40, 60)), cost) is None


def test_all_zero_weights_take_the_largest_saving() -> None:
    form = find_block_form(np.zeros((4, 12), dtype=np.int64), cost)
    assert form is not None
    assert form.nnz == 1


@given(seed=st.integers(0, 50), density=st.floats(0, 1))
def test_the_form_found_holds(seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 8, (6, 24)) * (rng.random((6, 24)) < density)
    form = find_block_form(weights, cost)
    if form is not None:
        assert largest_count(weights, form.block) <= form.nnz
        index, value = compress("w", weights, form.block, form.nnz)
        chosen = index[..., None] == np.arange(form.block)
        back = (chosen * value[..., None]).sum(axis=2)
        np.testing.assert_array_equal(back.reshape(6, 24), weights)
        assert cost(form) < cost(None)


def test_a_form_given_is_used_where_it_holds() -> None:
    weights = balanced(8, 20, 10, 2)
    assert find_block_form(weights, cost, BlockForm(10, 3)) == BlockForm(10, 3)
    weights[3, :5] = 1
    assert not holds(weights, BlockForm(10, 2))
    found = find_block_form(weights, cost, BlockForm(10, 2))
    assert found is None or holds(weights, found)
    assert not holds(weights, BlockForm(7, 7))

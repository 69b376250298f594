# SPDX-License-Identifier: Apache-2.0
"""FullyCon's sizes and decision."""

import pytest
import torch

from models.errors import ConfigError
from models.fullycon import FullyCon, FullyConShape, hard_decision, pair_difference


def test_reference_sizes_are_the_published_ones() -> None:
    shape = FullyConShape()
    network = FullyCon(shape)
    assert shape.weights == 396_000
    assert sum(p.numel() for p in network.parameters()) == 397_560


def test_decision_is_the_sign_of_the_pair_and_a_tie_gives_one() -> None:
    outputs = torch.tensor([[1.0, 0.0, -2.0, 3.0, 0.5, 0.5]])
    assert pair_difference(outputs).tolist() == [[1.0, -5.0, 0.0]]
    assert hard_decision(outputs).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize("sizes", [(0, 1, 1, 1), (1, 1, 0, 1)])
def test_bad_sizes_are_named(sizes: tuple[int, int, int, int]) -> None:
    with pytest.raises(ConfigError, match="=0: must be at least 1"):
        FullyConShape(*sizes)

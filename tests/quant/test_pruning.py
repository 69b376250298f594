# SPDX-License-Identifier: Apache-2.0
"""Pruning masks and their schedule."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from quant.pruning import Pruner, magnitude_masks, scheduled_sparsity
from quant.recipe import PruningConfig


def weights(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(12, 20, generator=generator), torch.randn(6, 40, generator=generator) * 3]


@given(st.floats(0.05, 0.95))
@settings(max_examples=25, deadline=None)
def test_unstructured_removes_the_asked_part_and_the_smallest(sparsity: float) -> None:
    config = PruningConfig(kind="unstructured", scope="global", sparsity=sparsity)
    tensors = weights()
    masks = magnitude_masks(tensors, config, sparsity)
    kept = torch.cat([w[m > 0].abs() for w, m in zip(tensors, masks, strict=True)])
    gone = torch.cat([w[m == 0].abs() for w, m in zip(tensors, masks, strict=True)])
    assert gone.numel() == round(sparsity * 480)
    if gone.numel() and kept.numel():
        assert gone.max() <= kept.min()


def test_layer_scope_prunes_every_layer_alike() -> None:
    config = PruningConfig(kind="unstructured", scope="layer", sparsity=0.5)
    assert [float(m.mean()) for m in magnitude_masks(weights(), config, 0.5)] == [0.5, 0.5]


@given(st.integers(1, 9), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_balanced_keeps_the_same_number_in_every_block(nnz: int, seed: int) -> None:
    config = PruningConfig(kind="balanced", block=10, nnz=nnz)
    for w, mask in zip(
        weights(seed), magnitude_masks(weights(seed), config, config.target), strict=True
    ):
        counts = mask.reshape(w.shape[0], -1, 10).sum(dim=-1)
        assert torch.equal(counts, torch.full_like(counts, nnz))
        blocks, kept = w.abs().reshape(-1, 10), mask.reshape(-1, 10)
        smallest_kept = torch.where(kept > 0, blocks, torch.inf).amin(dim=1)
        largest_gone = torch.where(kept == 0, blocks, 0.0).amax(dim=1)
        assert bool((smallest_kept >= largest_gone).all())


def test_schedule_is_cubic_and_monotone() -> None:
    config = PruningConfig(kind="unstructured", sparsity=0.8, start=0.1, end=0.5)
    assert scheduled_sparsity(0.05, config) == 0.0
    assert scheduled_sparsity(0.3, config) == pytest.approx(0.8 * (1 - 0.5**3))
    assert scheduled_sparsity(0.9, config) == pytest.approx(0.8)
    values = [scheduled_sparsity(i / 50, config) for i in range(51)]
    assert values == sorted(values)


def test_pruner_reaches_its_target_and_masks_only_grow() -> None:
    torch.manual_seed(0)
    layers = [nn.Linear(20, 12), nn.Linear(40, 6)]
    pruner = Pruner(layers, PruningConfig(kind="balanced", block=20, nnz=4, every_steps=7))
    before = [m.clone() for m in pruner.masks]
    for step in range(1, 101):
        with torch.no_grad():
            for layer in layers:
                layer.weight.add_(torch.randn_like(layer.weight) * 0.1)
        pruner.step(step, 100)
        assert all(bool((new <= old).all()) for new, old in zip(pruner.masks, before, strict=True))
        before = [m.clone() for m in pruner.masks]
    assert pruner.sparsity == pytest.approx(0.8)
    assert float((layers[0].weight == 0).float().mean()) == pytest.approx(0.8)

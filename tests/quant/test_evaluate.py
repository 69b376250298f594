# SPDX-License-Identifier: Apache-2.0
"""The shipped checkpoints are as good as their metrics say, and as the published network is."""

import json

import numpy as np
import pytest
import torch

from models.baselines import AUTHORS_FULLYCON_BER
from models.ber import StopRule
from quant.checkpoint import CHECKPOINT_FOLDER, checkpoint_folder, load_checkpoint
from quant.evaluate import ber_curve, cost_of, load_curve, loss_to
from quant.study import SHIPPED, markdown_table, row_of

AVAILABLE = sorted(p.parent.name for p in CHECKPOINT_FOLDER.glob("*/metrics.json"))


def test_all_checkpoints_are_shipped() -> None:
    assert set(SHIPPED) <= set(AVAILABLE)


@pytest.mark.parametrize("name", AVAILABLE)
def test_metrics_are_the_networks_own(name: str) -> None:
    """A fresh count lies within the spread of two independent counts (4.5 sigma)."""
    recipe, network = load_checkpoint(checkpoint_folder(name))
    stored = {p.snr_db: p for p in load_curve(checkpoint_folder(name))}[10.0]
    fresh = ber_curve(recipe, network, StopRule(frames=20_000), [10.0], seed=7)[0]
    variance = sum(p.ber * p.design_effect / p.bits for p in (stored, fresh))
    assert abs(fresh.ber - stored.ber) < 4.5 * np.sqrt(variance)
    data = json.loads((checkpoint_folder(name) / "metrics.json").read_text())
    assert data["cost"] == vars(cost_of(network))


def test_float_network_is_within_a_tenth_of_a_decibel_of_the_authors() -> None:
    """The distance along SNR, at the slope of the authors' curve on that side of the point."""
    for point in load_curve(checkpoint_folder("fullycon_float")):
        theirs, next_db = AUTHORS_FULLYCON_BER[point.snr_db], AUTHORS_FULLYCON_BER[point.snr_db + 1]
        loss_db = np.log(point.ber / theirs) / np.log(theirs / next_db)
        assert loss_db < 0.1


@pytest.mark.parametrize(
    ("name", "limit_db"),
    [
        ("fullycon_w8a8", 0.05),
        ("fullycon_w4a4", 0.2),
        ("fullycon_w4a4_p80", 0.3),
        ("fullycon_w4a4_p90", 0.3),
        ("fullycon_w4a4_b80", 0.4),
        ("fullycon_w4a4_b90", 0.8),
        ("fullycon_w2a4", 1.6),
    ],
)
def test_losses_at_ber_1e3_stay_where_they_are(name: str, limit_db: float) -> None:
    assert loss_to(checkpoint_folder(name), checkpoint_folder("fullycon_float")) <= limit_db


def test_cost_counts_zeros_and_bits() -> None:
    _, network = load_checkpoint(checkpoint_folder("fullycon_w4a4_b80"))
    cost = cost_of(network)
    assert cost.weights == 396_000
    assert cost.weight_memory_bits == 4 * 396_000
    assert cost.nonzero_macs == sum(
        int(torch.count_nonzero(layer.quant_weight().int())) for layer in network.layers
    )
    assert cost.sparsity >= 0.8


def test_table_has_a_line_for_each_and_names_the_reference() -> None:
    table = markdown_table([row_of(name) for name in SHIPPED])
    assert len(table.splitlines()) == 2 + len(SHIPPED)
    assert "reference" in table.splitlines()[2]

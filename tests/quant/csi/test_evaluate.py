# SPDX-License-Identifier: Apache-2.0
"""Shipped checkpoints: they load, and do on the small set what their metrics say."""

import json

import pytest

from models.csi.data import CsiData
from models.csi.metrics import CsiPoint
from quant.csi.checkpoint import CSI_CHECKPOINTS, load_csi_checkpoint
from quant.csi.evaluate import csi_cost, evaluate
from quant.csi.recipe import load_csi_recipe

SHIPPED = sorted(path.parent.name for path in CSI_CHECKPOINTS.glob("*/recipe.json"))


def test_there_are_checkpoints() -> None:
    assert {"convsqucsinet_r16_float", "convsqucsinet_r16_w8a8"} <= set(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_checkpoint_does_what_its_metrics_say(name: str, small: CsiData) -> None:
    folder = CSI_CHECKPOINTS / name
    recipe, network = load_csi_checkpoint(folder)
    assert recipe == load_csi_recipe(name)
    record = json.loads((folder / "metrics.json").read_text())
    kept = CsiPoint.from_json(record)
    low, high = evaluate(network, small.test).ci95
    assert low - 0.3 < kept.nmse_db < high + 0.3  # 150 other samples of the same channels
    cost = csi_cost(recipe, network)
    assert record["cost"]["weights"] == cost.weights
    assert record["cost"]["feedback_bits"] == cost.feedback_bits
    assert (folder / "log.csv").read_text().startswith("step,train_nmse_db,")

# SPDX-License-Identifier: Apache-2.0
"""The table of all checkpoints: rows from their metrics, PCA counted on the same samples."""

import json
from pathlib import Path

import pytest

from models.csi.metrics import count
from models.errors import ConfigError
from quant.csi import study
from quant.csi.recipe import CsiDataConfig


def test_pca_rows_on_the_small_set() -> None:
    rows = study.pca_rows(None, CsiDataConfig(kind="small"))
    assert [row["ratio"] for row in rows] == [4, 8, 16, 32, 64]
    assert rows[2]["cost"]["weights"] == 2 * 2048 * 128
    assert rows[2]["samples"] == 150


def test_table_is_ordered_by_ratio_then_nmse(tmp_path: Path) -> None:
    import numpy as np

    x = np.random.default_rng(0).standard_normal((4, 2, 32, 32))
    cost = {"weights": 12345, "weight_memory_bits": 8, "macs": 7, "feedback_bits": 1024}
    for name, ratio, part in (("b", 16, 0.5), ("a", 16, 0.9), ("c", 4, 0.5)):
        folder = tmp_path / name
        folder.mkdir()
        record = {"name": name, **count(x, part * x).to_json(), "cost": cost}
        (folder / "metrics.json").write_text(json.dumps(record))
        (folder / "recipe.json").write_text(json.dumps({"network": {"ratio": ratio}}))
    lines = study.table(study.checkpoint_rows(tmp_path)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["c", "a", "b"]
    assert "| 1/16 | -20.00 | -20.00 to -20.00 | 1.0000 | 12,345 |" in lines[3]


def test_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no measured checkpoint"):
        study.checkpoint_rows(tmp_path)

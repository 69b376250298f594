# SPDX-License-Identifier: Apache-2.0
"""The table of all checkpoints: rows from their metrics, PCA counted on the same samples."""

import json
from pathlib import Path

import pytest

from models.csi.metrics import count
from models.errors import ConfigError
from quant.csi import study, study_plot
from quant.csi.recipe import CsiDataConfig
from quant.measured import write_measured


def test_pca_rows_on_the_small_set() -> None:
    rows = study.pca_rows(None, CsiDataConfig(kind="small"))
    assert [row["ratio"] for row in rows] == [4, 8, 16, 32, 64]
    assert rows[2]["cost"]["kept_weights"] == 2 * 2048 * 128
    assert rows[2]["samples"] == 150


def test_table_is_ordered_by_ratio_then_nmse(tmp_path: Path) -> None:
    import numpy as np

    x = np.random.default_rng(0).standard_normal((4, 2, 32, 32))
    cost = {"kept_weights": 12345, "weight_memory_bits": 8, "kept_macs": 7, "feedback_bits": 1024}
    for name, ratio, part in (("b", 16, 0.5), ("a", 16, 0.9), ("c", 4, 0.5)):
        folder = tmp_path / name
        folder.mkdir()
        record = {
            "name": name,
            **count(x, part * x).to_json(),
            "cost": cost,
            "budget": {"samples": 64000, "init": "a" if name == "b" else None},
        }
        write_measured(folder, record)
        recipe = {"network": {"kind": "squ", "ratio": ratio}, "quant": None, "pruning": None}
        (folder / "recipe.json").write_text(json.dumps(recipe))
    lines = study.table(study.checkpoint_rows(tmp_path)).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["c", "a", "b"]
    assert "| 1/16 | -20.00 | -20.00 to -20.00 | 1.0000 | 12,345 |" in lines[3]
    assert lines[3].endswith("| 64,000 |")
    assert lines[4].endswith("| 64,000, from a |")


def test_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no measured checkpoint"):
        study.checkpoint_rows(tmp_path)


def row(network: str, ratio: int, nmse_db: float, **quant: object) -> dict[str, object]:
    bits = quant.get("code_bits", 32)
    cost = dict.fromkeys(("kept_weights", "weight_memory_bits", "kept_macs"), 1000 // ratio)
    return {
        "name": "PCA" if network == "pca" else "x",
        "network": network,
        "ratio": ratio,
        "nmse_db": nmse_db,
        "ci95": [nmse_db - 0.1, nmse_db + 0.1],
        "quant": quant or None,
        "cost": {**cost, "feedback_bits": 2048 // ratio * int(str(bits))},
    }


W8A8 = {"weight_bits": 8, "act_bits": 8, "edge_bits": None, "code_bits": 8}
MIXED = {"weight_bits": 4, "act_bits": 8, "edge_bits": 8, "code_bits": 8}


def test_curves_are_by_network_and_format(tmp_path: Path) -> None:
    rows = [
        row("squ", 16, -14.0),
        row("squ", 4, -20.0),
        row("squ", 16, -13.9, **W8A8),
        row("squ", 16, -13.5, **MIXED),
        row("squ", 16, -12.0, **{**MIXED, "code_bits": 4}),
        row("squ", 16, -13.0, **{**MIXED, "code_bits": 6}),
        row("squ", 16, -10.0, **{**MIXED, "act_bits": 4}),
        row("squ", 16, -12.8, **MIXED) | {"pruning": {"kind": "balanced"}},
        row("pca", 16, -13.1),
    ]
    groups = study_plot.curves(rows)
    assert list(groups) == [
        ("squ", "float"), ("squ", "w8a8"), ("squ", "mixed"), ("squ", "w4a4"), ("squ", "pruned"),
        ("squ", "code"), ("pca", "float"),
    ]  # fmt: skip
    assert [r["ratio"] for r in groups["squ", "float"]] == [4, 16]
    assert [r["nmse_db"] for r in groups["squ", "code"]] == [-13.0, -12.0]
    path = study_plot.plot_csi_study(rows, tmp_path / "csi.png")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_recipes_without_checkpoint_are_named() -> None:
    text = study.untrained_text({"convcsinet_r16_float"})
    assert "convsqucsinet_r16_float" in text
    assert " convcsinet_r16_float" not in text
    every = {path.stem for path in study.RECIPE_FOLDER.glob("*.toml")}
    assert study.untrained_text(every) == "Every shipped recipe has a checkpoint."

# SPDX-License-Identifier: Apache-2.0
"""The cost model against what Yosys measured: kept measurements, and one made afresh."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fpga_builds.calibrate import (
    main,
    matrix_layer,
    measure,
    point,
    ratios,
    read_point,
    table,
)
from fpga_builds.eda.synth import synthesize
from hls.devices import device
from hls.stitch import write_rtl
from models.errors import CheckError

KEPT = Path(__file__).with_name("data") / "costs_measured.json"
POINTS: list[dict[str, Any]] = json.loads(KEPT.read_text())
WHOLE = [body for body in POINTS if len(body["layers"]) > 1]
SMALL = 60
"""Differences of so many LUTs are passed over in a single layer."""


def label(body: dict[str, Any]) -> str:
    return f"{body['role']}-{body['part']}-{body['name']}"


@pytest.mark.parametrize("body", WHOLE, ids=label)
def test_totals_of_accelerators_are_within_a_fifth(body: dict[str, Any]) -> None:
    for key, ratio in ratios(body).items():
        assert ratio is None or 0.8 <= ratio <= 1.2, (key, ratio)


@pytest.mark.parametrize("body", [b for b in POINTS if b not in WHOLE], ids=label)
def test_single_layers_are_near(body: dict[str, Any]) -> None:
    share = ratios(body)
    gap = abs((share["lut"] or 0) - 1) * body["totals"]["lut"]
    assert gap <= max(SMALL, 0.2 * body["totals"]["lut"])
    assert share["ff"] == pytest.approx(1, abs=0.2)
    assert share["bram18"] in (None, 1.0)
    assert share["dsp"] in (None, 1.0)


def test_both_roles_are_kept() -> None:
    assert {body["role"] for body in WHOLE} == {"fit", "held"}


def test_a_wrong_measurement_is_noticed() -> None:
    body = {**WHOLE[0], "totals": {**WHOLE[0]["totals"], "lut": 10, "dsp": 3, "bram18": 0}}
    share = ratios(body)
    assert share["lut"] is not None
    assert share["lut"] > 1.2
    assert share["bram18"] == float("inf")
    assert share["dsp"] == 0


def test_table_has_a_line_per_point() -> None:
    assert len(table(POINTS).splitlines()) == 2 + len(POINTS)


@pytest.mark.parametrize("text", ["", '{"name": "x"', '{"name": "x"}', "3"])
def test_a_broken_point_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "lfe5u-85f-x.json"
    path.write_text(text)
    with pytest.raises(CheckError, match="no measured point"):
        read_point(path)
    assert main(["--cache", str(tmp_path)]) == 1
    assert "no measured point" in capsys.readouterr().err


def test_points_are_kept_and_taken_from_the_cache(tmp_path: Path) -> None:
    body = POINTS[0]
    name = body["name"]
    (tmp_path / f"lfe5u-85f-{name}.json").write_text(json.dumps(body))
    acc = matrix_layer((8, 8, 1, 4), (4, 4))
    assert measure(name, acc, device("LFE5U-85F"), tmp_path) == body
    kept = tmp_path / "kept" / "all.json"
    kept.parent.mkdir()
    assert main(["--cache", str(tmp_path), "--keep", str(kept)]) == 0
    assert json.loads(kept.read_text()) == [body]


@pytest.mark.yosys
def test_a_small_layer_measured_afresh(tmp_path: Path) -> None:
    acc = matrix_layer((16, 16, 1, 8), (4, 4))
    result = synthesize(write_rtl(acc, tmp_path), device("LFE5U-85F"), tmp_path / "synth")
    body = point("small", acc, result)
    assert body["role"] == "fit"
    share = ratios(body)
    assert share["lut"] == pytest.approx(1, abs=0.2)
    assert share["ff"] == pytest.approx(1, abs=0.2)

# SPDX-License-Identifier: Apache-2.0
"""Four columns per layer: FINN, our cost model, synthesis, place and route."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from rtl_chains import chain, mvau, requant

from fpga_builds.eda.stat import Resources
from fpga_builds.eda.synth import LayerResources, Synthesis
from fpga_builds.layer_table import finn_by_layer, layer_rows, layer_table, ratio, totals_row
from hls.costs import layer_cost, stream_cost
from hls.devices import device
from hls.ir import Accelerator, IntFormat

U4 = IntFormat(4, signed=False)
FINN = {"l0": {"lut": 100, "ff": None, "bram18": 1, "dsp": 0, "reason": "no model of it for ff"}}


@pytest.fixture
def acc() -> Accelerator:
    """A matrix layer, an activation, a FIFO between them and one behind."""
    first = mvau((8, 8), 2, 2, U4, IntFormat(4, signed=True))
    return chain(U4, 2, 8, [first, requant(8, 2, first.fmt, (3, 7, 4), U4)], {"s1": 4, "s2": 9})


@pytest.fixture
def synthesis() -> Synthesis:
    """Of that accelerator; counts that no model gives."""
    layers = (
        LayerResources.of("l1", {"LUT4": 50}),
        LayerResources.of("fifo_s2", {"TRELLIS_FF": 3}),
        LayerResources.of("l0", {"LUT4": 300, "TRELLIS_FF": 40, "DP16KD": 1}),
        LayerResources.of("fifo_s1", {"LUT4": 7}),
        LayerResources.of("glue", {"LUT4": 2}),
    )
    totals = sum((layer.resources for layer in layers), start=Resources())
    part, here = device("LFE5U-25F"), Path()
    return Synthesis(part, "pyosys", "0.70", 1.0, here, here, {"LUT4": 359}, totals, layers)


def test_rows_follow_the_data_and_hold_every_source(acc: Accelerator, synthesis: Synthesis) -> None:
    routed = {"l0": {"lut": 310, "ff": 40, "bram18": 1, "dsp": 0}}
    rows = layer_rows(synthesis, acc, FINN, routed)
    assert [row["name"] for row in rows] == ["l0", "fifo_s1", "l1", "fifo_s2", "glue"]
    assert [row["kind"] for row in rows] == ["mvau", "fifo", "requant", "fifo", "glue"]
    first, fifo, glue = rows[0], rows[1], rows[-1]
    model = layer_cost(acc.layer("l0"), synthesis.part)
    assert first["lut"] == 300
    assert first["estimate"] == {
        **{"lut": model.lut, "ff": model.ff, "bram18": model.bram18, "dsp": 0},
        "reason": "",
    }
    assert first["ratio"]["lut"] == 300 / model.lut
    assert first["ratio"]["dsp"] is None
    assert first["finn"] == FINN["l0"]
    assert first["routed"]["lut"] == 310
    assert fifo["estimate"]["lut"] == stream_cost(acc.stream("s1"), synthesis.part).lut
    assert fifo["routed"] == {
        **dict.fromkeys(("lut", "ff", "bram18", "dsp")),
        "reason": "not placed and routed",
    }
    assert glue["estimate"]["lut"] is None
    assert glue["estimate"]["reason"]
    assert glue["finn"]["reason"] == "FINN has no such layer"


def test_totals_add_what_is_known(acc: Accelerator, synthesis: Synthesis) -> None:
    rows = layer_rows(synthesis, acc, FINN)
    total = totals_row(rows)
    assert {key: total[key] for key in ("lut", "ff", "bram18", "dsp", "uram")} == {
        **{"lut": synthesis.totals.lut, "ff": 43, "bram18": 1, "dsp": 0, "uram": 0}
    }
    assert (total["finn"]["lut"], total["finn"]["ff"]) == (100, None)
    assert total["routed"]["lut"] is None
    estimate = sum(row["estimate"]["lut"] or 0 for row in rows)
    assert total["ratio"]["lut"] == total["lut"] / estimate


def test_the_terminal_shows_only_columns_with_numbers(
    acc: Accelerator, synthesis: Synthesis
) -> None:
    rows = layer_rows(synthesis, acc, FINN)
    shares = synthesis.utilisation
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(layer_table("title", rows, shares))
    text = console.export_text()
    assert "not placed and routed" in text
    head = next(line for line in text.splitlines() if "synth" in line)
    assert head.count("synth") == 4
    assert head.count("model") == 4
    assert "routed" not in head
    assert f"LUT {100 * shares['lut']:.1f} %" in text  # type: ignore[operator]


@pytest.mark.parametrize("body", [None, [], {}, {"layers": [{"name": "a", "finn": None}]}])
def test_estimates_without_finn_give_nothing(body: Any) -> None:
    assert finn_by_layer(body) == {}


def test_finns_estimates_are_found_by_layer() -> None:
    assert finn_by_layer({"layers": [{"name": "l0", "finn": FINN["l0"]}]}) == FINN


def test_a_ratio_needs_both_numbers() -> None:
    assert ratio(3, 2) == 1.5
    assert ratio(3, 0) is None
    assert ratio(None, 2) is None
    assert ratio(0, 2) == 0

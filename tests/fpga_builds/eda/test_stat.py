# SPDX-License-Identifier: Apache-2.0
"""Yosys' reports: kept real ones, truncated and wrong ones; what cells cost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fpga_builds.eda.script import UNITS
from fpga_builds.eda.stat import (
    CHAIN_START,
    Resources,
    add_cells,
    read_stat,
    resources,
    without_marks,
)
from fpga_builds.eda.synth import layer_resources
from models.errors import ToolError

REPORTS = Path(__file__).with_name("reports")


def test_a_real_report_of_ecp5() -> None:
    report = read_stat(REPORTS / "ecp5.json")
    layers = {layer.name: layer for layer in layer_resources(report, "chain_top", UNITS)}
    assert list(layers) == ["l0", "l1", "l2", "fifo_s1", "glue"]
    assert layers["l0"].cells["MULT18X18D"] == layers["l0"].dsp == 4
    first = report.modules["phy_mvau$chain_top.u_l0"]
    assert layers["l0"].cells["CCU2C"] == first["CCU2C"] + first[CHAIN_START]
    lut = first["LUT4"] + 2 * first["CCU2C"] + 6 * first[CHAIN_START] + 6 * first["TRELLIS_DPR16X4"]
    assert layers["l0"].lut == lut
    total = sum((layer.resources for layer in layers.values()), start=Resources())
    assert total == resources(report.design)
    assert report.instances["chain_top"]["phy_fifo$chain_top.fifo_s1"] == 1


def test_a_real_report_of_7_series() -> None:
    report = read_stat(REPORTS / "xc7.json")
    rows = layer_resources(report, "chain_top", UNITS)
    total = sum((row.resources for row in rows), start=Resources())
    cells = report.design
    small = sum(cells.get(f"LUT{n}", 0) for n in range(1, 7)) + cells["INV"] + cells["SRL16E"]
    assert total.lut == small + 4 * cells["RAM32M"]
    assert total.ff == cells["FDRE"] + cells["FDSE"]
    assert total.dsp == cells["DSP48E1"]
    assert add_cells(*(row.cells for row in rows)) == dict(sorted(cells.items()))


@pytest.mark.parametrize("kept", [0, 1, 30, 400, 2000])
def test_a_truncated_report_is_refused(tmp_path: Path, kept: int) -> None:
    text = (REPORTS / "ecp5.json").read_text()
    path = tmp_path / "stat.json"
    path.write_text(text[:kept])
    with pytest.raises(ToolError, match=r"stat\.json: no complete report of Yosys' stat -json"):
        read_stat(path)


def test_a_missing_report_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no complete report"):
        read_stat(tmp_path / "stat.json")


def test_sums_that_are_wrong_are_refused(tmp_path: Path) -> None:
    body = json.loads((REPORTS / "ecp5.json").read_text())
    body["design"]["num_cells_by_type"]["LUT4"] += 1
    path = tmp_path / "stat.json"
    path.write_text(json.dumps(body))
    with pytest.raises(ToolError, match=r"\d+ cells in all, but \d+ by type"):
        read_stat(path)


def test_json_that_is_no_report_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stat.json"
    path.write_text('{"modules": [1, 2]}')
    with pytest.raises(ToolError, match="no complete report"):
        read_stat(path)


def test_no_cell_is_free_because_it_is_unknown() -> None:
    with pytest.raises(ToolError, match=r"unknown cost: \$mul \(2\), FANCY \(1\)"):
        resources({"LUT4": 3, "FANCY": 1, "$mul": 2})


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        ({"LUT4": 5, "CCU2C": 3, "TRELLIS_DPR16X4": 2}, Resources(lut=5 + 6 + 12)),
        ({CHAIN_START: 1, "CCU2C": 7, "PFUMX": 4}, Resources(lut=20)),
        ({"LUT6": 2, "LUT1": 1, "INV": 1, "RAM32M16": 1, "CARRY4": 9}, Resources(lut=12)),
        ({"RAMB18E2": 1, "RAMB36E2": 3, "URAM288": 2}, Resources(bram18=7, uram=2)),
        ({"FDRE": 3, "FDSE": 1, "DSP48E2": 2}, Resources(ff=4, dsp=2)),
        ({"TRELLIS_FF": 3, "DP16KD": 2, "MULT18X18D": 1}, Resources(ff=3, bram18=2, dsp=1)),
    ],
)
def test_costs_of_cells(cells: dict[str, int], expected: Resources) -> None:
    assert resources(cells) == expected


def test_the_first_cell_of_a_chain_is_a_carry_cell_in_the_end() -> None:
    assert without_marks({CHAIN_START: 2, "CCU2C": 5, "LUT4": 1}) == {"CCU2C": 7, "LUT4": 1}
    assert without_marks({"LUT4": 1}) == {"LUT4": 1}

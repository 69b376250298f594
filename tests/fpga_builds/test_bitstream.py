# SPDX-License-Identifier: Apache-2.0
"""The bitstream of a tiny accelerator for a real board, and what refuses a bad one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from board_chains import Tiny, tiny

from fpga_builds.commands_bitstream import _step
from fpga_builds.config import parse_build
from fpga_builds.eda import ecppack, nextpnr
from fpga_builds.eda.synth import Synthesis, require_fit, synthesize
from fpga_builds.steps import bitstream
from hls.board import BoardPackage
from hls.devices import device
from models.errors import CheckError, ConfigError

CONFIG = parse_build({"name": "demo", "network": {"checkpoint": "x"}}, "test")
BODY: dict[str, Any] = {
    "build": "b",
    "board": "ulx3s",
    "fmax_mhz": 104.0,
    "target_mhz": 100.0,
    "timing_met": True,
    "selftest_simulated": True,
    "critical_path_text": "u_fc0.a to u_fc0.b: 12 ns",
}


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> BoardPackage:
    made: Tiny = tiny(tmp_path_factory.mktemp("rtl"))
    return made.write(tmp_path_factory.mktemp("board"))


@pytest.fixture(scope="module")
def netlist(package: BoardPackage, tmp_path_factory: pytest.TempPathFactory) -> Synthesis:
    return synthesize(package, device(package.board.part), tmp_path_factory.mktemp("synth"))


def _route(package: BoardPackage, netlist: Synthesis, folder: Path, mhz: float) -> nextpnr.Routing:
    return nextpnr.place_and_route(
        netlist.netlist_json,
        package.lpf,
        package.board.nextpnr_options,
        folder,
        target_mhz=mhz,
        layers=[layer.name for layer in netlist.layers],
    )


@pytest.mark.yosys
@pytest.mark.nextpnr
def test_a_tiny_board_becomes_a_bitstream(
    package: BoardPackage, netlist: Synthesis, tmp_path: Path
) -> None:
    require_fit(netlist)
    routing = _route(package, netlist, tmp_path / "pnr", package.clock_hz / 1e6)
    assert routing.timing_met
    assert routing.path
    # The netlist's count is what placement has, but for constants.
    assert routing.used["lut"] == pytest.approx(netlist.totals.lut, rel=0.03, abs=20)
    assert routing.used["ff"] == netlist.totals.ff
    assert routing.used["bram18"] == netlist.totals.bram18
    for resource, used in routing.used.items():
        assert sum(layer[resource] for layer in routing.layers.values()) == used
    bit = ecppack.pack(routing.config, package.board.part, tmp_path / "pnr" / "tiny.bit")
    assert bit.idcode == 0x41113043
    assert bit.svf.stat().st_size > bit.bytes


@pytest.mark.yosys
def test_too_large_a_design_is_refused(netlist: Synthesis) -> None:
    from dataclasses import replace

    small = replace(netlist.part, name="tiny part", lut=10)
    with pytest.raises(CheckError, match="larger than tiny part"):
        require_fit(replace(netlist, part=small))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"timing_met": False, "fmax_mhz": 92.3}, "fmax_mhz: 92.3, must be at least 100 MHz"),
        ({"timing_met": None, "fmax_mhz": None}, "fmax_mhz: not measured"),
        ({"selftest_simulated": False}, "selftest: 0, must be passed"),
        ({"selftest_simulated": None}, "selftest: not measured"),
    ],
)
def test_a_missed_clock_or_selftest_fails(changes: dict[str, Any], text: str) -> None:
    bitstream.require(BODY)
    with pytest.raises(CheckError, match=text) as caught:
        bitstream.require({**BODY, **changes})
    assert "u_fc0.a to u_fc0.b" in caught.value.message
    assert "--clock-mhz" in caught.value.hint


def test_boards_are_found_by_name_and_unknown_ones_refused() -> None:
    assert _step(CONFIG, "ULX3S").name == "bitstream-ulx3s"
    assert _step(CONFIG, "zcu104").name == "bitstream-zcu104"
    with pytest.raises(ConfigError, match="no board 'ulx4s'") as caught:
        _step(CONFIG, "ulx4s")
    assert "ulx3s" in caught.value.hint
    assert "Pynq-Z2" in caught.value.hint

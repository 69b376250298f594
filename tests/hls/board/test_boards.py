# SPDX-License-Identifier: Apache-2.0
"""Board records: devices known, every port placed once, constraints that nextpnr reads."""

from __future__ import annotations

import re

import pytest

from hls.board import BOARDS, Board, board
from hls.board.boards import LEDS
from hls.devices import device
from models.errors import ConfigError


@pytest.mark.parametrize("item", BOARDS.values(), ids=lambda b: b.name)
def test_a_board_is_complete(item: Board) -> None:
    assert device(item.part).name == "LFE5U-85F"
    assert len(item.leds) == LEDS
    sites = [pin.site for pin in item.ports().values()]
    assert len(set(sites)) == len(sites)
    assert all(re.fullmatch(r"[A-Z]{1,2}[0-9]{1,2}", site) for site in sites)
    assert item.loader


@pytest.mark.parametrize("item", BOARDS.values(), ids=lambda b: b.name)
def test_constraints_place_every_port(item: Board) -> None:
    text = item.lpf()
    placed = dict(re.findall(r'LOCATE COMP "([^"]+)" SITE "(\w+)";', text))
    assert placed == {port: pin.site for port, pin in item.ports().items()}
    assert set(re.findall(r'IOBUF PORT "([^"]+)" IO_TYPE=LVCMOS33', text)) == set(placed)
    assert re.findall(r'FREQUENCY PORT "clk_i" ([\d.]+) MHZ;', text) == [f"{item.clock_mhz:.6f}"]
    assert all(line.endswith(";") for line in text.splitlines()[1:])


def test_the_pins_that_matter_most() -> None:
    ulx3s, ecpix5 = board("ulx3s").ports(), board("ecpix5").ports()
    names = ("clk_i", "uart_rx_i", "uart_tx_o")
    assert [ulx3s[name].site for name in names] == ["G2", "M1", "L4"]
    assert [ecpix5[name].site for name in names] == ["K23", "R26", "R24"]
    assert ulx3s["reset_i"].site == "R1"
    assert "reset_i" not in ecpix5


def test_an_unknown_board_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"board 'ulx4s' is unknown; known: ulx3s, ecpix5"):
        board("ulx4s")

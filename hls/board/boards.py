# SPDX-License-Identifier: Apache-2.0
"""The boards that a bitstream can be made for: device, pins, and how to program them.

Pins were taken from the constraint files that the boards' makers and users publish, and each was
found in at least two of them (docs/board.md names them).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from models.errors import ConfigError

LEDS = 8
"""Lights of the design, see docs/board.md."""


@dataclass(frozen=True)
class Pin:
    """One pin.

    Attributes:
        site: ball of the package.
        pull: UP, DOWN or NONE.
        drive_ma: strength of an output [mA]; 0 for an input or the device's default.
    """

    site: str
    pull: str = "NONE"
    drive_ma: int = 0


@dataclass(frozen=True)
class Board:
    """One board.

    Attributes:
        name: as the command line has it.
        title: as people have it.
        part: full name of the device; `hls.devices.device` knows it.
        nextpnr_options: size, package and speed grade for nextpnr-ecp5.
        clock: pin of the oscillator.
        clock_mhz: its frequency.
        uart_rx: pin that the FPGA receives on.
        uart_tx: pin that it sends on.
        leds: pins of the 8 lights, heartbeat first.
        led_inverted: a light is on when its pin is low.
        reset: pin of a button that resets the design, high when pressed.
        straps: pins that must rest at a level: port -> (pin, level).
        loader: names of this board for openFPGALoader, the usual one first.
    """

    name: str
    title: str
    part: str
    nextpnr_options: tuple[str, ...]
    clock: Pin
    clock_mhz: float
    uart_rx: Pin
    uart_tx: Pin
    leds: tuple[Pin, ...]
    led_inverted: bool
    reset: Pin | None
    straps: Mapping[str, tuple[Pin, int]]
    loader: tuple[str, ...]

    def ports(self) -> dict[str, Pin]:
        """Ports of a board top and their pins."""
        ports = {"clk_i": self.clock, "uart_rx_i": self.uart_rx, "uart_tx_o": self.uart_tx}
        if self.reset is not None:
            ports["reset_i"] = self.reset
        ports |= {f"led_o[{index}]": pin for index, pin in enumerate(self.leds)}
        return ports | {port: pin for port, (pin, _level) in self.straps.items()}

    def lpf(self) -> str:
        """Constraints as nextpnr reads them: places, levels, frequency of the oscillator."""
        lines = [f"# {self.title}, {self.part}: pins and clock of a board top."]
        for port, pin in self.ports().items():
            drive = f" DRIVE={pin.drive_ma}" if pin.drive_ma else ""
            lines.append(f'LOCATE COMP "{port}" SITE "{pin.site}";')
            lines.append(f'IOBUF PORT "{port}" IO_TYPE=LVCMOS33 PULLMODE={pin.pull}{drive};')
        lines.append(f'FREQUENCY PORT "clk_i" {self.clock_mhz:.6f} MHZ;')
        return "\n".join(lines) + "\n"


def _pins(sites: str, pull: str = "NONE", drive_ma: int = 0) -> tuple[Pin, ...]:
    return tuple(Pin(site, pull, drive_ma) for site in sites.split())


ULX3S = Board(
    name="ulx3s",
    title="Radiona ULX3S",
    part="LFE5U-85F-6BG381C",
    nextpnr_options=("--85k", "--package", "CABGA381", "--speed", "6"),
    clock=Pin("G2"),
    clock_mhz=25.0,
    uart_rx=Pin("M1", "UP"),
    uart_tx=Pin("L4", "UP", 4),
    leds=_pins("B2 C2 C1 D2 D1 E2 E1 H3", drive_ma=4),
    led_inverted=False,
    reset=Pin("R1", "DOWN"),  # button FIRE1
    # High keeps the board's microcontroller from taking the FPGA over.
    straps=MappingProxyType({"wifi_gpio0_o": (Pin("L2", "UP", 4), 1)}),
    loader=("ulx3s",),
)

ECPIX5 = Board(
    name="ecpix5",
    title="LambdaConcept ECPIX-5 (85F)",
    part="LFE5UM5G-85F-8BG554I",
    nextpnr_options=("--um5g-85k", "--package", "CABGA554", "--speed", "8"),
    clock=Pin("K23"),
    clock_mhz=100.0,
    uart_rx=Pin("R26", "UP"),
    uart_tx=Pin("R24", "UP"),
    # Lights LD8 blue, green; LD7 blue, green, red; LD6 blue, green; LD5 red.
    leds=_pins("P22 R23 M21 K24 K21 T24 W21 T23", "UP"),
    led_inverted=True,
    reset=None,
    straps=MappingProxyType({}),
    loader=("ecpix5_r03", "ecpix5"),
)

BOARDS: Mapping[str, Board] = MappingProxyType({b.name: b for b in (ULX3S, ECPIX5)})


def board(name: str) -> Board:
    """The board of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in BOARDS:
        raise ConfigError(f"board {name!r} is unknown; known: {', '.join(BOARDS)}")
    return BOARDS[name]

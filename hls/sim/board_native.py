# SPDX-License-Identifier: Apache-2.0
"""A simulated board: the Verilator model of a whole board top, seen through its pins.

The model holds PLL (a stand-in that passes its clock through), serial line, self-test and
accelerator; the harness (``board_harness.cpp``) clocks it at the PLL's output frequency and plays
the host's side of the serial line bit by bit.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hls.board.package import BoardPackage
from hls.sim.library_cache import load_library
from hls.sim.verilate import LIBRARY, VERILATOR_FLAGS, BuildPlan, build_library, plan_key
from models.errors import ToolError

HARNESS = Path(__file__).with_name("board_harness.cpp")
CELLS = Path(__file__).with_name("cells_board")


@dataclass(frozen=True)
class BoardState:
    """Where a simulated board stands.

    Attributes:
        cycles: run since power-up.
        quiet_cycles: since a bit last moved on the serial line.
        unsent_bytes: from the host, still to go over the line.
        framing_errors: bytes from the board without a stop bit.
        leds: the pins of the lights, bit 0 first.
    """

    cycles: int
    quiet_cycles: int
    unsent_bytes: int
    framing_errors: int
    leds: int


def board_plan(package: BoardPackage) -> BuildPlan:
    """How the model of a board is built."""
    sources = tuple(
        CELLS / path.name if (CELLS / path.name).is_file() else path for path in package.sources
    )
    return BuildPlan(
        top_name=package.top_name,
        sources=sources,
        verilator_flags=(*VERILATOR_FLAGS, "--no-assert"),
        defines=("PHY_BOARD_RESET",) if package.board.reset is not None else (),
        runtime=("verilated", "verilated_threads", "verilated_dpi"),
        harness=HARNESS,
    )


def build_board(package: BoardPackage, out_dir: Path, jobs: int = 2) -> Path:
    """Build the model of a board in ``out_dir``, or find it there; returns the library.

    Raises:
        ToolMissingError: Verilator, g++ or make is not there.
        ToolError: one of them failed.
        ConfigError: the package's Verilog reaches out of the simulation.
    """
    plan = board_plan(package)
    folder = out_dir / f"board-{plan_key(plan)}"
    build_library(plan, folder, jobs)
    return (folder / LIBRARY).resolve()


class BoardModel:
    """One simulated board after power-up.

    host_error: how much faster than the nominal rate the host's side sends and samples (0.02: 2 %).
    """

    def __init__(
        self, library: Path, package: BoardPackage, *, host_error: float = 0.0, seed: int = 1
    ) -> None:
        self._lib = load_library(library)
        self._lib.board_open.restype = ctypes.c_void_p
        self._lib.board_error.restype = ctypes.c_char_p
        self._lib.board_receive.restype = ctypes.c_int64
        self.bit_cycles = package.clock_hz / package.baud
        text = ctypes.create_string_buffer(1000)
        bit = ctypes.c_double(self.bit_cycles / (1.0 + host_error))
        with _working_folder(package.data_files[0].parent):
            handle = self._lib.board_open(
                bit, bit, ctypes.c_uint64(seed), text, ctypes.c_int64(1000)
            )
        self._handle = ctypes.c_void_p(handle)
        if not self._handle:
            raise ToolError(f"the board does not start: {text.value.decode(errors='replace')}")

    def close(self) -> None:
        """Free the model."""
        if self._handle:
            self._lib.board_close(self._handle)
            self._handle = ctypes.c_void_p()

    def attach(self, descriptor: int) -> None:
        """Bytes come from and go to this file descriptor, which must not block."""
        self._lib.board_attach(self._handle, ctypes.c_int(descriptor))

    def run(self, cycles: int) -> None:
        """Go on for so many cycles.

        Raises:
            ToolError: the design stopped itself.
        """
        if self._lib.board_run(self._handle, ctypes.c_int64(cycles)) != 0:
            text = self._lib.board_error(self._handle).decode(errors="replace")
            raise ToolError(f"the simulated board stopped: {text}")

    def wait(self, milliseconds: int) -> bool:
        """Wait for a byte at the attached descriptor."""
        return bool(self._lib.board_wait(self._handle, ctypes.c_int(milliseconds)))

    def send(self, data: bytes) -> None:
        """Put bytes on the line, after those that wait already."""
        self._lib.board_send(self._handle, data, ctypes.c_int64(len(data)))

    def receive(self) -> bytes:
        """Bytes that came from the board and were not taken yet."""
        parts = []
        buffer = (ctypes.c_uint8 * 65536)()
        while count := int(self._lib.board_receive(self._handle, buffer, ctypes.c_int64(65536))):
            parts.append(bytes(buffer[:count]))
        return b"".join(parts)

    def press_reset(self, *, pressed: bool) -> None:
        """Hold or release the reset button, on a board that has one."""
        self._lib.board_reset(self._handle, ctypes.c_int(pressed))

    def state(self) -> BoardState:
        """Cycles, queues and lights now."""
        words = (ctypes.c_int64 * 5)()
        self._lib.board_state(self._handle, words)
        return BoardState(*words)


@contextlib.contextmanager
def _working_folder(folder: Path) -> Iterator[None]:
    """The design opens its memory files by plain name, once, when it starts."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)

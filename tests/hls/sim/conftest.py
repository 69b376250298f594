# SPDX-License-Identifier: Apache-2.0
"""A tiny hand-written accelerator, built once per session, for the tests of the simulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from hls.ir import Accelerator, Border, IntFormat, Layer, Stream
from hls.sim.verilate import SimBinary, Variant, build

RTL = Path(__file__).with_name("rtl")
ELEMS, BEATS, HOLD, BITS = 3, 4, 2, 7


@dataclass(frozen=True)
class Files:
    """What a stitcher would hand over."""

    top_name: str
    sources: tuple[Path, ...]
    data_files: tuple[Path, ...]


@dataclass(frozen=True)
class Toy:
    """The toy accelerator: its description, its files, its arithmetic."""

    accelerator: Accelerator
    files: Files
    table: np.ndarray

    def expected(self, codes: np.ndarray) -> np.ndarray:
        """What the RTL has to deliver, [n, elements]."""
        total = codes + self.table[None, :]
        return (total + 64) % 128 - 64

    def codes(self, frames: int, seed: int = 1) -> np.ndarray:
        """Random input frames."""
        return np.random.default_rng(seed).integers(-64, 64, (frames, ELEMS * BEATS))


@pytest.fixture(scope="session")
def toy_files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Toy]:
    """Makes the toy with fault number ``n`` (0: none)."""

    def make(fault: int) -> Toy:
        folder = tmp_path_factory.mktemp(f"toy{fault}")
        source = folder / "toy_top.sv"
        define = f"`define TOY_BREAK {fault}\n" if fault else ""
        source.write_text(define + (RTL / "toy_top.sv").read_text())
        table = np.arange(ELEMS * BEATS) * 5 % 23
        data = folder / "toy_table.dat"
        data.write_text("\n".join(f"{value:x}" for value in table) + "\n")
        fmt = IntFormat(BITS, signed=True)
        names = (("in", None, "first"), ("mid", "first", "second"), ("out", "second", None))
        streams = tuple(Stream(n, p, c, fmt, ELEMS, BEATS) for n, p, c in names)
        borders = [
            Border(name, (ELEMS * BEATS,), fmt, (1.0,), (0.0,), "codes") for name in ("in", "out")
        ]
        params = {"in_elems": ELEMS, "out_elems": ELEMS, "elem_bits": BITS}
        layers = tuple(  # no kind of ours adds a table; these only fill the description
            Layer(name, "dwc", "", (source,), (sink,), params)
            for name, source, sink in (("first", "in", "mid"), ("second", "mid", "out"))
        )
        accelerator = Accelerator("toy", layers, streams, borders[0], borders[1], clock_mhz=100.0)
        return Toy(accelerator, Files("toy_top", (source,), (data,)), table)

    return make


@pytest.fixture(scope="session")
def toy(toy_files: Callable[[int], Toy]) -> Toy:
    """The toy without a fault."""
    return toy_files(0)


@pytest.fixture(scope="session")
def toy_binary(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> SimBinary:
    """The toy's fast library."""
    return build(toy.files, toy.accelerator, tmp_path_factory.mktemp("sim"), variant=Variant.FAST)

# SPDX-License-Identifier: Apache-2.0
"""``python -m fpga_builds.eda.multipliers``: one layer with its multipliers in LUTs and in DSPs.

Synthesizes a dense layer (32 x 32, PE 4, SIMD 8: 32 multipliers) for several bit widths and
families, both ways, and prints the table of docs/synthesis.md. Takes some minutes.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fpga_builds.eda.synth import Synthesis, synthesize
from hls.devices import DEVICES, Device
from hls.extract import connect
from hls.ir import Accelerator, Border, IntFormat, Layer
from hls.stitch import write_rtl

SIZE, PE, SIMD = 32, 4, 8
LANES = PE * SIMD
WIDTHS = ((2, 4), (4, 4), (4, 8), (8, 8))
"""(weight bits, input bits)"""
PARTS = ("LFE5U-85F", "xc7z020", "xczu7ev")


@dataclass(frozen=True)
class Comparison:
    """The same layer both ways on one part."""

    part: Device
    weight_bits: int
    in_bits: int
    lut: Synthesis
    dsp: Synthesis

    @property
    def luts_saved(self) -> float:
        """LUTs that one DSP block replaces."""
        return (self.lut.totals.lut - self.dsp.totals.lut) / LANES

    @property
    def luts_per_dsp(self) -> float:
        """LUTs that the part has for each of its DSP blocks."""
        return self.part.lut / self.part.dsp


def layer(weight_bits: int, in_bits: int, *, dsp: bool) -> Accelerator:
    """One dense layer with random weights; unsigned inputs, signed weights."""
    rng = np.random.default_rng(0)
    high = 1 << (weight_bits - 1)
    weights = rng.integers(-high + 1, high, (SIZE, SIZE))
    params = {
        **{"mat_w": SIZE, "mat_h": SIZE, "pe": PE, "simd": SIMD, "in_bits": in_bits},
        **{"in_signed": 0, "weight_bits": weight_bits, "weight_signed": 1},
        **{"acc_bits": weight_bits + in_bits + SIZE.bit_length() - 1, "dsp": int(dsp)},
    }
    border = Border("", (SIZE,), IntFormat(in_bits, signed=False), (1.0,), (0.0,), "codes")
    item = Layer("unit", "mvau", "unit", (), (), params, {"weights": weights})
    return connect("unit", [item], (border, border), 100.0, {})


def compare(part: Device, weight_bits: int, in_bits: int, folder: Path) -> Comparison:
    """Synthesize both ways."""
    results = []
    for dsp in (False, True):
        place = folder / f"{part.name}_{weight_bits}_{in_bits}_{dsp}"
        rtl = write_rtl(layer(weight_bits, in_bits, dsp=dsp), place)
        results.append(synthesize(rtl, part, place / "synth"))
    return Comparison(part, weight_bits, in_bits, results[0], results[1])


def row(item: Comparison) -> str:
    """A line of the Markdown table."""
    lut, dsp = item.lut.totals, item.dsp.totals
    return (
        f"| {item.weight_bits} x {item.in_bits} | {item.part.name} | {lut.lut:,} / {lut.ff:,} | "
        f"{dsp.lut:,} / {dsp.ff:,} / {dsp.dsp} | {item.luts_saved:.0f} | {item.luts_per_dsp:.0f} |"
    )


HEAD = (
    "| weight x input bits | part | in LUTs: LUT / FF | in DSPs: LUT / FF / DSP | "
    "LUTs saved per DSP | LUTs per DSP on the part |\n|---|---|---|---|---|---|"
)


def main() -> None:
    """Print the table, a line as soon as it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        sys.stdout.write(HEAD + "\n")
        for weight_bits, in_bits in WIDTHS:
            for name in PARTS:
                sys.stdout.write(row(compare(DEVICES[name], weight_bits, in_bits, Path(folder))))
                sys.stdout.write("\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What the cost models of `hls.costs` are made of: memories, multiplexers, fitted constants."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from hls.cycle_terms import FIFO_BLOCK_DEPTH, rom_blocks, rom_regs, rom_rows
from hls.devices import Device

LUT_PRICE = {"ecp5": 16.0, "xc7": 65.3, "xcup": 65.3}
"""ROM bits in LUTs that Yosys takes for 1 while 18 kbit of block RAM cost 128. On AMD parts it says
64; the edge that was measured lies 2 % above."""
BLOCK_BITS = 18_432


@dataclass(frozen=True)
class Fitted:
    """What is fitted for a family; the rest is counted from the RTL."""

    multiply: tuple[float, float, float]
    """LUTs of a w x multiplier: factors of w x, of w + x, and 1."""
    add: float
    """LUTs per bit of a node of the adder tree behind multipliers in LUTs."""
    dsp_add: float
    """LUTs per bit of each adder of the tree behind DSP blocks."""
    chain: int
    """LUTs that a carry chain costs beside its bits."""
    gather: float
    """LUTs of choosing an input of a sparse unit, relative to plain multiplexers."""
    control: int
    """LUTs of counters and handshakes of a matrix unit; half of it for other layers."""


FITTED: Mapping[str, Fitted] = {
    "ecp5": Fitted((2.34, 1.32, 0.0), 1.81, 1.19, 4, 1.0, 160),
    "xc7": Fitted((1.85, 0.4, -8.2), 1.5, 1.0, 0, 1.0, 80),
    "xcup": Fitted((1.85, 0.4, -8.2), 1.5, 1.0, 0, 1.0, 80),
}

Params = Mapping[str, int]


@dataclass(frozen=True)
class Cost:
    """Resources; LUT and FF are estimates, rounded to integers."""

    lut: int = 0
    ff: int = 0
    bram18: int = 0
    dsp: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.lut + other.lut,
            self.ff + other.ff,
            self.bram18 + other.bram18,
            self.dsp + other.dsp,
        )

    def fits(self, part: Device, fraction: float = 1.0) -> bool:
        """True if this is at most ``fraction`` of every resource of the device."""
        return (
            self.lut <= part.lut * fraction
            and self.ff <= part.ff * fraction
            and self.bram18 <= part.bram18 * fraction
            and self.dsp <= part.dsp * fraction
        )


def multiplier_luts(weight_bits: int, in_bits: int, part: Device) -> float:
    """LUTs of one multiplier and its share of the adder tree."""
    w, x = weight_bits, in_bits
    area, edge, base = FITTED[part.family].multiply
    return max(area * w * x + edge * (w + x) + base, 2.0)


def gather_luts(block: int, in_bits: int, part: Device) -> float:
    """LUTs that choose one of ``block`` inputs: two LUT4 choose one of four, as does one LUT6."""
    return choose_luts(block, part) * in_bits


def choose_luts(inputs: int, part: Device) -> int:
    """LUTs of a multiplexer of one bit."""
    return ceil((inputs - 1) / 3 * (2 if part.family == "ecp5" else 1))


def tree_bits(values: int, product_bits: int, sum_bits: int) -> int:
    """Registers of the tree of four-input adders over ``values`` products."""
    bits, level = 0, 0
    while values > 1:
        values, level = ceil(values / 4), level + 1
        bits += values * min(sum_bits, product_bits + 2 * level)
    return bits


def tree_adders(values: int, product_bits: int, sum_bits: int) -> tuple[int, int]:
    """(adders, their bits) of the same tree: ``values`` - 1 of them, wider from level to level."""
    adders, bits, level = 0, 0, 0
    while values > 1:
        nodes, level = ceil(values / 4), level + 1
        adders += values - nodes
        bits += (values - nodes) * min(sum_bits, product_bits + 2 * level)
        values = nodes
    return adders, bits


def memory_bit_luts(part: Device) -> float:
    """Price of a bit of block RAM in LUTs, at the device's own ratio."""
    return part.lut / (part.bram18 * BLOCK_BITS)


def memory(depth: int, width: int, part: Device) -> Cost:
    """A ROM (phy_rom) of ``depth`` words of ``width`` bits, its registers included.

    On ECP5 the first two registers are the block's own; on AMD only the first one is. In LUTs, all
    of them are flip-flops.
    """
    lattice, regs = part.family == "ecp5", rom_regs(depth)
    rows = rom_rows(depth, width)
    words = ceil(depth / rows)
    blocks = rom_blocks(rows, words * width)
    price = 128 * blocks + (0 if lattice else 1)
    if depth * width > LUT_PRICE[part.family] * price:
        chosen = width * choose_luts(words, part) if words > 1 else 0
        which = 2 * (words - 1).bit_length()
        ff = (width if regs == 3 else 0) + which
        return Cost(chosen, ff + (0 if lattice or regs == 1 else words * width), blocks)
    leaves = ceil(depth / (16 if lattice else 64))
    # On AMD, MUXF7 and MUXF8 choose, and there are as many LUT6 as a full table has.
    full = 1 << (leaves - 1).bit_length()
    per_bit = leaves + choose_luts(leaves, part) if lattice else full
    return Cost(lut=width * per_bit, ff=width * regs)


def lut_memory(depth: int, width: int, part: Device) -> Cost:
    """A RAM in LUTs that is written and read at once; no register behind it."""
    if part.family == "ecp5":
        banks = ceil(depth / 16)
        return Cost(lut=6 * banks * ceil(width / 4) + width * choose_luts(banks, part))
    deep = depth > 32
    banks = ceil(depth / (64 if deep else 32))
    per_word = ceil(width / 3) * 4 if deep else ceil(width / 6) * 4
    return Cost(lut=banks * per_word + width * choose_luts(banks, part))


def line_memory(depth: int, width: int, part: Device) -> Cost:
    """A line buffer (phy_line), the register that it is read into included."""
    if depth > FIFO_BLOCK_DEPTH:
        return Cost(bram18=ram_blocks(depth, width))
    return lut_memory(depth, width, part) + Cost(ff=width)


def ram_blocks(depth: int, width: int) -> int:
    """Blocks of 18 kbit of a RAM that is written and read at once."""
    return rom_blocks(depth, width) if depth <= 16384 else width * ceil(depth / 16384)

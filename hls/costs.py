# SPDX-License-Identifier: Apache-2.0
"""What a layer costs on a device: LUT, FF, BRAM18, DSP, before any synthesis.

Most of it is counted from what the RTL instantiates: registers, ROMs in the shapes of phy_rom,
buffers in distributed RAM, nodes of the adder tree, multiplexers. A few constants per family
(`FITTED`) say what a multiplier, a bit of an adder and the control need in LUTs. What counts as a
LUT is what `fpga_builds.eda.stat` counts, carry chains of ECP5 included. With the multiplier in a
DSP block (``dsp`` in a layer's parameters) its LUTs and its register are gone.

ROMs go to block RAM where Yosys' prices put them (ECP5: above 1/9 of the blocks' bits; AMD: above
45 %), others to LUTs. A layer kind without a model raises: nothing is free. ``docs/costs.md`` says
what was measured and how near the model comes; ``tests/hls/test_costs_synthesis.py`` holds it to
that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from hls.cycles import rom_blocks, rom_regs, rom_rows, tree_levels
from hls.devices import Device
from hls.ir import Accelerator, Layer, Stream
from models.errors import CompileError

LUT_PRICE = {"ecp5": 16.0, "xc7": 65.3, "xcup": 65.3}
"""ROM bits in LUTs that Yosys takes for 1 while 18 kbit of block RAM cost 128. On AMD parts it says
64; the edge that was measured lies 2 % above."""
BLOCK_BITS = 18_432
FIFO_BLOCK_DEPTH = 64


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


def layer_cost(layer: Layer, part: Device) -> Cost:
    """Estimated cost of one layer, its memories included.

    Raises:
        CompileError: there is no model for this kind of layer.
    """
    return kind_cost(layer.kind, layer.params, part, layer.name)


def kind_cost(kind: str, params: Params, part: Device, name: str = "layer") -> Cost:
    """Estimated cost from a layer's kind and parameters."""
    model = MODELS.get(kind)
    if model is None:
        raise CompileError(
            f"{name}: no cost model for layer kind {kind!r}; known: {', '.join(MODELS)}",
            hint="add one to hls/costs.py: a missing model would make the layer look free",
        )
    return model(params, part)


def stream_cost(stream: Stream, part: Device) -> Cost:
    """Cost of the FIFO in a stream; nothing for a wire (depth 0)."""
    if stream.fifo_depth == 0:
        return Cost()
    depth, width = stream.fifo_depth, stream.payload_bits
    counters = 3 * depth.bit_length() + 1
    control = Cost(lut=(4 if part.family == "ecp5" else 2) * counters, ff=counters)
    if depth > FIFO_BLOCK_DEPTH:
        blocks = rom_blocks(depth, width) if depth <= 16384 else width * ceil(depth / 16384)
        return control + Cost(bram18=blocks)
    return control + lut_memory(depth, width, part)


def accelerator_cost(acc: Accelerator, part: Device) -> Cost:
    """Sum over layers and streams."""
    total = Cost()
    for layer in acc.layers:
        total += layer_cost(layer, part)
    for stream in acc.streams:
        total += stream_cost(stream, part)
    return total


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


def _mvau(p: Params, part: Device) -> Cost:
    per_row = p["simd"]
    return _product(p, part, per_row, p["pe"] * per_row * p["weight_bits"], 0)


def _mvau_sparse(p: Params, part: Device) -> Cost:
    per_row = p["simd"] // p["block"] * p["nnz"]
    index_bits = max(1, (p["block"] - 1).bit_length())
    lanes = p["pe"] * per_row
    cost = _product(p, part, per_row, lanes * (p["weight_bits"] + index_bits), 1)
    select = gather_luts(p["block"], p["in_bits"], part) * FITTED[part.family].gather
    registers = lanes * (p["in_bits"] + p["weight_bits"])
    return cost + Cost(lut=round(lanes * select), ff=registers)


def _product(p: Params, part: Device, per_row: int, word_bits: int, wait: int) -> Cost:
    """The matrix unit around the products: ``per_row`` multipliers per row, ``wait`` registers."""
    fitted, in_dsp = FITTED[part.family], bool(p.get("dsp"))
    beats, folds, pe = p["mat_w"] // p["simd"], p["mat_h"] // p["pe"], p["pe"]
    lanes, steps, x_bits = pe * per_row, beats * folds, p["simd"] * p["in_bits"]
    product_bits, acc_bits = p["weight_bits"] + p["in_bits"], p["acc_bits"]
    tree = pe * tree_bits(per_row, product_bits, acc_bits)
    latency = wait + rom_regs(steps) + 1 + tree_levels(per_row)
    if in_dsp:
        adders, bits = tree_adders(per_row, product_bits, acc_bits)
        compute = pe * (fitted.dsp_add * bits + fitted.chain * adders)
    else:
        multiply = multiplier_luts(p["weight_bits"], p["in_bits"], part)
        compute = lanes * multiply + fitted.add * tree
    control = 3 * latency + 4 * (2 * beats).bit_length() + 2 * steps.bit_length() + 20
    logic = Cost(
        lut=round(compute + pe * (acc_bits + fitted.chain)),
        ff=lanes * (0 if in_dsp else product_bits) + tree + pe * acc_bits + control,
        dsp=lanes if in_dsp else 0,
    )
    held = lut_memory(2 * beats, x_bits, part) + Cost(ff=x_bits * rom_regs(steps))
    out = lut_memory(ceil((latency + 3) / beats) + 1, pe * acc_bits, part)
    rest = Cost(lut=fitted.control)
    return memory(steps, word_bits, part) + held + logic + out + rest


def _thresholding(p: Params, part: Device) -> Cost:
    fitted = FITTED[part.family]
    folds, pe, width = p["channels"] // p["pe"], p["pe"], p["in_bits"] + 1
    stages, latency = p["steps"].bit_length(), 2
    word_bits = pe * p["in_bits"] + (folds - 1).bit_length()
    total = Cost(lut=fitted.control // 5, ff=20 + word_bits)
    for stage in range(stages):
        regs = rom_regs(folds << stage)
        latency += 1 + regs
        one = memory(folds << stage, width, part)
        per_bit = 3 if stage and part.family == "ecp5" else 1
        compare = Cost(lut=width * per_bit + fitted.chain, ff=stage * regs + stage + 1)
        total += Cost(ff=word_bits * (regs + (stage + 1 < stages)))
        for _ in range(pe):
            total = total + one + compare
    return total + lut_memory(latency + 2, pe * p["out_bits"], part)


def _requant(p: Params, part: Device) -> Cost:
    fitted = FITTED[part.family]
    folds, pe = p["channels"] // p["pe"], p["pe"]
    regs = rom_regs(folds)
    sum_bits = max(p["in_bits"] + p["mul_bits"], p["add_bits"], p["shift"] + 1) + 1
    int_bits = max(sum_bits - p["shift"] + 1, p["out_bits"] + 2)
    factor = p["mul_bits"] - 1  # of the never negative factor
    multiply = 0.0 if factor <= 1 else multiplier_luts(factor, p["in_bits"], part)
    product = p["in_bits"] + factor
    value = sum_bits + int_bits + p["shift"] / 3 + 2 * p["out_bits"]
    lane = Cost(
        lut=round(multiply + value + 3 * fitted.chain),
        ff=product + p["add_bits"] + sum_bits + int_bits + p["out_bits"],
    )
    total = memory(folds, pe * (factor + p["add_bits"]), part)
    total += Cost(lut=fitted.control // 2, ff=30 + regs * pe * p["in_bits"])
    for _ in range(pe):
        total = total + lane
    return total + lut_memory(regs + 7, pe * p["out_bits"], part)


def _dwc(p: Params, part: Device) -> Cost:
    if p["in_elems"] == p["out_elems"]:
        return Cost()
    wide = max(p["in_elems"], p["out_elems"])
    bits = wide * p["elem_bits"]
    ratio = wide // min(p["in_elems"], p["out_elems"])
    if p["in_elems"] < p["out_elems"]:  # a shift register and its copy
        return Cost(lut=12, ff=2 * bits - bits // ratio + (ratio - 1).bit_length() + 1)
    return Cost(lut=bits + 10, ff=bits + ratio.bit_length())


MODELS: dict[str, Callable[[Params, Device], Cost]] = {
    "mvau": _mvau,
    "mvau_sparse": _mvau_sparse,
    "thresholding": _thresholding,
    "requant": _requant,
    "dwc": _dwc,
}

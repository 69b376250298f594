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

from collections.abc import Callable
from math import ceil

from hls.cost_terms import (
    FITTED,
    Cost,
    Params,
    gather_luts,
    lut_memory,
    memory,
    multiplier_luts,
    ram_blocks,
    tree_adders,
    tree_bits,
)
from hls.cycle_terms import FIFO_BLOCK_DEPTH, rom_regs, tree_levels
from hls.devices import Device
from hls.image_costs import IMAGE_MODELS
from hls.ir import Accelerator, Layer, Stream
from models.errors import CompileError

__all__ = [
    "MODELS",
    "Cost",
    "accelerator_cost",
    "kind_cost",
    "layer_cost",
    "memory",
    "multiplier_luts",
    "stream_cost",
]


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
        return control + Cost(bram18=ram_blocks(depth, width))
    return control + lut_memory(depth, width, part)


def accelerator_cost(acc: Accelerator, part: Device) -> Cost:
    """Sum over layers and streams."""
    total = Cost()
    for layer in acc.layers:
        total += layer_cost(layer, part)
    for stream in acc.streams:
        total += stream_cost(stream, part)
    return total


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
    **IMAGE_MODELS,
}

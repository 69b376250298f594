# SPDX-License-Identifier: Apache-2.0
"""What a layer costs on a device: LUT, FF, BRAM18, DSP, before any synthesis.

The figures per multiplier are fitted to synthesized dot products of 16 (Yosys, no DSP), with w and
x the bits of weight and input:

    ECP5, LUT4:  2.17 w x + 2.0 (w + x) - 3.7     8x8 167, 4x4 47, 2x4 26, 2x2 13
    AMD, LUT6:   1.75 w x + 0.25 (w + x) + 1      8x8 117, 4x4 31, 2x4 16, 2x2 9

adders included; enables, folding and buffering add 2.4 w. With the multiplier in a DSP block
(``dsp`` in a layer's parameters) 8 LUTs of the adders are left, and no product register. Memories
go to block RAM where the tools put them (ECP5: from 14 % of the blocks' bits on; AMD: from 256
words), others to LUTs (16 bits per LUT4, 64 per LUT6). A layer kind without a model raises: nothing
is free. Synthesized layers differ by up to a third (``tests/hls/test_costs_synthesis.py`` holds the
model to that).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

from hls.devices import Device
from hls.ir import Accelerator, Layer, Stream
from models.errors import CompileError

ROM_BLOCK_DEPTH = 256
ECP5_BLOCK_FILL = 0.14
BLOCK_BITS = 18_432
FIFO_BLOCK_DEPTH = 64
DSP_LANE_LUTS = 8.0
BLOCK_SHAPES = ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2), (16384, 1))

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
    store = memory if stream.fifo_depth > FIFO_BLOCK_DEPTH else lut_memory
    cost = store(stream.fifo_depth, stream.payload_bits, part)
    return cost + Cost(lut=20, ff=stream.payload_bits + 16)


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
    if part.family == "ecp5":
        return max(2.17 * w * x + 2.0 * (w + x) - 3.7, 4.0)
    return max(1.75 * w * x + 0.25 * (w + x) + 1.0, 2.0)


def gather_luts(block: int, in_bits: int, part: Device) -> float:
    """LUTs that choose one of ``block`` inputs: two LUT4 choose one of four, as does one LUT6."""
    per_four = 2 if part.family == "ecp5" else 1
    return ceil((block - 1) / 3 * per_four) * in_bits


def memory_bit_luts(part: Device) -> float:
    """Price of a bit of block RAM in LUTs, at the device's own ratio."""
    return part.lut / (part.bram18 * BLOCK_BITS)


def memory(depth: int, width: int, part: Device) -> Cost:
    """A ROM of ``depth`` words of ``width`` bits, in block RAM or LUTs as synthesis decides."""
    blocks = min(ceil(depth / d) * ceil(width / w) for d, w in BLOCK_SHAPES)
    filled = depth * width / (blocks * BLOCK_BITS)
    if depth >= ROM_BLOCK_DEPTH or (part.family == "ecp5" and filled >= ECP5_BLOCK_FILL):
        return Cost(bram18=blocks)
    return lut_memory(depth, width, part)


def lut_memory(depth: int, width: int, part: Device) -> Cost:
    """A memory in LUTs."""
    per_lut = 16 if part.family == "ecp5" else 64
    return Cost(lut=width * ceil(depth / per_lut), ff=width)


def _mvau(p: Params, part: Device) -> Cost:
    lanes = p["pe"] * p["simd"]
    return _product(p, part, lanes, p["pe"] * p["simd"] * p["weight_bits"])


def _mvau_sparse(p: Params, part: Device) -> Cost:
    per_row = p["simd"] // p["block"] * p["nnz"]
    index_bits = max(1, (p["block"] - 1).bit_length())
    lanes = p["pe"] * per_row
    cost = _product(p, part, lanes, lanes * (p["weight_bits"] + index_bits))
    select = gather_luts(p["block"], p["in_bits"], part)
    return cost + Cost(lut=round(lanes * select), ff=2 * lanes * p["in_bits"])


def _product(p: Params, part: Device, lanes: int, word_bits: int) -> Cost:
    depth = p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"])
    weights = memory(depth, word_bits, part)
    buffer = lut_memory(2 * p["mat_w"] // p["simd"], p["simd"] * p["in_bits"], part)
    product_bits = p["weight_bits"] + p["in_bits"]
    in_dsp = bool(p.get("dsp"))
    multiply = DSP_LANE_LUTS
    if not in_dsp:
        multiply = multiplier_luts(p["weight_bits"], p["in_bits"], part)
    registers = 0.15 if in_dsp else 1.15
    logic = Cost(
        lut=round(lanes * (multiply + 2.4 * p["weight_bits"]) + 2 * p["pe"] * p["acc_bits"] + 60),
        ff=round(lanes * product_bits * registers + 3 * p["pe"] * p["acc_bits"] + word_bits + 60),
        dsp=lanes if in_dsp else 0,
    )
    return weights + buffer + logic


def _thresholding(p: Params, part: Device) -> Cost:
    folds, width = p["channels"] // p["pe"], p["in_bits"] + 1
    stages = p["steps"].bit_length()
    total = Cost(lut=40, ff=40)
    for stage in range(stages):
        one = memory(folds << stage, width, part)
        compare = Cost(lut=2 * width, ff=4 * p["in_bits"])
        for _ in range(p["pe"]):
            total = total + one + compare
    return total


def _requant(p: Params, part: Device) -> Cost:
    folds = p["channels"] // p["pe"]
    value_bits = max(p["in_bits"] + p["mul_bits"] - 1, p["add_bits"]) + 1
    factor = p["mul_bits"] - 1  # of the never negative factor
    multiply = 0.0 if factor <= 1 else multiplier_luts(factor, p["in_bits"], part)
    lane = Cost(lut=round(multiply + 2 * value_bits + 2 * p["out_bits"]), ff=5 * value_bits)
    total = memory(folds, p["pe"] * (p["mul_bits"] + p["add_bits"]), part) + Cost(lut=40, ff=40)
    for _ in range(p["pe"]):
        total = total + lane
    return total


def _dwc(p: Params, part: Device) -> Cost:
    if p["in_elems"] == p["out_elems"]:
        return Cost()
    bits = max(p["in_elems"], p["out_elems"]) * p["elem_bits"]
    if p["in_elems"] < p["out_elems"]:
        return Cost(lut=16, ff=2 * bits)  # a shift register and its copy
    return Cost(lut=bits + 10, ff=bits + 10)


MODELS: dict[str, Callable[[Params, Device], Cost]] = {
    "mvau": _mvau,
    "mvau_sparse": _mvau_sparse,
    "thresholding": _thresholding,
    "requant": _requant,
    "dwc": _dwc,
}

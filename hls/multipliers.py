# SPDX-License-Identifier: Apache-2.0
"""Which layers have their multipliers in DSP blocks.

A multiplier of up to 4 bits costs far fewer LUTs than a part has for each of its DSP blocks, so it
stays in LUTs; a multiplier of more bits on both sides goes to a DSP block as long as there are
enough. ``docs/synthesis.md`` has the measurements.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hls.devices import Device
from hls.ir import Accelerator, Layer
from models.errors import CompileError

Multipliers = Literal["auto", "lut", "dsp"]
MATRIX = ("mvau", "mvau_sparse")
LUT_BITS = 4
"""Multipliers with an operand of so many bits or fewer stay in LUTs."""
DSP_BITS = 18
"""Operands of a DSP block, signed, on every family."""


def multiplier_count(layer: Layer) -> int:
    """Multipliers of a matrix layer; 0 of any other."""
    p = layer.params
    if layer.kind == "mvau_sparse":
        return p["pe"] * (p["simd"] // p["block"]) * p["nnz"]
    return p["pe"] * p["simd"] if layer.kind == "mvau" else 0


def assign_multipliers(
    acc: Accelerator, part: Device, where: Multipliers, fraction: float = 1.0
) -> Accelerator:
    """``acc`` with ``dsp`` set in the layers whose multipliers go to DSP blocks.

    Args:
        acc: folded; FIFO depths stay.
        part: has the DSP blocks.
        where: "lut": none; "dsp": all; "auto": whole layers of more than 4 bits, those with the
            most multipliers first, as long as the part has blocks for them.
        fraction: of the part's DSP blocks that "auto" may use, 0 to 1.

    Raises:
        CompileError: "dsp", and the part has too few, or operands are too wide.
    """
    chosen = _all(acc, part) if where == "dsp" else set()
    if where == "auto":
        chosen = _largest(acc, int(part.dsp * fraction))
    return replace(acc, layers=tuple(_with_dsp(la, la.name in chosen) for la in acc.layers))


def _with_dsp(layer: Layer, wanted: bool) -> Layer:
    kept = {key: value for key, value in layer.params.items() if key != "dsp"}
    return replace(layer, params={**kept, "dsp": 1} if wanted else kept)


def _widths(layer: Layer) -> tuple[int, int]:
    """Bits of both operands as signed numbers."""
    p = layer.params
    return (
        p["weight_bits"] + (0 if p["weight_signed"] else 1),
        p["in_bits"] + (0 if p["in_signed"] else 1),
    )


def _all(acc: Accelerator, part: Device) -> set[str]:
    layers = [layer for layer in acc.layers if layer.kind in MATRIX]
    for layer in layers:
        if max(_widths(layer)) > DSP_BITS:
            raise CompileError(
                f"{layer.name}: operands of {_widths(layer)} bits do not fit a DSP block "
                f"({DSP_BITS} bits, signed)",
                hint="set compile.multipliers to lut or auto",
            )
    need = sum(multiplier_count(layer) for layer in layers)
    if need > part.dsp:
        raise CompileError(
            f"compile.multipliers = 'dsp': {need} multipliers, but {part.name} has {part.dsp} DSP "
            "blocks",
            hint="choose a slower folding, a larger part, or compile.multipliers = 'auto'",
        )
    return {layer.name for layer in layers}


def _largest(acc: Accelerator, free: int) -> set[str]:
    chosen: set[str] = set()
    for layer in sorted(acc.layers, key=multiplier_count, reverse=True):
        count = multiplier_count(layer)
        if layer.kind not in MATRIX or not 0 < count <= free:
            continue
        narrow = min(layer.params["weight_bits"], layer.params["in_bits"]) <= LUT_BITS
        if narrow or max(_widths(layer)) > DSP_BITS:
            continue
        chosen.add(layer.name)
        free -= count
    return chosen

# SPDX-License-Identifier: Apache-2.0
"""The terms of the cycle model: latencies, depths and spacings that follow from parameters alone.

The functions mirror ``hls/rtl`` (widths: ``phy_pkg.sv``; latencies: the header of each kernel).
"""

from __future__ import annotations

from collections.abc import Mapping

from hls.image_cycles import IMAGE_LATENCY
from hls.ir import MATRIX_KINDS, Layer

ROM_BLOCK_DEPTH = 64
ROM_ROW_DEPTH = 512
ROM_ROW_WORDS = 8
FIFO_BLOCK_DEPTH = 64
"""Up to this depth a phy_fifo lies in LUT RAM, deeper ones in block RAM."""


def tree_levels(values: int) -> int:
    """Levels of registered four-input adders that sum ``values`` numbers."""
    levels = 0
    while values > 1:
        values = -(-values // 4)
        levels += 1
    return levels


def rom_regs(depth: int) -> int:
    """Registers behind a ROM of that depth [word]."""
    if depth > ROM_ROW_DEPTH:
        return 3
    return 2 if depth >= ROM_BLOCK_DEPTH else 1


def rom_blocks(depth: int, width: int) -> int:
    """Blocks of 18 kbit side by side that hold ``depth`` <= 16384 words of ``width`` bits."""
    for rows, bits in ((512, 36), (1024, 18), (2048, 9), (4096, 4), (8192, 2)):
        if depth <= rows:
            return -(-width // bits)
    return width


def rom_rows(depth: int, width: int) -> int:
    """Rows of a ROM of ``depth`` words of ``width`` bits; a row holds ceil(depth / rows) words."""
    if depth <= ROM_ROW_DEPTH:
        return depth
    best, least = 16384, 0
    for rows in (16384, 8192, 4096, 2048, 1024, 512):
        words = -(-depth // rows)
        blocks = rom_blocks(rows, width * words)
        if words <= ROM_ROW_WORDS and (least == 0 or blocks < least):
            best, least = rows, blocks
    return min(best, depth)


def fifo_latency(depth: int) -> int:
    """Cycles through an empty FIFO; 0 for a wire (depth 0)."""
    return 0 if depth == 0 else 1 + (depth > FIFO_BLOCK_DEPTH)


def fifo_spacing(depth: int) -> int:
    """Cycles between the beats that a FIFO can carry: one place is filled or emptied, not both."""
    return 2 if depth == 1 else 1


def window_rows(params: Mapping[str, int]) -> int:
    """Rows of the line buffer of a window; see phy_window_pkg.sv."""
    p = params
    h, w, kh, kw = p["height"], p["width"], p["kernel_h"], p["kernel_w"]
    done = max(w + p["pad_right"] - kw, 0)
    first = min(kw - p["pad_left"], w)
    above = min(kh - p["pad_top"], h) - 1
    most = max((min(kh, h) - 1) * w + min(kw + 1, w), kh * w + first - done)
    if h + p["pad_bottom"] >= kh:
        most = max(most, (kh - p["pad_bottom"] + above) * w + first - done)
    else:
        most = max(most, (h + above) * w + first)
    return -(-most // w)


def pipeline_latency(layer: Layer) -> int:
    """Cycles from taking a beat to offering the result that waited for it, in an idle layer."""
    p = layer.params
    if layer.kind in MATRIX_KINDS:
        steps = p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"])
        if layer.kind == "mvau":
            return 4 + rom_regs(steps) + tree_levels(p["simd"])
        return 5 + rom_regs(steps) + tree_levels(p["simd"] // p["block"] * p["nnz"])
    if layer.kind == "thresholding":
        folds = p["channels"] // p["pe"]
        return 2 + sum(1 + rom_regs(folds << s) for s in range(p["steps"].bit_length()))
    if layer.kind == "requant":
        return 5 + rom_regs(p["channels"] // p["pe"])
    if layer.kind == "dwc":
        return 0 if p["in_elems"] == p["out_elems"] else 1
    return IMAGE_LATENCY[layer.kind]

# SPDX-License-Identifier: Apache-2.0
"""Memory files of the kernels: integer arrays of a layer as $readmemh text.

Every file holds one hexadecimal row per line, row 0 first, no addresses. What a row holds is stated
in ``hls/rtl/phy_rom.sv`` (one word, several in deep memories), what a word holds at the top of the
kernel that reads it (``hls/rtl/phy_*.sv``).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from hls.cycle_terms import rom_rows
from hls.ir import IntArray, IntFormat, Layer
from models.errors import CompileError


def memory_files(layer: Layer) -> dict[str, str]:
    """File name -> content of every memory of ``layer``; empty for a kind without memories."""
    if layer.kind == "mvau":
        return {f"{layer.name}_weights.dat": dense_weights(layer)}
    if layer.kind == "mvau_sparse":
        return {f"{layer.name}_weights.dat": sparse_weights(layer)}
    if layer.kind == "thresholding":
        return threshold_files(layer)
    if layer.kind == "requant":
        return {f"{layer.name}_params.dat": requant_params(layer)}
    return {}


def hex_words(values: npt.ArrayLike, bits: int) -> str:
    """Words of ``values`` [words, fields], two's complement, field 0 in the lowest bits.

    bits: width of a field [bit], 1 to 64.
    """
    array = np.asarray(values, dtype=np.int64)
    words, fields = array.shape
    raw = np.ascontiguousarray(array).astype("<i8").view(np.uint8).reshape(words, fields, 8)
    lanes = np.unpackbits(raw, axis=2, bitorder="little")[:, :, :bits]
    packed = np.packbits(lanes.reshape(words, fields * bits), axis=1, bitorder="little")
    digits = (fields * bits + 3) // 4
    return "".join(f"{row.tobytes()[::-1].hex()[-digits:]}\n" for row in packed)


def rom_text(values: npt.ArrayLike, bits: int) -> str:
    """The file of a phy_rom with the words ``values`` [words, fields], `bits` per field.

    Words r, r + rows, r + 2 rows, ... share row r; places beyond the last word hold 0.
    """
    array = np.asarray(values, dtype=np.int64)
    words, fields = array.shape
    rows = rom_rows(words, fields * bits)
    per_row = -(-words // rows)
    padded = np.zeros((per_row * rows, fields), dtype=np.int64)
    padded[:words] = array
    in_rows = padded.reshape(per_row, rows, fields).transpose(1, 0, 2)
    return hex_words(in_rows.reshape(rows, per_row * fields), bits)


def fold(matrix: IntArray, pe: int, simd: int) -> IntArray:
    """[MatH, MatW] -> [MatH/pe * MatW/simd, pe, simd]: what a kernel reads in each step."""
    height, width = matrix.shape
    blocks = matrix.reshape(height // pe, pe, width // simd, simd)
    return blocks.transpose(0, 2, 1, 3).reshape(-1, pe, simd)


def dense_weights(layer: Layer) -> str:
    """The weight memory of an mvau."""
    p = layer.params
    weights = _weights(layer)
    return rom_text(
        fold(weights, p["pe"], p["simd"]).reshape(-1, p["pe"] * p["simd"]), p["weight_bits"]
    )


def sparse_weights(layer: Layer) -> str:
    """The weight memory of an mvau_sparse: words of (index, weight) pairs."""
    p = layer.params
    weights = _weights(layer)
    index, value = compress(layer.name, weights, p["block"], p["nnz"])
    index_bits = max(1, (p["block"] - 1).bit_length())
    pairs = (index << p["weight_bits"]) | (value & ((1 << p["weight_bits"]) - 1))
    per_beat = p["simd"] // p["block"] * p["nnz"]
    words = fold(pairs.reshape(p["mat_h"], -1), p["pe"], per_beat)
    return rom_text(words.reshape(len(words), -1), index_bits + p["weight_bits"])


def compress(name: str, weights: IntArray, block: int, nnz: int) -> tuple[IntArray, IntArray]:
    """Positions and values of the non-zeros of each block of columns.

    weights: [MatH, MatW]. Returns two arrays [MatH, MatW/block, nnz]; surplus places hold index 0
    and value 0. Raises CompileError if a block has more than ``nnz`` non-zeros.
    """
    height, width = weights.shape
    if width % block:
        raise CompileError(f"{name}: block={block} must divide mat_w={width}")
    blocks = weights.reshape(height, width // block, block)
    used = (blocks != 0).sum(axis=2)
    if used.max(initial=0) > nnz:
        row, col = np.unravel_index(int(used.argmax()), used.shape)
        raise CompileError(
            f"{name}: row {row}, columns {col * block} to {col * block + block - 1} have "
            f"{used.max()} non-zero weights: the block-balanced form allows {nnz}",
            hint="map the layer as a dense mvau, or prune it balanced",
        )
    order = np.argsort(blocks == 0, axis=2, kind="stable")[:, :, :nnz]
    value = np.take_along_axis(blocks, order, axis=2)
    return np.where(value != 0, order, 0).astype(np.int64), value


def threshold_files(layer: Layer) -> dict[str, str]:
    """One file per search stage and lane of a thresholding layer."""
    p = layer.params
    thresholds = layer.arrays["thresholds"]
    _shape(layer, "thresholds", (p["channels"], p["steps"]))
    if (np.diff(thresholds, axis=1) < 0).any():
        channel = int(np.argmax((np.diff(thresholds, axis=1) < 0).any(axis=1)))
        raise CompileError(f"{layer.name}: thresholds of channel {channel} must ascend")
    fmt = IntFormat(p["in_bits"], bool(p["in_signed"]))
    never = fmt.max + 1
    stages = p["steps"].bit_length()
    padded = np.full((p["channels"], (1 << stages) - 1), never, dtype=np.int64)
    padded[:, : p["steps"]] = np.clip(thresholds, fmt.min, never)
    table = padded.reshape(p["channels"] // p["pe"], p["pe"], -1)
    bits = threshold_bits(p)
    files = {}
    for stage in range(stages):
        half = 1 << (stages - stage - 1)
        nodes = table[:, :, half - 1 :: 2 * half]
        for lane in range(p["pe"]):
            name = f"{layer.name}_thresholds_s{stage:02}_p{lane:04}.dat"
            files[name] = rom_text(nodes[:, lane].reshape(-1, 1), bits)
    return files


def threshold_bits(params: Mapping[str, int]) -> int:
    """Width of a stored threshold [bit]: signed, holds every input and one more."""
    return params["in_bits"] + (1 if params["in_signed"] else 2)


def requant_params(layer: Layer) -> str:
    """The memory of a requant layer: per lane ``mul`` in the low bits, ``add`` above it."""
    p = layer.params
    for key, bits in (("mul", p["mul_bits"]), ("add", p["add_bits"])):
        _shape(layer, key, (p["channels"],))
        _fits(layer, key, IntFormat(bits, signed=True))
    lanes = []
    for key, bits in (("mul", p["mul_bits"]), ("add", p["add_bits"])):
        shifts = np.arange(bits)
        lanes.append((layer.arrays[key][:, None] >> shifts) & 1)
    bit_rows = np.concatenate(lanes, axis=1).reshape(p["channels"] // p["pe"], -1)
    return rom_text(bit_rows, 1)


def _weights(layer: Layer) -> IntArray:
    p = layer.params
    _shape(layer, "weights", (p["mat_h"], p["mat_w"]))
    _fits(layer, "weights", IntFormat(p["weight_bits"], bool(p["weight_signed"])))
    return layer.arrays["weights"]


def _shape(layer: Layer, key: str, shape: tuple[int, ...]) -> None:
    if key not in layer.arrays:
        raise CompileError(f"{layer.name}: a {layer.kind} needs the array {key!r}")
    if layer.arrays[key].shape != shape:
        raise CompileError(
            f"{layer.name}: {key} of shape {layer.arrays[key].shape}: must be {shape}"
        )


def _fits(layer: Layer, key: str, fmt: IntFormat) -> None:
    array = layer.arrays[key]
    if not fmt.allowed(array):
        raise CompileError(
            f"{layer.name}: {key} from {array.min()} to {array.max()} do not fit {fmt} "
            f"({fmt.min} to {fmt.max})"
        )

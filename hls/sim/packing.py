# SPDX-License-Identifier: Apache-2.0
"""Integer codes to stream beats and back, vectorised, for any element width.

A beat carries ``elems`` elements of ``bits`` bits, element 0 in the lowest bits, padded with zeros
to whole bytes; bytes are little-endian. This is the layout of every tdata of an accelerator.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from hls.ir import IntFormat

CHUNK_ELEMENTS = 1 << 20


def beat_bytes(bits: int, elems: int) -> int:
    """Bytes of one beat of ``elems`` elements of ``bits`` bits."""
    return (bits * elems + 7) // 8


def pack(codes: npt.NDArray[np.int64], fmt: IntFormat, elems: int) -> npt.NDArray[np.uint8]:
    """Codes [..., beats * elems] to beats [..., beats, bytes].

    Raises ValueError for a code outside ``fmt``.
    """
    if codes.shape[-1] % elems:
        raise ValueError(f"{codes.shape[-1]} elements are no whole number of beats of {elems}")
    if not fmt.allowed(codes):
        raise ValueError(
            f"codes from {codes.min()} to {codes.max()} do not fit {fmt} ({fmt.min} to {fmt.max})"
        )
    shape = (*codes.shape[:-1], codes.shape[-1] // elems)
    rows = np.ascontiguousarray(codes, dtype=np.int64).reshape(-1, elems)
    if fmt.bits in (8, 16, 32, 64):
        raw = rows.astype(f"<i{fmt.bits // 8}").view(np.uint8)
        return raw.reshape(*shape, beat_bytes(fmt.bits, elems))
    out = np.empty((len(rows), beat_bytes(fmt.bits, elems)), dtype=np.uint8)
    step = max(1, CHUNK_ELEMENTS // elems)
    for start in range(0, len(rows), step):
        out[start : start + step] = _pack_rows(rows[start : start + step], fmt.bits)
    return out.reshape(*shape, out.shape[-1])


def _pack_rows(rows: npt.NDArray[np.int64], bits: int) -> npt.NDArray[np.uint8]:
    size = _storage_bytes(bits)
    raw = rows.astype(f"<i{size}").view(np.uint8).reshape(*rows.shape, size)
    spread = np.unpackbits(raw, axis=-1, count=bits, bitorder="little")
    return np.packbits(spread.reshape(len(rows), -1), axis=-1, bitorder="little")


def unpack(beats: npt.NDArray[np.uint8], fmt: IntFormat, elems: int) -> npt.NDArray[np.int64]:
    """Beats [..., beats, bytes] to codes [..., beats * elems]; pad bits are ignored."""
    if beats.shape[-1] != beat_bytes(fmt.bits, elems):
        raise ValueError(
            f"beats of {beats.shape[-1]} bytes; {elems} x {fmt} are {beat_bytes(fmt.bits, elems)}"
        )
    shape = (*beats.shape[:-2], beats.shape[-2] * elems)
    rows = np.ascontiguousarray(beats).reshape(-1, beats.shape[-1])
    if fmt.bits in (8, 16, 32, 64):
        kind = "i" if fmt.signed else "u"
        return rows.view(f"<{kind}{fmt.bits // 8}").astype(np.int64).reshape(shape)
    out = np.empty((len(rows), elems), dtype=np.int64)
    step = max(1, CHUNK_ELEMENTS // elems)
    for start in range(0, len(rows), step):
        out[start : start + step] = _unpack_rows(rows[start : start + step], fmt, elems)
    return out.reshape(shape)


def _unpack_rows(rows: npt.NDArray[np.uint8], fmt: IntFormat, elems: int) -> npt.NDArray[np.int64]:
    bits, size = fmt.bits, _storage_bytes(fmt.bits)
    flat = np.unpackbits(rows, axis=-1, count=bits * elems, bitorder="little")
    spread = flat.reshape(len(rows), elems, bits)
    raw = np.zeros((len(rows), elems, size), dtype=np.uint8)
    raw[..., : (bits + 7) // 8] = np.packbits(spread, axis=-1, bitorder="little")
    codes = raw.view(f"<u{size}")[..., 0]
    if not fmt.signed:
        return codes.astype(np.int64)
    shift = 8 * size - bits
    signed = (codes << codes.dtype.type(shift)).view(f"<i{size}")
    wide: npt.NDArray[np.int64] = (signed >> signed.dtype.type(shift)).astype(np.int64)
    return wide


def _storage_bytes(bits: int) -> int:
    """Smallest of 1, 2, 4, 8 bytes that holds ``bits`` bits."""
    return next(size for size in (1, 2, 4, 8) if 8 * size >= bits)

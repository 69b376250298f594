# SPDX-License-Identifier: Apache-2.0
"""Accelerators of random integers, layer by layer, for the tests of the RTL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from hls.ir import Accelerator, Border, IntArray, IntFormat, Layer, Stream


@dataclass(frozen=True)
class Spec:
    """A layer without its name and streams."""

    kind: str
    params: Mapping[str, int]
    fmt: IntFormat
    """Of its outputs."""
    elems: int
    """Elements per beat at its output."""
    total: int | None = None
    """Elements per output frame; None: as many as at the input."""
    arrays: Mapping[str, IntArray] = field(default_factory=dict)


def _weights(rng: np.random.Generator, fmt: IntFormat, shape: tuple[int, int]) -> IntArray:
    """Random weights with the largest and the smallest code in them."""
    weights = rng.integers(fmt.min, fmt.max + 1, shape)
    weights[0] = fmt.min
    weights[-1] = fmt.max
    return weights


def _acc_format(weights: IntArray, fmt: IntFormat) -> IntFormat:
    """Smallest signed format of all W x."""
    bounds = [
        np.where(weights > 0, weights * fmt.max, weights * fmt.min).sum(axis=1).max(),
        -np.where(weights > 0, weights * fmt.min, weights * fmt.max).sum(axis=1).min() - 1,
    ]
    return IntFormat(max(int(b).bit_length() for b in bounds) + 1, signed=True)


def mvau(
    shape: tuple[int, int],
    pe: int,
    simd: int,
    fmt: IntFormat,
    weight_fmt: IntFormat,
    seed: int = 0,
) -> Spec:
    """A dense matrix-vector unit; shape: (MatH, MatW)."""
    weights = _weights(np.random.default_rng(seed), weight_fmt, shape)
    return _matrix("mvau", weights, {"pe": pe, "simd": simd}, fmt, weight_fmt)


def sparse(
    shape: tuple[int, int],
    pe: int,
    simd: int,
    block: tuple[int, int],
    fmt: IntFormat,
    weight_fmt: IntFormat,
    seed: int = 0,
) -> Spec:
    """A block-balanced sparse unit; block: (columns, non-zeros at most)."""
    rng = np.random.default_rng(seed)
    size, nnz = block
    weights = _weights(rng, weight_fmt, shape)
    blocks = weights.reshape(shape[0], -1, size)
    order = rng.random(blocks.shape).argsort(axis=2)
    weights = np.where(order < nnz, blocks, 0).reshape(shape)
    folding = {"pe": pe, "simd": simd, "block": size, "nnz": nnz}
    return _matrix("mvau_sparse", weights, folding, fmt, weight_fmt)


def _matrix(
    kind: str, weights: IntArray, folding: dict[str, int], fmt: IntFormat, weight_fmt: IntFormat
) -> Spec:
    acc = _acc_format(weights, fmt)
    params = {
        **{"mat_w": weights.shape[1], "mat_h": weights.shape[0], **folding},
        **{"in_bits": fmt.bits, "in_signed": int(fmt.signed), "acc_bits": acc.bits},
        **{"weight_bits": weight_fmt.bits, "weight_signed": int(weight_fmt.signed)},
    }
    return Spec(kind, params, acc, folding["pe"], weights.shape[0], {"weights": weights})


def thresholding(
    channels: int, pe: int, fmt: IntFormat, steps: int, out: IntFormat, bias: int = 0, seed: int = 0
) -> Spec:
    """Thresholds over the whole input range and, in the first channels, at and beyond its ends."""
    rng = np.random.default_rng(seed)
    values = rng.integers(fmt.min, fmt.max + 1, (channels, steps))
    values[0] = fmt.min - 5
    values[-1] = fmt.max + 5
    if channels > 4:
        values[1], values[2], values[3] = fmt.min, fmt.max, fmt.max + 1
    params = {
        **{"channels": channels, "pe": pe, "in_bits": fmt.bits, "in_signed": int(fmt.signed)},
        **{"steps": steps, "out_bits": out.bits, "out_signed": int(out.signed), "out_bias": bias},
    }
    return Spec("thresholding", params, out, pe, channels, {"thresholds": np.sort(values, axis=1)})


def requant(
    channels: int,
    pe: int,
    fmt: IntFormat,
    scale: tuple[int, int, int],
    out: IntFormat,
    limits: tuple[int, int] | None = None,
    seed: int = 0,
) -> Spec:
    """Requantization; scale: (mul_bits, add_bits, shift)."""
    rng = np.random.default_rng(seed)
    mul_bits, add_bits, shift = scale
    arrays = {}
    for key, bits in (("mul", mul_bits), ("add", add_bits)):
        code = IntFormat(bits, signed=True)
        arrays[key] = rng.integers(code.min, code.max, channels, endpoint=True)
        arrays[key][:2] = code.min, code.max
    low, high = limits or (out.min, out.max)
    params = {
        **{"channels": channels, "pe": pe, "in_bits": fmt.bits, "in_signed": int(fmt.signed)},
        **{"mul_bits": mul_bits, "add_bits": add_bits, "shift": shift},
        **{"out_bits": out.bits, "out_signed": int(out.signed), "out_min": low, "out_max": high},
    }
    return Spec("requant", params, out, pe, channels, arrays)


def dwc(fmt: IntFormat, elems_in: int, elems_out: int) -> Spec:
    """A width converter."""
    params = {"in_elems": elems_in, "out_elems": elems_out, "elem_bits": fmt.bits}
    return Spec("dwc", params, fmt, elems_out)


def chain(
    fmt: IntFormat,
    elems: int,
    total: int,
    specs: Sequence[Spec],
    fifos: Mapping[str, int] | None = None,
    name: str = "chain",
) -> Accelerator:
    """Layers l0, l1, ... one behind the other; streams s0 (input), s1, ...

    fmt, elems, total: format, elements per beat and elements per frame of the input.
    """
    depths = fifos or {}
    ends = [None, *(f"l{i}" for i in range(len(specs))), None]
    streams = [Stream("s0", None, ends[1], fmt, elems, total // elems, depths.get("s0", 0))]
    layers = []
    count = total
    for i, spec in enumerate(specs):
        count = spec.total or count
        label = f"s{i + 1}"
        beats = count // spec.elems
        depth = depths.get(label, 0)
        streams.append(Stream(label, f"l{i}", ends[i + 2], spec.fmt, spec.elems, beats, depth))
        params, arrays = dict(spec.params), dict(spec.arrays)
        layers.append(Layer(f"l{i}", spec.kind, f"node{i}", (f"s{i}",), (label,), params, arrays))
    source = Border("s0", (total,), fmt, (1.0,), (0.0,), "codes")
    sink = Border(streams[-1].name, (count,), streams[-1].fmt, (1.0,), (0.0,), "codes")
    return Accelerator(name, tuple(layers), tuple(streams), source, sink, clock_mhz=100.0)


def frames(acc: Accelerator, count: int, seed: int = 0) -> IntArray:
    """Random input frames; the first ones hold the smallest, the largest, both in turn, and 0."""
    fmt = acc.input.fmt
    codes = np.random.default_rng(seed).integers(fmt.min, fmt.max + 1, (count, *acc.input.shape))
    codes[0], codes[1], codes[3] = fmt.min, fmt.max, 0
    codes[2, 0::2], codes[2, 1::2] = fmt.min, fmt.max
    return codes

# SPDX-License-Identifier: Apache-2.0
"""The integer reference: every hardware layer in numpy, exact, vectorised over frames.

    run(acc, codes)    codes [n, *input.shape] int64  ->  outputs [n, out] int64
    trace(acc, codes)  the same, with the frames on every stream

Products run as float64 matrix products where |accumulator| < 2^53 is provable, else as int64.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from hls.ir import Accelerator, IntArray, Layer
from models.errors import CompileError

FLOAT64_EXACT = 1 << 53
FLOAT32_EXACT = 1 << 24


def run(acc: Accelerator, codes: npt.ArrayLike) -> IntArray:
    """Outputs [n, out] of the accelerator for input codes [n, *input.shape]."""
    return trace(acc, codes)[acc.output.stream]


def trace(acc: Accelerator, codes: npt.ArrayLike) -> dict[str, IntArray]:
    """The elements [n, elements] that pass on every stream, by stream name.

    Raises:
        CompileError: codes of another shape, or outside the input format.
    """
    frames = check_codes(acc, codes)
    streams = {acc.input.stream: frames}
    for layer in acc.layers:
        streams[layer.outputs[0]] = run_layer(layer, streams[layer.inputs[0]])
    return streams


def check_codes(acc: Accelerator, codes: npt.ArrayLike) -> IntArray:
    """Codes as int64 [n, elements], checked against the input border."""
    array = np.asarray(codes)
    if array.ndim != 1 + len(acc.input.shape) or array.shape[1:] != acc.input.shape:
        raise CompileError(
            f"input codes of shape {array.shape}: accelerator {acc.name} takes "
            f"[n, {', '.join(map(str, acc.input.shape))}]"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise CompileError(f"input codes of type {array.dtype}: integers are needed")
    if not acc.input.fmt.allowed(array):
        raise CompileError(
            f"input codes from {array.min()} to {array.max()}: {acc.input.fmt} holds "
            f"{acc.input.fmt.min} to {acc.input.fmt.max}",
            hint="quantize with clip(half_even(x / scale))",
        )
    return array.reshape(len(array), int(np.prod(acc.input.shape))).astype(np.int64)


def run_layer(layer: Layer, x: IntArray) -> IntArray:
    """Output frames [n, outputs] of one layer for input frames [n, inputs]."""
    return LAYERS[layer.kind](layer, x)


def exact_matmul(x: IntArray, weights: IntArray) -> IntArray:
    """x [n, in] times weights [out, in], exact in int64."""
    peak = int(np.abs(x).max(initial=0)) * int(np.abs(weights).sum(axis=1).max(initial=0))
    if peak >= FLOAT64_EXACT:
        product: IntArray = x @ weights.T
        return product
    kind = np.float32 if peak < FLOAT32_EXACT else np.float64
    result: IntArray = np.matmul(x.astype(kind), weights.astype(kind).T).astype(np.int64)
    return result


def half_even_shift(values: IntArray, shift: int) -> IntArray:
    """half_even(values / 2^shift), exact."""
    if shift == 0:
        return values
    floor = values >> shift
    rest = values - (floor << shift)
    half = 1 << (shift - 1)
    up = (rest > half) | ((rest == half) & ((floor & 1) == 1))
    rounded: IntArray = floor + up
    return rounded


def _mvau(layer: Layer, x: IntArray) -> IntArray:
    return exact_matmul(x, layer.arrays["weights"])


def _thresholding(layer: Layer, x: IntArray) -> IntArray:
    thresholds = layer.arrays["thresholds"]
    counts = np.empty(x.shape, dtype=np.int64)
    for c in range(x.shape[1]):
        counts[:, c] = np.searchsorted(thresholds[c], x[:, c], side="right")
    return counts + layer.params["out_bias"]


def _requant(layer: Layer, x: IntArray) -> IntArray:
    p = layer.params
    value = x * layer.arrays["mul"] + layer.arrays["add"]
    return np.clip(half_even_shift(value, p["shift"]), p["out_min"], p["out_max"])


def _dwc(layer: Layer, x: IntArray) -> IntArray:
    return x


LAYERS: dict[str, Callable[[Layer, IntArray], IntArray]] = {
    "mvau": _mvau,
    "mvau_sparse": _mvau,
    "thresholding": _thresholding,
    "requant": _requant,
    "dwc": _dwc,
}

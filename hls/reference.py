# SPDX-License-Identifier: Apache-2.0
"""The integer reference: every hardware layer in numpy, exact, vectorised over frames.

    run(acc, codes)    codes [n, *input.shape] int64  ->  outputs [n, out] int64
    trace(acc, codes)  the same, with the frames on every stream

Frames are flat: images [n, height * width * channels] in the order row, column, channel.
Products run as float64 matrix products where |accumulator| < 2^53 is provable, else as int64.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from hls import image_ops
from hls.ir import Accelerator, IntArray, Layer
from hls.ports import vectors_of
from models.errors import CompileError

FLOAT64_EXACT = 1 << 53
FLOAT32_EXACT = 1 << 24
BATCH_ELEMENTS = 1 << 26
"""Elements on all streams together, 8 byte each, that `run` holds at once."""


def run(acc: Accelerator, codes: npt.ArrayLike) -> IntArray:
    """Outputs [n, out] of the accelerator for input codes [n, *input.shape].

    Computed in batches whose streams fit `BATCH_ELEMENTS`; the result does not depend on them.
    """
    array = np.asarray(codes)
    check_codes(acc, array)
    per_frame = sum(s.elems_per_beat * s.beats_per_frame for s in acc.streams)
    size = max(1, BATCH_ELEMENTS // per_frame)
    starts = range(0, max(len(array), 1), size)
    parts = [trace(acc, array[start : start + size])[acc.output.stream] for start in starts]
    return np.concatenate(parts)


def trace(acc: Accelerator, codes: npt.ArrayLike) -> dict[str, IntArray]:
    """The elements [n, elements] that pass on every stream, by stream name.

    Raises:
        CompileError: codes of another shape, or outside the input format.
    """
    frames = check_codes(acc, codes)
    streams = {acc.input.stream: frames}
    for layer in acc.layers:
        results = run_ports(layer, [streams[name] for name in layer.inputs])
        streams.update(zip(layer.outputs, results, strict=True))
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


def run_layer(layer: Layer, *inputs: IntArray) -> IntArray:
    """Output frames [n, outputs] of a layer with one output for input frames [n, elements]."""
    (result,) = run_ports(layer, inputs)
    return result


def run_ports(layer: Layer, inputs: Sequence[IntArray]) -> tuple[IntArray, ...]:
    """Frames [n, elements] at every output of a layer, for those at every input."""
    results = LAYERS[layer.kind](layer, *inputs)
    outputs = results if isinstance(results, tuple) else (results,)
    frames, vectors = len(inputs[0]), vectors_of(layer.params)
    return tuple(out.reshape(frames, vectors * math.prod(out.shape[1:])) for out in outputs)


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


def _rows(layer: Layer, x: IntArray) -> IntArray:
    """Frames [n, vectors * elements] as vectors [n * vectors, elements]."""
    vectors = vectors_of(layer.params)
    return x.reshape(len(x) * vectors, x.shape[1] // vectors)


def _image(layer: Layer, x: IntArray) -> IntArray:
    p = layer.params
    return x.reshape(len(x), p["height"], p["width"], p["channels"])


def _pixels(layer: Layer, x: IntArray) -> IntArray:
    pixels = layer.params["pixels"]
    return x.reshape(len(x), pixels, x.shape[1] // pixels)


def _mvau(layer: Layer, x: IntArray) -> IntArray:
    return exact_matmul(_rows(layer, x), layer.arrays["weights"])


def _thresholding(layer: Layer, x: IntArray) -> IntArray:
    thresholds, rows = layer.arrays["thresholds"], _rows(layer, x)
    counts = np.empty(rows.shape, dtype=np.int64)
    for c in range(rows.shape[1]):
        counts[:, c] = np.searchsorted(thresholds[c], rows[:, c], side="right")
    return counts + layer.params["out_bias"]


def _requant(layer: Layer, x: IntArray) -> IntArray:
    p = layer.params
    value = _rows(layer, x) * layer.arrays["mul"] + layer.arrays["add"]
    return np.clip(half_even_shift(value, p["shift"]), p["out_min"], p["out_max"])


def _dwc(layer: Layer, x: IntArray) -> IntArray:
    return x


def _window(layer: Layer, x: IntArray) -> IntArray:
    p = layer.params
    pad = (p["pad_top"], p["pad_bottom"], p["pad_left"], p["pad_right"])
    return image_ops.window(_image(layer, x), (p["kernel_h"], p["kernel_w"]), pad)


def _pool(layer: Layer, x: IntArray) -> IntArray:
    p = layer.params
    kernel = (p["kernel_h"], p["kernel_w"])
    return image_ops.pool(_image(layer, x), kernel, maximum=bool(p["maximum"]))


def _upsample(layer: Layer, x: IntArray) -> IntArray:
    return image_ops.upsample(_image(layer, x), (layer.params["scale_h"], layer.params["scale_w"]))


def _duplicate(layer: Layer, x: IntArray) -> tuple[IntArray, ...]:
    return (x,) * layer.params["outputs"]


def _concat(layer: Layer, a: IntArray, b: IntArray) -> IntArray:
    return image_ops.concat(_pixels(layer, a), _pixels(layer, b))


def _split(layer: Layer, x: IntArray) -> tuple[IntArray, ...]:
    return image_ops.split(_pixels(layer, x), layer.params["channels_a"])


def _add(layer: Layer, a: IntArray, b: IntArray) -> IntArray:
    return a + b


LAYERS: dict[str, Callable[..., IntArray | tuple[IntArray, ...]]] = {
    "mvau": _mvau,
    "mvau_sparse": _mvau,
    "thresholding": _thresholding,
    "requant": _requant,
    "dwc": _dwc,
    "window": _window,
    "pool": _pool,
    "upsample": _upsample,
    "duplicate": _duplicate,
    "concat": _concat,
    "split": _split,
    "add": _add,
}

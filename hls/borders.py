# SPDX-License-Identifier: Apache-2.0
"""The host's side of an accelerator: values to codes, codes to values, and frames to check with.

Images are [n, channels, height, width] at the host, as in the network, and
[n, height, width, channels] in the accelerator.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from hls.ir import Border


def golden_frames(entry: Border, frames: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Frames that use the input's range: normal ones, uniform ones and the extremes."""
    rng = np.random.default_rng(seed)
    size = int(np.prod(entry.shape))
    top = entry.scale[0] * max(abs(entry.fmt.min), entry.fmt.max)
    normal = rng.normal(0.0, top / 4, (frames // 2, size))
    uniform = rng.uniform(-top, top, (frames - frames // 2 - 2, size))
    edges = np.stack([np.full(size, -top), np.full(size, top)])
    return np.concatenate([normal, uniform, edges]).astype(np.float32)


def channels_last(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Images [n, channels, height, width] to [n, height, width, channels]; vectors as they are."""
    return np.moveaxis(x, 1, -1) if x.ndim == 4 else x


def channels_first(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Images [n, height, width, channels] to [n, channels, height, width]; vectors as they are."""
    return np.moveaxis(x, -1, 1) if x.ndim == 4 else x


def to_codes(entry: Border, x: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """The ADC: clip(half_even(x / scale)), in float32 as QONNX does it.

    Args:
        entry: the input border.
        x: vectors [n, elements], or images [n, channels, height, width] (flat, too).

    Returns:
        Codes in the shape of x; of images [n, height, width, channels].
    """
    scaled = np.clip(x / np.float32(entry.scale[0]), entry.lowest, entry.fmt.max)
    codes: npt.NDArray[np.int64] = np.rint(scaled).astype(np.int64)
    if len(entry.shape) == 3:
        height, width, channels = entry.shape
        return channels_last(codes.reshape(len(codes), channels, height, width))
    return codes


def to_values(output: Border, codes: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """What output codes [n, elements] mean: code * scale + offset, [n, *shape].

    Of images [n, channels, height, width].
    """
    array = np.asarray(codes)
    shaped = array.reshape(len(array), *output.shape).astype(np.float64)
    return channels_first(shaped * np.array(output.scale) + np.array(output.offset))


def decide_outputs(
    result: npt.NDArray[np.float32], kind: str, output: Border
) -> npt.NDArray[np.int64]:
    """Float outputs -> bits, or the integers behind them: [n, elements].

    Args:
        result: vectors [n, out], or images [n, channels, height, width].
        kind: see `hls.passes.decision`.
        output: the output border; scale and offset of a channel belong to the last axis of codes.
    """
    flat = result.reshape(len(result), -1)
    if kind == "hard_pairs":
        return (flat[:, 0::2] >= flat[:, 1::2]).astype(np.int64)
    if kind == "sign":
        return (flat >= 0).astype(np.int64)
    values = channels_last(result) if len(output.shape) == 3 else flat
    codes = (values.astype(np.float64) - np.array(output.offset)) / np.array(output.scale)
    integers: npt.NDArray[np.int64] = np.rint(codes).astype(np.int64).reshape(len(result), -1)
    return integers

# SPDX-License-Identifier: Apache-2.0
"""The layers of images in numpy, exact: what `hls.reference` and the FINN nodes execute.

Images are [n, height, width, channels]; any integer or float type that holds the values exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def window(
    x: Array, kernel: tuple[int, int], pad: tuple[int, int, int, int], value: int = 0
) -> Array:
    """Surroundings of every pixel, [n, out_h, out_w, kernel_h * kernel_w * channels].

    pad: (top, bottom, left, right) pixels of ``value`` round the image.
    """
    top, bottom, left, right = pad
    around = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=value)
    views = np.lib.stride_tricks.sliding_window_view(around, kernel, axis=(1, 2))
    ordered = views.transpose(0, 1, 2, 4, 5, 3)  # [n, oy, ox, ky, kx, c]
    return ordered.reshape(*ordered.shape[:3], kernel[0] * kernel[1] * x.shape[3])


def pool(x: Array, kernel: tuple[int, int], *, maximum: bool) -> Array:
    """Sum or largest of every tile, [n, height / kernel_h, width / kernel_w, channels]."""
    n, height, width, channels = x.shape
    k_h, k_w = kernel
    tiles = x.reshape(n, height // k_h, k_h, width // k_w, k_w, channels)
    result: Array = tiles.max(axis=(2, 4)) if maximum else tiles.sum(axis=(2, 4), dtype=x.dtype)
    return result


def upsample(x: Array, scale: tuple[int, int]) -> Array:
    """Every pixel repeated, [n, height * scale_h, width * scale_w, channels]."""
    return x.repeat(scale[0], axis=1).repeat(scale[1], axis=2)


def concat(a: Array, b: Array) -> Array:
    """Channels of ``a``, then those of ``b``."""
    return np.concatenate([a, b], axis=-1)


def split(x: Array, channels_a: int) -> tuple[Array, Array]:
    """The first ``channels_a`` channels, and the others."""
    return x[..., :channels_a], x[..., channels_a:]

# SPDX-License-Identifier: Apache-2.0
"""Image operations against loops over single pixels."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from hls import image_ops

sizes = st.tuples(*[st.integers(1, 5)] * 3)


def image(shape: tuple[int, int, int], seed: int, frames: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).integers(-99, 100, (frames, *shape))


@settings(max_examples=60, deadline=None)
@given(
    shape=sizes,
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.tuples(*[st.integers(0, 2)] * 4),
    seed=st.integers(0, 99),
)
def test_window_is_the_surroundings_of_every_pixel(
    shape: tuple[int, int, int],
    kernel: tuple[int, int],
    pad: tuple[int, int, int, int],
    seed: int,
) -> None:
    height, width, channels = shape
    out_h = height + pad[0] + pad[1] - kernel[0] + 1
    out_w = width + pad[2] + pad[3] - kernel[1] + 1
    if out_h < 1 or out_w < 1:
        return
    x = image(shape, seed)
    y = image_ops.window(x, kernel, pad).reshape(2, out_h, out_w, *kernel, channels)
    for n, oy, ox, ky, kx, c in np.ndindex(y.shape):
        row, column = oy + ky - pad[0], ox + kx - pad[2]
        inside = 0 <= row < height and 0 <= column < width
        assert y[n, oy, ox, ky, kx, c] == (x[n, row, column, c] if inside else 0)


def test_a_window_and_a_product_are_a_convolution() -> None:
    rng = np.random.default_rng(0)
    x, weights = image((5, 6, 3), 1, frames=1), rng.integers(-9, 10, (4, 3, 3, 3))  # [o, ky, kx, c]
    y = image_ops.window(x, (3, 3), (1, 1, 1, 1)) @ weights.reshape(4, -1).T
    around = np.pad(x[0], ((1, 1), (1, 1), (0, 0)))
    for o, row, column in np.ndindex(4, 5, 6):
        expected = (around[row : row + 3, column : column + 3] * weights[o]).sum()
        assert y[0, row, column, o] == expected


@settings(max_examples=40, deadline=None)
@given(shape=sizes, kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=st.integers(0, 99))
def test_pool_is_over_tiles(
    shape: tuple[int, int, int], kernel: tuple[int, int], seed: int
) -> None:
    x = image((shape[0] * kernel[0], shape[1] * kernel[1], shape[2]), seed)
    total, largest = (image_ops.pool(x, kernel, maximum=m) for m in (False, True))
    for n, row, column, c in np.ndindex(total.shape):
        rows = slice(row * kernel[0], (row + 1) * kernel[0])
        columns = slice(column * kernel[1], (column + 1) * kernel[1])
        assert total[n, row, column, c] == x[n, rows, columns, c].sum()
        assert largest[n, row, column, c] == x[n, rows, columns, c].max()


@settings(max_examples=40, deadline=None)
@given(shape=sizes, scale=st.tuples(st.integers(1, 3), st.integers(1, 3)), seed=st.integers(0, 99))
def test_upsampling_repeats_and_pooling_undoes_it(
    shape: tuple[int, int, int], scale: tuple[int, int], seed: int
) -> None:
    x = image(shape, seed)
    y = image_ops.upsample(x, scale)
    for n, row, column, c in np.ndindex(y.shape):
        assert y[n, row, column, c] == x[n, row // scale[0], column // scale[1], c]
    np.testing.assert_array_equal(image_ops.pool(y, scale, maximum=True), x)


def test_split_undoes_concat() -> None:
    a, b = image((2, 3, 4), 0), image((2, 3, 1), 1)
    joined = image_ops.concat(a, b)
    np.testing.assert_array_equal(joined[0, 1, 2], [*a[0, 1, 2], *b[0, 1, 2]])
    for part, whole in zip(image_ops.split(joined, 4), (a, b), strict=True):
        np.testing.assert_array_equal(part, whole)

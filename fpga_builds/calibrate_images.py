# SPDX-License-Identifier: Apache-2.0
"""Image kernels for `fpga_builds.calibrate`: single layers, and pairs that fork and join."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from hls.extract import connect
from hls.ir import Accelerator, Border, IntFormat, Layer

WINDOWS = (  # (height, width, channels, simd, bits), 3x3 with padding
    *((32, 32, 2, 2, 8), (32, 32, 16, 4, 8), (16, 16, 16, 16, 4), (8, 8, 32, 2, 4)),
    (4, 4, 8, 8, 4),
)
POOLS = (  # (height, width, channels, kernel height, kernel width, pe, bits, maximum)
    *((32, 32, 16, 2, 2, 4, 8, 0), (16, 16, 8, 2, 1, 8, 4, 0), (16, 16, 16, 2, 2, 1, 4, 1)),
)
UPSAMPLES = ((16, 16, 16, 2, 2, 4, 8), (4, 4, 8, 2, 1, 8, 4))  # (..., scales, pe, bits)
JOINS = (("duplicate", "add", 4, 8), ("split", "concat", 2, 8))  # (fork, join, pe, bits)
PIXELS = 64
CHANNELS = 8


def image_points(unit: str) -> Iterator[tuple[str, Accelerator]]:
    """(name, accelerator called ``unit``) of every point."""
    for size in WINDOWS:
        yield point_name("window", size), _single(unit, "window", _window(size), size[:3], size[-1])
    for tiles in POOLS:
        yield point_name("pool", tiles), _single(unit, "pool", _pool(tiles), tiles[:3], tiles[-2])
    for grown in UPSAMPLES:
        params = _upsample(grown)
        yield point_name("upsample", grown), _single(unit, "upsample", params, grown[:3], grown[-1])
    for fork, join, pe, bits in JOINS:
        yield point_name(f"{fork}-{join}", (pe, bits)), _pair(unit, (fork, join), pe, bits)


def point_name(kind: str, size: Sequence[int]) -> str:
    """Name of a measured point."""
    return "-".join(map(str, (kind, *size)))


def _image(size: Sequence[int]) -> dict[str, int]:
    return dict(zip(("height", "width", "channels"), size[:3], strict=True))


def _window(size: Sequence[int]) -> dict[str, int]:
    pads = dict.fromkeys(("pad_top", "pad_bottom", "pad_left", "pad_right"), 1)
    kernel = {"kernel_h": 3, "kernel_w": 3, "simd": size[3], "in_bits": size[4], "in_signed": 0}
    return {**_image(size), **pads, **kernel}


def _pool(size: Sequence[int]) -> dict[str, int]:
    *_, kernel_h, kernel_w, pe, bits, maximum = size
    terms = 1 if maximum else kernel_h * kernel_w
    return {
        **_image(size),
        **{"kernel_h": kernel_h, "kernel_w": kernel_w, "pe": pe, "in_bits": bits, "in_signed": 0},
        **{"maximum": maximum, "out_bits": (terms * ((1 << bits) - 1)).bit_length()},
    }


def _upsample(size: Sequence[int]) -> dict[str, int]:
    *_, scale_h, scale_w, pe, bits = size
    scales = {"scale_h": scale_h, "scale_w": scale_w}
    return {**_image(size), **scales, "pe": pe, "elem_bits": bits}


def _pair(unit: str, kinds: tuple[str, str], pe: int, bits: int) -> Accelerator:
    """A fork and the join behind it."""
    halves = {"pixels": PIXELS, "channels_a": CHANNELS, "channels_b": CHANNELS, "pe": pe}
    params: dict[str, dict[str, int]] = {
        "duplicate": {"elems": pe, "elem_bits": bits, "outputs": 2},
        "add": {
            **{"pixels": PIXELS, "channels": CHANNELS, "pe": pe, "in_bits": bits},
            **{"in_signed": 0, "out_bits": bits + 1, "out_signed": 0},
        },
        "split": {**halves, "elem_bits": bits},
        "concat": {**halves, "elem_bits": bits},
    }
    fork, join = kinds
    layers = [
        Layer("l0", fork, "l0", ("x",), ("a", "b"), params[fork]),
        Layer("l1", join, "l1", ("a", "b"), ("y",), params[join]),
    ]
    channels = CHANNELS if fork == "duplicate" else 2 * CHANNELS
    return _connected(unit, layers, (PIXELS, channels), bits)


def _single(
    unit: str, kind: str, params: dict[str, int], shape: Sequence[int], bits: int
) -> Accelerator:
    return _connected(unit, [Layer("l0", kind, "l0", (), (), params)], shape, bits)


def _connected(unit: str, layers: list[Layer], shape: Sequence[int], bits: int) -> Accelerator:
    fmt = IntFormat(bits, signed=False)
    first = Border("", tuple(shape), fmt, (1.0,), (0.0,), "codes")
    last = Border("", (int(np.prod(shape)),), fmt, (1.0,), (0.0,), "codes")
    return connect(unit, layers, (first, last), 100.0, {})

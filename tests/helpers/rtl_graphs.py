# SPDX-License-Identifier: Apache-2.0
"""Layers of images, and graphs of them, for the tests of the RTL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import rtl_chains

from hls.extract import connect
from hls.ir import Accelerator, Border, IntArray, IntFormat, Layer
from hls.ports import output_ports

Image = tuple[int, int, int]
"""Height, width, channels."""


def _layer(kind: str, params: Mapping[str, int], arrays: Mapping[str, IntArray]) -> Layer:
    return Layer(kind, kind, "", (), (), params, arrays)


def _size(image: Image) -> dict[str, int]:
    return dict(zip(("height", "width", "channels"), image, strict=True))


def _format(fmt: IntFormat) -> dict[str, int]:
    return {"in_bits": fmt.bits, "in_signed": int(fmt.signed)}


def window(
    image: Image,
    simd: int,
    fmt: IntFormat,
    kernel: tuple[int, int] = (3, 3),
    pad: tuple[int, int, int, int] = (1, 1, 1, 1),
) -> Layer:
    """pad: top, bottom, left, right."""
    params = {**_size(image), "kernel_h": kernel[0], "kernel_w": kernel[1], "simd": simd}
    params.update(zip(("pad_top", "pad_bottom", "pad_left", "pad_right"), pad, strict=True))
    return _layer("window", {**params, **_format(fmt)}, {})


def pool(image: Image, kernel: tuple[int, int], pe: int, fmt: IntFormat, maximum: int = 0) -> Layer:
    """The output has just enough bits."""
    terms = 1 if maximum else kernel[0] * kernel[1]
    low, high = terms * fmt.min, terms * fmt.max
    bits = next(b for b in range(1, 64) if IntFormat(b, fmt.signed).allowed([low, high]))
    params = {**_size(image), "kernel_h": kernel[0], "kernel_w": kernel[1], "pe": pe}
    return _layer("pool", {**params, **_format(fmt), "maximum": maximum, "out_bits": bits}, {})


def upsample(image: Image, scale: tuple[int, int], pe: int, fmt: IntFormat) -> Layer:
    """image: the input's."""
    params = {**_size(image), "scale_h": scale[0], "scale_w": scale[1], "pe": pe}
    return _layer("upsample", {**params, "elem_bits": fmt.bits}, {})


def duplicate(elems: int, fmt: IntFormat) -> Layer:
    """Two outputs."""
    return _layer("duplicate", {"elems": elems, "elem_bits": fmt.bits, "outputs": 2}, {})


def channels(kind: str, pixels: int, parts: tuple[int, int], pe: int, fmt: IntFormat) -> Layer:
    """A concat or a split."""
    params = {"pixels": pixels, "channels_a": parts[0], "channels_b": parts[1], "pe": pe}
    return _layer(kind, {**params, "elem_bits": fmt.bits}, {})


def add(pixels: int, count: int, pe: int, fmt: IntFormat) -> Layer:
    """count: channels."""
    params = {"pixels": pixels, "channels": count, "pe": pe, **_format(fmt)}
    return _layer("add", {**params, "out_bits": fmt.bits + 1, "out_signed": int(fmt.signed)}, {})


def dwc(fmt: IntFormat, elems_in: int, elems_out: int) -> Layer:
    """A width converter."""
    return from_spec(rtl_chains.dwc(fmt, elems_in, elems_out))


def from_spec(spec: rtl_chains.Spec, vectors: int = 1) -> Layer:
    """A layer of `rtl_chains` on ``vectors`` vectors a frame."""
    params = dict(spec.params) if vectors == 1 else {**spec.params, "vectors": vectors}
    return _layer(spec.kind, params, spec.arrays)


Node = tuple[str, Layer, Sequence[str], Sequence[str]]
"""Name, layer, input and output tensors."""


def graph(
    fmt: IntFormat,
    shape: tuple[int, ...],
    nodes: Sequence[Node],
    fifos: Mapping[str, int] | None = None,
    name: str = "graph",
) -> Accelerator:
    """An accelerator of the nodes; streams are called as `hls.extract.connect` does it."""
    layers = [
        replace(layer, name=label, source=label, inputs=tuple(ins), outputs=tuple(outs))
        for label, layer, ins, outs in nodes
    ]
    total = output_ports(layers[-1])[0].total or int(np.prod(shape))
    borders = [Border("", s, fmt, (1.0,), (0.0,), "codes") for s in (shape, (total,))]
    acc = connect(name, layers, (borders[0], borders[1]), 100.0, {})
    return acc.with_fifo_depths(fifos or {})


def line(
    fmt: IntFormat, shape: tuple[int, ...], *layers: Layer, fifos: Mapping[str, int] | None = None
) -> Accelerator:
    """Layers l0, l1, ... one behind the other."""
    nodes = [(f"l{i}", la, [f"t{i}"], [f"t{i + 1}"]) for i, la in enumerate(layers)]
    return graph(fmt, shape, nodes, fifos)

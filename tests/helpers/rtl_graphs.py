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


S4, U4 = IntFormat(4, signed=True), IntFormat(4, signed=False)


def convolution(
    name: str,
    image: Image,
    out_channels: int,
    fmt: IntFormat,
    ends: tuple[str, str],
    kernel: int = 3,
    seed: int = 0,
) -> list[Node]:
    """Window (unless ``kernel`` is 1), matrix unit and activation to 4 bits, unfolded."""
    pixels, (source, target) = image[0] * image[1], ends
    nodes: list[Node] = []
    if kernel > 1:
        around = window(image, 1, fmt, (kernel, kernel), (kernel // 2,) * 4)
        nodes.append((f"win_{name}", around, [source], [f"{name}_w"]))
        source = f"{name}_w"
    shape = (out_channels, kernel * kernel * image[2])
    product = _balanced(rtl_chains.mvau(shape, 1, 1, fmt, S4), shape, seed)
    act = rtl_chains.thresholding(out_channels, 1, product.fmt, 15, U4)
    spread = 2 * fmt.max * np.sqrt(shape[1])
    table = np.random.default_rng(seed).normal(0, spread, (out_channels, 15)).astype(np.int64)
    act = replace(act, arrays={"thresholds": np.sort(table, axis=1)})
    nodes.append((f"fc_{name}", from_spec(product, pixels), [source], [f"{name}_a"]))
    nodes.append((f"act_{name}", from_spec(act, pixels), [f"{name}_a"], [target]))
    return nodes


def _balanced(product: rtl_chains.Spec, shape: tuple[int, int], seed: int) -> rtl_chains.Spec:
    """The same unit with weights whose sums stay in the middle of the accumulator's range."""
    return replace(product, arrays={"weights": np.random.default_rng(seed).integers(-8, 8, shape)})


def residual(size: int = 6, width: int = 4) -> Accelerator:
    """x + convolution(x): the branch with the window holds back what the other one brings."""
    image = (size, size, width)
    nodes = [
        ("fork", duplicate(1, U4), ["x"], ["a", "b"]),
        *convolution("c", image, width, U4, ("a", "c"), seed=3),
        ("sum", add(size * size, width, 1, U4), ["c", "b"], ["y"]),
    ]
    return graph(U4, image, nodes, name="residual")


def unequal(
    size: int, width: int, branches: tuple[tuple[int, ...], tuple[int, ...]], join: str
) -> Accelerator:
    """Two rows of convolutions on one image, joined by a concat or an add.

    branches: kernel sizes of the convolutions of each; none: the image itself.
    """
    image = (size, size, width)
    nodes: list[Node] = [
        ("fork", duplicate(1, U4), ["x"], ["a0", "b0"]),
        *_rows(image, branches),
        _joined(image, branches, join, "y"),
    ]
    return graph(U4, image, nodes, name=f"unequal_{join}")


def crnet_block(
    size: int, width: int, branches: tuple[tuple[int, ...], tuple[int, ...]]
) -> Accelerator:
    """x + mix(two unequal rows of convolutions), behind a convolution, as in CRNet's decoder."""
    image = (size, size, width)
    nodes: list[Node] = [
        *convolution("first", image, width, U4, ("x", "t0"), seed=1),
        ("fork", duplicate(1, U4), ["t0"], ["r0", "r1"]),
        ("both", duplicate(1, U4), ["r0"], ["a0", "b0"]),
        *_rows(image, branches),
        _joined(image, branches, "concat", "t1"),
        *convolution("mix", (size, size, 2 * width), width, U4, ("t1", "t2"), kernel=1, seed=7),
        ("sum", add(size * size, width, 1, U4), ["t2", "r1"], ["y"]),
    ]
    return graph(U4, image, nodes, name="crnet_block")


def _rows(image: Image, branches: tuple[tuple[int, ...], tuple[int, ...]]) -> list[Node]:
    """Convolutions from a0 to a1, a2, ..., and from b0."""
    nodes: list[Node] = []
    for name, kernels in zip("ab", branches, strict=True):
        for i, kernel in enumerate(kernels):
            ends, seed = (f"{name}{i}", f"{name}{i + 1}"), 10 * ord(name) + i
            nodes += convolution(f"{name}{i}", image, image[2], U4, ends, kernel=kernel, seed=seed)
    return nodes


def _joined(
    image: Image, branches: tuple[tuple[int, ...], tuple[int, ...]], join: str, target: str
) -> Node:
    pixels, width = image[0] * image[1], image[2]
    ends = [f"{name}{len(kernels)}" for name, kernels in zip("ab", branches, strict=True)]
    if join == "add":
        return ("join", add(pixels, width, 1, U4), ends, [target])
    return ("join", channels("concat", pixels, (width, width), 1, U4), ends, [target])


def regrouped(size: int, width: int) -> Accelerator:
    """The channels split, one half convolved, put together again, and the image enlarged."""
    image, small = (size, size, width), (size // 2, size // 2, width)
    pixels, parts = small[0] * small[1], (width // 2, width // 2)
    nodes: list[Node] = [
        ("halve", pool(image, (2, 2), 1, U4, maximum=1), ["x"], ["t0"]),
        ("part", channels("split", pixels, parts, 1, U4), ["t0"], ["a", "b"]),
        *convolution("c", (*small[:2], parts[0]), parts[0], U4, ("a", "c"), seed=6),
        ("cat", channels("concat", pixels, parts, 1, U4), ["b", "c"], ["t1"]),
        ("up", upsample(small, (2, 2), 1, U4), ["t1"], ["y"]),
    ]
    return graph(U4, image, nodes, name="regrouped")


def small_network(size: int = 6, width: int = 4) -> Accelerator:
    """A network with one of everything, unfolded.

    A residual block, pooling, a fire module (1x1 and 3x3 side by side, joined), upsampling, and a
    last convolution whose accumulators are the output.
    """
    fmt, half = IntFormat(8, signed=True), size // 2
    image, small = (size, size, width), (half, half, width)
    narrow = rtl_chains.thresholding(width, 1, IntFormat(7, signed=False), 15, U4)
    table = np.random.default_rng(5).integers(1, 121, (width, 15))
    narrow = replace(narrow, arrays={"thresholds": np.sort(table, axis=1)})
    last = _balanced(rtl_chains.mvau((2, 9 * width), 1, 1, U4, S4), (2, 9 * width), 9)
    parts = (width // 2, width // 2)
    nodes = [
        *convolution("first", (size, size, 2), width, fmt, ("x", "t0"), seed=1),
        ("fork", duplicate(1, U4), ["t0"], ["r0", "r1"]),
        *convolution("res", image, width, U4, ("r0", "t1"), seed=2),
        ("sum", add(size * size, width, 1, U4), ["t1", "r1"], ["t2"]),
        ("pool", pool(image, (2, 2), 1, IntFormat(5, signed=False)), ["t2"], ["t3"]),
        ("act", from_spec(narrow, half * half), ["t3"], ["t4"]),
        ("fire", duplicate(1, U4), ["t4"], ["e1", "e3"]),
        *convolution("one", small, parts[0], U4, ("e1", "f1"), kernel=1, seed=3),
        *convolution("three", small, parts[1], U4, ("e3", "f3"), seed=4),
        ("cat", channels("concat", half * half, parts, 1, U4), ["f1", "f3"], ["t5"]),
        ("up", upsample(small, (2, 2), 1, U4), ["t5"], ["t6"]),
        ("win_last", window(image, 1, U4), ["t6"], ["t7"]),
        ("fc_last", from_spec(last, size * size), ["t7"], ["y"]),
    ]
    return graph(fmt, (size, size, 2), nodes, name="small")

# SPDX-License-Identifier: Apache-2.0
"""What passes through the ports of a layer: elements per beat and frame, and their width.

This is the one place that knows how a layer's parameters shape its streams; extraction, stitching
and the cycle model ask here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hls.ir import IntFormat, Layer
from models.errors import CompileError

Params = Mapping[str, int]


@dataclass(frozen=True)
class Port:
    """One input or output stream of a layer."""

    elems: int
    """Elements per beat."""
    total: int | None
    """Elements per frame; None: the layer takes any number and gives as many."""
    bits: int
    """Width of an element."""
    signed: bool | None
    """None: as in the layer's inputs."""

    @property
    def beats(self) -> int | None:
        """Beats per frame; None where ``total`` is."""
        return None if self.total is None else self.total // self.elems


def vectors_of(params: Params) -> int:
    """Matrix-vector products (or vectors of channels) per frame."""
    return params.get("vectors", 1)


def window_size(params: Params) -> tuple[int, int]:
    """(out_h, out_w) of a window."""
    p = params
    return (
        p["height"] + p["pad_top"] + p["pad_bottom"] - p["kernel_h"] + 1,
        p["width"] + p["pad_left"] + p["pad_right"] - p["kernel_w"] + 1,
    )


def pool_extremes(params: Params) -> tuple[int, int]:
    """Smallest and largest value that a pool can give."""
    fmt = IntFormat(params["in_bits"], bool(params["in_signed"]))
    terms = 1 if params["maximum"] else params["kernel_h"] * params["kernel_w"]
    return terms * fmt.min, terms * fmt.max


def pool_format(params: Params) -> IntFormat:
    """Format of what a pool gives."""
    return IntFormat(params["out_bits"], bool(params["in_signed"]))


def add_extremes(params: Params) -> tuple[int, int]:
    """Smallest and largest sum that an add can give."""
    fmt = IntFormat(params["in_bits"], bool(params["in_signed"]))
    return 2 * fmt.min, 2 * fmt.max


def add_format(params: Params) -> IntFormat:
    """Format of what an add gives."""
    return IntFormat(params["out_bits"], bool(params["out_signed"]))


def input_ports(layer: Layer) -> tuple[Port, ...]:
    """The input ports of a layer, in their order."""
    return PORTS[layer.kind](layer.params)[0]


def output_ports(layer: Layer) -> tuple[Port, ...]:
    """The output ports of a layer, in their order."""
    return PORTS[layer.kind](layer.params)[1]


def frame_outputs(layer: Layer, inputs: tuple[int, ...]) -> tuple[int, ...]:
    """Elements per frame at each output, for ``inputs`` elements at each input.

    Raises:
        CompileError: the layer takes another number.
    """
    ports = input_ports(layer)
    if len(ports) != len(inputs):
        raise CompileError(f"{layer.name}: has {len(ports)} inputs, {len(inputs)} are connected")
    for port, arriving in zip(ports, inputs, strict=True):
        if port.total is not None and port.total != arriving:
            raise CompileError(f"{layer.name}: takes {port.total} elements, {arriving} arrive")
    return tuple(inputs[0] if out.total is None else out.total for out in output_ports(layer))


Sides = tuple[tuple[Port, ...], tuple[Port, ...]]


def _matrix(p: Params) -> Sides:
    vectors = vectors_of(p)
    taken = Port(p["simd"], p["mat_w"] * vectors, p["in_bits"], bool(p["in_signed"]))
    return (taken,), (Port(p["pe"], p["mat_h"] * vectors, p["acc_bits"], signed=True),)


def _channels(p: Params) -> Sides:
    total = p["channels"] * vectors_of(p)
    taken = Port(p["pe"], total, p["in_bits"], bool(p["in_signed"]))
    return (taken,), (Port(p["pe"], total, p["out_bits"], bool(p["out_signed"])),)


def _dwc(p: Params) -> Sides:
    taken, given = (Port(p[key], None, p["elem_bits"], None) for key in ("in_elems", "out_elems"))
    return (taken,), (given,)


def _image(p: Params) -> int:
    return p["height"] * p["width"] * p["channels"]


def _window(p: Params) -> Sides:
    out_h, out_w = window_size(p)
    total = out_h * out_w * p["kernel_h"] * p["kernel_w"] * p["channels"]
    fmt = (p["in_bits"], bool(p["in_signed"]))
    return (Port(p["simd"], _image(p), *fmt),), (Port(p["simd"], total, *fmt),)


def _pool(p: Params) -> Sides:
    total, signed = _image(p) // (p["kernel_h"] * p["kernel_w"]), bool(p["in_signed"])
    taken = Port(p["pe"], _image(p), p["in_bits"], signed)
    return (taken,), (Port(p["pe"], total, p["out_bits"], signed),)


def _upsample(p: Params) -> Sides:
    total = _image(p) * p["scale_h"] * p["scale_w"]
    taken, given = (Port(p["pe"], n, p["elem_bits"], None) for n in (_image(p), total))
    return (taken,), (given,)


def _duplicate(p: Params) -> Sides:
    port = Port(p["elems"], None, p["elem_bits"], None)
    return (port,), (port,) * p["outputs"]


def _concat(p: Params) -> Sides:
    channels = (p["channels_a"], p["channels_b"])
    a, b, both = (
        Port(p["pe"], p["pixels"] * n, p["elem_bits"], None) for n in (*channels, sum(channels))
    )
    return (a, b), (both,)


def _split(p: Params) -> Sides:
    parts, whole = _concat(p)
    return whole, parts


def _add(p: Params) -> Sides:
    total = p["pixels"] * p["channels"]
    one = Port(p["pe"], total, p["in_bits"], bool(p["in_signed"]))
    return (one, one), (Port(p["pe"], total, p["out_bits"], bool(p["out_signed"])),)


PORTS: Mapping[str, Callable[[Params], Sides]] = {
    "mvau": _matrix,
    "mvau_sparse": _matrix,
    "thresholding": _channels,
    "requant": _channels,
    "dwc": _dwc,
    "window": _window,
    "pool": _pool,
    "upsample": _upsample,
    "duplicate": _duplicate,
    "concat": _concat,
    "split": _split,
    "add": _add,
}
"""(inputs, outputs) of each kind."""

# SPDX-License-Identifier: Apache-2.0
"""Convolution, pooling and upsampling nodes as typed values, checked: what the kernels can do.

All of it is read from nodes on [1, channels, height, width], before `ChannelsLast`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.passes.graph import attribute, constant, label
from models.errors import CompileError

Size = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """kernel (height, width), pads (top, left, bottom, right) of zeros, stride (down, across)."""

    kernel: Size
    pads: tuple[int, int, int, int]
    stride: Size


def image_shape(model: ModelWrapper, name: str, user: NodeProto) -> tuple[int, int, int]:
    """(channels, height, width) of tensor ``name``."""
    shape = model.get_tensor_shape(name)
    if shape is None or len(shape) != 4:
        raise CompileError(
            f"{label(user)}: tensor {name!r} of shape {shape} is no image [1, channels, height, "
            "width]",
            hint="between input and output of a convolutional network, images stay images",
        )
    return int(shape[1]), int(shape[2]), int(shape[3])


def convolution_window(model: ModelWrapper, node: NodeProto) -> Window:
    """Window of a Conv: stride 1, no dilation, no groups, zero padding within the kernel."""
    image_shape(model, node.input[0], node)
    shape = tuple(int(d) for d in model.get_tensor_shape(node.input[1]))
    window = _window(node, (shape[2], shape[3]))
    _only(node, "stride", window.stride, (1, 1), "pool behind the convolution instead")
    _only(node, "dilation", _pair(node, "dilations", 1), (1, 1), "write the kernel with its zeros")
    groups = int(attribute(node, "group", 1))
    if groups != 1:
        raise CompileError(
            f"{label(node)} has {groups} groups: every output channel has to see every input "
            "channel",
            hint="write it as a convolution with zero weights between the groups",
        )
    (kernel_h, kernel_w), (top, left, bottom, right) = window.kernel, window.pads
    if max(top, bottom) >= kernel_h or max(left, right) >= kernel_w:
        raise CompileError(
            f"{label(node)}: padding (top, left, bottom, right) {window.pads} of a "
            f"{kernel_h}x{kernel_w} kernel: each side must be smaller than the kernel",
            hint="a window that sees padding alone has no use; 3x3 with padding 1 keeps the size",
        )
    return window


def pooling_window(model: ModelWrapper, node: NodeProto) -> Window:
    """Window of a pooling node: kernel = stride, no padding, whole tiles."""
    _, height, width = image_shape(model, node.input[0], node)
    if node.op_type == "GlobalAveragePool":
        return Window((height, width), (0, 0, 0, 0), (height, width))
    window = _window(node, _pair(node, "kernel_shape", 1))
    _only(node, "dilation", _pair(node, "dilations", 1), (1, 1), "use plain pooling")
    _only(node, "padding", window.pads, (0, 0, 0, 0), "pool without padding")
    if window.stride != window.kernel:
        raise CompileError(
            f"{label(node)}: stride {window.stride} of a kernel {window.kernel}: only tiles that "
            "touch (stride = kernel) have a hardware layer",
            hint="choose stride = kernel_size",
        )
    if height % window.kernel[0] or width % window.kernel[1]:
        raise CompileError(
            f"{label(node)}: kernel {window.kernel} does not divide the image {height}x{width}",
            hint="choose a kernel that divides height and width",
        )
    return window


def upsampling_scale(model: ModelWrapper, node: NodeProto) -> Size:
    """Whole factors (down, across) of a nearest-neighbour Resize or Upsample."""
    channels, height, width = image_shape(model, node.input[0], node)
    mode = attribute(node, "mode", b"nearest").decode()
    if mode != "nearest":
        raise CompileError(
            f"{label(node)}: mode {mode!r} has no hardware layer",
            hint="upsample by nearest neighbour; a convolution behind it can smooth",
        )
    out = tuple(int(d) for d in model.get_tensor_shape(node.output[0]))
    whole = out[2] % height == 0 and out[3] % width == 0 and out[2] > 0 and out[3] > 0
    if out[:2] != (1, channels) or not whole:
        raise CompileError(
            f"{label(node)}: {[1, channels, height, width]} becomes {list(out)}: height and width "
            "have to grow by whole factors",
            hint="choose scale_factor 2, 3, ... (one for each direction)",
        )
    scale = (out[2] // height, out[3] // width)
    if not _repeats(model, node, (height, width), scale):
        raise CompileError(
            f"{label(node)}: with this coordinate transformation it does not repeat every pixel",
            hint="use coordinate_transformation_mode asymmetric with nearest_mode floor",
        )
    return scale


def _repeats(model: ModelWrapper, node: NodeProto, size: Size, scale: Size) -> bool:
    """Execute the node on numbered pixels of one channel after another."""
    from hls.qonnx_exec import run_node

    channels = int(model.get_tensor_shape(node.input[0])[1])
    pixels = np.arange(size[0] * size[1], dtype=np.float32).reshape(1, 1, *size)
    pixels = np.broadcast_to(pixels, (1, channels, *size)).copy()
    rest = [constant(model, name) if name else None for name in node.input[1:]]
    if any(name and value is None for name, value in zip(node.input[1:], rest, strict=True)):
        return False
    result = run_node(model, node, [pixels, *rest])
    expected = pixels.repeat(scale[0], axis=2).repeat(scale[1], axis=3)
    return np.array_equal(result, expected)


def _window(node: NodeProto, kernel: Size) -> Window:
    auto = attribute(node, "auto_pad", b"NOTSET").decode()
    if auto not in ("NOTSET", "VALID"):
        raise CompileError(
            f"{label(node)}: auto_pad={auto} leaves the padding open",
            hint="export the network with explicit padding",
        )
    pads = attribute(node, "pads", [0, 0, 0, 0])
    top, left, bottom, right = (int(p) for p in pads)
    return Window(kernel, (top, left, bottom, right), _pair(node, "strides", 1))


def _pair(node: NodeProto, name: str, default: int) -> Size:
    values = [int(v) for v in attribute(node, name, [default, default])]
    if len(values) != 2:
        raise CompileError(f"{label(node)}: {name} {values} is not two-dimensional")
    return values[0], values[1]


def _only(
    node: NodeProto, what: str, value: tuple[int, ...], legal: tuple[int, ...], way: str
) -> None:
    if value != legal:
        raise CompileError(
            f"{label(node)}: {what} {value} has no hardware layer, only {legal} has", hint=way
        )

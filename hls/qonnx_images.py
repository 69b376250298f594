# SPDX-License-Identifier: Apache-2.0
"""Batched execution of the nodes of image networks: windows, pools, upsampling, joins and forks.

Tensors are [n, height, width, channels], but for standard ONNX operators, which take any order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls import image_ops
from hls.passes.graph import attribute, label
from hls.qonnx_ort import Inputs, Kernel, run_onnxruntime
from models.errors import CompileError

Array = npt.NDArray[Any]


def _window_of(
    x: Array, kernel: list[int], stride: list[int], pads: list[int], dilation: list[int]
) -> Array:
    """Windows (row, column, channel) of images x; pads are (top, left, bottom, right)."""
    if any(d != 1 for d in dilation):
        raise CompileError(f"windows of dilation {dilation} are not executed here")
    top, left, bottom, right = (int(p) for p in pads)
    size = (int(kernel[0]), int(kernel[1]))
    every = image_ops.window(x, size, (top, bottom, left, right))
    return every[:, :: int(stride[0]), :: int(stride[1])]


def _im2col(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    kernel, stride = attribute(node, "kernel_size"), attribute(node, "stride")
    pads, dilation = attribute(node, "pad_amount", [0] * 4), attribute(node, "dilations", [1, 1])
    return _window_of(inputs[0], kernel, stride, pads, dilation)


def _input_generator(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    kernel, stride = attribute(node, "ConvKernelDim"), attribute(node, "Stride")
    return _window_of(inputs[0], kernel, stride, [0] * 4, attribute(node, "Dilation", [1, 1]))


def _window(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    kernel, pads = attribute(node, "ConvKernelDim"), attribute(node, "Padding", [0] * 4)
    return _window_of(inputs[0], kernel, [1, 1], pads, [1, 1])


def _padding(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    top, left, bottom, right = attribute(node, "Padding")
    return np.pad(inputs[0], ((0, 0), (top, bottom), (left, right), (0, 0)))


def _reduce(function: Callable[..., Array]) -> Kernel:
    """A reduction with its axes as an input."""

    def kernel(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
        x = inputs[0]
        if len(inputs) < 2 or inputs[1] is None:
            return run_onnxruntime(model, node, inputs)
        axes = tuple(int(a) % x.ndim for a in inputs[1])
        if not axes or 0 in axes:
            raise CompileError(f"{label(node)} on axes {list(inputs[1])}: the batch comes first")
        keep = bool(attribute(node, "keepdims", 1))
        reduced: Array = function(x, axis=axes, keepdims=keep)
        return reduced

    return kernel


def _pool(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """FINN's Pool: behind windows, so [n, height, width, pixels * channels] comes in."""
    x, channels = inputs[0], attribute(node, "Channels")
    tiles = x.reshape(*x.shape[:3], -1, channels)
    result: Array = tiles.max(axis=3) if _maximum(node) else tiles.sum(axis=3)
    return result


def _pool_phy(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    kernel_h, kernel_w = attribute(node, "KernelSize")
    return image_ops.pool(inputs[0], (kernel_h, kernel_w), maximum=_maximum(node))


def _maximum(node: NodeProto) -> bool:
    return bool(attribute(node, "Function") == b"MaxPool")


def _upsample(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    down = attribute(node, "HO") // attribute(node, "HI")
    across = attribute(node, "WO") // attribute(node, "WI")
    return image_ops.upsample(inputs[0], (down, across))


def _resize(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """Sizes in the graph are those of one frame: taken as scales, they hold for any batch."""
    if len(inputs) < 4 or inputs[3] is None or attribute(node, "axes") is not None:
        return run_onnxruntime(model, node, inputs)
    x, sizes = inputs[0], inputs[3]
    scales = np.array([1.0, *(sizes[1:] / x.shape[1:])], np.float32)
    scaled = NodeProto()
    scaled.CopyFrom(node)
    del scaled.input[:]
    scaled.input.extend([node.input[0], "", "scales"])
    return run_onnxruntime(model, scaled, [x, None, scales])


def _concat(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """A constant has one frame; every frame of the batch gets it."""
    axis, frames = int(attribute(node, "axis")) % inputs[0].ndim, max(len(v) for v in inputs)
    if axis == 0:
        raise CompileError(f"{label(node)} on axis 0: the batch comes first")
    wide = [np.broadcast_to(v, (frames, *v.shape[1:])) for v in inputs]
    return np.concatenate(wide, axis=axis)


def _sum(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    total: Array = inputs[0] + inputs[1]
    return total


def _join(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    return image_ops.concat(inputs[0], inputs[1])


def _same(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    same: Array = inputs[0]
    return same


IMAGE_KERNELS: dict[str, Kernel] = {
    "Im2Col": _im2col,
    "ReduceSum": _reduce(np.sum),
    "ReduceMax": _reduce(np.max),
    "Resize": _resize,
    "Concat": _concat,
    "FMPadding": _padding,
    "ConvolutionInputGenerator": _input_generator,
    "Window_phy": _window,
    "Pool": _pool,
    "Pool_phy": _pool_phy,
    "UpsampleNearestNeighbour": _upsample,
    "DuplicateStreams": _same,
    "StreamingConcat": _join,
    "AddStreams": _sum,
    "ElementwiseAdd": _sum,
}

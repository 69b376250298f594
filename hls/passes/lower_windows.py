# SPDX-License-Identifier: Apache-2.0
"""Convolutions and pools on [1, height, width, channels] as windows and products or reductions.

    Conv         Im2Col, MatMul, Add          (a 1x1 kernel needs no Im2Col)
    MaxPool      Im2Col, Reshape, ReduceMax
    AveragePool  Im2Col, Reshape, ReduceSum, Div by the number of pixels

These are the forms that FINN's `InferConvInpGen` and `InferPoolFromReduce` look for.
"""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from hls.passes.graph import (
    QONNX_DOMAIN,
    label,
    need_constant,
    new_constant,
    new_tensor,
    replace_node,
)
from hls.passes.rearrange import convolution_matrix, rearrange_weights
from hls.passes.windows import Window
from models.errors import CompileError

PIXEL_AXIS = 3
"""Axis of the pixels of a window in the five axes of a pool's Reshape."""


def lower_convolution(model: ModelWrapper, node: NodeProto, window: Window) -> None:
    """Conv -> Im2Col, MatMul, Add; input and output are [1, height, width, channels] already."""
    if node.input[0] == node.input[1]:
        raise CompileError(f"{label(node)} convolves a tensor with itself")
    weights = rearrange_weights(model, node.input[1], convolution_matrix, label(node))
    source, new = node.input[0], []
    if window.kernel != (1, 1):
        new.append(_im2col(model, node, window))
        source = new[-1].output[0]
    target = node.output[0]
    biased = len(node.input) > 2 and bool(node.input[2])
    if biased:
        target = new_tensor(model, model.get_tensor_shape(target), f"{node.name}_product")
    new.append(helper.make_node("MatMul", [source, weights], [target], node.name))
    if biased:
        bias = new_constant(
            model, need_constant(model, node, 2).reshape(1, 1, 1, -1), f"{node.name}_bias"
        )
        new.append(helper.make_node("Add", [target, bias], [node.output[0]], f"{node.name}_add"))
    replace_node(model, node, new)


def lower_pool(model: ModelWrapper, node: NodeProto, window: Window) -> None:
    """MaxPool, AveragePool -> Im2Col, Reshape, ReduceMax or ReduceSum, Div."""
    height, width, channels = model.get_tensor_shape(node.output[0])[1:]
    pixels = window.kernel[0] * window.kernel[1]
    tiled = [1, height, width, pixels, channels]
    average = node.op_type != "MaxPool"
    im2col = _im2col(model, node, window)
    shape, axes = f"{node.name}_shape", f"{node.name}_axes"
    model.set_initializer(shape, np.array(tiled, np.int64))
    model.set_initializer(axes, np.array([PIXEL_AXIS], np.int64))
    tiles = new_tensor(model, tiled, f"{node.name}_tiles")
    target = node.output[0]
    if average:
        target = new_tensor(model, model.get_tensor_shape(target), f"{node.name}_sum")
    reduce_type = "ReduceSum" if average else "ReduceMax"
    new = [
        im2col,
        helper.make_node("Reshape", [im2col.output[0], shape], [tiles], f"{node.name}_reshape"),
        helper.make_node(reduce_type, [tiles, axes], [target], node.name, keepdims=0),
    ]
    if average:
        count = new_constant(model, np.array([pixels], np.float32), f"{node.name}_pixels")
        new.append(helper.make_node("Div", [target, count], [node.output[0]], f"{node.name}_div"))
    replace_node(model, node, new)


def _im2col(model: ModelWrapper, node: NodeProto, window: Window) -> NodeProto:
    """The window in front of ``node``; vectors of (row, column, channel), channels innermost."""
    shape = [int(d) for d in model.get_tensor_shape(node.input[0])]
    height, width = _positions(window, shape)
    elements = window.kernel[0] * window.kernel[1] * shape[3]
    out = new_tensor(model, [1, height, width, elements], f"{node.name}_window")
    # qonnx executes an Im2Col only if the type of its input is written down
    model.set_tensor_datatype(node.input[0], model.get_tensor_datatype(node.input[0]))
    return helper.make_node(
        "Im2Col",
        [node.input[0]],
        [out],
        f"{node.name}_im2col",
        domain=QONNX_DOMAIN,
        stride=list(window.stride),
        kernel_size=list(window.kernel),
        pad_amount=list(window.pads),
        input_shape=str(tuple(shape)),
    )


def _positions(window: Window, shape: list[int]) -> tuple[int, int]:
    top, left, bottom, right = window.pads
    height = (shape[1] + top + bottom - window.kernel[0]) // window.stride[0] + 1
    width = (shape[2] + left + right - window.kernel[1]) // window.stride[1] + 1
    return height, width

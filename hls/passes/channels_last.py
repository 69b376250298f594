# SPDX-License-Identifier: Apache-2.0
"""Images get their channels last, [1, height, width, channels]: the order of streams."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import (
    QUANT_OPS,
    activation_nodes,
    attribute,
    constant,
    dynamic_inputs,
    label,
    new_constant,
    replace_node,
)
from hls.passes.lower_windows import lower_convolution, lower_pool
from hls.passes.windows import convolution_window, image_shape, pooling_window, upsampling_scale
from models.errors import CompileError

NHWC = ["N", "H", "W", "C"]
Rewrite = Callable[[ModelWrapper, NodeProto], None]
IMAGE_LAYERS = (*("Conv", "MaxPool", "AveragePool", "GlobalAveragePool", "Resize", "Upsample"),)
OPSET = 18
"""Reductions take their axes as an input from here on."""


class ChannelsLast(Transformation):
    """Rewrite a network of images; the host transposes at both borders.

    Before: the input is an image [1, channels, height, width]. After: all images have their
    channels last, the input is annotated so, convolutions and pools are windows with products and
    reductions (`lower_windows`), parameters of a channel are [1, 1, 1, channels]. Networks of
    vectors are left as they are.
    """

    ELEMENTWISE: ClassVar = (*QUANT_OPS, "Mul", "Div", "Add", "Sub", "Relu", "Clip")

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite all nodes."""
        entry = model.graph.input[0].name
        nodes = activation_nodes(model)
        if len(model.get_tensor_shape(entry)) != 4:
            _check_no_images(model, nodes)
            return model, False
        if model.get_tensor_layout(entry) == NHWC:
            return model, False
        rewrites = [self._prepare(model, node) for node in nodes]
        for name in dict.fromkeys([entry, *(node.output[0] for node in nodes)]):
            channels, height, width = image_shape(model, name, nodes[0])
            model.set_tensor_shape(name, [1, height, width, channels])
        for node, rewrite in zip(nodes, rewrites, strict=True):
            rewrite(model, node)
        model.set_tensor_layout(entry, NHWC)
        for opset in model.model.opset_import:
            if opset.domain in ("", "ai.onnx"):
                opset.version = max(opset.version, OPSET)
        return model, True

    def _prepare(self, model: ModelWrapper, node: NodeProto) -> Rewrite:
        """Check a node while its tensors have their channels first; returns what rewrites it."""
        image_shape(model, node.output[0], node)
        if node.op_type == "Conv":
            window = convolution_window(model, node)
            return lambda m, n: lower_convolution(m, n, window)
        if node.op_type in ("MaxPool", "AveragePool", "GlobalAveragePool"):
            tiles = pooling_window(model, node)
            return lambda m, n: lower_pool(m, n, tiles)
        if node.op_type in ("Resize", "Upsample"):
            scale = upsampling_scale(model, node)
            return lambda m, n: _resize(m, n, scale)
        if node.op_type == "Concat":
            _check_concat(model, node)
            return _concat
        if node.op_type in self.ELEMENTWISE:
            _check_elementwise(model, node)
            return _elementwise
        raise CompileError(
            f"{label(node)} in a network of images cannot be mapped: it works on the last axis of "
            f"{model.get_tensor_shape(node.input[0])}",
            hint="write a dense layer on the channels as a 1x1 convolution, one on the whole image "
            "as a convolution whose kernel covers it",
        )


def _check_no_images(model: ModelWrapper, nodes: list[NodeProto]) -> None:
    """Refuse layers of images in a network that takes none."""
    for node in nodes:
        if node.op_type in IMAGE_LAYERS:
            shape = model.get_tensor_shape(node.input[0])
            raise CompileError(
                f"{label(node)} works on {shape}: convolutions, pools and upsampling work on "
                "images [1, channels, height, width]",
                hint="give the network an input [1, channels, 1, length] and this layer a kernel "
                "of one row (1, k)"
                if len(shape) == 3
                else "let the network's input be an image",
            )


def _resize(model: ModelWrapper, node: NodeProto, scale: tuple[int, int]) -> None:
    factors = new_constant(model, np.array([1, *scale, 1], np.float32), f"{node.name}_scales")
    new = helper.make_node(
        "Resize",
        [node.input[0], "", factors],
        list(node.output),
        node.name,
        mode="nearest",
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor",
    )
    replace_node(model, node, [new])


def _check_concat(model: ModelWrapper, node: NodeProto) -> None:
    axis = int(attribute(node, "axis", 1)) % 4
    found = len(dynamic_inputs(model, node))
    if axis != 1 or found != 2 or len(node.input) != 2:
        raise CompileError(
            f"{label(node)} joins {len(node.input)} tensors, {found} of them computed, on axis "
            f"{axis}: the channels (axis 1) of two computed tensors can be joined",
            hint="concatenate two at a time, on channels",
        )


def _concat(model: ModelWrapper, node: NodeProto) -> None:
    new = helper.make_node("Concat", list(node.input), list(node.output), node.name, axis=3)
    replace_node(model, node, [new])


def _check_elementwise(model: ModelWrapper, node: NodeProto) -> None:
    shapes = {tuple(model.get_tensor_shape(name)) for _, name in dynamic_inputs(model, node)}
    if len(shapes) > 1:
        raise CompileError(
            f"{label(node)} joins tensors of different shapes {sorted(shapes)}",
            hint="both inputs of an add need one shape: upsample, pool or convolve one of them",
        )


def _elementwise(model: ModelWrapper, node: NodeProto) -> None:
    """Parameters of [channels, 1, 1] or [1, channels, 1, 1] become [1, 1, 1, channels]."""
    for index, name in enumerate(node.input):
        value = constant(model, name) if name else None
        if value is None or value.size == 1:
            continue
        wide = value.reshape((1,) * (4 - value.ndim) + value.shape)
        if wide.shape[0] != 1 or wide.shape[2:] != (1, 1):
            raise CompileError(
                f"{label(node)}: parameter {name!r} of shape {value.shape} varies over the image",
                hint="one number for the tensor, or one for each channel [channels, 1, 1]",
            )
        node.input[index] = new_constant(model, wide.transpose(0, 2, 3, 1), f"{name}_last")

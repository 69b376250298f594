# SPDX-License-Identifier: Apache-2.0
"""Flatten and Reshape: dropped at the input, refused elsewhere with a way out."""

from __future__ import annotations

from math import prod

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import (
    QUANT_OPS,
    activation_nodes,
    constant,
    dynamic_input,
    dynamic_inputs,
    is_join,
    label,
    remove_and_rewire,
)
from models.errors import CompileError

ELEMENTWISE = (*QUANT_OPS, "Mul", "Div", "Add", "Sub", "Relu", "Clip")


class FlattenInput(Transformation):
    """Drop Flatten/Reshape nodes: the accelerator takes the frame as one vector, row by row.

    Before: any network. After: no node changes the shape of activations. One that keeps the shape
    goes anywhere; one to [1, n] only where nothing but elementwise operations stands in front.
    """

    SHAPES = ("Flatten", "Reshape", "Squeeze", "Unsqueeze")

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Remove one shape node; called again until none is left."""
        for node in activation_nodes(model):
            if node.op_type not in self.SHAPES:
                continue
            before = list(model.get_tensor_shape(dynamic_input(model, node)[1]))
            target = list(model.get_tensor_shape(node.output[0]))
            if before != target:
                _check(model, node, before, target)
                name = dynamic_input(model, node)[1]
                while name != model.graph.input[0].name:
                    model.set_tensor_shape(name, target)
                    name = dynamic_input(model, model.find_producer(name))[1]
                model.set_tensor_shape(name, target)
            remove_and_rewire(model, node)
            return model, True
        return model, False


def _check(model: ModelWrapper, node: NodeProto, before: list[int], after: list[int]) -> None:
    at_input = _at_input(model, dynamic_input(model, node)[1])
    if at_input and after == [1, prod(before)]:
        return
    raise CompileError(
        f"{label(node)} reshapes {before} to {after} in the network: only a Flatten to [1, n] at "
        "the network's input is supported",
        hint=_way_out(model, node, before, after, at_input=at_input),
    )


def _at_input(model: ModelWrapper, name: str) -> bool:
    """True if only operations alike for all elements lead from the input to tensor ``name``."""
    while name != model.graph.input[0].name:
        node = model.find_producer(name)
        if node is None or node.op_type not in ELEMENTWISE or is_join(model, node):
            return False
        if len(model.find_consumers(name)) != 1:
            return False
        values = [constant(model, n) for n in node.input if n]
        if any(v is not None and v.size != 1 for v in values):
            return False
        name = dynamic_input(model, node)[1]
    return len(model.find_consumers(name)) == 1


def _way_out(
    model: ModelWrapper, node: NodeProto, before: list[int], after: list[int], *, at_input: bool
) -> str:
    if not _layers_behind(model, node):
        return (
            f"take it out: the accelerator gives {before}, which the host reshapes "
            "(numpy's reshape)"
        )
    if at_input:
        return f"take it out and let the network's input have the shape {after} itself"
    if len(before) == 4 and len(after) == 2:
        _, channels, height, width = before
        return (
            f"write the dense layer behind it as a convolution with a {height}x{width} kernel and "
            f"no padding, its weights reshaped to [out, {channels}, {height}, {width}], and take "
            f"the {node.op_type} out"
        )
    return (
        "compile what stands before it and what stands behind it as two networks, the second one "
        "with a quantizer at its input: the host reshapes in between"
    )


def _layers_behind(model: ModelWrapper, node: NodeProto) -> bool:
    """True if a layer with weights, a pool or a join reads what ``node`` gives, directly or not."""
    pending = list(model.find_consumers(node.output[0]))
    while pending:
        user = pending.pop()
        if user.op_type not in (*ELEMENTWISE, *FlattenInput.SHAPES, "BatchNormalization"):
            return True
        if len(dynamic_inputs(model, user)) > 1:
            return True
        pending += model.find_consumers(user.output[0])
    return False

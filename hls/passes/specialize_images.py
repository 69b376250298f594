# SPDX-License-Identifier: Apache-2.0
"""FINN's abstract layers of images -> the nodes of our RTL kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.finn_env import RTL_DOMAIN
from hls.passes.graph import at_all, attribute, label, new_tensor, remove_node, replace_node
from models.errors import CompileError

DROPPED = ("preferred_impl_style", "cpp_interface", "hls_style", "outFIFODepths", "inFIFODepths")
"""Attributes that belong to FINN's HLS implementations."""
NAMES = {
    "Window_phy": "win",
    "Pool_phy": "pool",
    "UpsampleNearestNeighbour_phy": "up",
    "DuplicateStreams_phy": "dup",
    "StreamingConcat_phy": "cat",
    "AddStreams_phy": "add",
}


class SpecializeImages(Transformation):
    """Windows, pools, upsampling, forks and joins to the nodes of our kernels.

    FMPadding and ConvolutionInputGenerator become one Window_phy; ConvolutionInputGenerator and
    Pool one Pool_phy; a fork in n becomes n - 1 DuplicateStreams_phy. Nodes are named win0, pool0,
    up0, dup0, cat0, add0 and so on, in the order of the graph; nothing is folded yet. Before:
    `to_finn`. A second run changes nothing.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite all abstract layers of images."""
        at_all(model, self._at)
        counts = dict.fromkeys(NAMES, 0)
        for node in model.graph.node:
            if node.op_type in NAMES:
                node.name = f"{NAMES[node.op_type]}{counts[node.op_type]}"
                counts[node.op_type] += 1
        return model, False

    @staticmethod
    def _at(model: ModelWrapper, node: NodeProto) -> bool:
        if node.op_type == "ConvolutionInputGenerator" and attribute(node, "depthwise", 0):
            return False  # goes with its Pool
        if node.op_type in REWRITES:
            replace_node(model, node, REWRITES[node.op_type](model, node))
        return node.op_type in REWRITES


def _node(
    old: NodeProto, op_type: str, inputs: list[str], outputs: list[str], **more: Any
) -> NodeProto:
    """A node with the attributes of ``old``, but for those of HLS and those given."""
    new = helper.make_node(op_type, inputs, outputs, old.name, domain=RTL_DOMAIN, **more)
    skip = (*DROPPED, *more)
    new.attribute.extend(a for a in old.attribute if a.name not in skip)
    return new


def _window(model: ModelWrapper, node: NodeProto) -> list[NodeProto]:
    source, pads = node.input[0], [0, 0, 0, 0]
    size = [int(v) for v in attribute(node, "IFMDim")]
    before = model.find_producer(source)
    if before is not None and before.op_type == "FMPadding":
        source, pads = before.input[0], [int(v) for v in attribute(before, "Padding")]
        size = [int(v) for v in attribute(before, "ImgDim")]
        remove_node(model, before)
    new = _node(node, "Window_phy", [source], list(node.output), SIMD=1, IFMDim=size, Padding=pads)
    return [new]


def _pool(model: ModelWrapper, node: NodeProto) -> list[NodeProto]:
    before = model.find_producer(node.input[0])
    if before is None or before.op_type != "ConvolutionInputGenerator":
        raise CompileError(f"{label(node)} has no window in front of it")
    new = _node(node, "Pool_phy", [before.input[0]], list(node.output), PE=1)
    remove_node(model, before)
    return [new]


def _plain(op_type: str, **folding: int) -> Callable[[ModelWrapper, NodeProto], list[NodeProto]]:
    def rewrite(model: ModelWrapper, node: NodeProto) -> list[NodeProto]:
        new = _node(node, op_type, list(node.input), list(node.output), **folding)
        return [new]

    return rewrite


def _duplicate(model: ModelWrapper, node: NodeProto) -> list[NodeProto]:
    """One behind the other, each with one output that goes on."""
    source, targets, new = node.input[0], list(node.output), []
    shape, datatype = model.get_tensor_shape(source), model.get_tensor_datatype(source)
    while len(targets) > 1:
        first, *targets = targets
        rest = targets[0]
        if len(targets) > 1:
            rest = new_tensor(model, shape, f"{node.name}_rest")
            model.set_tensor_datatype(rest, datatype)
        outputs = [first, rest]
        new.append(_node(node, "DuplicateStreams_phy", [source], outputs, PE=1, NumOutputStreams=2))
        source = rest
    return new


REWRITES: dict[str, Callable[[ModelWrapper, NodeProto], list[NodeProto]]] = {
    "ConvolutionInputGenerator": _window,
    "Pool": _pool,
    "UpsampleNearestNeighbour": _plain("UpsampleNearestNeighbour_phy", SIMD=1),
    "DuplicateStreams": _duplicate,
    "StreamingConcat": _plain("StreamingConcat_phy", SIMD=1),
    "ElementwiseAdd": _plain("AddStreams_phy", PE=1),
}

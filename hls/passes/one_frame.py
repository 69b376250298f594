# SPDX-License-Identifier: Apache-2.0
"""A network of one frame: batch size 1, every shape a number, shapes asked for are constants."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.infer_shapes import InferShapes

from hls.passes.graph import attribute, constant, label, run_foreign
from models.errors import CompileError


def one_frame(model: ModelWrapper) -> ModelWrapper:
    """The network of a batch of 1, with all shapes inferred anew.

    A Shape node gives a constant then, and so does what is computed from it: torch's
    ``x.view(x.shape[0], -1)`` becomes a Reshape to a constant shape.

    Raises:
        CompileError: the shape that the file states for its output is not the one inferred.
    """
    from hls.passes.tidy import FoldConstantBranches

    declared = _dims(model)
    batch = model.get_tensor_shape(model.graph.input[0].name)[0]
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    if batch > 1:
        _reshape_one(model, batch)
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    model = run_foreign(model, InferShapes())
    while shapes := [n for n in model.graph.node if n.op_type == "Shape"]:
        if not sum(_replace_shape(model, node) for node in shapes):
            break
        model = run_foreign(model.transform(FoldConstantBranches()), InferShapes())
    _check_declared(model, declared)
    return model


def _dims(model: ModelWrapper) -> list[int]:
    return [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim]


def _reshape_one(model: ModelWrapper, batch: int) -> None:
    """A Reshape to [batch, ...] becomes one to [1, ...]."""
    for node in model.graph.node:
        if node.op_type == "Reshape":
            shape = constant(model, node.input[1])
            if shape is not None and shape.ndim == 1 and len(shape) and shape[0] == batch:
                model.set_initializer(node.input[1], np.array([1, *shape[1:]], np.int64))


def _replace_shape(model: ModelWrapper, node: NodeProto) -> bool:
    """Put the numbers where a Shape node is, if they are known."""
    shape = model.get_tensor_shape(node.input[0])
    if not shape or min(shape) < 1:
        return False
    part = shape[slice(attribute(node, "start", 0), attribute(node, "end", None))]
    model.graph.node.remove(node)
    model.set_initializer(node.output[0], np.array(part, np.int64))
    return True


def _check_declared(model: ModelWrapper, declared: list[int]) -> None:
    """What the file says of its output, but for the batch."""
    name = model.graph.output[0].name
    found = model.get_tensor_shape(name)
    if not declared or not found or min(found) < 1:
        return
    pairs = zip(declared[1:], found[1:], strict=False)
    if len(declared) != len(found) or any(a not in (0, b) for a, b in pairs):
        raise CompileError(
            f"output {name!r} is declared with the shape {declared}, the network gives {found}",
            hint="export the network again: the shapes written into the file are out of date",
        )


def check_shapes(model: ModelWrapper, nodes: list[NodeProto]) -> None:
    """Every tensor that ``nodes`` give has a shape: fixed numbers, the batch first."""
    for node in nodes:
        shape = model.get_tensor_shape(node.output[0])
        inputs = [f"{n!r} {model.get_tensor_shape(n)}" for n in node.input if n]
        if not shape or min(shape) < 1:
            raise CompileError(
                f"{label(node)} does not fit its inputs: no shape of what it gives follows from "
                f"{', '.join(inputs)}",
                hint="export the network with fixed sizes; a batch of any size is taken as 1",
            )
        if shape[0] != 1:
            raise CompileError(
                f"{label(node)} gives {shape} for one frame, from {', '.join(inputs)}: the first "
                "axis has to stay the batch",
                hint="frames are computed one by one: no operation may mix the batch with the rest",
            )

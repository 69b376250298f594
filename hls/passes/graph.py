# SPDX-License-Identifier: Apache-2.0
"""Small questions that every pass asks of a QONNX graph."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.base import Transformation

from hls.indexed_model import IndexedModel
from models.errors import CompileError, PhyfoldError

log = logging.getLogger(__name__)

QUANT_OPS = ("Quant", "IntQuant", "BipolarQuant")
RESHAPING = ("Im2Col", "Reshape", "ReduceSum", "ReduceMax", "Resize")
"""What convolutions, pools and upsampling of a tidy model do to the pixels of an image."""
QONNX_DOMAIN = "qonnx.custom_op.general"


LIBRARIES = ("qonnx", "finn")


def label(node: NodeProto) -> str:
    """How a message names a node."""
    return f"{node.op_type} node {node.name!r}"


def attribute(node: NodeProto, name: str, default: Any = None) -> Any:
    """The value of an ONNX attribute, or ``default`` where it is absent."""
    for item in node.attribute:
        if item.name == name:
            return helper.get_attribute_value(item)
    return default


def constant(model: ModelWrapper, name: str) -> npt.NDArray[Any] | None:
    """The initializer of that name, or None."""
    value = model.get_initializer(name)
    return None if value is None else np.asarray(value)


def need_constant(model: ModelWrapper, node: NodeProto, index: int) -> npt.NDArray[Any]:
    """Input ``index`` of ``node``, which has to be a constant."""
    value = constant(model, node.input[index])
    if value is None:
        raise CompileError(
            f"{label(node)}: input {node.input[index]!r} has to be a constant, "
            "but it is computed by the graph",
            hint="export the network in evaluation mode, with constant scales and parameters",
        )
    return value


def is_constant(model: ModelWrapper, name: str) -> bool:
    """True for an initializer; its value is not read."""
    return IndexedModel.of(model).has_initializer(name)


def constant_names(model: ModelWrapper, given: Iterable[str] = ()) -> set[str]:
    """Initializers and ``given``, and all tensors that are computed from these alone."""
    names = {item.name for item in model.graph.initializer} | set(given)
    pending = list(model.graph.node)
    while True:
        found = [n for n in pending if all(name in names for name in n.input if name)]
        if not found:
            return names
        names.update(name for node in found for name in node.output)
        pending = [n for n in pending if n.output[0] not in names]


def from_constants(model: ModelWrapper, name: str) -> bool:
    """True if the tensor is a constant or computed from constants alone."""
    return IndexedModel.of(model).is_constant(name)


def dynamic_inputs(model: ModelWrapper, node: NodeProto) -> list[tuple[int, str]]:
    """Index and name of the inputs of ``node`` that are no constants."""
    indexed = IndexedModel.of(model)
    return [(i, n) for i, n in enumerate(node.input) if n and not indexed.is_constant(n)]


def dynamic_input(model: ModelWrapper, node: NodeProto) -> tuple[int, str]:
    """Index and name of the one input of ``node`` that is no constant."""
    found = dynamic_inputs(model, node)
    if len(found) != 1:
        raise CompileError(
            f"{label(node)} joins {len(found)} computed tensors: this operator takes one",
            hint="streams are joined by a Concat on channels or by an Add of two quantized tensors "
            "of one scale; products of activations are not supported",
        )
    return found[0]


def activation_nodes(model: ModelWrapper) -> list[NodeProto]:
    """The nodes that compute the output from the input, in topological order.

    Weight quantizers (nodes fed by constants alone) are not among them, nor is what does not reach
    the output.
    """
    graph = model.graph
    if len(graph.output) != 1:
        names = ", ".join(repr(o.name) for o in graph.output)
        raise CompileError(
            f"the model has {len(graph.output)} outputs ({names}): one is supported",
            hint="export the network with a single output tensor",
        )
    order: list[NodeProto] = []
    producers = {name: node for node in graph.node for name in node.output}
    done = {graph.input[0].name}
    pending = [graph.output[0].name]
    while pending:
        name = pending[-1]
        node = None if name in done else producers.get(name)
        if name not in done and node is None:
            raise CompileError(
                f"tensor {name!r} is neither computed by a node nor the input "
                f"{graph.input[0].name!r}",
                hint="the model needs one input and one output, joined by layers",
            )
        missing = [] if node is None else [n for _, n in dynamic_inputs(model, node)]
        missing = [n for n in missing if n not in done]
        if missing:
            pending += missing[::-1]
            continue
        pending.pop()
        if node is not None and name not in done:
            order.append(node)
            done.update(node.output)
    return order


def first_node(model: ModelWrapper) -> NodeProto:
    """The one node that takes the input of the graph."""
    name = model.graph.input[0].name
    users = model.find_consumers(name)
    if len(users) != 1:
        raise CompileError(
            f"tensor {name!r}, the input, goes to {len(users)} nodes "
            f"({', '.join(label(u) for u in users)}): one quantizer is needed there",
            hint="put one quantizer (QuantIdentity) at the network's input, before it forks",
        )
    first: NodeProto = users[0]
    return first


def is_join(model: ModelWrapper, node: NodeProto) -> bool:
    """True for a Concat or an Add of two computed tensors."""
    if node.op_type not in ("Add", "Concat"):
        return False
    if any(is_constant(model, name) for name in node.input):
        return False
    return len(dynamic_inputs(model, node)) > 1


Rewrite = Callable[[ModelWrapper, NodeProto], bool]


def at_all(model: ModelWrapper, rewrite: Rewrite) -> bool:
    """Call ``rewrite`` once at every node that is still there; True if any was rewritten."""
    indexed = IndexedModel.of(model)
    with indexed.tracked():
        nodes = list(indexed.graph.node)
        return sum(rewrite(indexed, node) for node in nodes if indexed.holds(node)) > 0


def run_foreign(model: ModelWrapper, transformation: Transformation) -> ModelWrapper:
    """Transform by a pass; what one of qonnx or FINN cannot do is one line, no traceback."""
    library = type(transformation).__module__.split(".")[0]
    if library not in LIBRARIES:
        return model.transform(transformation)
    try:
        return model.transform(transformation)
    except PhyfoldError:
        raise
    except Exception as error:  # they raise whatever they meet, AssertionError too
        log.info("%s failed", type(transformation).__name__, exc_info=True)
        text = " ".join(str(error).split())[:300] or "no reason given"
        raise CompileError(
            f"{library}'s pass {type(transformation).__name__} does not take this network: "
            f"{type(error).__name__}: {text}",
            hint="the log has its traceback; onnx.checker.check_model(model, full_check=True) may "
            "say more",
        ) from error


def replace_node(model: ModelWrapper, old: NodeProto, new: list[NodeProto]) -> None:
    """Put copies of ``new`` where ``old`` is."""
    indexed = IndexedModel.of(model)
    place = indexed.place(old)
    indexed.remove_node(old)
    indexed.insert_nodes(place, new)


def insert_behind(model: ModelWrapper, node: NodeProto, new: NodeProto) -> None:
    """Put a copy of ``new`` right behind ``node``."""
    indexed = IndexedModel.of(model)
    indexed.insert_nodes(indexed.place(node) + 1, [new])


def remove_node(model: ModelWrapper, node: NodeProto) -> None:
    """Take ``node`` out of the graph."""
    IndexedModel.of(model).remove_node(node)


def rewire(model: ModelWrapper, node: NodeProto, index: int, name: str) -> None:
    """Let input ``index`` of ``node`` be tensor ``name``."""
    IndexedModel.of(model).rewire(node, index, name)


def remove_and_rewire(model: ModelWrapper, node: NodeProto) -> None:
    """Delete a node of one data input and one output; its user or producer takes its place."""
    source, target = dynamic_input(model, node)[1], node.output[0]
    users = model.find_consumers(target)
    producer = model.find_producer(source)
    if not users and producer is None:
        raise CompileError(f"{label(node)} is the whole graph: there is nothing to map")
    remove_node(model, node)
    for user in users:
        for index, name in enumerate(user.input):
            if name == target:
                rewire(model, user, index, source)
    if not users and producer is not None:
        producer.output[0] = target


def new_tensor(model: ModelWrapper, shape: list[int] | tuple[int, ...], base: str) -> str:
    """A fresh float tensor of ``shape``; its name starts with ``base``."""
    name, index = base, 0
    while model.get_tensor_valueinfo(name) is not None:
        index += 1
        name = f"{base}_{index}"
    info = helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
    model.graph.value_info.append(info)
    return name


def new_constant(model: ModelWrapper, value: npt.NDArray[Any], base: str) -> str:
    """A fresh initializer, float32 if that holds it exactly, else float64."""
    single = value.astype(np.float32)
    exact = bool(np.all(single.astype(np.float64) == value.astype(np.float64)))
    name = new_tensor(model, value.shape, base)
    model.set_initializer(name, single if exact else value.astype(np.float64))
    return name


def custom(node: NodeProto) -> Any:
    """The executable operator behind a QONNX or FINN node."""
    return getCustomOp(node)

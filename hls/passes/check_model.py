# SPDX-License-Identifier: Apache-2.0
"""What the compiler can map, and messages for what it cannot."""

from __future__ import annotations

from enum import Enum

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.onnx_graph import STANDARD
from hls.passes.graph import (
    QUANT_OPS,
    RESHAPING,
    activation_nodes,
    attribute,
    constant,
    constant_names,
    dynamic_input,
    dynamic_inputs,
    first_node,
    is_join,
    label,
)
from hls.passes.quantizer import parse_quantizer
from hls.passes.unmapped import reason
from models.errors import CompileError

SUPPORTED = (
    *QUANT_OPS,
    "MatMul",
    "Gemm",
    "Add",
    "Sub",
    "Mul",
    "Div",
    "Relu",
    "Clip",
    "BatchNormalization",
    "Identity",
    "Dropout",
    "Flatten",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Conv",
    "AveragePool",
    "MaxPool",
    "GlobalAveragePool",
    "Resize",
    "Upsample",
    "Concat",
)
RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli")


def check_operators(model: ModelWrapper, *, shapes_open: bool = False) -> None:
    """Raise a `CompileError` that names the first node that cannot be mapped.

    What is computed from constants alone is no layer and may be any operator of ONNX. With
    ``shapes_open`` so may be what is computed from the shape of a tensor.
    """
    given = [n.output[0] for n in model.graph.node if n.op_type == "Shape"] if shapes_open else []
    constants = constant_names(model, given)
    for node in model.graph.node:
        if node.op_type in SUPPORTED:
            _check_form(model, node)
            continue
        if node.output[0] in constants and node.domain in STANDARD and _computable(node):
            continue
        found = reason(node.op_type, ", ".join(SUPPORTED))
        raise CompileError(f"{label(node)} cannot be mapped: {found.why}", hint=found.way_out)


def _computable(node: NodeProto) -> bool:
    """True if the node gives the same for the same constants, by itself."""
    own = any(item.HasField("g") or item.graphs for item in node.attribute)
    return not own and node.op_type not in RANDOM


def _check_form(model: ModelWrapper, node: NodeProto) -> None:
    """Refuse forms of an operator that are left out: of training, with more than one result."""
    if _training(model, node):
        raise CompileError(
            f"{label(node)} is in training mode: it gives other numbers every time",
            hint="export the network in evaluation mode (model.eval())",
        )
    if len(node.output) < 2:
        return
    read = {name for other in model.graph.node for name in other.input}
    read |= {item.name for item in model.graph.output}
    if further := [name for name in node.output[1:] if name and name in read]:
        raise CompileError(
            f"{label(node)}: its second result {further[0]!r} is used; only the first one has a "
            "hardware layer",
            hint="use the first result alone",
        )


def _training(model: ModelWrapper, node: NodeProto) -> bool:
    if node.op_type == "BatchNormalization":
        return bool(attribute(node, "training_mode", 0))
    if node.op_type != "Dropout" or len(node.input) < 3 or not node.input[2]:
        return False
    mode = constant(model, node.input[2])
    return mode is None or bool(mode.any())


PRODUCTS = ("MatMul", "Gemm", "Conv", "Mul", "Div", "Sub")


def check_factors(model: ModelWrapper, nodes: list[NodeProto]) -> None:
    """Raise a `CompileError` for the first of ``nodes`` that multiplies activations."""
    for node in nodes:
        names = [name for _, name in dynamic_inputs(model, node)]
        if node.op_type in PRODUCTS and len(names) > 1:
            raise CompileError(
                f"{label(node)} joins {len(names)} computed tensors ({', '.join(map(repr, names))})"
                ": one of them has to be a constant",
                hint="streams are joined by a Concat on channels or by an Add of two quantized "
                "tensors of one scale; products of activations, and differences, are not supported",
            )


def check_quantized(model: ModelWrapper) -> None:
    """Raise a `CompileError` naming the first tensor without a quantizer (on a tidy model)."""
    nodes = activation_nodes(model)
    if not any(n.op_type == "MatMul" for n in nodes):
        found = ", ".join(dict.fromkeys(n.op_type for n in nodes)) or "nothing"
        raise CompileError(
            f"between input {model.graph.input[0].name!r} and output "
            f"{model.graph.output[0].name!r} there is no dense layer (MatMul, Gemm) and no "
            f"convolution, only {found}: there is nothing to map",
            hint="the compiler maps networks of dense layers and of convolutions",
        )
    if not any(n.op_type in QUANT_OPS for n in model.graph.node) and not _integer_input(model):
        raise CompileError(
            f"the model is a floating-point one: tensor {model.graph.input[0].name!r} and all "
            "after it have no quantizer",
            hint="train it quantization-aware with Brevitas (QuantIdentity at the input, "
            "QuantLinear or QuantConv2d, QuantReLU) and export QONNX",
        )
    for node in model.graph.node:
        if node.op_type in QUANT_OPS:
            parse_quantizer(model, node)
    _check_first(model, first_node(model))
    states = {model.graph.input[0].name: _Value.CODES if _integer_input(model) else _Value.FLOAT}
    for node in nodes:
        states[node.output[0]] = _check_node(model, node, states)


def _check_first(model: ModelWrapper, node: NodeProto) -> None:
    """The input is quantized before anything is computed of it: that quantizer is the ADC."""
    if node.op_type in ("Mul", "Div", "Add", "Sub", "Relu", "Clip"):
        raise CompileError(
            f"{label(node)} changes tensor {model.graph.input[0].name!r}, the input, which is not "
            "quantized yet",
            hint="let the host do it (normalise, scale, clip) and begin the network with a "
            "quantizer (QuantIdentity), or put one quantizer in front of it and one behind it",
        )


class _Value(Enum):
    """What a tensor holds."""

    CODES = "quantized, maybe scaled"
    SUMS = "products of codes, scaled and shifted: a quantizer behind it sees integers"
    CHANGED = "codes, shifted or clipped behind their quantizer"
    FLOAT = "anything else"


def _check_node(model: ModelWrapper, node: NodeProto, states: dict[str, _Value]) -> _Value:
    """What ``node`` gives; raises for what cannot be mapped."""
    names = [name for _, name in dynamic_inputs(model, node)]
    state = states[names[0]]
    if node.op_type in QUANT_OPS:
        return _Value.CODES
    if node.op_type in ("Add", "Sub", "Relu", "Clip") and not is_join(model, node):
        if state in (_Value.CODES, _Value.CHANGED):
            return _Value.CHANGED
        return _Value.FLOAT if node.op_type in ("Relu", "Clip") else state
    if is_join(model, node) or node.op_type in ("MatMul", "ReduceSum", "ReduceMax", "Resize"):
        for name in names:
            if states[name] is _Value.CHANGED:
                raise _changed(model, node, name)
    if is_join(model, node):
        _check_join(node, names, states)
        return _Value.CODES
    if node.op_type == "MatMul":
        _check_product(model, node, state is _Value.CODES)
        return _Value.SUMS
    sums = node.op_type == "ReduceSum" and state is _Value.SUMS
    if node.op_type in ("ReduceSum", "ReduceMax", "Resize") and not (sums or state is _Value.CODES):
        raise CompileError(
            f"tensor {_origin(model, names[0])!r}, the input of {label(node)}, is not quantized",
            hint="put a quantizer before it: pooling and upsampling work on integers (an average "
            "may stand right behind a convolution, before ReLU and quantizer)",
        )
    return state


def _changed(model: ModelWrapper, user: NodeProto, name: str) -> CompileError:
    """The error for codes that were changed before ``user`` takes them."""
    node = model.find_producer(_origin(model, name))
    while node is not None and node.op_type in ("Mul", "Div"):
        node = model.find_producer(dynamic_input(model, node)[1])
    assert node is not None
    source = dynamic_input(model, node)[1]
    return CompileError(
        f"{label(node)} changes tensor {source!r} after its quantizer and before {label(user)}",
        hint="put the quantizer after it: the last operation before a MatMul, a convolution, a "
        "pool or a join has to be a quantizer",
    )


def _check_join(node: NodeProto, names: list[str], states: dict[str, _Value]) -> None:
    for name in names:
        if states[name] is not _Value.CODES:
            raise CompileError(
                f"tensor {name!r}, an input of {label(node)}, is not quantized: floating-point "
                "streams are not joined",
                hint="put one shared quantizer (the same QuantIdentity) on both inputs",
            )


def _origin(model: ModelWrapper, name: str) -> str:
    """The tensor that windows and reshapes in front of ``name`` were taken from."""
    node = model.find_producer(name)
    while node is not None and node.op_type in RESHAPING:
        name = node.input[0]
        node = model.find_producer(name)
    return name


def _check_product(model: ModelWrapper, node: NodeProto, quantized: bool) -> None:
    if not quantized:
        raise CompileError(
            f"tensor {_origin(model, node.input[0])!r}, the input of {label(node)}, is not "
            "quantized",
            hint="put a quantizer before this layer (Brevitas: QuantIdentity at the network's "
            "input, QuantReLU or QuantIdentity between layers)",
        )
    if constant(model, node.input[0]) is not None:
        raise CompileError(
            f"{label(node)} has its weights on the left", hint="write the layer as x W, not W x"
        )
    producer = model.find_producer(node.input[1])
    annotated = model.get_tensor_datatype(node.input[1]).is_integer()
    if not annotated and (producer is None or producer.op_type not in QUANT_OPS):
        raise CompileError(
            f"tensor {node.input[1]!r}, the weights of {label(node)}, is not quantized",
            hint="use QuantLinear (QuantConv2d) with a weight quantizer for this layer",
        )


def _integer_input(model: ModelWrapper) -> bool:
    return bool(model.get_tensor_datatype(model.graph.input[0].name).is_integer())

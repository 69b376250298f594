# SPDX-License-Identifier: Apache-2.0
"""What the compiler can map, and messages for what it cannot."""

from __future__ import annotations

from enum import Enum

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.passes.graph import (
    QUANT_OPS,
    RESHAPING,
    activation_nodes,
    constant,
    dynamic_input,
    dynamic_inputs,
    from_constants,
    is_join,
    label,
)
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
WEIGHT_ONLY = ("Transpose", "Constant")
SMOOTH = ("Sigmoid", "Tanh", "Softmax", "Gelu", "Erf", "Elu", "Softplus", "Exp", "HardSigmoid")


def check_operators(model: ModelWrapper) -> None:
    """Raise a `CompileError` that names the first node that cannot be mapped."""
    for node in model.graph.node:
        if node.op_type in SUPPORTED:
            continue
        if node.op_type in WEIGHT_ONLY and from_constants(model, node.output[0]):
            continue
        raise CompileError(f"{label(node)} cannot be mapped: {_reason(node)}", hint=_way_out(node))


def check_quantized(model: ModelWrapper) -> None:
    """Raise a `CompileError` naming the first tensor without a quantizer (on a tidy model)."""
    nodes = activation_nodes(model)
    if not any(n.op_type == "MatMul" for n in nodes):
        raise CompileError(
            "the model has no dense layer (MatMul, Gemm) and no convolution: there is nothing to "
            "map",
            hint="the compiler maps networks of dense layers and of convolutions",
        )
    if not any(n.op_type in QUANT_OPS for n in model.graph.node) and not _integer_input(model):
        raise CompileError(
            f"the model is a floating-point one: tensor {model.graph.input[0].name!r} and all "
            "after it have no quantizer",
            hint="train it quantization-aware with Brevitas (QuantIdentity at the input, "
            "QuantLinear or QuantConv2d, QuantReLU) and export QONNX",
        )
    states = {model.graph.input[0].name: _Value.CODES if _integer_input(model) else _Value.FLOAT}
    for node in nodes:
        states[node.output[0]] = _check_node(model, node, states)


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
    return CompileError(
        f"{label(node)} changes tensor {node.input[0]!r} after its quantizer and before "
        f"{label(user)}",
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


def _reason(node: NodeProto) -> str:
    if node.op_type in SMOOTH:
        return "a smooth function has no integer hardware layer here"
    if node.op_type == "ConvTranspose":
        return "a transposed convolution has no hardware layer here"
    if node.op_type in WEIGHT_ONLY:
        return "activations are not permuted in hardware"
    return f"the operator {node.op_type!r} is unknown to the compiler"


def _way_out(node: NodeProto) -> str:
    if node.op_type in SMOOTH:
        return (
            "replace it by ReLU, Clip (hard tanh) or a quantizer alone, or cut it off: a monotone "
            "function at the output can be left to the host"
        )
    if node.op_type == "ConvTranspose":
        return "upsample by nearest neighbour (nn.Upsample) and convolve"
    return f"supported: {', '.join(SUPPORTED)}; Transpose on weights only"

# SPDX-License-Identifier: Apache-2.0
"""Parameters of the shapes that their operators define; ONNX's shape inference lets others pass."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.onnx_constants import QUANT
from hls.passes.graph import QUANT_OPS, attribute, constant, label
from models.errors import CompileError

FLOAT_OPS = (*("MatMul", "Gemm", "Conv", "BatchNormalization", "Add", "Sub", "Mul", "Div", "Clip"),)
ZERO_LIMIT = 1 << 31
HINT = "the file is no valid ONNX: export the network again"


def check_parameters(model: ModelWrapper, nodes: Sequence[NodeProto]) -> None:
    """Raise a `CompileError` for the first parameter that has no legal shape, type or size.

    nodes: those that compute the output from the input; quantizers of weights are looked at too.
    """
    for node in [n for n in model.graph.node if n.op_type in QUANT_OPS]:
        _check_type(model, node)
        if model.get_tensor_shape(node.input[0]) is not None:
            _check_quantizer(model, node)
    for node in nodes:
        if node.op_type in FLOAT_OPS:
            _check_type(model, node)
        if len(_shape(model, node, 0)) < 2:
            continue  # not known: told by `check_shapes`
        if node.op_type == "Conv":
            _check_convolution(model, node)
        elif node.op_type == "BatchNormalization":
            channels = _shape(model, node, 0)[1]
            for index in range(1, 5):
                _need(model, node, index, (channels,), "one number for each channel")
        elif node.op_type == "Clip":
            for index in (i for i in (1, 2) if i < len(node.input) and node.input[i]):
                if _shape(model, node, index) != (1,):
                    _need(model, node, index, (), "one number")


def _check_type(model: ModelWrapper, node: NodeProto) -> None:
    for name in node.input:
        value = constant(model, name) if name else None
        if value is not None and not value.size:
            raise CompileError(f"{label(node)}: parameter {name!r} has no elements", hint=HINT)
        if value is not None and value.dtype != np.float32:
            raise CompileError(
                f"{label(node)}: parameter {name!r} holds {value.dtype}, must hold float32",
                hint=HINT,
            )


def _shape(model: ModelWrapper, node: NodeProto, index: int) -> tuple[int, ...]:
    return tuple(model.get_tensor_shape(node.input[index]) or ())


def _need(
    model: ModelWrapper, node: NodeProto, index: int, shape: tuple[int, ...], what: str
) -> None:
    found = _shape(model, node, index)
    if found != shape:
        raise CompileError(
            f"{label(node)}: parameter {node.input[index]!r} has the shape {list(found)}, must be "
            f"{list(shape)}: {what}",
            hint=HINT,
        )


def _check_convolution(model: ModelWrapper, node: NodeProto) -> None:
    x, w = _shape(model, node, 0), _shape(model, node, 1)
    groups = int(attribute(node, "group", 1))
    kernel = tuple(attribute(node, "kernel_shape", w[2:]))
    if len(w) != len(x) or groups < 1 or w[1] * groups != x[1] or w[0] % groups or kernel != w[2:]:
        raise CompileError(
            f"{label(node)}: weights {node.input[1]!r} of shape {list(w)}, kernel {list(kernel)} "
            f"and {groups} groups do not fit an input of shape {list(x)}",
            hint=HINT,
        )
    if len(node.input) > 2 and node.input[2]:
        _need(model, node, 2, w[:1], "one number for each output channel")


def _check_quantizer(model: ModelWrapper, node: NodeProto) -> None:
    x = _shape(model, node, 0)
    for index, name in enumerate(node.input[1:], 1):
        found = _shape(model, node, index)
        try:
            fits = np.broadcast_shapes(x, found) == x or (x == () and found == (1,))
        except ValueError:
            fits = False
        if not fits:
            raise CompileError(
                f"{label(node)}: {QUANT[index]} {name!r} of shape {list(found)} does not fit a "
                f"tensor of shape {list(x)}",
                hint="one for the tensor, or one for each channel: export the network again",
            )
    zero = constant(model, node.input[2]) if len(node.input) > 2 else None
    if zero is not None and np.abs(zero).max(initial=0) >= ZERO_LIMIT:
        raise CompileError(
            f"{label(node)}: zero point {float(np.abs(zero).max()):g} must be below 2^31",
            hint="a zero point is a level of the quantizer: export the network again",
        )

# SPDX-License-Identifier: Apache-2.0
"""The constants of a received graph: all are initializers, all are numbers, all are finite.

A parameter that is NaN or infinite has no integer hardware, and a variance below zero gives one.
Node, parameter and place are named where the file is read, not where a pass stumbles.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls.onnx_graph import named_node
from models.errors import CompileError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

QUANT = ("value", "scale", "zero point", "bit width")
PARAMETERS: dict[str, tuple[str, ...]] = {
    "MatMul": ("left factor", "weights"),
    "Gemm": ("left factor", "weights", "bias"),
    "Conv": ("input", "weights", "bias"),
    "BatchNormalization": ("input", "scale", "bias", "mean", "variance"),
    "Quant": QUANT,
    "IntQuant": QUANT,
    "BipolarQuant": QUANT,
    "Clip": ("input", "min", "max"),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), ("constant", "constant")),
}
"""What the inputs of an operator are called in a message."""
UNLIMITED = {("Clip", 1): -np.inf, ("Clip", 2): np.inf}
"""Infinite values that say something: no limit on this side."""
CONSTANT_VALUES = ("value", "value_float", "value_floats", "value_int", "value_ints")


def constants_to_initializers(model: ModelProto, what: str) -> None:
    """Replace every Constant node of the graph by an initializer of the same name.

    Raises:
        CompileError: one holds text, or no value.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    for node in [n for n in graph.node if n.op_type == "Constant"]:
        item = next((a for a in node.attribute if a.name in CONSTANT_VALUES), None)
        if item is None:
            raise CompileError(
                f"{what}{named_node(node)} holds no number",
                hint="constants are tensors, numbers or lists of numbers",
            )
        value = helper.get_attribute_value(item)
        if item.name == "value":
            value = _array(value, f"{what}{named_node(node)}: ")
        else:
            value = np.asarray(value, np.float32 if "float" in item.name else np.int64)
        tensor = numpy_helper.from_array(value, node.output[0])
        graph.node.remove(node)
        graph.initializer.append(tensor)


def check_constants(graph: GraphProto, what: str) -> None:
    """Every parameter that a node reads is an array of finite numbers.

    what: begins the message: the file's name and a colon, or nothing.

    Raises:
        CompileError: names the node, the parameter, the tensor, the value and its place.
    """
    arrays: dict[str, npt.NDArray[Any]] = {}
    stored = {item.name: item for item in graph.initializer}
    for node in graph.node:
        for item in node.attribute:
            _check_attribute(node, item.name, (*([item.f] if item.f else []), *item.floats), what)
        for index, name in enumerate(node.input):
            if name not in stored:
                continue
            if name not in arrays:
                arrays[name] = _array(stored[name], f"{what}{named_node(node)}: ")
            _check_finite(node, index, arrays[name], what)
        if node.op_type == "BatchNormalization" and node.input[4] in arrays:
            _check_variance(node, arrays[node.input[4]], what)


def _array(tensor: TensorProto, what: str) -> npt.NDArray[Any]:
    """The numbers of a constant."""
    from onnx import numpy_helper

    if any(size < 0 for size in tensor.dims):
        raise CompileError(
            f"{what}tensor {tensor.name!r} has the shape {list(tensor.dims)}",
            hint="the file is damaged: export the network again",
        )
    try:
        array: npt.NDArray[Any] = numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise CompileError(
            f"{what}tensor {tensor.name!r} of shape {list(tensor.dims)} cannot be read ({error})",
            hint="the file is damaged: export the network again",
        ) from error
    if array.dtype.kind not in "fiub":
        raise CompileError(
            f"{what}tensor {tensor.name!r} holds {array.dtype}, which are no plain numbers",
            hint="export the network in float32",
        )
    return array


def _check_attribute(node: NodeProto, name: str, values: tuple[float, ...], what: str) -> None:
    free = UNLIMITED.get((node.op_type, {"min": 1, "max": 2}.get(name, 0)))
    for value in values:
        if not np.isfinite(value) and value != free:
            raise CompileError(
                f"{what}{named_node(node)}: {name} = {value} must be a number", hint=_hint(name)
            )


def _check_finite(node: NodeProto, index: int, array: npt.NDArray[Any], what: str) -> None:
    if array.dtype.kind != "f":
        return
    wrong = ~np.isfinite(array)
    free = UNLIMITED.get((node.op_type, index))
    if free is not None:
        wrong &= array != free
    if not wrong.any():
        return
    place = tuple(int(i) for i in np.argwhere(wrong)[0]) if array.ndim else ()
    roles = PARAMETERS.get(node.op_type, ())
    role = roles[index] if index < len(roles) else f"input {index}"
    where = f" at {list(place)}" if array.size > 1 else ""
    more = f" ({int(wrong.sum())} of {array.size} are none)" if wrong.sum() > 1 else ""
    raise CompileError(
        f"{what}{named_node(node)}: {role} = {array[place]} must be a number, in tensor "
        f"{node.input[index]!r}{where}{more}",
        hint=_hint(role),
    )


def _hint(role: str) -> str:
    if role in ("min", "max"):
        return f"leave {role} out where there is no limit"
    return (
        "the training diverged, or the export went wrong: check the parameter in the framework, "
        "and export again"
    )


def _check_variance(node: NodeProto, variance: npt.NDArray[Any], what: str) -> None:
    epsilon = next((a.f for a in node.attribute if a.name == "epsilon"), 1e-5)
    flat = variance.reshape(-1)
    bad = np.flatnonzero(flat.astype(np.float64) + epsilon <= 0)
    if len(bad):
        raise CompileError(
            f"{what}{named_node(node)}: variance = {flat[bad[0]]} at [{bad[0]}] of tensor "
            f"{node.input[4]!r}, epsilon = {epsilon:g}: their sum must be positive",
            hint="a variance is never negative: check the running statistics, and export again",
        )

# SPDX-License-Identifier: Apache-2.0
"""The nodes between an integer tensor and a point behind it, as one exact map.

The last axis of every tensor has the channels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.ir import IntFormat
from hls.passes.graph import (
    QUANT_OPS,
    RESHAPING,
    attribute,
    dynamic_input,
    dynamic_inputs,
    is_constant,
    is_join,
    label,
    need_constant,
)
from hls.passes.monotone import MonotoneMap
from hls.passes.quantizer import smallest_format
from hls.passes.thresholds import accumulator_range
from models.errors import CompileError

MAX_SUM_BITS = 53
"""Widest sum without its sign [bit]: float64 holds it exactly."""


@dataclass(frozen=True)
class Chain:
    """``nodes`` lead from the integer tensor ``source`` [1, ..., channels] to another tensor."""

    source: str
    producer: NodeProto | None
    nodes: tuple[NodeProto, ...]
    exact: MonotoneMap


def chain_before(model: ModelWrapper, name: str) -> Chain:
    """Walk from tensor ``name`` back to the nearest integer tensor."""
    nodes: list[NodeProto] = []
    target = name
    while not _is_source(model, name):
        node = model.find_producer(name)
        if node is None or node.op_type in (*QUANT_OPS, "MatMul"):
            where = "the input of the network" if node is None else label(node)
            raise CompileError(
                f"between {where} and tensor {target!r} there is no integer tensor",
                hint="every layer needs quantized weights and a quantized input",
            )
        nodes.append(node)
        name = dynamic_input(model, node)[1]
    nodes.reverse()
    channels = int(model.get_tensor_shape(name)[-1])
    exact = MonotoneMap.identity(channels)
    for node in nodes:
        exact = _apply(model, node, exact)
    return Chain(name, model.find_producer(name), tuple(nodes), exact)


def _is_source(model: ModelWrapper, name: str) -> bool:
    """An integer tensor that is not itself a scaled or shifted one (scales may be 1)."""
    node = model.find_producer(name)
    affine = node is not None and node.op_type in ("Mul", "Add", "Sub", "Div")
    affine = affine and not is_join(model, node)
    return bool(model.get_tensor_datatype(name).is_integer()) and not affine


def _apply(model: ModelWrapper, node: NodeProto, exact: MonotoneMap) -> MonotoneMap:
    if node.op_type == "Relu":
        return exact.clip(Fraction(0), None)
    if node.op_type == "Clip":
        low, high = clip_bounds(model, node)
        return exact.clip(
            None if low is None else Fraction(low), None if high is None else Fraction(high)
        )
    index = 1 - dynamic_input(model, node)[0]
    value = need_constant(model, node, index).astype(np.float64)
    if value.size not in (1, exact.channels):
        raise CompileError(
            f"{label(node)}: {value.size} parameters for {exact.channels} channels",
            hint="one number for the tensor, or one for each channel",
        )
    if node.op_type == "Mul":
        return exact.times(value)
    if node.op_type == "Add":
        return exact.plus(value)
    if node.op_type == "Sub":
        return exact.plus(-value) if index == 1 else exact.times(-1).plus(value)
    if node.op_type == "Div" and index == 1:
        return _divide(node, exact, value)
    raise CompileError(
        f"{label(node)} stands between a product and a quantizer: it is not a clipped affine map",
        hint="Mul, Add, Sub, Div by a constant, BatchNormalization, Relu and Clip are",
    )


def _divide(node: NodeProto, exact: MonotoneMap, value: np.ndarray) -> MonotoneMap:
    if np.any(value == 0):
        raise CompileError(f"{label(node)} divides by zero")
    flat = np.broadcast_to(value.reshape(-1), exact.channels)
    inverse = [1 / Fraction(float(v)) for v in flat]
    return exact.times_exact(inverse)


def clip_bounds(model: ModelWrapper, node: NodeProto) -> tuple[float | None, float | None]:
    """(low, high) of a Clip node, as attributes (opset 6) or inputs (opset 11).

    None is no bound: left out, or infinite on its own side.
    """
    found: list[float | None] = []
    for position, name, free in ((1, "min", -np.inf), (2, "max", np.inf)):
        value = attribute(node, name)
        if len(node.input) > position and node.input[position]:
            value = float(need_constant(model, node, position).reshape(-1)[0])
        if value is not None and not np.isfinite(value) and value != free:
            raise CompileError(
                f"{label(node)}: {name} = {value} must be a number",
                hint=f"leave {name} out where there is no limit",
            )
        found.append(None if value is None or value == free else float(value))
    return found[0], found[1]


def integer_weights(model: ModelWrapper, product: NodeProto) -> np.ndarray:
    """Integer weights [in, out] of a MatMul, int64."""
    return np.rint(need_constant(model, product, 1).astype(np.float64)).astype(np.int64)


def tensor_range(model: ModelWrapper, name: str) -> tuple[int, int]:
    """Smallest and largest value of an integer tensor: from weights where a MatMul computes it."""

    def before(node: NodeProto | None) -> list[str]:
        if node is not None and node.op_type == "MatMul":
            return [node.input[0]]
        if node is not None and (node.op_type in RESHAPING or is_join(model, node)):
            return [n for _, n in dynamic_inputs(model, node)]
        return []

    def value(name: str, node: NodeProto | None, ranges: list[tuple[int, int]]) -> tuple[int, int]:
        if node is not None and node.op_type == "MatMul":
            acc = accumulator_range(integer_weights(model, node), *ranges[0])
            return acc.low, acc.high
        if node is not None and node.op_type == "MultiThreshold":
            bias = round(attribute(node, "out_bias", 0.0))
            scale = round(attribute(node, "out_scale", 1.0))
            steps = int(model.get_tensor_shape(node.input[1])[1])
            return bias, bias + scale * steps
        if node is not None and ranges:
            return _combined(model, node, ranges)
        datatype = model.get_tensor_datatype(name)
        return int(datatype.min()), int(datatype.max())

    return upstream(model, name, before, value)


T = TypeVar("T")


def upstream(
    model: ModelWrapper,
    name: str,
    before: Callable[[NodeProto | None], list[str]],
    value: Callable[[str, NodeProto | None, list[T]], T],
) -> T:
    """A value of tensor ``name`` that follows from those of tensors in front of it.

    Every tensor is computed once, however often sums use it, and nothing is nested: graphs may be
    of any depth.

    Args:
        model: the graph.
        name: the tensor asked for.
        before: of the node that gives a tensor (None: nobody), the tensors that count.
        value: of a tensor and its node, from the values of what ``before`` names.
    """
    known: dict[str, T] = {}
    pending = [name]
    while pending:
        top = pending[-1]
        node = model.find_producer(top)
        names = [] if top in known else before(node)
        missing = [n for n in names if n not in known]
        if missing:
            pending += missing
            continue
        pending.pop()
        if top not in known:
            known[top] = value(top, node, [known[n] for n in names])
    return known[name]


def _combined(
    model: ModelWrapper, node: NodeProto, ranges: list[tuple[int, int]]
) -> tuple[int, int]:
    """Range behind a window, a pool, an upsampling or a join, for the ranges in front of it."""
    if node.op_type == "Add":
        return sum(low for low, _ in ranges), sum(high for _, high in ranges)
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    if node.op_type == "Im2Col" and any(attribute(node, "pad_amount", [])):
        return min(low, 0), max(high, 0)
    if node.op_type == "ReduceSum":
        pixels = pool_pixels(model, node)
        return low * pixels, high * pixels
    return low, high


def pool_pixels(model: ModelWrapper, reduce: NodeProto) -> int:
    """Pixels that a pool's reduction sums: its input is [1, height, width, pixels, channels]."""
    return int(model.get_tensor_shape(reduce.input[0])[-2])


def datatype_of(fmt: IntFormat) -> DataType:
    """The QONNX type of a format; a one-bit unsigned code is BINARY there."""
    return DataType["BINARY" if str(fmt) == "UINT1" else str(fmt)]


class AnnotateIntegers(Transformation):
    """Annotate what integer products, windows, pools, upsampling and joins give.

    Before: the inputs of the network, weights and what a MultiThreshold gives are annotated.
    After: so is what is computed from these alone, with the smallest type that holds its range.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Annotate all that can be annotated."""
        for node in model.graph.node:
            self.annotate(model, node)
        return model, False

    @staticmethod
    def annotate(model: ModelWrapper, node: NodeProto) -> None:
        """Annotate what one node gives, if it can be."""
        if node.op_type not in ("MatMul", "Add", "Concat", *RESHAPING):
            return
        if node.op_type == "MatMul" and not is_constant(model, node.input[1]):
            return
        names = [n for _, n in dynamic_inputs(model, node)]
        if not names or not all(model.get_tensor_datatype(n).is_integer() for n in names):
            return
        if node.op_type == "MatMul":
            if model.get_tensor_datatype(node.input[1]).is_integer():
                low, high = tensor_range(model, node.output[0])
                model.set_tensor_datatype(node.output[0], _sum_type(node, min(low, -1), high))
        elif node.op_type in RESHAPING or len(names) > 1:
            model.set_tensor_datatype(node.output[0], _result_type(model, node, names))


def _result_type(model: ModelWrapper, node: NodeProto, names: list[str]) -> DataType:
    """Type of what ``node`` gives, from the types of its inputs."""
    types = [model.get_tensor_datatype(n) for n in names]
    ranges = [(int(t.min()), int(t.max())) for t in types]
    if node.op_type not in ("ReduceSum", "Add") and len(set(types)) == 1:
        return types[0]
    return _sum_type(node, *_combined(model, node, ranges))


def _sum_type(node: NodeProto, low: int, high: int) -> DataType:
    """The smallest type for the sums of ``node``, which lie in [low, high]."""
    bits = max(low.bit_length(), high.bit_length())
    if bits > MAX_SUM_BITS:
        raise CompileError(
            f"{label(node)}: its sums need {bits} bits and a sign, the limit is {MAX_SUM_BITS}: "
            "what is computed in float64 would not be exact",
            hint="put a quantizer before it, or take fewer bits",
        )
    return datatype_of(smallest_format(low, high))

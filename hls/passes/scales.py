# SPDX-License-Identifier: Apache-2.0
"""Scalar factors move behind the next product, so that products see integers."""

from __future__ import annotations

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.chain import integer_weights
from hls.passes.graph import (
    at_all,
    constant,
    insert_behind,
    is_constant,
    label,
    new_constant,
    new_tensor,
    remove_node,
    rewire,
)
from models.errors import CompileError


class ScalePastMatMul(Transformation):
    """(x * s) W -> (x W) * s for a scalar s, and (x - 1) W likewise (bipolar codes).

    Called again until no factor stands before a MatMul.

    The factors are moved, never multiplied together, so exact arithmetic later sees the
    original float32 numbers.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Move one factor before every MatMul."""
        return model, at_all(model, self.at)

    def at(self, model: ModelWrapper, node: NodeProto) -> bool:
        """Move one factor before ``node``; False if there is none."""
        if node.op_type != "MatMul":
            return False
        before = single_factor(model, node.input[0])
        if before is None:
            return False
        if before.op_type == "Sub":
            self._move_offset(model, before, node)
        else:
            self._move(model, before, node)
        return True

    def _move(self, model: ModelWrapper, factor: NodeProto, product: NodeProto) -> None:
        need_scalar(model, factor, product)
        move_behind(model, factor, product, factor.input[1])

    def _move_offset(self, model: ModelWrapper, offset: NodeProto, product: NodeProto) -> None:
        """(x - 1) W -> x W - column sums of W: integers, exact in float32."""
        value = constant(model, offset.input[1])
        if value is None or value.size != 1 or float(value.reshape(-1)[0]) != 1.0:
            raise CompileError(
                f"{label(offset)} shifts the input of {label(product)}: only quantized values can "
                "enter a dense layer",
                hint="put a quantizer behind it",
            )
        sums = integer_weights(model, product).sum(axis=0, keepdims=True)
        name = new_constant(model, sums.astype("float64"), f"{product.name}_bipolar_sums")
        move_behind(model, offset, product, name)


FACTORS = ("Mul", "Div", "Sub")


def single_factor(model: ModelWrapper, name: str) -> NodeProto | None:
    """The factor (or bipolar offset) that gives tensor ``name``, if nobody else takes it."""
    node = model.find_producer(name)
    if node is None or node.op_type not in FACTORS or len(model.find_consumers(name)) != 1:
        return None
    return None if is_constant(model, node.input[0]) else node


def need_scalar(model: ModelWrapper, factor: NodeProto, node: NodeProto) -> None:
    """Raise a `CompileError` if ``factor`` scales the input of ``node`` by more than one number."""
    value = constant(model, factor.input[1])
    if value is None or value.size != 1:
        size = "a computed tensor" if value is None else f"{value.size} factors"
        raise CompileError(
            f"{label(factor)} scales the input of {label(node)} by {size}: the activations before "
            "it need one scale for the whole tensor",
            hint="train with per-tensor activation scales (weights may have one a channel)",
        )


def move_behind(model: ModelWrapper, factor: NodeProto, node: NodeProto, by: str) -> None:
    """Take ``factor`` from in front of ``node`` and put it, by the constant ``by``, behind it."""
    shape = model.get_tensor_shape(node.output[0])
    raw = new_tensor(model, shape, f"{node.name}_acc")
    moved = helper.make_node(factor.op_type, [raw, by], [node.output[0]], factor.name)
    source = factor.input[0]
    remove_node(model, factor)
    rewire(model, node, 0, source)
    node.output[0] = raw
    insert_behind(model, node, moved)

# SPDX-License-Identifier: Apache-2.0
"""Factors and offsets move behind pools, so that these sum or compare integers."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.chain import pool_pixels
from hls.passes.graph import (
    at_all,
    attribute,
    constant,
    insert_behind,
    label,
    new_constant,
    new_tensor,
    remove_node,
    rewire,
)
from models.errors import CompileError

AFFINE = ("Mul", "Div", "Add", "Sub")


class ScalePastPool(Transformation):
    """sum(x * s + b) -> sum(x) * s + n b over the n pixels of a tile, max(x * s + b) likewise.

    s and b are one number or one a channel; before a maximum s has to be positive. So codes are
    pooled, and the accumulators of a convolution whose quantizer stands behind the pool. Called
    again until no factor and no offset stands before a pool.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Move one factor or offset before every pool."""
        return model, at_all(model, self.at)

    def at(self, model: ModelWrapper, node: NodeProto) -> bool:
        """Move what stands before the pool that ``node`` begins; False if there is nothing."""
        reduce = pool_of(model, node)
        if reduce is None:
            return False
        before = model.find_producer(node.input[0])
        if before is None or before.op_type not in AFFINE:
            return False
        parameter = constant(model, before.input[1])
        if parameter is None or len(model.find_consumers(before.output[0])) != 1:
            return False
        self._move(model, before, node, reduce, parameter.astype(np.float64))
        return True

    def _move(
        self,
        model: ModelWrapper,
        before: NodeProto,
        im2col: NodeProto,
        reduce: NodeProto,
        parameter: np.ndarray,
    ) -> None:
        by = before.input[1]
        if before.op_type in ("Mul", "Div"):
            if reduce.op_type == "ReduceMax" and np.any(parameter <= 0):
                raise CompileError(
                    f"{label(before)}: the factor {float(parameter.min())} before a maximum must "
                    "be positive",
                    hint="put the factor behind the pool",
                )
        elif reduce.op_type == "ReduceSum":
            pixels = pool_pixels(model, reduce)
            by = new_constant(model, parameter * pixels, f"{by}_times_{pixels}")
        target = reduce.output[0]
        raw = new_tensor(model, model.get_tensor_shape(target), f"{reduce.name}_raw")
        moved = helper.make_node(before.op_type, [raw, by], [target], before.name)
        source = before.input[0]
        remove_node(model, before)
        rewire(model, im2col, 0, source)
        reduce.output[0] = raw
        model.set_tensor_datatype(source, model.get_tensor_datatype(source))
        insert_behind(model, reduce, moved)


def pool_of(model: ModelWrapper, node: NodeProto) -> NodeProto | None:
    """The reduction of the pool that the Im2Col ``node`` begins, or None."""
    if node.op_type != "Im2Col" or any(attribute(node, "pad_amount", [])):
        return None
    for op_types in (("Reshape",), ("ReduceSum", "ReduceMax")):
        users = model.find_consumers(node.output[0])
        if len(users) != 1 or users[0].op_type not in op_types:
            return None
        node = users[0]
    return node

# SPDX-License-Identifier: Apache-2.0
"""Sums of two streams -> FINN's hardware layer, all in one walk."""

from __future__ import annotations

from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.infer_datatypes import InferDataTypes
from qonnx.transformation.infer_shapes import InferShapes

from hls.passes.graph import at_all, is_join, replace_node

SUM = DataType["INT32"]
"""FINN's type of every sum until it minimizes accumulators."""


class SumsToFinn(Transformation):
    """Add of two integer tensors -> ElementwiseAdd, as FINN's InferElementwiseBinaryOperation.

    Before: all shapes and types are known. After: no such Add is left; types behind the sums are
    FINN's guesses. FINN's pass converts one Add a call and infers shapes and types of the whole
    graph behind each.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Convert every Add, then infer shapes and types once."""
        at_all(model, self._at)
        return model.transform(InferShapes()).transform(InferDataTypes()), False

    def _at(self, model: ModelWrapper, node: NodeProto) -> bool:
        if node.op_type != "Add" or not is_join(model, node):
            return False
        types = [model.get_tensor_datatype(name) for name in node.input]
        if not all(datatype.is_integer() for datatype in types):
            return False
        left, right = (model.get_tensor_shape(name) for name in node.input)
        total = helper.make_node(
            "ElementwiseAdd",
            list(node.input),
            list(node.output),
            domain="finn.custom_op.fpgadataflow",
            backend="fpgadataflow",
            lhs_shape=left,
            rhs_shape=right,
            out_shape=model.get_tensor_shape(node.output[0]),
            lhs_dtype=types[0].name,
            rhs_dtype=types[1].name,
            out_dtype=SUM.name,
            lhs_style="input",
            rhs_style="input",
        )
        model.set_tensor_datatype(node.output[0], SUM)
        replace_node(model, node, [total])
        return True

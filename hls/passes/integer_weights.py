# SPDX-License-Identifier: Apache-2.0
"""Weights become integers; their scale becomes a factor behind the product."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import (
    QUANT_OPS,
    at_all,
    insert_behind,
    label,
    need_constant,
    new_constant,
    new_tensor,
    remove_node,
    rewire,
)
from hls.passes.quantizer import parse_quantizer, quantize_levels, smallest_format
from models.errors import CompileError


class IntegerWeights(Transformation):
    """x Quant(W) -> (x W_int) * scale, for every MatMul.

    Before: a tidy model. After: every MatMul's weights are an integer initializer [in, out],
    annotated with the smallest integer type, and a Mul by the scale (one number, or one an output)
    stands behind it.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite every MatMul."""
        return model, at_all(model, self._at)

    def _at(self, model: ModelWrapper, node: NodeProto) -> bool:
        quant = model.find_producer(node.input[1]) if node.op_type == "MatMul" else None
        if quant is None or quant.op_type not in QUANT_OPS:
            return False
        self._rewrite(model, node, quant)
        return True

    def _rewrite(self, model: ModelWrapper, node: NodeProto, quant: NodeProto) -> None:
        codes, scale = integer_codes(model, quant, node)
        weights = new_constant(model, codes.astype(np.float64), f"{node.name}_weights")
        annotate(model, weights, codes)
        shape = model.get_tensor_shape(node.output[0])
        raw = new_tensor(model, shape, f"{node.name}_acc")
        factor = new_constant(model, scale, f"{node.name}_scale")
        behind = helper.make_node(
            "Mul", [raw, factor], [node.output[0]], name=f"{node.name}_scale_mul"
        )
        rewire(model, node, 1, weights)
        node.output[0] = raw
        insert_behind(model, node, behind)
        if not model.find_consumers(quant.output[0]):
            remove_node(model, quant)


def integer_codes(
    model: ModelWrapper, quant: NodeProto, user: NodeProto
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """(codes [in, out], scale [1] or [1, out]) of a weight quantizer."""
    values = need_constant(model, quant, 0).astype(np.float32)
    if values.ndim != 2:
        raise CompileError(
            f"{label(user)}: weights {quant.input[0]!r} have shape {values.shape}; "
            "a dense layer's are [in, out]"
        )
    quantizer = parse_quantizer(model, quant)
    scale = quantizer.scale
    outputs = values.shape[1]
    if scale.size == 1:
        scale = scale.reshape(1)
    elif scale.size == outputs and scale.shape[-1] == outputs:
        scale = scale.reshape(1, outputs)
    else:
        raise CompileError(
            f"{label(quant)}: weight scale of shape {scale.shape} for weights [in, out] = "
            f"{values.shape}: one scale a tensor or one an output channel can be mapped",
            hint="train with a per-tensor or per-output-channel weight scale",
        )
    levels = quantize_levels(quantizer, values) - quantizer.zero_point
    return np.rint(levels).astype(np.int64), scale.astype(np.float32)


def annotate(model: ModelWrapper, name: str, codes: npt.NDArray[np.int64]) -> None:
    """Annotate a tensor with the smallest integer type that holds ``codes``."""
    low, high = (int(codes.min()), int(codes.max())) if codes.size else (0, 0)
    fmt = smallest_format(min(low, -1), high)  # weights are signed throughout
    model.set_tensor_datatype(name, DataType[f"INT{max(fmt.bits, 2)}"])

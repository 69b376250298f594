# SPDX-License-Identifier: Apache-2.0
"""Weights become integers; their scale becomes a factor behind the product."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import QUANT_OPS, label, need_constant, new_constant, new_tensor
from hls.passes.quantizer import parse_quantizer, quantize_levels, smallest_format
from models.errors import CompileError


class IntegerWeights(Transformation):
    """x Quant(W) -> (x W_int) * scale, for one MatMul a call until no weight quantizer is left.

    Before: a tidy model. After: every MatMul's weights are an integer initializer [in, out],
    annotated with the smallest integer type, and a Mul by the scale (one number, or one an output)
    stands behind it.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite one MatMul."""
        for node in model.graph.node:
            if node.op_type != "MatMul":
                continue
            quant = model.find_producer(node.input[1])
            if quant is not None and quant.op_type in QUANT_OPS:
                self._rewrite(model, node, quant)
                return model, True
        return model, False

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
        model.graph.node.insert(list(model.graph.node).index(node) + 1, behind)
        node.input[1], node.output[0] = weights, raw
        if not model.find_consumers(quant.output[0]):
            model.graph.node.remove(quant)


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

# SPDX-License-Identifier: Apache-2.0
"""The input quantizer is the ADC: it stays with the host, the network begins at its codes."""

from __future__ import annotations

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.ir import Border
from hls.passes.graph import (
    QONNX_DOMAIN,
    QUANT_OPS,
    first_node,
    label,
    new_constant,
    new_tensor,
    replace_node,
)
from hls.passes.quantizer import HALF_EVEN, Quantizer, parse_quantizer
from models.errors import CompileError

CODES = "input_codes"


class SplitInputQuantizer(Transformation):
    """Quant(x; s) -> Div by s, Quant of scale 1, Mul by s.

    Before: the first node is a quantizer of scale s. After: what the quantizer of scale 1
    gives are integer codes, annotated so. The three steps are the float operations of which
    the quantizer consists, so no number changes.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Split the first quantizer if it is not split yet."""
        first = first_node(model)
        if (
            first.op_type == "Div"
            or model.get_tensor_datatype(model.graph.input[0].name).is_integer()
        ):
            return model, False
        quantizer = input_quantizer(model)
        source, target = first.input[0], first.output[0]
        shape = model.get_tensor_shape(source)
        scaled, codes = new_tensor(model, shape, "input_scaled"), new_tensor(model, shape, CODES)
        scale = new_constant(model, quantizer.scale.reshape(1), "input_scale")
        one = new_constant(model, np.ones(1, np.float32), "input_one")
        quant = helper.make_node(
            first.op_type, [scaled, one, *first.input[2:]], [codes], "input_quantizer"
        )
        quant.domain = QONNX_DOMAIN
        quant.attribute.extend(first.attribute)
        nodes = [
            helper.make_node("Div", [source, scale], [scaled], "input_div"),
            quant,
            helper.make_node("Mul", [codes, scale], [target], "input_mul"),
        ]
        replace_node(model, first, nodes)
        model.set_tensor_datatype(codes, DataType[str(quantizer.fmt)])
        return model, True


def input_quantizer(model: ModelWrapper) -> Quantizer:
    """The quantizer at the input, checked: the host implements it."""
    first = first_node(model)
    if first.op_type not in QUANT_OPS:
        raise CompileError(
            f"tensor {model.graph.input[0].name!r}, the input, is not quantized: its first node is "
            f"{label(first)}",
            hint="put a quantizer (QuantIdentity) at the network's input: it describes the ADC",
        )
    quantizer = parse_quantizer(model, first)
    _check_input(first, quantizer)
    return quantizer


def _check_input(node: NodeProto, quantizer: Quantizer) -> None:
    rules = (
        (quantizer.scale.size == 1, "one scale for all channels", "quantize the input per tensor"),
        (quantizer.zero_point == 0, "zero point 0", "train with a symmetric input quantizer"),
        (quantizer.rounding in HALF_EVEN, "rounding half to even (ROUND)", "train with it"),
        (not quantizer.bipolar, "at least 2 bits where it is signed", "train with 2 bits or more"),
        (quantizer.low <= 0, "an ordinary range", "train with a range that has 0 in it"),
    )
    for kept, rule, way_out in rules:
        if not kept:
            raise CompileError(
                f"{label(node)}, the input quantizer, needs {rule}",
                hint=f"{way_out}: the host computes code = clip(half_even(x / scale)), and that "
                "alone, before the accelerator",
            )
    if quantizer.low == 0 and (quantizer.high + 1) & quantizer.high:
        raise CompileError(
            f"{label(node)}, the input quantizer, is unsigned with a narrow range",
            hint="use the full unsigned range at the input",
        )


def input_border(model: ModelWrapper, stream: str) -> Border:
    """The host's side of the input, read from a tidy model whose first node is the quantizer.

    Its shape is that of the codes: an image has its channels last.
    """
    quantizer = input_quantizer(model)
    shape = tuple(int(d) for d in model.get_tensor_shape(model.graph.input[0].name)[1:])
    fmt = quantizer.fmt
    return Border(
        stream=stream,
        shape=shape,
        fmt=fmt,
        scale=(float(quantizer.scale.reshape(-1)[0]),),
        offset=(0.0,),
        meaning="codes",
        narrow=fmt.signed and quantizer.low > fmt.min,
    )

# SPDX-License-Identifier: Apache-2.0
"""Weights in another order: constants, or constants behind their quantizer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import helper
from qonnx.core.modelwrapper import ModelWrapper

from hls.indexed_model import IndexedModel
from hls.passes.graph import QUANT_OPS, constant, need_constant, new_constant, new_tensor
from models.errors import CompileError

Order = Callable[[npt.NDArray[Any]], npt.NDArray[Any]]


def transposed(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of a dense layer's weights [out, in]: [in, out]."""
    return value.T


def convolution_matrix(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Of kernels [out, in, h, w] (and scales [out, 1, 1, 1]): [h w in, out], channels innermost."""
    return np.moveaxis(value, 0, -1).transpose(1, 2, 0, 3).reshape(-1, value.shape[0])


def rearrange_weights(model: ModelWrapper, name: str, order: Order, user: str) -> str:
    """The weights ``name`` in another order, through their quantizer if they have one.

    Args:
        model: changed; what nobody uses any more is removed.
        name: an initializer, or the output of a quantizer of initializers.
        order: what to do with weights and with scales of two and more dimensions.
        user: how a message names the layer.
    """
    value = constant(model, name)
    if value is not None:
        result = new_constant(model, order(value), f"{name}_T")
        model.set_tensor_datatype(result, model.get_tensor_datatype(name))
        return result
    quant = model.find_producer(name)
    if quant is None or quant.op_type not in QUANT_OPS:
        raise CompileError(f"{user}: weights {name!r} are no (quantized) constant")
    inputs = []
    for index, item in enumerate(quant.input):
        part = need_constant(model, quant, index)
        inputs.append(item if part.ndim < 2 else new_constant(model, order(part), f"{item}_T"))
    shape = order(np.empty(model.get_tensor_shape(name))).shape
    out = new_tensor(model, shape, f"{name}_T")
    twin = helper.make_node(quant.op_type, inputs, [out], f"{quant.name}_T", domain=quant.domain)
    twin.attribute.extend(quant.attribute)
    indexed = IndexedModel.of(model)
    indexed.insert_nodes(indexed.place(quant), [twin])
    if len(indexed.find_consumers(name)) <= 1:
        indexed.remove_node(quant)
    return out

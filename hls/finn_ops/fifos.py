# SPDX-License-Identifier: Apache-2.0
"""The FIFOs that simulation found, put into a folded FINN graph.

FINN sizes FIFOs with Vivado's simulator and inserts its own; here the depths are those of an
`hls.ir.Accelerator` and the FIFO is ``phy_fifo``, as in the RTL that was simulated. A stream of
depth 0 is a wire and gets no node.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from hls.ir import Accelerator, Layer, Stream
from models.errors import MismatchError

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

DOMAIN = "finn.custom_op.fpgadataflow.rtl"


def check_same(model: ModelWrapper, acc: Accelerator) -> None:
    """Raise MismatchError unless the graph's nodes, in order, are the accelerator's layers.

    A layer may have more parameters than its node; those say how, not what, it computes.
    """
    from qonnx.custom_op.registry import getCustomOp

    nodes = list(model.graph.node)
    if [node.name for node in nodes] != [layer.source for layer in acc.layers]:
        raise MismatchError(
            f"accelerator {acc.name}: its layers are {[la.source for la in acc.layers]}, the FINN "
            f"graph has {[node.name for node in nodes]}",
            hint="run `phyfold compile` again",
        )
    for node, layer in zip(nodes, acc.layers, strict=True):
        _check_layer(getCustomOp(node), model, layer)


def _check_layer(op: Any, model: ModelWrapper, layer: Layer) -> None:
    params = {key: int(value) for key, value in op.ir_params().items()}
    wrong = [f"{k}={v}" for k, v in params.items() if layer.params.get(k) != v]
    arrays = op.ir_arrays(model)
    wrong += [k for k, v in layer.arrays.items() if not np.array_equal(arrays.get(k), v)]
    if wrong:
        raise MismatchError(
            f"layer {layer.name}: the FINN graph differs from the simulated accelerator in "
            f"{', '.join(wrong)}",
            hint="run `phyfold compile` again",
        )


def insert_fifos(model: ModelWrapper, acc: Accelerator) -> ModelWrapper:
    """A copy of the graph with a StreamingFIFO_phy in every stream that has a depth.

    model: graph of our nodes, equal to ``acc`` (`check_same`). Raises MismatchError if it is not.
    """
    from qonnx.core.modelwrapper import ModelWrapper as Wrapper

    check_same(model, acc)
    copy = Wrapper(model.model, make_deepcopy=True)
    for stream in acc.streams:
        if stream.fifo_depth:
            _insert(copy, acc, stream)
    return copy


def _insert(model: ModelWrapper, acc: Accelerator, stream: Stream) -> None:
    """One FIFO, in front of its consumer, or behind the last node."""
    from onnx import helper
    from qonnx.custom_op.registry import getCustomOp

    consumer = stream.consumer
    layer = acc.layer(consumer if consumer is not None else str(stream.producer))
    end = next(node for node in model.graph.node if node.name == layer.source)
    op = getCustomOp(end)
    if consumer is not None:
        port = layer.inputs.index(stream.name)
        tensor, fold = end.input[port], op.get_folded_input_shape(port)
    else:
        port = layer.outputs.index(stream.name)
        tensor, fold = end.output[port], op.get_folded_output_shape(port)
    shape = model.get_tensor_shape(tensor)
    datatype = model.get_tensor_datatype(tensor)
    name = f"fifo_{stream.name}"
    inner = f"{name}_in" if consumer is None else f"{name}_out"
    node = helper.make_node(
        "StreamingFIFO_phy",
        [inner if consumer is None else tensor],
        [tensor if consumer is None else inner],
        name=name,
        domain=DOMAIN,
        backend="fpgadataflow",
        depth=stream.fifo_depth,
        folded_shape=[int(n) for n in fold],
        normal_shape=[int(n) for n in shape],
        dataType=datatype.name,
    )
    model.set_tensor_shape(inner, shape)
    model.set_tensor_datatype(inner, datatype)
    if consumer is None:
        end.output[port] = inner
    else:
        end.input[port] = inner
    position = list(model.graph.node).index(end)
    model.graph.node.insert(position + (1 if consumer is None else 0), node)

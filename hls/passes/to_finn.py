# SPDX-License-Identifier: Apache-2.0
"""Integer operations -> FINN's hardware layers, by FINN's own passes but for sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import NodeProto
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames, SortGraph
from qonnx.transformation.infer_shapes import InferShapes

from hls.passes.chain import AnnotateIntegers, datatype_of
from hls.passes.graph import custom, label, run_foreign
from hls.passes.quantizer import smallest_format
from hls.passes.sums_to_finn import SumsToFinn
from hls.passes.thresholds import AccRange, accumulator_range
from models.errors import CompileError


def to_finn(model: ModelWrapper) -> ModelWrapper:
    """Every integer operation to FINN's hardware layer, types minimized. Needs `setup_finn`.

    MatMul -> MVAU, MultiThreshold -> Thresholding, Im2Col -> FMPadding and
    ConvolutionInputGenerator, Im2Col with a reduction -> ConvolutionInputGenerator and Pool,
    Resize -> UpsampleNearestNeighbour, Concat -> StreamingConcat, Add -> ElementwiseAdd; forks ->
    DuplicateStreams.
    """
    from finn.transformation.fpgadataflow.convert_to_hw.concat import InferConcatLayer
    from finn.transformation.fpgadataflow.convert_to_hw.conv_inp_gen import InferConvInpGen
    from finn.transformation.fpgadataflow.convert_to_hw.duplicate_streams import (
        InferDuplicateStreamsLayer,
    )
    from finn.transformation.fpgadataflow.convert_to_hw.pool_from_reduce import InferPoolFromReduce
    from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
        InferQuantizedMatrixVectorActivation,
    )
    from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
    from finn.transformation.fpgadataflow.convert_to_hw.upsample import InferUpsample

    for step in (
        InferShapes(),
        ChannelLayouts(),
        SumsToFinn(),  # first: other passes guess the type of a sum
        AnnotateIntegers(),
        InferThresholdingLayer(),
        InferQuantizedMatrixVectorActivation(),
        InferPoolFromReduce(),
        InferConvInpGen(),
        InferUpsample(),
        InferConcatLayer(),
        InferDuplicateStreamsLayer(),
        MinimizeWeights(),
        MinimizeAccumulators(),
        SignedAccumulators(),
        SortGraph(),
        GiveUniqueNodeNames(),
        GiveReadableTensorNames(),
    ):
        convert = _convert_pools if isinstance(step, InferPoolFromReduce) else run_foreign
        model = convert(model, step)
    for node in model.graph.node:
        if not node.domain.startswith("finn."):
            raise CompileError(
                f"{label(node)} was not turned into a hardware layer by FINN",
                hint="report this network: every product and threshold should be mapped",
            )
    return model


def _convert_pools(model: ModelWrapper, step: Transformation) -> ModelWrapper:
    """FINN's pass for pools, called while they become fewer: it may skip one behind another."""

    def left() -> int:
        return sum(n.op_type in ("ReduceSum", "ReduceMax") for n in model.graph.node)

    before = left() + 1
    while 0 < left() < before:
        before = left()
        model = run_foreign(model, step)
    return model


class MinimizeWeights(Transformation):
    """FINN's MinimizeWeightBitWidth; thresholds by their extremes, not one after another."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Set the types of all weights and thresholds."""
        for node in model.graph.node:
            op = custom(node)
            if node.op_type == "Thresholding":
                self._thresholds(model, node, op)
            elif hasattr(op, "minimize_weight_bit_width"):
                op.minimize_weight_bit_width(model)
        return model, False

    @staticmethod
    def _thresholds(model: ModelWrapper, node: NodeProto, op: Any) -> None:
        table = model.get_initializer(node.input[1])
        low, high = int(table.min()), int(table.max())
        signed = low < 0 or op.get_input_datatype(0).signed()
        if low == high == 0:
            kind = DataType["INT2" if signed else "UINT1"]
        else:
            kind = DataType.get_smallest_possible(min(low, -high - 1) if signed else high)
        op.set_nodeattr("weightDataType", kind.name)
        model.set_tensor_datatype(node.input[1], kind)


class MinimizeAccumulators(Transformation):
    """FINN's MinimizeAccumulatorWidth, in one walk along the streams.

    FINN infers the types of the whole graph anew behind every layer.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Each node in topological order: types that arrive, its own sums, types that it gives."""
        for node in model.graph.node:
            op = custom(node)
            op.infer_node_datatype(model)
            if hasattr(op, "minimize_accumulator_width"):
                op.minimize_accumulator_width(model)
                op.infer_node_datatype(model)
        return model, False


class ChannelLayouts(Transformation):
    """Annotate every tensor as [batch, channels], or as an image with its channels last."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Set the layouts."""
        layouts = {2: ["N", "C"], 4: ["N", "H", "W", "C"]}
        for node in model.graph.node:
            for name in (node.input[0], node.output[0]):
                layout = layouts.get(len(model.get_tensor_shape(name)))
                if layout is not None:
                    model.set_tensor_layout(name, layout)
        return model, False


class SignedAccumulators(Transformation):
    """Give every MVAU the smallest signed accumulator for its weights and inputs.

    FINN pads the last layer's to whole bytes and makes others unsigned, or 0 bits wide if all of
    its sums are 0. Thresholds that are never reached may lie one above the accumulator's maximum.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Set types of MVAU outputs and of the layers that read them."""
        for node in model.graph.node:
            if node.op_type == "MVAU":
                self._set(model, node)
        return model, False

    def _set(self, model: ModelWrapper, node: NodeProto) -> None:
        op = custom(node)
        weights = model.get_initializer(node.input[1])
        x = op.get_input_datatype(0)
        acc = accumulator_range(weights, int(x.min()), int(x.max()))
        datatype = datatype_of(smallest_format(min(acc.low, -1), acc.high))
        op.set_nodeattr("accDataType", datatype.name)
        op.set_nodeattr("outputDataType", datatype.name)
        if not op.get_input_datatype(1).signed():
            fmt = smallest_format(-1, int(weights.max()))
            op.set_nodeattr("weightDataType", datatype_of(fmt).name)
        self._give(model, node.output[0], acc)

    def _give(self, model: ModelWrapper, name: str, acc: AccRange) -> None:
        """The type of sums to those who read them, through forks and pools."""
        datatype = datatype_of(smallest_format(min(acc.low, -1), acc.high))
        model.set_tensor_datatype(name, datatype)
        for user in model.find_consumers(name):
            op = custom(user)
            types = op.get_nodeattr_types()
            op.set_nodeattr(
                "inputDataType" if "inputDataType" in types else "InputDataType", datatype.name
            )
            if user.op_type == "DuplicateStreams":
                for output in user.output:
                    self._give(model, output, acc)
            elif user.op_type == "ConvolutionInputGenerator":
                op.set_nodeattr("outputDataType", datatype.name)
                self._give(model, user.output[0], acc)
            elif user.op_type == "Pool":
                pixels = int(np.prod(op.get_nodeattr("KernelSize")))
                total = AccRange(int(datatype.min()) * pixels, int(datatype.max()) * pixels)
                self._give(model, user.output[0], total)
                op.set_nodeattr("OutputDataType", model.get_tensor_datatype(user.output[0]).name)

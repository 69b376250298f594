# SPDX-License-Identifier: Apache-2.0
"""Integer products and thresholds -> FINN's hardware layers, by FINN's own passes."""

from __future__ import annotations

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import GiveReadableTensorNames, GiveUniqueNodeNames, SortGraph
from qonnx.transformation.infer_shapes import InferShapes

from hls.passes.chain import datatype_of
from hls.passes.graph import custom, label
from hls.passes.quantizer import smallest_format
from hls.passes.thresholds import accumulator_range
from models.errors import CompileError


def to_finn(model: ModelWrapper) -> ModelWrapper:
    """MatMul -> MVAU, MultiThreshold -> Thresholding, types minimized. Needs `setup_finn`."""
    from finn.transformation.fpgadataflow.convert_to_hw.quantized_matrix_vector_activation import (
        InferQuantizedMatrixVectorActivation,
    )
    from finn.transformation.fpgadataflow.convert_to_hw.thresholding import InferThresholdingLayer
    from finn.transformation.fpgadataflow.minimize_accumulator_width import (
        MinimizeAccumulatorWidth,
    )
    from finn.transformation.fpgadataflow.minimize_weight_bit_width import MinimizeWeightBitWidth

    for step in (
        InferShapes(),
        ChannelLayouts(),
        InferThresholdingLayer(),
        InferQuantizedMatrixVectorActivation(),
        MinimizeWeightBitWidth(),
        MinimizeAccumulatorWidth(),
        SignedAccumulators(),
        SortGraph(),
        GiveUniqueNodeNames(),
        GiveReadableTensorNames(),
    ):
        model = model.transform(step)
    for node in model.graph.node:
        if not node.domain.startswith("finn."):
            raise CompileError(
                f"{label(node)} was not turned into a hardware layer by FINN",
                hint="report this network: every product and threshold should be mapped",
            )
    return model


class ChannelLayouts(Transformation):
    """Annotate every tensor as [batch, channels]: what a chain of dense layers has."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Set the layouts."""
        for node in model.graph.node:
            for name in (node.input[0], node.output[0]):
                model.set_tensor_layout(name, ["N", "C"])
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
        model.set_tensor_datatype(node.output[0], datatype)
        for user in model.find_consumers(node.output[0]):
            custom(user).set_nodeattr("inputDataType", datatype.name)

# SPDX-License-Identifier: Apache-2.0
"""Folding and width converters in the FINN graph."""

from __future__ import annotations

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.finn_env import RTL_DOMAIN
from hls.folding import Folding, width_chain
from hls.indexed_model import IndexedModel
from hls.passes.graph import at_all, custom, new_tensor, rewire
from models.errors import CompileError

DWC = "StreamingDataWidthConverter_phy"


class ApplyFolding(Transformation):
    """Set PE and SIMD of every node; a second run changes nothing."""

    def __init__(self, folding: Folding) -> None:
        super().__init__()
        self.folding = folding

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Set the attributes."""
        for node in model.graph.node:
            if node.op_type == DWC:
                continue
            if node.name not in self.folding:
                raise CompileError(f"folding: node {node.name!r} is missing")
            fold, op = self.folding[node.name], custom(node)
            if fold.simd is not None:
                op.set_nodeattr("PE", fold.pe)
                op.set_nodeattr("SIMD", fold.simd)
            else:
                op.set_nodeattr("PE" if "PE" in op.get_nodeattr_types() else "SIMD", fold.pe)
        return model, False


class InsertWidthConverters(Transformation):
    """Join every two nodes whose streams differ in width by one or two converters."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Insert all that are missing."""
        at_all(model, self._at)
        converters = [n for n in model.graph.node if n.op_type == DWC]
        for index, node in enumerate(converters):
            node.name = f"dwc{index}"
        return model, False

    def _at(self, model: ModelWrapper, node: NodeProto) -> bool:
        for port, tensor in enumerate(node.output):
            users = model.find_consumers(tensor)
            if users and DWC not in (node.op_type, users[0].op_type):
                self._join(model, node, port, users[0])
        return False

    def _join(self, model: ModelWrapper, before: NodeProto, port: int, after: NodeProto) -> None:
        tensor = before.output[port]
        taken = list(after.input).index(tensor)
        give = int(custom(before).get_folded_output_shape(port)[-1])
        take = int(custom(after).get_folded_input_shape(taken)[-1])
        datatype = custom(before).get_output_datatype(port)
        shape = [int(d) for d in custom(before).get_normal_output_shape(port)]
        for wide_in, wide_out in width_chain(give, take):
            out = new_tensor(model, shape, f"{tensor}_dwc")
            model.set_tensor_datatype(out, datatype)
            node = helper.make_node(
                DWC,
                [tensor],
                [out],
                domain=RTL_DOMAIN,
                backend="fpgadataflow",
                inShape=shape,
                outShape=shape,
                inWidth=wide_in * datatype.bitwidth(),
                outWidth=wide_out * datatype.bitwidth(),
                dataType=datatype.name,
            )
            indexed = IndexedModel.of(model)
            indexed.insert_nodes(indexed.place(after), [node])
            tensor = out
        rewire(model, after, taken, tensor)

# SPDX-License-Identifier: Apache-2.0
"""A factor or offset in front of a fork becomes one in each branch."""

from __future__ import annotations

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import constant, new_tensor
from hls.passes.scales import FACTORS


class ScalePastFork(Transformation):
    """y = x * s used n times -> n factors of x; the integers fork instead.

    Offsets likewise. Called again until the tensor behind every one of them has one user (or is the
    output alone).
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Copy one factor."""
        outputs = {o.name for o in model.graph.output}
        for node in model.graph.node:
            if node.op_type not in (*FACTORS, "Add") or constant(model, node.input[1]) is None:
                continue
            name = node.output[0]
            users = [
                (user, index)
                for user in model.graph.node
                for index, taken in enumerate(user.input)
                if taken == name
            ]
            kept = 0 if name in outputs else 1
            if len(users) > kept:
                for number, (user, index) in enumerate(users[kept:], start=1):
                    user.input[index] = self._copy(model, node, number)
                return model, True
        return model, False

    def _copy(self, model: ModelWrapper, node: NodeProto, number: int) -> str:
        tensor = new_tensor(
            model, model.get_tensor_shape(node.output[0]), f"{node.output[0]}_{number}"
        )
        twin = helper.make_node(node.op_type, list(node.input), [tensor], f"{node.name}_{tensor}")
        model.graph.node.insert(list(model.graph.node).index(node) + 1, twin)
        return tensor

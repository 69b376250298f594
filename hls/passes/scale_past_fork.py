# SPDX-License-Identifier: Apache-2.0
"""A factor or offset in front of a fork becomes one in each branch."""

from __future__ import annotations

from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import at_all, insert_behind, is_constant, new_tensor, rewire
from hls.passes.scales import FACTORS


class ScalePastFork(Transformation):
    """y = x * s used n times -> n factors of x; the integers fork instead.

    Offsets likewise, and what stands before them: the tensor behind every one of them has one user
    then (or is the output alone).
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Copy every factor that stands before a fork."""
        return model, at_all(model, self.at)

    def at(self, model: ModelWrapper, node: NodeProto) -> bool:
        """Copy the factor ``node`` and those before it; False if it stands before no fork."""
        if not self._copied(model, node):
            return False
        before = model.find_producer(node.input[0])
        while before is not None and self._copied(model, before):
            before = model.find_producer(before.input[0])
        return True

    def _copied(self, model: ModelWrapper, node: NodeProto) -> bool:
        if node.op_type not in (*FACTORS, "Add") or not is_constant(model, node.input[1]):
            return False
        name = node.output[0]
        users = {user.output[0]: user for user in model.find_consumers(name)}
        ends = [
            (user, index)
            for user in users.values()
            for index, taken in enumerate(user.input)
            if taken == name
        ]
        kept = 0 if any(o.name == name for o in model.graph.output) else 1
        for number, (user, index) in enumerate(ends[kept:], start=1):
            rewire(model, user, index, self._copy(model, node, number))
        return len(ends) > kept

    def _copy(self, model: ModelWrapper, node: NodeProto, number: int) -> str:
        tensor = new_tensor(
            model, model.get_tensor_shape(node.output[0]), f"{node.output[0]}_{number}"
        )
        twin = helper.make_node(node.op_type, list(node.input), [tensor], f"{node.name}_{tensor}")
        insert_behind(model, node, twin)
        return tensor

# SPDX-License-Identifier: Apache-2.0
"""Scalar factors move behind windows and upsampling, so that these see integers."""

from __future__ import annotations

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import at_all, label
from hls.passes.scale_past_pool import pool_of
from hls.passes.scales import move_behind, need_scalar, single_factor
from models.errors import CompileError


class ScalePastReshaping(Transformation):
    """f(x * s) -> f(x) * s for windows (their padding is 0) and upsampling.

    The windows of pools are left to `ScalePastPool`. Called again until no factor stands before
    such a node.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Move one factor before every such node."""
        return model, at_all(model, self.at)

    def at(self, model: ModelWrapper, node: NodeProto) -> bool:
        """Move one factor before ``node``; False if there is none."""
        if node.op_type not in ("Im2Col", "Resize") or pool_of(model, node) is not None:
            return False
        factor = single_factor(model, node.input[0])
        if factor is None:
            return False
        self._check(model, factor, node)
        move_behind(model, factor, node, factor.input[1])
        return True

    def _check(self, model: ModelWrapper, factor: NodeProto, node: NodeProto) -> None:
        if factor.op_type == "Sub":
            raise CompileError(
                f"{label(factor)} shifts the input of {label(node)}: bipolar activations (-1, 1) "
                "have no zero for its padding",
                hint="use 1-bit unsigned or 2-bit signed activations",
            )
        need_scalar(model, factor, node)

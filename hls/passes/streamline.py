# SPDX-License-Identifier: Apache-2.0
"""From a tidy QONNX graph to integer products and thresholds, floats at the two borders only."""

from __future__ import annotations

from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import SortGraph

from hls.passes.chain import AnnotateIntegers
from hls.passes.graph import QUANT_OPS, activation_nodes
from hls.passes.integer_input import SplitInputQuantizer
from hls.passes.integer_thresholds import IntegerThresholds
from hls.passes.integer_weights import IntegerWeights
from hls.passes.scale_past_fork import ScalePastFork
from hls.passes.scale_past_join import ScalePastJoin
from hls.passes.scale_past_pool import ScalePastPool
from hls.passes.scale_past_reshaping import ScalePastReshaping
from hls.passes.scales import ScalePastMatMul
from hls.passes.ties import TieReport


class MoveScales(Transformation):
    """Factors move as far towards the next quantizer as they can, and what is integer is annotated.

    Called again until none of its steps moves anything.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Each step to its own fixed point, from the simplest on."""
        moved = False
        model, _ = AnnotateIntegers().apply(model)
        steps = (ScalePastMatMul, ScalePastPool, ScalePastReshaping, ScalePastJoin)
        for step in (ScalePastFork(), *(make() for make in steps)):
            model, changed = step.apply(model)
            if not changed:
                continue
            while changed:
                model, changed = step.apply(model)
            model, _ = AnnotateIntegers().apply(model)
            moved = True
        return model, moved


class IntegerActivations(Transformation):
    """Input codes and thresholds: every MatMul sees integers, every hidden quantizer is a table.

    Before: `IntegerWeights`. After: between the input quantizer and the last product there are
    MatMul, MultiThreshold, windows, pools, upsampling and joins only, all annotated. A second run
    changes nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[TieReport] = []

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Quantizer after quantizer, from the input on."""
        model = model.transform(SplitInputQuantizer())
        while True:
            model = model.transform(MoveScales())
            if not self._pending(model):
                return model, False
            step = IntegerThresholds()
            model, _ = step.apply(model)
            self.reports += step.reports

    @staticmethod
    def _pending(model: ModelWrapper) -> bool:
        return any(
            n.op_type in QUANT_OPS and n.name != "input_quantizer" for n in activation_nodes(model)
        )


def integer_weights_step(model: ModelWrapper) -> ModelWrapper:
    """All weights to integers."""
    return model.transform(IntegerWeights())


def integer_activations_step(model: ModelWrapper) -> tuple[ModelWrapper, list[TieReport]]:
    """All activations to integers, and what float32 could do to them."""
    step = IntegerActivations()
    model = model.transform(step)
    return model.transform(SortGraph()), step.reports

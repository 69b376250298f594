# SPDX-License-Identifier: Apache-2.0
"""From a tidy QONNX graph to integer products and thresholds, floats at the two borders only."""

from __future__ import annotations

from collections.abc import Callable

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import SortGraph

from hls.indexed_model import IndexedModel
from hls.passes.chain import AnnotateIntegers
from hls.passes.graph import QUANT_OPS, rewrite_all
from hls.passes.integer_input import SplitInputQuantizer
from hls.passes.integer_thresholds import (
    IntegerThresholds,
    drop_dead_nodes,
    pending_quantizers,
)
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

    STEPS = (ScalePastFork, ScalePastMatMul, ScalePastPool, ScalePastReshaping, ScalePastJoin)

    def __init__(self) -> None:
        super().__init__()
        self.steps = [step().at for step in self.STEPS]

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """In the whole graph."""
        return model, self._move(model, lambda: list(model.graph.node))

    def behind(self, model: IndexedModel, names: list[str]) -> None:
        """Behind the tensors ``names``, up to the next quantizers: nothing changed elsewhere."""
        while self._move(model, lambda: nodes_behind(model, names)):
            pass

    def _move(self, model: ModelWrapper, nodes: Callable[[], list[NodeProto]]) -> bool:
        """Each step to its own fixed point, from the simplest on."""
        moved = False
        self._annotate(model, nodes())
        for step in self.steps:
            changed = False
            while rewrite_all(model, nodes(), step):
                changed = True
            if changed:
                self._annotate(model, nodes())
                moved = True
        return moved

    @staticmethod
    def _annotate(model: ModelWrapper, nodes: list[NodeProto]) -> None:
        for node in nodes:
            AnnotateIntegers.annotate(model, node)


def nodes_behind(model: IndexedModel, names: list[str]) -> list[NodeProto]:
    """The nodes that give the tensors ``names``, and all behind these up to the next quantizers."""
    found: dict[str, NodeProto] = {}
    pending = [n for n in map(model.find_producer, names) if n is not None]
    while pending:
        node = pending.pop()
        if node.output[0] not in found and node.op_type not in QUANT_OPS:
            found[node.output[0]] = node
            pending += [user for name in node.output for user in model.find_consumers(name)]
    return sorted(found.values(), key=model.place)


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
        model = IndexedModel.of(model.transform(SplitInputQuantizer()))
        drop_dead_nodes(model)
        thresholds, scales = IntegerThresholds(), MoveScales()
        with model.tracked():
            while scales.apply(model)[1]:
                pass
            for node in pending_quantizers(model):
                scales.behind(model, thresholds.rewrite(model, node))
        self.reports += thresholds.reports
        return model, False


def integer_weights_step(model: ModelWrapper) -> ModelWrapper:
    """All weights to integers."""
    return model.transform(IntegerWeights())


def integer_activations_step(model: ModelWrapper) -> tuple[ModelWrapper, list[TieReport]]:
    """All activations to integers, and what float32 could do to them."""
    step = IntegerActivations()
    model = model.transform(step)
    return model.transform(SortGraph()), step.reports

# SPDX-License-Identifier: Apache-2.0
"""From a tidy QONNX graph to integer products and thresholds, floats at the two borders only."""

from __future__ import annotations

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import SortGraph

from hls.indexed_model import IndexedModel
from hls.passes.chain import AnnotateIntegers
from hls.passes.graph import QUANT_OPS, at_all, is_join
from hls.passes.integer_input import SplitInputQuantizer
from hls.passes.integer_thresholds import (
    IntegerThresholds,
    drop_dead_nodes,
    pending_quantizers,
)
from hls.passes.integer_weights import IntegerWeights
from hls.passes.scale_past_fork import ScalePastFork
from hls.passes.scale_past_join import ScalePastJoin
from hls.passes.scale_past_pool import ScalePastPool, pool_of
from hls.passes.scale_past_reshaping import ScalePastReshaping
from hls.passes.scales import FACTORS, ScalePastMatMul
from hls.passes.ties import TieReport


class MoveScales(Transformation):
    """Factors move as far towards the next quantizer as they can, and what is integer is annotated.

    Before: nodes in topological order. One walk along the streams is enough: when a node is
    visited, all that can come to it stands right before it. A second run changes nothing.
    """

    STEPS = (ScalePastMatMul, ScalePastPool, ScalePastReshaping, ScalePastJoin)

    def __init__(self) -> None:
        super().__init__()
        self.fork = ScalePastFork()
        self.steps = [step().at for step in self.STEPS]

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """In the whole graph."""
        return model, at_all(model, self._move)

    def behind(self, model: IndexedModel, names: list[str]) -> None:
        """Behind the tensors ``names``, up to the next quantizers: nothing changed elsewhere.

        The walk ends at joins that stay as they are: these wait for their other input.
        """
        found = [n for n in map(model.find_producer, names) if n is not None]
        pending = {node.output[0]: node for node in found}
        while pending:
            node = min(pending.values(), key=model.place)
            del pending[node.output[0]]
            users = [u for name in node.output for u in model.find_consumers(name)]
            old = model.get_tensor_datatype(node.output[0])
            moved = self._move(model, node)
            same = not moved and model.get_tensor_datatype(node.output[0]) == old
            if same and node not in found and is_join(model, node):
                continue
            pending |= {u.output[0]: u for u in users if u.op_type not in QUANT_OPS}

    def _move(self, model: ModelWrapper, node: NodeProto) -> bool:
        """Let all that stands before ``node`` pass it, and annotate what it gives."""
        moved = self.fork.at(model, node)
        for step in self.steps:
            while step(model, node):
                moved = True
        AnnotateIntegers.annotate(model, node)
        if moved:
            last = pool_of(model, node) or node
            self._fork_behind(model, last.output[0])
        return moved

    def _fork_behind(self, model: ModelWrapper, name: str) -> None:
        """Copy the factors behind tensor ``name`` where they stand before a fork."""
        factors: list[NodeProto] = []
        users = model.find_consumers(name)
        while len(users) == 1 and users[0].op_type in FACTORS:
            factors += users
            users = model.find_consumers(users[0].output[0])
        for factor in reversed(factors):
            self.fork.at(model, factor)


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
            scales.apply(model)
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

# SPDX-License-Identifier: Apache-2.0
"""Whatever stands between a product and its quantizer becomes a table of integer thresholds."""

from __future__ import annotations

import logging

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.indexed_model import IndexedModel
from hls.ir import IntFormat
from hls.passes.chain import Chain, chain_before, datatype_of, integer_weights, tensor_range
from hls.passes.graph import (
    QONNX_DOMAIN,
    QUANT_OPS,
    activation_nodes,
    label,
    new_constant,
    new_tensor,
    remove_node,
    replace_node,
    rewire,
)
from hls.passes.integer_weights import annotate
from hls.passes.quantizer import Quantizer, parse_quantizer, smallest_format
from hls.passes.thresholds import AccRange, smallest_accumulators
from hls.passes.ties import TieReport, tie_report
from models.errors import CompileError

log = logging.getLogger(__name__)


class IntegerThresholds(Transformation):
    """chain + Quant(s) behind an integer tensor -> MultiThreshold, Mul by s; for one node.

    Before: the chain begins at an annotated integer tensor. After: MultiThreshold with exact
    integer thresholds (ties as the rounding mode says), its output annotated as integer codes.
    Channels with a negative factor get their weight row negated. ``reports`` collects, for every
    quantizer, where float32 execution could disagree.
    """

    def __init__(self) -> None:
        super().__init__()
        self.reports: list[TieReport] = []

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite the first quantizer behind an integer tensor."""
        pending = pending_quantizers(model)
        if pending:
            self.rewrite(model, pending[0])
        return model, bool(pending)

    def rewrite(self, model: ModelWrapper, node: NodeProto) -> list[str]:
        """Rewrite the quantizer ``node``; gives tensors behind which all changes lie."""
        quantizer = parse_quantizer(model, node)
        if quantizer.scale.size != 1:
            raise CompileError(
                f"{label(node)}: {quantizer.scale.size} scales for one activation tensor",
                hint="train with one activation scale a tensor (weights may have one a channel)",
            )
        chain = chain_before(model, node.input[0])
        flips = [a < 0 for a in chain.exact.a]
        source = chain.source
        low, high = tensor_range(model, source)
        original = AccRange(-high, -low) if all(flips) else AccRange(low, high)
        if any(flips):
            original = AccRange(min(low, -high), max(high, -low))
        table = smallest_accumulators(chain.exact.flipped(flips), quantizer, original)
        report = tie_report(model, chain, quantizer, thresholds=table, flips=flips, acc=original)
        self.reports.append(report)
        if any(flips):
            flip_rows(model, chain, flips, node)
            low, high = tensor_range(model, source)
            table = np.clip(table, low, high + 1)
        codes = self._insert(model, node, source, table, quantizer)
        product = _product_of(model, chain)[0] if any(flips) else None
        return [codes] if product is None else [product.output[0], codes]

    def _insert(
        self,
        model: ModelWrapper,
        node: NodeProto,
        source: str,
        table: np.ndarray,
        quantizer: Quantizer,
    ) -> str:
        """MultiThreshold, then the factors that give the value back: codes * s, (2 bit - 1) * s."""
        shape = model.get_tensor_shape(source)
        codes = tensor = new_tensor(model, shape, f"{node.name}_codes")
        fmt = IntFormat(1, signed=False) if quantizer.bipolar else quantizer.fmt
        bias = 0 if quantizer.bipolar else quantizer.low - quantizer.zero_point
        name = f"{node.name}_mt"
        new = [threshold_node(model, source, table, target=tensor, fmt=fmt, bias=bias, name=name)]
        if quantizer.bipolar:
            for op, number in (("Mul", 2.0), ("Sub", 1.0)):
                value = new_constant(model, np.array([number]), f"{node.name}_bipolar")
                after = new_tensor(model, shape, f"{node.name}_bipolar")
                new.append(helper.make_node(op, [tensor, value], [after], f"{after}_{op}"))
                tensor = after
        factor = new_constant(model, quantizer.scale.reshape(1), f"{node.name}_scale")
        new.append(helper.make_node("Mul", [tensor, factor], [node.output[0]], f"{node.name}_mul"))
        before = node.input[0]
        replace_node(model, node, new)
        drop_unused(model, before)
        return codes


def threshold_node(
    model: ModelWrapper,
    source: str,
    table: np.ndarray,
    *,
    target: str,
    fmt: IntFormat,
    bias: int,
    name: str,
) -> NodeProto:
    """A MultiThreshold node from ``source`` to ``target`` (annotated); not yet in the graph."""
    tensor = new_constant(model, table.astype(np.float64), f"{name}_thresholds")
    held = smallest_format(min(int(table.min()), -1), int(table.max()))
    model.set_tensor_datatype(tensor, datatype_of(held))
    datatype = datatype_of(fmt)
    model.set_tensor_datatype(target, datatype)
    return helper.make_node(
        "MultiThreshold",
        [source, tensor],
        [target],
        name,
        domain=QONNX_DOMAIN,
        out_dtype=datatype.name,
        out_scale=1.0,
        out_bias=float(bias),
        data_layout="NHWC" if len(model.get_tensor_shape(source)) == 4 else "NC",
    )


def flip_rows(model: ModelWrapper, chain: Chain, flips: list[bool], user: NodeProto) -> None:
    """Negate the weights of the channels in ``flips``."""
    product, between = _product_of(model, chain)
    if product is None:
        raise CompileError(
            f"{label(user)}: a negative factor stands before it, but no dense layer or "
            "convolution whose weights could be negated",
            hint="a BatchNormalization with negative gamma needs a dense layer or a convolution "
            "before it",
        )
    for name in (*between, *(n.output[0] for n in chain.nodes)):
        if len(model.find_consumers(name)) > 1:
            raise CompileError(
                f"{label(user)}: a negative factor stands before it, and tensor {name!r} is used "
                "elsewhere too: its weights cannot be negated",
                hint="fork behind the quantizer, or make the factor positive",
            )
    weights = integer_weights(model, product) * np.where(flips, -1, 1)
    name = new_constant(model, weights.astype(np.float64), f"{product.name}_weights")
    annotate(model, name, weights)
    rewire(model, product, 1, name)
    low, high = tensor_range(model, product.output[0])
    fmt = smallest_format(min(low, -1), high)
    model.set_tensor_datatype(product.output[0], datatype_of(fmt))


def _product_of(model: ModelWrapper, chain: Chain) -> tuple[NodeProto | None, list[str]]:
    """(the product whose sums the chain begins with, maybe pooled ones, tensors behind it)."""
    name, node = chain.source, chain.producer
    names = [name]
    while node is not None and node.op_type in ("Im2Col", "Reshape", "ReduceSum"):
        name = node.input[0]
        names.append(name)
        node = model.find_producer(name)
    return (node if node is not None and node.op_type == "MatMul" else None), names


def pending_quantizers(model: ModelWrapper) -> list[NodeProto]:
    """The quantizers of activations that are no thresholds yet, in topological order."""
    return [
        n for n in activation_nodes(model) if n.op_type in QUANT_OPS and n.name != "input_quantizer"
    ]


def drop_unused(model: ModelWrapper, name: str) -> None:
    """Remove the node that gives tensor ``name`` if nobody takes it, then those before it."""
    pending = [name]
    outputs = {o.name for o in model.graph.output}
    while pending:
        name = pending.pop()
        node = model.find_producer(name)
        if node is None or name in outputs or model.find_consumers(name):
            continue
        pending += [n for n in node.input if n]
        remove_node(model, node)


def drop_dead_nodes(model: ModelWrapper) -> None:
    """Remove nodes that no longer reach the output."""
    alive = {model.graph.output[0].name}
    indexed = IndexedModel.of(model)
    for node in reversed(list(indexed.graph.node)):
        if any(name in alive for name in node.output):
            alive.update(node.input)
        else:
            indexed.remove_node(node)

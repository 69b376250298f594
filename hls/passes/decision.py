# SPDX-License-Identifier: Apache-2.0
"""The output of the accelerator: hard bits decided in hardware, or soft integers.

hard_pairs  bit k = (out[2k] - out[2k+1] >= 0): the last weights become differences of row pairs
sign        bit c = (out[c] >= 0)
soft        the integers of which the outputs are an affine function; `Border` has scale and offset
codes       the same, and the outputs have to be quantized: codes of the output's quantizer

A tie gives 1, as in the comparison of the float outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, gcd

import numpy as np
from onnx import NodeProto, TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper

from hls.ir import Border, IntFormat
from hls.passes.chain import (
    AnnotateIntegers,
    Chain,
    chain_before,
    datatype_of,
    integer_weights,
    tensor_range,
)
from hls.passes.graph import (
    first_node,
    label,
    need_constant,
    new_constant,
    new_tensor,
)
from hls.passes.integer_input import CODES
from hls.passes.integer_thresholds import drop_dead_nodes, flip_rows, threshold_node
from hls.passes.integer_weights import annotate
from hls.passes.monotone import MonotoneMap
from hls.passes.quantizer import Quantizer, smallest_format
from hls.passes.spans import Spans
from hls.passes.thresholds import AccRange, smallest_accumulators
from hls.passes.ties import TieReport, float_error
from models.errors import CompileError

MAX_MERGED_WEIGHT_BITS = 18
LARGEST_TOLERANCE = 2.0**31
"""Integers that float32 outputs may be off by, at most: beyond, they say nothing."""
BIT = IntFormat(1, signed=False)
NONNEGATIVE = Quantizer(np.ones(1, np.float32), 0, -1, 1, "ROUND", bipolar=True, node="decision")


@dataclass(frozen=True)
class Decided:
    """The model from input codes to output codes, and what the host makes of these.

    ``tolerance`` [channels]: by how much integers read from float32 outputs may differ from the
    exact ones, see `hls.float32_limits.FloatLimits`. ``reused``: where the decision took over
    thresholds of the quantizer at the output, that MultiThreshold's name and their numbers [bits].
    """

    model: ModelWrapper
    output: Border
    ties: TieReport | None
    tolerance: np.ndarray
    reused: tuple[str, np.ndarray] | None = None


def decide(model: ModelWrapper, kind: str, stream: str) -> Decided:
    """Cut both float borders off and put the decision into the network.

    Args:
        model: after `IntegerActivations`; it is not changed.
        kind: "hard_pairs", "sign", "soft" or "codes".
        stream: name of the output stream for the `Border`.
    """
    model = model.transform(AnnotateIntegers())
    chain = chain_before(model, model.graph.output[0].name)
    tolerance, reused = np.zeros(1, np.int64), None
    if kind in ("soft", "codes"):
        tolerance = _tolerance(model, chain)
        border, ties = _integers(model, chain, kind, stream), None
    else:
        _check_vector(model, chain, kind)
        error = float_error(model, chain)
        if kind == "hard_pairs":
            chain = _merge_pairs(model, chain)
            error = error[0::2] + error[1::2]
        ties = _decision_ties(model, chain, error)
        reused = _threshold_bits(model, chain)
        border = Border(stream, (chain.exact.channels,), BIT, (1.0,), (0.0,), "hard_bits")
    drop_dead_nodes(model)
    _cut_input(model)
    return Decided(model.transform(AnnotateIntegers()), border, ties, tolerance, reused)


def _check_vector(model: ModelWrapper, chain: Chain, kind: str) -> None:
    shape = model.get_tensor_shape(chain.source)
    if len(shape) != 2:
        raise CompileError(
            f"output={kind!r} decides the bits of a vector; this output is an image {shape[1:]}",
            hint="choose output='soft' or output='codes'",
        )


def _integers(model: ModelWrapper, chain: Chain, kind: str, stream: str) -> Border:
    quantized = chain.producer is not None and chain.producer.op_type == "MultiThreshold"
    if kind == "codes" and not quantized:
        what = "the input" if chain.producer is None else label(chain.producer)
        raise CompileError(
            f"output='codes' needs a quantizer at the output; here {what} is the last integer "
            "operation",
            hint="put a QuantIdentity at the end, or choose output='soft' (accumulators)",
        )
    if chain.exact.clipped:
        last = next(n for n in chain.nodes if n.op_type in ("Relu", "Clip"))
        raise CompileError(
            f"{label(last)} stands at the output without a quantizer behind it",
            hint="add a quantizer at the output, or remove it: the host can apply it",
        )
    datatype = model.get_tensor_datatype(chain.source)
    fmt = IntFormat(int(datatype.bitwidth()), bool(datatype.signed()))
    _set_output(model, chain.source)
    scale = tuple(float(v) for v in chain.exact.a)
    offset = tuple(float(v) for v in chain.exact.b)
    shape = tuple(int(d) for d in model.get_tensor_shape(chain.source)[1:])
    return Border(stream, shape, fmt, _one(scale), _one(offset), kind)


def _one(values: tuple[float, ...]) -> tuple[float, ...]:
    return values[:1] if len(set(values)) == 1 else values


def _merge_pairs(model: ModelWrapper, chain: Chain) -> Chain:
    """Replace the last product by the differences of its row pairs."""
    product = chain.producer
    if product is None or product.op_type != "MatMul" or chain.exact.clipped:
        raise CompileError(
            "hard_pairs needs a plain dense layer at the output; here the output is clipped or "
            "quantized",
            hint="remove the activation behind the last layer, or choose output='soft'",
        )
    channels = chain.exact.channels
    if channels % 2:
        raise CompileError(
            f"hard_pairs needs an even number of outputs, the model has {channels}",
            hint="choose output='sign' or output='soft'",
        )
    weights = integer_weights(model, product)
    merged, a, b = [], [], []
    for k in range(0, channels, 2):
        p0, p1, step = _common_step(chain.exact.a[k], chain.exact.a[k + 1])
        merged.append(p0 * weights[:, k].astype(object) - p1 * weights[:, k + 1].astype(object))
        a.append(step)
        b.append(chain.exact.b[k] - chain.exact.b[k + 1])
    difference = np.stack(merged, axis=1)
    _check_width(difference, product)
    codes = difference.astype(np.int64)
    name = new_constant(model, codes.astype(np.float64), f"{product.name}_pairs")
    annotate(model, name, codes)
    source = new_tensor(model, [1, channels // 2], f"{product.name}_difference")
    product.input[1], product.output[0] = name, source
    low, high = tensor_range(model, source)
    model.set_tensor_datatype(source, datatype_of(smallest_format(min(low, -1), high)))
    free = (None,) * (channels // 2)
    return Chain(source, product, (), MonotoneMap(tuple(a), tuple(b), free, free))


def _common_step(first: Fraction, second: Fraction) -> tuple[int, int, Fraction]:
    """(p0, p1, step > 0) with first = p0 * step, second = p1 * step."""
    top = gcd(first.numerator * second.denominator, second.numerator * first.denominator)
    step = Fraction(max(top, 1), first.denominator * second.denominator)
    return int(first / step), int(second / step), step


def _check_width(difference: np.ndarray, product: NodeProto) -> None:
    bits = smallest_format(min(int(difference.min()), -1), int(difference.max())).bits
    if bits > MAX_MERGED_WEIGHT_BITS:
        raise CompileError(
            f"{label(product)}: hard_pairs merges two rows of different weight scales, which takes "
            f"{bits}-bit weights (limit {MAX_MERGED_WEIGHT_BITS})",
            hint="give the last layer one weight scale (per tensor) or power-of-two scales, "
            "or choose output='soft'",
        )


def _threshold_bits(model: ModelWrapper, chain: Chain) -> tuple[str, np.ndarray] | None:
    """Put ``y >= 0`` behind the chain's source; returns what `Decided` calls ``reused``."""
    reused = None
    flips = [v < 0 for v in chain.exact.a]
    if chain.producer is not None and chain.producer.op_type == "MultiThreshold":
        source, table, columns = _reuse_thresholds(model, chain, flips)
        reused = (chain.producer.name, columns)
    else:
        if any(flips):
            flip_rows(model, chain, flips, model.find_producer(model.graph.output[0].name))
        source = chain.source
        acc = AccRange(*tensor_range(model, source))
        table = smallest_accumulators(chain.exact.flipped(flips), NONNEGATIVE, acc)
    bits = new_tensor(model, [1, chain.exact.channels], "output_bits")
    node = threshold_node(model, source, table, target=bits, fmt=BIT, bias=0, name="decision_mt")
    model.graph.node.append(node)
    _set_output(model, bits)
    return reused


def _reuse_thresholds(
    model: ModelWrapper, chain: Chain, flips: list[bool]
) -> tuple[str, np.ndarray, np.ndarray]:
    """The sign of a quantized output is one column of its thresholds: (source, table, columns)."""
    levels = chain.producer
    assert levels is not None
    if any(flips):
        raise CompileError(
            f"{label(levels)}: a negative factor behind the output quantizer",
            hint="remove the factor, or choose output='soft'",
        )
    table = need_constant(model, levels, 1).astype(np.int64)
    low, high = tensor_range(model, chain.source)
    needed = smallest_accumulators(chain.exact, NONNEGATIVE, AccRange(low, high))[:, 0]
    acc_low, acc_high = tensor_range(model, levels.input[0])
    full = np.concatenate(
        [np.full((len(table), 1), acc_low), table, np.full((len(table), 1), acc_high + 1)], axis=1
    )
    column = np.clip(needed - low, 0, full.shape[1] - 1)
    return levels.input[0], np.take_along_axis(full, column[:, None], axis=1), column - 1


def _tolerance(model: ModelWrapper, chain: Chain) -> np.ndarray:
    """floor(e / |a| + 1/2) for outputs a A + b of float error e: [channels]."""
    a = np.abs([float(v) for v in chain.exact.a])
    low, high = tensor_range(model, chain.source)
    reading = max(abs(low), abs(high)) * 2.0**-50  # of the float64 division that gives the integer
    steps = float_error(model, chain) / np.where(a == 0, 1, a) + reading
    if not np.all(np.where(a == 0, 0, steps) < LARGEST_TOLERANCE):
        channel = int(np.argmax(np.where(a == 0, 0, steps)))
        raise CompileError(
            f"{label(chain.nodes[-1])}: in channel {channel} of the output float32 cannot tell "
            f"sums apart: {float(a[channel]):g} for each step beside an offset of "
            f"{float(chain.exact.b[channel]):g}",
            hint="such an offset drowns the network's output: check it, and export again",
        )
    tolerance: np.ndarray = np.where(a == 0, 0, np.floor(steps + 0.5)).astype(np.int64)
    return tolerance


def _decision_ties(model: ModelWrapper, chain: Chain, error: np.ndarray) -> TieReport:
    """Bits whose threshold is nearer to a tie than float32 can tell; ``error`` per bit."""
    low, high = tensor_range(model, chain.source)
    acc = AccRange(min(low, -high), max(high, -low))
    flips = [v < 0 for v in chain.exact.a]
    upright = chain.exact.flipped(flips)
    table = smallest_accumulators(upright, NONNEGATIVE, acc)[:, 0]
    found = []
    for c, t in enumerate(table.tolist()):
        a, b, bound = upright.a[c], upright.b[c], Fraction(float(error[c]))
        if bound == 0 or a == 0:
            continue
        first, last = max(ceil((-bound - b) / a), acc.low), min(ceil((bound - b) / a) - 1, acc.high)
        if first <= last:
            found.append((c, 0, t, first, last))
    spans = Spans(np.array(found, np.int64).reshape(-1, 5))
    return TieReport("decision", len(table), not error.any(), len(spans), spans)


def _set_output(model: ModelWrapper, name: str) -> None:
    shape = model.get_tensor_shape(name)
    datatype = model.get_tensor_datatype(name)
    info = helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
    for existing in list(model.graph.value_info):
        if existing.name == name:
            model.graph.value_info.remove(existing)
    del model.graph.output[:]
    model.graph.output.append(info)
    model.set_tensor_datatype(name, datatype)


def _cut_input(model: ModelWrapper) -> None:
    """The codes become the input of the graph."""
    first = first_node(model)
    if first.op_type != "Div":
        return
    quant = model.find_consumers(first.output[0])[0]
    name = quant.output[0]
    shape, datatype = model.get_tensor_shape(name), model.get_tensor_datatype(name)
    for node in (first, quant):
        model.graph.node.remove(node)
    for existing in list(model.graph.value_info):
        if existing.name == name:
            model.graph.value_info.remove(existing)
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info(CODES, TensorProto.FLOAT, shape))
    model.set_tensor_datatype(CODES, datatype)

# SPDX-License-Identifier: Apache-2.0
"""Could float32 QONNX execution disagree with exact arithmetic? A proof, threshold by threshold.

Every correctly rounded float32 operation is monotone, so the float32 chain behind a product is a
monotone function of the accumulator. If it gives the exact levels at T and at T - 1 for every
threshold T, it gives them everywhere. The product itself is exact in float32 when its scales
are powers of two and no partial sum needs more than 24 bits; otherwise its error is bounded by

    |fl(sum) - sum| <= (n + 2 + m) u sum |w_i| max|x|,  u = 2^-24, m further factors

(any order of summation), and T and T - 1 have to keep their levels for every value within it.

A BatchNormalization is A x + B; A and B are computed in float32, here once and by an executor in an
order of its own. `hls.passes.tidy` writes down by how much they differ. Besides, one may round the
product and the other not (2 u |A x|), and the bound is itself rounded to float32 (1 u |x|).

`Spans` say at which accumulators a threshold that fails may be missed: `hls.float32_frames` asks.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.passes.chain import Chain, integer_weights, pool_pixels, tensor_range, upstream
from hls.passes.graph import RESHAPING, constant, dynamic_input, dynamic_inputs, is_join
from hls.passes.quantizer import Quantizer, quantize_levels
from hls.passes.spans import IntArray, Spans, widen
from hls.passes.thresholds import AccRange

UNIT = 2.0**-24
FLOAT_EXACT = 1 << 24
BLOCK = 1 << 18
"""Thresholds that are checked at once: bounds the memory."""
NORM = "_norm_add"
"""Ends the name of the Add of a BatchNormalization. Metadata of that name has how far, by channel,
A (relative) and B (absolute) of two executors lie apart."""


@dataclass(frozen=True)
class TieReport:
    """Result for one quantizer or decision.

    ``exact``: float32 rounds nowhere in the product. ``fragile``: thresholds where float32 rounding
    can move a level; 0 means that equality with QONNX execution is proven for all inputs.
    ``spans``: where they can be moved to. ``quantizer``: None for a decision.
    """

    node: str
    thresholds: int
    exact: bool
    fragile: int
    spans: Spans = field(default_factory=Spans, repr=False, compare=False)
    quantizer: Quantizer | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """What the compile report says of it."""
        names = ("node", "thresholds", "exact", "fragile")
        return {name: getattr(self, name) for name in names}

    @property
    def proven(self) -> bool:
        """Equality holds for every input."""
        return self.fragile == 0


@dataclass(frozen=True)
class ProductError:
    """The float value v of a product is scale * acc + offset +- error, all [channels].

    ``first`` nodes of the chain are in it; normalizations add ``relative`` |v| to the error.
    """

    scale: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    first: int
    relative: npt.NDArray[np.float64]

    @property
    def exact(self) -> bool:
        """Float32 rounds nowhere."""
        return not self.error.any() and not self.relative.any()

    def worst(self, low: int, high: int) -> npt.NDArray[np.float64]:
        """Largest error for accumulators from low to high [channels]."""
        top = np.abs(self.scale) * max(abs(low), abs(high)) + np.abs(self.offset)
        error: npt.NDArray[np.float64] = self.error + self.relative * top
        return error

    def reach(self, low: int, high: int) -> IntArray:
        """About how many accumulators the error covers [channels]; 1 at least."""
        far = self.worst(low, high) / np.where(self.scale == 0, 1, np.abs(self.scale))
        return np.minimum(far + 2 * UNIT * max(abs(low), abs(high)), 2.0**62).astype(np.int64) + 1

    def value(
        self, acc: npt.NDArray[np.int64], side: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float32]:
        """The float32 value for accumulators [n, channels], the error times ``side`` added."""
        value = acc * self.scale + self.offset
        result = value + side * (self.error + self.relative * np.abs(value))
        return result.astype(np.float32)


def product_error(model: ModelWrapper, chain: Chain) -> ProductError:
    """Worst float32 error of the product a chain begins with, and what of the chain is in it."""
    channels = chain.exact.channels
    scale, offset, first, grid = np.ones(channels), np.zeros(channels), 0, 1.0
    for node in chain.nodes:
        value = constant(model, node.input[1]) if len(node.input) > 1 else None
        if value is None or node.op_type not in ("Mul", "Div", "Sub"):
            break
        if node.op_type in ("Mul", "Div"):
            factor = value.reshape(-1).astype(np.float64)
            factor = factor if node.op_type == "Mul" else 1 / factor
            scale, offset = scale * factor, offset * factor
        elif "_bipolar_" in node.input[1]:
            offset, grid = offset - value.reshape(-1), 0.5
        else:
            break
        first += 1
    relative, error = _norm_error(model, chain, first)
    terms, reach = _sum_of(model, chain)
    step = np.abs(scale) * grid
    bias = _bias(model, chain, first) / np.where(step == 0, 1, step)
    total = reach / grid + np.abs(bias)
    plain = terms == 0 and (first <= 1 or powers_of_two(scale))
    if not plain and not (powers_of_two(scale) and np.all(total * _grid_steps(bias) < FLOAT_EXACT)):
        error = error + (terms + 2 + first) * UNIT * 1.01 * total * step
    return ProductError(scale, offset, error + relative * np.abs(bias) * step, first, relative)


def _norm_error(
    model: ModelWrapper, chain: Chain, first: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(relative, absolute) error [channels] that the normalizations of a chain stand for.

    Both are of the value behind the first nodes of the chain, not of what is added right there.
    """
    relative, absolute = np.zeros(chain.exact.channels), np.zeros(chain.exact.channels)
    pool = chain.producer is not None and chain.producer.op_type == "ReduceSum"
    pixels = pool_pixels(model, chain.producer) if pool else 1
    factor = np.ones(chain.exact.channels)
    for index, node in enumerate(chain.nodes):
        value = constant(model, node.input[1]) if len(node.input) > 1 and node.input[1] else None
        if index >= first and value is not None and node.op_type in ("Mul", "Div"):
            flat = np.abs(value.reshape(-1).astype(np.float64))
            factor = factor * flat if node.op_type == "Mul" else factor / flat
        if node.op_type == "Add" and node.name.endswith(NORM):
            of_a, of_b = np.array(json.loads(model.get_metadata_prop(node.name)), np.float64)
            relative = relative + of_a + 3 * UNIT
            absolute = absolute + of_b * pixels / np.where(factor == 0, 1, factor)
    return relative, absolute


def _sum_of(model: ModelWrapper, chain: Chain) -> tuple[int, npt.NDArray[np.float64]]:
    """(terms that float32 sums up for a value, largest sum of their magnitudes [channels])."""
    reach = np.broadcast_to(_reach(model, chain.source), chain.exact.channels)
    return _roundings(model, chain.source), reach


def _reach(model: ModelWrapper, name: str) -> npt.NDArray[np.float64]:
    """Largest sum of the magnitudes of all terms of ``name``: [channels], or [1] for all."""

    def before(node: NodeProto | None) -> list[str]:
        if node is not None and node.op_type == "MatMul":
            return [node.input[0]]
        if node is not None and node.op_type == "ReduceSum":
            return [model.find_producer(model.find_producer(node.input[0]).input[0]).input[0]]
        if node is not None and node.op_type == "Add" and is_join(model, node):
            return [n for _, n in dynamic_inputs(model, node)]
        return []

    def value(
        name: str, node: NodeProto | None, terms: list[npt.NDArray[np.float64]]
    ) -> npt.NDArray[np.float64]:
        if node is None or not terms:
            low, high = tensor_range(model, name)
            return np.array([max(abs(low), abs(high))], np.float64)
        if node.op_type == "MatMul":
            weights = np.abs(integer_weights(model, node)).sum(axis=0)
            sums: npt.NDArray[np.float64] = weights * float(terms[0].max())
            return sums
        if node.op_type == "ReduceSum":
            return pool_pixels(model, node) * terms[0]
        first, second = terms
        return first + second

    return upstream(model, name, before, value)


def _roundings(model: ModelWrapper, name: str) -> int:
    """Terms of the longest sum between the last quantizer and tensor ``name``."""

    def before(node: NodeProto | None) -> list[str]:
        if node is None or not (node.op_type in (*RESHAPING, "MatMul") or is_join(model, node)):
            return []
        return [n for _, n in dynamic_inputs(model, node)]

    def value(name: str, node: NodeProto | None, terms: list[int]) -> int:
        if node is None or not terms:
            return 0
        if node.op_type == "MatMul":
            return max(terms) + int(model.get_tensor_shape(node.input[1])[0])
        if node.op_type == "ReduceSum":
            return max(terms) + pool_pixels(model, node)
        return max(terms) + (2 if node.op_type == "Add" else 0)

    return upstream(model, name, before, value)


def _bias(model: ModelWrapper, chain: Chain, first: int) -> npt.NDArray[np.float64]:
    """The addend right behind the product: a Gemm may sum it in any order."""
    if first < len(chain.nodes) and chain.nodes[first].op_type == "Add":
        value = constant(model, chain.nodes[first].input[1])
        if value is not None:
            return np.broadcast_to(value.reshape(-1).astype(np.float64), chain.exact.channels)
    return np.zeros(chain.exact.channels)


def _grid_steps(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Smallest power of two by which each value has to be multiplied to be an integer."""
    mantissa, exponent = np.frexp(values)
    scaled = np.ldexp(mantissa, 53).astype(np.int64)  # values = scaled * 2^(exponent - 53)
    lowest = np.where(scaled == 0, 1, scaled & -scaled)
    finest = exponent - 53 + np.log2(lowest)
    return np.exp2(np.where(scaled == 0, 0.0, np.maximum(-finest, 0.0)))


def powers_of_two(values: npt.NDArray[np.float64]) -> bool:
    """True if every value is a power of two, of either sign."""
    mantissa, _ = np.frexp(np.abs(values))
    return bool(np.all(mantissa == 0.5))


def float_error(model: ModelWrapper, chain: Chain) -> npt.NDArray[np.float64]:
    """Bound on the float32 error of what a chain gives [channels]; 0 where float32 is exact."""
    product = product_error(model, chain)
    rest = chain.nodes[product.first :]
    scaling = rest[1:] if rest and rest[0].op_type == "Add" else rest
    if product.exact and all(_only_scales(model, n) for n in scaling):
        return np.zeros(chain.exact.channels)
    low, high = tensor_range(model, chain.source)
    a = np.abs([float(v) for v in chain.exact.a])
    b = np.abs([float(v) for v in chain.exact.b])
    rounding = 2 * (len(rest) + 1) * UNIT * (a * max(abs(low), abs(high)) + b)
    scale = np.where(product.scale == 0, 1, np.abs(product.scale))
    bound: npt.NDArray[np.float64] = product.worst(low, high) / scale * a + rounding
    return bound


def _only_scales(model: ModelWrapper, node: NodeProto) -> bool:
    """True for a multiplication by powers of two: exact in float32."""
    value = constant(model, node.input[1]) if len(node.input) > 1 else None
    if node.op_type not in ("Mul", "Div") or value is None:
        return False
    return powers_of_two(value.astype(np.float64))


def tie_report(
    model: ModelWrapper,
    chain: Chain,
    quantizer: Quantizer,
    *,
    thresholds: npt.NDArray[np.int64],
    flips: list[bool],
    acc: AccRange,
) -> TieReport:
    """Check every threshold [channels, steps]; chain and weights as before any row was flipped."""
    product = product_error(model, chain)
    sign = np.where(flips, -1, 1)
    rising = np.array([a >= 0 for a in chain.exact.a]) == (product.scale >= 0)
    upwards = np.where(rising, 1.0, -1.0)  # what raises the product raises the level, or lowers it
    near = _nearness(model, chain, quantizer, flips)

    def levels_of(at: IntArray, way: float) -> npt.NDArray[np.float32]:
        sums = (at * sign[:, None]).T
        return _levels(model, chain, quantizer, product, acc=sums, side=way * upwards).T

    def block(start: int, stop: int) -> Spans:
        levels = np.arange(start, stop) + (1 if quantizer.bipolar else quantizer.low + 1)
        found = widen(
            thresholds[:, start:stop],
            lambda at: levels_of(at, 1.0) >= levels,
            lambda at: levels_of(at, -1.0) < levels,
            (acc.low, acc.high),
            product.reach(acc.low, acc.high),
        )
        return found.moved(start)

    fragile, kept = 0, list[Spans]()
    channels, steps = thresholds.shape
    size = max(1, BLOCK // channels)
    for start in range(0, steps, size):
        found = block(start, min(start + size, steps))
        fragile += len(found)
        kept.append(found.only(near(found)))
    spans = Spans.joined(kept)
    return TieReport(quantizer.node, thresholds.size, product.exact, fragile, spans, quantizer)


def _nearness(
    model: ModelWrapper, chain: Chain, quantizer: Quantizer, flips: list[bool]
) -> Callable[[Spans], npt.NDArray[np.bool_]]:
    """Which spans [entries] lie so near to the quantizer's tie that rounding explains them.

    All do if the thresholds are right: a wrong one must not pass for float32 rounding.
    """
    upright = chain.exact.flipped(flips)
    low, high = tensor_range(model, chain.source)
    a, b = (np.array([float(v) for v in values]) for values in (upright.a, upright.b))
    floor, roof = (
        np.array([side if v is None else float(v) for v in values])
        for values, side in ((upright.lo, -np.inf), (upright.hi, np.inf))
    )
    scale = float(quantizer.scale.reshape(-1)[0])
    size = np.abs(a) * max(abs(low), abs(high)) + np.abs(b) + abs(quantizer.zero_point) * scale
    error = float_error(model, chain) + 4 * UNIT * size
    ties = quantizer.bounds().twice / 2 * scale

    def near(spans: Spans) -> npt.NDArray[np.bool_]:
        c, tie = spans.column("channel"), ties[spans.column("step")]
        result = np.ones(len(spans), dtype=bool)
        for at in (spans.column("low"), spans.column("high")):
            value = np.clip(a[c] * at + b[c], floor[c], roof[c])
            result &= np.abs(value - tie) <= error[c]
        return result

    return near


def _levels(
    model: ModelWrapper,
    chain: Chain,
    quantizer: Quantizer,
    product: ProductError,
    *,
    acc: npt.NDArray[np.int64],
    side: npt.NDArray[np.float64],
) -> npt.NDArray[np.float32]:
    """Levels of accumulators [n, channels] in float32, the product's error added on ``side``."""
    from hls.qonnx_exec import run_node

    value = product.value(acc, side)
    for node in chain.nodes[product.first :]:
        index = dynamic_input(model, node)[0]
        inputs = [
            value if i == index else (_constant(model, name) if name else None)
            for i, name in enumerate(node.input)
        ]
        value = run_node(model, node, inputs).reshape(acc.shape)
    return quantize_levels(quantizer, value)


def _constant(model: ModelWrapper, name: str) -> npt.NDArray[np.float32]:
    value = constant(model, name)
    if value is None:
        raise ValueError(f"{name} is no constant")
    return value.astype(np.float32)

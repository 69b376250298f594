# SPDX-License-Identifier: Apache-2.0
"""Could float32 QONNX execution disagree with exact arithmetic? A proof, threshold by threshold.

Every correctly rounded float32 operation is monotone, so the float32 chain behind a product is a
monotone function of the accumulator. If it gives the exact levels at T and at T - 1 for every
threshold T, it gives them everywhere. The product itself is exact in float32 when its scales
are powers of two and no partial sum needs more than 24 bits; otherwise its error is bounded by

    |fl(sum) - sum| <= (n + 2 + m) u sum |w_i| max|x|,  u = 2^-24, m further factors

(any order of summation), and T and T - 1 have to keep their levels for every value within it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper

from hls.passes.chain import Chain, integer_weights, pool_pixels, tensor_range
from hls.passes.graph import RESHAPING, constant, dynamic_input, dynamic_inputs, is_join
from hls.passes.quantizer import Quantizer, quantize_levels
from hls.passes.thresholds import AccRange

UNIT = 2.0**-24
FLOAT_EXACT = 1 << 24


@dataclass(frozen=True)
class TieReport:
    """Result for one quantizer or decision.

    ``exact``: float32 rounds nowhere in the product. ``fragile``: thresholds where float32 rounding
    can move a level; 0 means that equality with QONNX execution is proven for all inputs.
    """

    node: str
    thresholds: int
    exact: bool
    fragile: int

    @property
    def proven(self) -> bool:
        """Equality holds for every input."""
        return self.fragile == 0


@dataclass(frozen=True)
class ProductError:
    """The float value of a product is scale * acc + offset +- error, all [channels].

    ``first`` nodes of the chain are in it.
    """

    scale: npt.NDArray[np.float64]
    offset: npt.NDArray[np.float64]
    error: npt.NDArray[np.float64]
    first: int

    def value(self, acc: npt.NDArray[np.int64], side: float) -> npt.NDArray[np.float32]:
        """The float32 value for accumulators [n, channels], the error added on one side."""
        result = acc * self.scale + self.offset + side * self.error
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
    clean = ProductError(scale, offset, np.zeros(channels), first)
    terms, reach = _sum_of(model, chain)
    if terms == 0:
        return clean
    step = np.abs(scale) * grid
    bias = _bias(model, chain, first) / step
    total = reach / grid + np.abs(bias)
    if powers_of_two(scale) and np.all(total * _grid_steps(bias) < FLOAT_EXACT):
        return clean
    error = (terms + 2 + first) * UNIT * 1.01 * total * step
    return ProductError(scale, offset, error, first)


def _sum_of(model: ModelWrapper, chain: Chain) -> tuple[int, npt.NDArray[np.float64]]:
    """(terms that float32 sums up for a value, largest sum of their magnitudes [channels])."""
    reach = np.broadcast_to(_reach(model, chain.source), chain.exact.channels)
    return _roundings(model, chain.source), reach


def _reach(model: ModelWrapper, name: str) -> npt.NDArray[np.float64]:
    """Largest sum of the magnitudes of all terms of ``name``: [channels], or [1] for all."""
    node = model.find_producer(name)
    if node is not None and node.op_type == "MatMul":
        weights = np.abs(integer_weights(model, node)).sum(axis=0)
        sums: npt.NDArray[np.float64] = weights * float(_reach(model, node.input[0]).max())
        return sums
    if node is not None and node.op_type == "ReduceSum":
        im2col = model.find_producer(model.find_producer(node.input[0]).input[0])
        return pool_pixels(model, node) * _reach(model, im2col.input[0])
    if node is not None and is_join(model, node) and node.op_type == "Add":
        first, second = (_reach(model, n) for _, n in dynamic_inputs(model, node))
        return first + second
    low, high = tensor_range(model, name)
    return np.array([max(abs(low), abs(high))], np.float64)


def _roundings(model: ModelWrapper, name: str) -> int:
    """Terms of the longest sum between the last quantizer and tensor ``name``."""
    node = model.find_producer(name)
    if node is None or not (node.op_type in (*RESHAPING, "MatMul") or is_join(model, node)):
        return 0
    before = max(_roundings(model, n) for _, n in dynamic_inputs(model, node))
    if node.op_type == "MatMul":
        return before + len(integer_weights(model, node))
    if node.op_type == "ReduceSum":
        return before + pool_pixels(model, node)
    return before + (2 if node.op_type == "Add" else 0)


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
    levels = np.arange(quantizer.low + 1, quantizer.low + 1 + thresholds.shape[1])
    if quantizer.bipolar:
        levels = np.array([1])
    sign = np.where(flips, -1, 1)
    worst = np.zeros(thresholds.shape, dtype=bool)
    for shift, upper in ((0, False), (-1, True)):
        at = thresholds + shift
        valid = (at >= acc.low) & (at <= acc.high)
        reached = [
            _levels(model, chain, quantizer, product, acc=(at * sign[:, None]).T, side=side).T
            for side in (-1.0, 1.0)
        ]
        wrong = np.maximum(*reached) >= levels if upper else np.minimum(*reached) < levels
        worst |= wrong & valid
    exact = bool(np.all(product.error == 0))
    return TieReport(quantizer.node, thresholds.size, exact, int(worst.sum()))


def _levels(
    model: ModelWrapper,
    chain: Chain,
    quantizer: Quantizer,
    product: ProductError,
    *,
    acc: npt.NDArray[np.int64],
    side: float,
) -> npt.NDArray[np.float32]:
    """Levels of accumulators [n, channels] in float32, the product's error added on one side."""
    from hls.qonnx_exec import run_node

    value = product.value(acc, side)
    for node in chain.nodes[product.first :]:
        index = dynamic_input(model, node)[0]
        inputs = [
            value if i == index else _constant(model, name)
            for i, name in enumerate(node.input)
            if name
        ]
        value = run_node(model, node, inputs).reshape(acc.shape)
    return quantize_levels(quantizer, value)


def _constant(model: ModelWrapper, name: str) -> npt.NDArray[np.float32]:
    value = constant(model, name)
    if value is None:
        raise ValueError(f"{name} is no constant")
    return value.astype(np.float32)

# SPDX-License-Identifier: Apache-2.0
"""A QONNX quantizer as a typed value, parsed once from its node."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.ir import IntFormat
from hls.passes.graph import attribute, label, need_constant
from models.errors import CompileError

HALF_EVEN = ("ROUND", "HALF_EVEN")
MAX_BITS = 16
"""Widest quantizer of weights, activations, input or output [bit]."""
ROUNDINGS = (*HALF_EVEN, "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


@dataclass(frozen=True)
class Bounds:
    """A level is reached when 2 x / scale > ``twice`` where ``strict``, else >=: both [levels]."""

    twice: npt.NDArray[np.int64]
    strict: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Quantizer:
    """level = clip(round(x / scale + zero_point), low, high); value = (level - zero_point) scale.

    A bipolar one has ``low`` -1, ``high`` 1 and no level between; x >= 0 gives 1.
    """

    scale: npt.NDArray[np.float32]
    zero_point: int
    low: int
    high: int
    rounding: str
    bipolar: bool
    node: str

    @property
    def steps(self) -> int:
        """Number of thresholds."""
        return 1 if self.bipolar else self.high - self.low

    @property
    def fmt(self) -> IntFormat:
        """Smallest format of the codes level - zero_point."""
        return smallest_format(self.low - self.zero_point, self.high - self.zero_point)

    def bounds(self) -> Bounds:
        """The bounds of the levels low + 1 ... high; of a bipolar quantizer that of 1."""
        first = self.high if self.bipolar else self.low + 1
        return self._bounds(np.arange(first, self.high + 1, dtype=np.int64))

    def bound(self, level: int) -> tuple[Fraction, bool]:
        """(t, strict): the level is reached when x / scale > t (strict) or >= t."""
        one = self._bounds(np.array([level], np.int64))
        return Fraction(int(one.twice[0]), 2), bool(one.strict[0])

    def _bounds(self, k: npt.NDArray[np.int64]) -> Bounds:
        if self.bipolar:
            return Bounds(np.zeros_like(k), np.zeros(k.shape, bool))
        mode, away = self.rounding, k >= 1
        if mode in HALF_EVEN:
            twice, strict = 2 * k - 1, k % 2 != 0
        elif mode == "FLOOR":
            twice, strict = 2 * k, np.zeros(k.shape, bool)
        elif mode == "CEIL":
            twice, strict = 2 * k - 2, np.ones(k.shape, bool)
        elif mode == "DOWN":
            twice, strict = np.where(away, 2 * k, 2 * k - 2), ~away
        elif mode == "UP":
            twice, strict = np.where(away, 2 * k - 2, 2 * k), away
        else:
            twice, strict = 2 * k - 1, (~away if mode == "HALF_UP" else away)
        return Bounds(twice - 2 * self.zero_point, strict)


def smallest_format(low: int, high: int) -> IntFormat:
    """The smallest integer format for ``low`` to ``high``; a signed one has 2 bits or more."""
    if low >= 0:
        return IntFormat(max(1, high.bit_length()), signed=False)
    return IntFormat(max((-low - 1).bit_length(), max(high, 1).bit_length()) + 1, signed=True)


def parse_quantizer(model: ModelWrapper, node: NodeProto) -> Quantizer:
    """Read a Quant, IntQuant or BipolarQuant node with constant parameters."""
    scale = need_constant(model, node, 1).astype(np.float32)
    if not np.all(np.isfinite(scale)) or np.any(scale <= 0):
        bad = scale.reshape(-1)[np.argmin(scale.reshape(-1))]
        raise CompileError(
            f"{label(node)}: scale {bad} must be finite and positive",
            hint="a quantizer's scale is its step; retrain or fix the export",
        )
    if node.op_type == "BipolarQuant":
        return Quantizer(scale, 0, -1, 1, "ROUND", bipolar=True, node=node.name)
    zero_point = _integer(model, node, 2, "zero point")
    bits = _integer(model, node, 3, "bit width")
    if not 1 <= bits <= MAX_BITS:
        raise CompileError(
            f"{label(node)}, the quantizer of tensor {node.input[0]!r}: bit width {bits} must be "
            f"1 to {MAX_BITS}",
            hint=f"train weights and activations with 1 to {MAX_BITS} bits",
        )
    signed = bool(attribute(node, "signed", 1))
    narrow = bool(attribute(node, "narrow", 0))
    rounding = attribute(node, "rounding_mode", b"ROUND").decode().upper()
    if rounding not in ROUNDINGS:
        raise CompileError(
            f"{label(node)}: rounding mode {rounding!r} is unknown; known: {', '.join(ROUNDINGS)}"
        )
    if bits == 1 and signed:
        if zero_point != 0:
            raise CompileError(f"{label(node)}: a bipolar quantizer's zero point must be 0")
        return Quantizer(scale, 0, -1, 1, rounding, bipolar=True, node=node.name)
    full = IntFormat(bits, signed)
    low = full.min + (1 if signed and narrow else 0)
    high = full.max - (1 if narrow and not signed else 0)
    return Quantizer(scale, zero_point, low, high, rounding, bipolar=False, node=node.name)


def quantize_levels(quantizer: Quantizer, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Levels of ``x`` computed in float32, operation by operation as QONNX does it."""
    from qonnx.custom_op.general.quant import resolve_rounding_mode

    y = x / quantizer.scale + np.float32(quantizer.zero_point)
    if quantizer.bipolar:
        return np.where(x >= 0, np.float32(1), np.float32(-1))
    y = np.clip(y, np.float32(quantizer.low), np.float32(quantizer.high))
    rounded: npt.NDArray[np.float32] = resolve_rounding_mode(quantizer.rounding)(y)
    return rounded


def _integer(model: ModelWrapper, node: NodeProto, index: int, what: str) -> int:
    value = need_constant(model, node, index)
    if value.size != 1 or float(value.reshape(-1)[0]) != int(value.reshape(-1)[0]):
        raise CompileError(
            f"{label(node)}: {what} {value.tolist()} must be one integer for the whole tensor",
            hint=f"train with a constant, per-tensor {what}",
        )
    return int(value.reshape(-1)[0])

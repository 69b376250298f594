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
ROUNDINGS = (*HALF_EVEN, "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")


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

    def bound(self, level: int) -> tuple[Fraction, bool]:
        """(t, strict): the level is reached when x / scale > t (strict) or >= t."""
        if self.bipolar:
            return Fraction(0), False
        half, k = Fraction(1, 2), Fraction(level)
        mode = self.rounding
        if mode in HALF_EVEN:
            t, strict = k - half, level % 2 != 0
        elif mode == "FLOOR":
            t, strict = k, False
        elif mode == "CEIL":
            t, strict = k - 1, True
        elif mode == "DOWN":
            t, strict = (k, False) if level >= 1 else (k - 1, True)
        elif mode == "UP":
            t, strict = (k - 1, True) if level >= 1 else (k, False)
        elif mode == "HALF_UP":
            t, strict = k - half, level < 1
        else:
            t, strict = k - half, level >= 1
        return t - self.zero_point, strict


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
    if not 1 <= bits <= 32:
        raise CompileError(f"{label(node)}: bit width {bits} must be 1 to 32")
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

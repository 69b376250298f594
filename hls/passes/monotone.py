# SPDX-License-Identifier: Apache-2.0
"""Exact monotone maps: what stands between an integer accumulator and the next quantizer.

    y[c] = clip(a[c] * acc + b[c], lo[c], hi[c])

Multiplication, addition, ReLU and clipping by constants keep this form, so a whole chain of them is
one `MonotoneMap`. All numbers are rationals: a float32 parameter is exactly one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

Bound = Fraction | None


@dataclass(frozen=True)
class MonotoneMap:
    """One clipped affine map per channel; ``None`` as a bound means unbounded."""

    a: tuple[Fraction, ...]
    b: tuple[Fraction, ...]
    lo: tuple[Bound, ...]
    hi: tuple[Bound, ...]

    @classmethod
    def identity(cls, channels: int) -> MonotoneMap:
        """y = acc."""
        n = channels
        return cls((Fraction(1),) * n, (Fraction(0),) * n, (None,) * n, (None,) * n)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return len(self.a)

    @property
    def clipped(self) -> bool:
        """True if any channel has a bound."""
        return any(v is not None for v in self.lo + self.hi)

    def times(self, factor: npt.ArrayLike) -> MonotoneMap:
        """y * factor, a scalar or one factor a channel."""
        return self.times_exact(self._per_channel(factor))

    def times_exact(self, f: Sequence[Fraction]) -> MonotoneMap:
        """y * f[c] for rational factors."""
        lo, hi = _each(lambda v, m: v * m, self.lo, f), _each(lambda v, m: v * m, self.hi, f)
        swap = [m < 0 for m in f]
        zero = [m == 0 for m in f]
        pick = list(zip(lo, hi, swap, zero, strict=True))
        return MonotoneMap(
            tuple(v * m for v, m in zip(self.a, f, strict=True)),
            tuple(v * m for v, m in zip(self.b, f, strict=True)),
            tuple(None if z else (h if s else low) for low, h, s, z in pick),
            tuple(None if z else (low if s else h) for low, h, s, z in pick),
        )

    def plus(self, offset: npt.ArrayLike) -> MonotoneMap:
        """y + offset, a scalar or one offset a channel."""
        o = self._per_channel(offset)
        return MonotoneMap(
            self.a,
            tuple(v + k for v, k in zip(self.b, o, strict=True)),
            _each(lambda v, k: v + k, self.lo, o),
            _each(lambda v, k: v + k, self.hi, o),
        )

    def clip(self, low: Bound, high: Bound) -> MonotoneMap:
        """min(max(y, low), high); with ``low`` above ``high`` that is ``high`` everywhere."""
        if low is not None and high is not None:
            low = min(low, high)

        def bounded(value: Bound, default: Bound) -> Bound:
            if value is None:
                return default
            value = value if low is None else max(value, low)
            return value if high is None else min(value, high)

        return MonotoneMap(
            self.a,
            self.b,
            tuple(bounded(v, low) for v in self.lo),
            tuple(bounded(v, high) for v in self.hi),
        )

    def flipped(self, rows: Sequence[bool]) -> MonotoneMap:
        """The map of -acc for the channels in ``rows``."""
        a = tuple(-v if f else v for v, f in zip(self.a, rows, strict=True))
        return MonotoneMap(a, self.b, self.lo, self.hi)

    def value(self, channel: int, acc: int) -> Fraction:
        """y for one channel and one accumulator."""
        y = self.a[channel] * acc + self.b[channel]
        low, high = self.lo[channel], self.hi[channel]
        y = y if low is None else max(y, low)
        return y if high is None else min(y, high)

    def _per_channel(self, values: npt.ArrayLike) -> list[Fraction]:
        flat = np.asarray(values, dtype=np.float64).reshape(-1)
        if flat.size not in (1, self.channels):
            raise ValueError(f"{flat.size} parameters for {self.channels} channels")
        fractions = [Fraction(float(v)) for v in flat]
        return fractions * self.channels if flat.size == 1 else fractions


def _each(
    op: Callable[[Fraction, Fraction], Fraction],
    bounds: tuple[Bound, ...],
    operands: Sequence[Fraction],
) -> tuple[Bound, ...]:
    return tuple(None if v is None else op(v, k) for v, k in zip(bounds, operands, strict=True))

# SPDX-License-Identifier: Apache-2.0
"""Bit error rates: counting, stop rules, confidence intervals, and SNR loss between two curves.

Bit errors of one frame are not independent (a detector that is wrong about one symbol tends to be
wrong about its neighbour), so an interval that treats bits as independent trials is too narrow.
The counts here carry the sum of the squared errors per frame. The variance that follows from it,
over the binomial one, is the design effect d >= 1 (1.7 for ML on the reference channel), and the
95 % interval is Clopper-Pearson's for errors/d of bits/d.

Below `models.counts.FIGURE_ERRORS` errors a count is no figure but an upper bound
(`BerPoint.upper_bound`; the rule of three where there was none), and a loss that is to decide
anything needs `DECIDING_ERRORS` errors at each of the points that it is read between.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq
from scipy.special import betaincinv

from models.counts import FIGURE_ERRORS
from models.detectors import Detector
from models.errors import CheckError, ConfigError
from models.mimo import DEFAULT_CHUNK, MimoSystem, frame_chunk

log = logging.getLogger(__name__)

CONFIDENCE = 0.95


@dataclass(frozen=True)
class BerPoint:
    """Errors counted at one SNR; two points of the same SNR add up.

    Attributes:
        snr_db: SNR [dB].
        frames: frames counted.
        bits: bits counted, frames * K.
        errors: wrong bits.
        frame_errors: frames with at least one wrong bit.
        error_squares: sum over frames of (wrong bits of the frame)^2.
    """

    snr_db: float
    frames: int
    bits: int
    errors: int
    frame_errors: int
    error_squares: int

    def __post_init__(self) -> None:
        if not 0 <= self.frame_errors <= self.errors <= min(self.bits, self.error_squares):
            raise ConfigError(f"impossible count: {self}")
        if not 0 < self.frames <= self.bits:
            raise ConfigError(f"BER of {self.frames} frames, {self.bits} bits: must be at least 1")

    @property
    def ber(self) -> float:
        """Bit error rate."""
        return self.errors / self.bits

    @property
    def fer(self) -> float:
        """Frame error rate."""
        return self.frame_errors / self.frames

    @property
    def design_effect(self) -> float:
        """Variance of the error count over that of independent bits, at least 1."""
        p, per_frame = self.ber, self.bits / self.frames
        if p in (0.0, 1.0):
            return 1.0
        variance = self.error_squares / self.frames - (p * per_frame) ** 2
        return max(1.0, variance / (per_frame * p * (1.0 - p)))

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % confidence interval of the BER, widened by the design effect."""
        return binomial_interval(self.errors, self.bits, self.design_effect)

    @property
    def upper_bound(self) -> float | None:
        """95 % upper bound of the BER, one-sided, of too few errors for a figure; else None.

        Clopper-Pearson's; without errors it is 1 - 0.05^(1/bits), about 3/bits.
        """
        if self.errors >= FIGURE_ERRORS:
            return None
        e, n = self.errors / self.design_effect, self.bits / self.design_effect
        return 1.0 if e >= n else float(betaincinv(e + 1.0, n - e, CONFIDENCE))

    def __add__(self, other: BerPoint) -> BerPoint:
        if other.snr_db != self.snr_db:
            raise ConfigError(f"cannot add counts at {self.snr_db} dB and {other.snr_db} dB")
        return BerPoint(
            self.snr_db,
            self.frames + other.frames,
            self.bits + other.bits,
            self.errors + other.errors,
            self.frame_errors + other.frame_errors,
            self.error_squares + other.error_squares,
        )

    def to_json(self) -> dict[str, Any]:
        """The counts, with ``ber``, ``ci95`` and ``upper_bound`` beside them."""
        derived = {"ber": self.ber, "ci95": list(self.ci95), "upper_bound": self.upper_bound}
        return {**asdict(self), **derived}

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`; derived values are computed again, not believed."""
        names = tuple(cls.__dataclass_fields__)
        if missing := [name for name in names if name not in record]:
            raise ConfigError(f"BER record without {', '.join(missing)}: has {sorted(record)}")
        return cls(**{name: record[name] for name in names})


def count(snr_db: float, sent: npt.ArrayLike, decided: npt.ArrayLike) -> BerPoint:
    """Compare bits [F, K] with bits [F, K] (0 or 1, any integer type)."""
    a, b = np.asarray(sent), np.asarray(decided)
    if a.shape != b.shape or a.ndim != 2 or a.size == 0:
        raise ConfigError(f"bits {a.shape} sent, {b.shape} decided: both must be [frames, K]")
    wrong = np.sum(a != b, axis=1, dtype=np.int64)
    return BerPoint(
        float(snr_db),
        frames=len(a),
        bits=a.size,
        errors=int(wrong.sum()),
        frame_errors=int(np.count_nonzero(wrong)),
        error_squares=int(np.sum(np.square(wrong))),
    )


def binomial_interval(
    errors: float, trials: float, design_effect: float = 1.0, confidence: float = CONFIDENCE
) -> tuple[float, float]:
    """Clopper-Pearson interval of an error probability from ``errors`` in ``trials``.

    With a design effect d > 1 it is the interval of errors/d in trials/d. No errors give [0, hi],
    where hi is about 3.7 d / trials.
    """
    if not (0 <= errors <= trials and trials > 0 and design_effect >= 1):
        raise ConfigError(
            f"interval of {errors} errors in {trials} trials, design effect {design_effect}: "
            "needs 0 <= errors <= trials and a design effect of at least 1"
        )
    e, n = errors / design_effect, trials / design_effect
    tail = (1.0 - confidence) / 2.0
    low = 0.0 if e == 0 else float(betaincinv(e, n - e + 1.0, tail))
    high = 1.0 if e == n else float(betaincinv(e + 1.0, n - e, 1.0 - tail))
    return low, high


@dataclass(frozen=True)
class StopRule:
    """When a BER estimate is good enough; whatever comes first, looked at after each chunk.

    Attributes:
        frames: at most this many frames.
        errors: enough bit errors for every detector (None: no such rule). Stopping by the count
            biases the estimate upwards by about 1/errors.
        target_ber: the interval of every detector lies wholly above or below it (None: no such
            rule); in a sweep, SNRs above one where all lie below it are left out.
    """

    frames: int
    errors: int | None = None
    target_ber: float | None = None

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise ConfigError(f"stop rule frames={self.frames}: must be at least 1")
        if self.errors is not None and self.errors < 1:
            raise ConfigError(f"stop rule errors={self.errors}: must be at least 1")
        if self.target_ber is not None and not 0 < self.target_ber < 1:
            raise ConfigError(f"stop rule target_ber={self.target_ber}: must lie between 0 and 1")

    def done(self, points: Iterable[BerPoint]) -> bool:
        """True when the points (one a detector, the same frames) need no further chunk."""
        points = list(points)
        if points[0].frames >= self.frames:
            return True
        if self.errors is not None and all(p.errors >= self.errors for p in points):
            return True
        return self.target_ber is not None and all(self._decided(p) for p in points)

    def below(self, points: Iterable[BerPoint]) -> bool:
        """True when every point lies surely below the target."""
        target = self.target_ber
        return target is not None and all(p.ci95[1] < target for p in points)

    def _decided(self, point: BerPoint) -> bool:
        low, high = point.ci95
        return self.target_ber is not None and not low <= self.target_ber <= high


def estimate(
    system: MimoSystem,
    detectors: Mapping[str, Detector],
    snr_db: float,
    rule: StopRule,
    seed: int,
    *,
    chunk: int = DEFAULT_CHUNK,
) -> dict[str, BerPoint]:
    """BER of several detectors on the same frames, `models.mimo.frame_chunks` of (seed, snr_db)."""
    if not detectors:
        raise ConfigError("no detector to estimate: give at least one")
    totals: dict[str, BerPoint] = {}
    frames = index = 0
    while not totals or not rule.done(totals.values()):
        sent, y = frame_chunk(system, snr_db, seed, index, chunk)
        keep = min(chunk, rule.frames - frames)
        for name, detector in detectors.items():
            point = count(snr_db, sent[:keep], detector(y[:keep], snr_db))
            totals[name] = totals[name] + point if name in totals else point
        frames += keep
        index += 1
    return totals


def sweep(
    system: MimoSystem,
    detectors: Mapping[str, Detector],
    snrs_db: Sequence[float],
    rule: StopRule,
    seed: int,
    *,
    chunk: int = DEFAULT_CHUNK,
) -> dict[str, list[BerPoint]]:
    """`estimate` at each SNR, from low to high: one curve a detector."""
    curves: dict[str, list[BerPoint]] = {name: [] for name in detectors}
    for snr_db in sorted(snrs_db):
        points = estimate(system, detectors, snr_db, rule, seed, chunk=chunk)
        for name, point in points.items():
            curves[name].append(point)
            log.info("%s at %g dB: %d errors, BER %.3e", name, snr_db, point.errors, point.ber)
        if rule.below(points.values()):
            break
    return curves


def snr_at_ber(snrs_db: npt.ArrayLike, ber: npt.ArrayLike, target: float) -> float:
    """SNR [dB] at which a BER curve falls to ``target``.

    log10(BER) is interpolated over SNR by a shape-preserving cubic (PCHIP); points without errors
    are left out. The first crossing from above counts.

    Args:
        snrs_db: [P], increasing.
        ber: [P].
        target: BER, between 0 and 1.

    Raises:
        CheckError: the curve does not cross the target between two of its points.
    """
    snr, rate = np.asarray(snrs_db, dtype=np.float64), np.asarray(ber, dtype=np.float64)
    if snr.ndim != 1 or snr.shape != rate.shape or np.any(np.diff(snr) <= 0):
        raise ConfigError(f"curve of SNR {snr}, BER {rate}: needs equal lengths, SNR increasing")
    if not 0 < target < 1:
        raise ConfigError(f"BER target {target}: must lie between 0 and 1")
    snr, rate = snr[rate > 0], rate[rate > 0]
    for i, (left, right) in enumerate(pairwise(rate)):
        if left >= target >= right:
            level = PchipInterpolator(snr, np.log10(rate / target))
            return float(brentq(level, snr[i], snr[i + 1])) if left > right else float(snr[i])
    raise CheckError(
        f"BER curve does not cross {target:g}: it runs from {_span(snr, rate)}",
        hint="simulate more SNRs, or more frames where no error was seen",
    )


def _span(snr: npt.NDArray[np.float64], rate: npt.NDArray[np.float64]) -> str:
    if not len(snr):
        return "no point with an error"
    return f"{rate[0]:.3g} at {snr[0]:g} dB to {rate[-1]:.3g} at {snr[-1]:g} dB"


@dataclass(frozen=True)
class Crossing:
    """SNR [dB] at which a curve meets a BER, with the range that its 95 % intervals allow."""

    snr_db: float
    low_db: float
    high_db: float
    errors: int
    """Fewest errors of the two points that the crossing lies between."""


def crossing(points: Sequence[BerPoint], target: float) -> Crossing:
    """Where the curve of ``points`` (increasing SNR) falls to BER ``target``.

    The range shifts the curve by the relative interval of the nearer of the two points beside the
    crossing, at the slope of the curve there.
    """
    snrs = np.array([p.snr_db for p in points])
    rates = np.array([p.ber for p in points])
    snr_db = snr_at_ber(snrs, rates, target)
    seen = [p for p in points if p.errors > 0]
    nearest = min(seen, key=lambda p: abs(p.snr_db - snr_db))
    low, high = (bound / nearest.ber for bound in nearest.ci95)
    ends = []
    for factor in (low, high):
        try:
            ends.append(snr_at_ber(snrs, np.minimum(rates * factor, 1.0), target))
        except CheckError:
            ends.append(float("-inf") if factor < 1 else float("inf"))
    beside = sorted(seen, key=lambda p: abs(p.snr_db - snr_db))
    left = next((p for p in beside if p.snr_db <= snr_db), nearest)
    right = next((p for p in beside if p.snr_db >= snr_db), nearest)
    return Crossing(snr_db, ends[0], ends[1], min(left.errors, right.errors))


@dataclass(frozen=True)
class SnrLoss:
    """SNR [dB] between two curves at one BER; ``errors``: the fewest that it was read from."""

    loss_db: float
    errors: int


def snr_loss(curve: Sequence[BerPoint], reference: Sequence[BerPoint], target: float) -> SnrLoss:
    """SNR [dB] that ``curve`` needs beyond ``reference`` to reach BER ``target``.

    Positive is worse. On common frames (the same seed) most of the counting noise cancels.

    Raises:
        CheckError: a curve does not cross the target.
    """
    ours, theirs = crossing(curve, target), crossing(reference, target)
    return SnrLoss(ours.snr_db - theirs.snr_db, min(ours.errors, theirs.errors))


def snr_loss_db(curve: Sequence[BerPoint], reference: Sequence[BerPoint], target: float) -> float:
    """The loss alone, see `snr_loss`."""
    return snr_loss(curve, reference, target).loss_db

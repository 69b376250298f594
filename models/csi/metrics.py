# SPDX-License-Identifier: Apache-2.0
"""CSI in angular-delay form, and what a reconstruction of it is worth: NMSE and rho.

A sample is the complex matrix X [32 delays, 32 angles], kept as two real channels [2, 32, 32]
(0 real, 1 imaginary; axis 1 delay, axis 2 angle), centred (without CsiNet's offset of 0.5).

    NMSE = mean_n ||x_n - y_n||^2 / ||x_n||^2            NMSE [dB] = 10 log10(NMSE)
    rho  = mean_{n,k} |X_n[k]^H Y_n[k]| / (||X_n[k]|| ||Y_n[k]||)

NMSE is the mean of the ratios, then the logarithm. X_n[k] is the channel of the 32 angles at
subcarrier k: the delay axis is padded with zeros from 32 to 257, transformed by an FFT, and the
first 125 subcarriers count (Wen, Shih, Jin: "Deep Learning for Massive MIMO CSI Feedback", 2018,
and its published code). Both 95 % intervals are those of a normal mean over independent samples;
the one of the NMSE is brought to decibels by the delta method. This file needs numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from models.errors import ConfigError

CsiArray = npt.NDArray[np.float32]
ComplexArray = npt.NDArray[np.complex128]

DELAYS = 32
ANGLES = 32
VALUES = 2 * DELAYS * ANGLES
"""Real values of one sample; a compression ratio of 1/r leaves VALUES / r of them."""

PEAK = 32.0
"""Largest magnitude of a scaled sample."""

RATIOS = (4, 8, 16, 32, 64)
RHO_TONES = 257
RHO_SUBCARRIERS = 125
NORMAL_95 = 1.959963984540054
CHUNK = 1000


def check_csi(x: npt.ArrayLike, name: str) -> npt.NDArray[Any]:
    """``x`` as an array; refuses all but finite [n, 2, 32, 32] with n >= 1."""
    array = np.asarray(x)
    if array.ndim != 4 or array.shape[1:] != (2, DELAYS, ANGLES) or not len(array):
        raise ConfigError(
            f"{name} of shape {array.shape}: must be [n, 2, {DELAYS} delays, {ANGLES} angles], "
            "n >= 1"
        )
    if not np.isfinite(array).all():
        raise ConfigError(f"{name} has infinite or NaN entries: all must be finite")
    return array


def require_energy(sizes: npt.NDArray[Any] | np.float64, name: str, rule: str) -> None:
    """Refuse samples of which ``sizes`` (energy, norm or peak, one a sample) is zero."""
    if not sizes.all():
        raise ConfigError(f"{name} {int(np.argmin(sizes))} has no energy: {rule}")


@dataclass(frozen=True)
class CsiPoint:
    """Sums over samples of their error ratio and cosine; two points of other samples add up.

    Attributes:
        samples: samples counted.
        ratio_sum: sum of ||x - y||^2 / ||x||^2.
        ratio_squares: sum of its squares.
        rho_sum: sum of the cosine of a sample (mean over its subcarriers).
        rho_squares: sum of its squares.
    """

    samples: int
    ratio_sum: float
    ratio_squares: float
    rho_sum: float
    rho_squares: float

    def __post_init__(self) -> None:
        if self.samples < 1 or self.ratio_sum < 0:
            raise ConfigError(f"impossible count: {self}")

    @property
    def nmse(self) -> float:
        """Mean of the error ratios."""
        return self.ratio_sum / self.samples

    @property
    def nmse_db(self) -> float:
        """10 log10 of the mean error ratio; minus infinity for an exact reconstruction."""
        return 10.0 * math.log10(self.nmse) if self.nmse else -math.inf

    @property
    def ci95(self) -> tuple[float, float]:
        """95 % interval of the NMSE [dB], delta method: +- 1.96 (10 / ln 10) sem / mean."""
        if not self.nmse:
            return -math.inf, -math.inf
        half = 10.0 / math.log(10.0) * self._half(self.ratio_sum, self.ratio_squares) / self.nmse
        return self.nmse_db - half, self.nmse_db + half

    @property
    def rho(self) -> float:
        """Mean cosine similarity."""
        return self.rho_sum / self.samples

    @property
    def rho_ci95(self) -> tuple[float, float]:
        """95 % interval of rho."""
        half = self._half(self.rho_sum, self.rho_squares)
        return self.rho - half, self.rho + half

    def _half(self, total: float, squares: float) -> float:
        """1.96 standard errors of the mean; infinite for one sample."""
        if self.samples == 1:
            return math.inf
        mean = total / self.samples
        variance = max(0.0, squares / self.samples - mean**2) * self.samples / (self.samples - 1)
        return NORMAL_95 * math.sqrt(variance / self.samples)

    def __add__(self, other: CsiPoint) -> CsiPoint:
        return CsiPoint(
            self.samples + other.samples,
            self.ratio_sum + other.ratio_sum,
            self.ratio_squares + other.ratio_squares,
            self.rho_sum + other.rho_sum,
            self.rho_squares + other.rho_squares,
        )

    def to_json(self) -> dict[str, Any]:
        """The sums, with the values and intervals that follow; None for that of one sample."""
        return {
            **asdict(self),
            "nmse_db": self.nmse_db,
            "ci95": list(self.ci95) if self.samples > 1 else None,
            "rho": self.rho,
            "rho_ci95": list(self.rho_ci95) if self.samples > 1 else None,
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`; derived values are computed again, not believed."""
        names = tuple(cls.__dataclass_fields__)
        if missing := [name for name in names if name not in record]:
            raise ConfigError(f"CSI record without {', '.join(missing)}: has {sorted(record)}")
        return cls(**{name: record[name] for name in names})


def error_ratios(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """||x - y||^2 / ||x||^2 of each sample, [n], for x and y [n, 2, 32, 32].

    Raises:
        ConfigError: another shape, entries that are not finite, or a sample without energy.
    """
    a, b = _pair(x, y)
    energy = np.sum(np.square(a), axis=(1, 2, 3), dtype=np.float64)
    require_energy(energy, "sample", "its NMSE is undefined")
    error: npt.NDArray[np.float64] = np.sum(np.square(a - b), axis=(1, 2, 3)) / energy
    return error


def cosines(x: npt.ArrayLike, y: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """rho of each sample, [n], for x and y [n, 2, 32, 32]; an empty subcarrier counts as 0."""
    a, b = (_subcarriers(part) for part in _pair(x, y))
    norms = np.linalg.norm(a, axis=2) * np.linalg.norm(b, axis=2)
    inner = np.abs(np.sum(a.conj() * b, axis=2))
    cosine = np.divide(inner, norms, out=np.zeros_like(norms), where=norms > 0)
    mean: npt.NDArray[np.float64] = cosine.mean(axis=1)
    return mean


def count(x: npt.ArrayLike, y: npt.ArrayLike) -> CsiPoint:
    """Compare reconstructions y with samples x, both [n, 2, 32, 32]."""
    a, b = np.asarray(x), np.asarray(y)
    points = []
    for start in range(0, max(len(a), 1), CHUNK):
        part = slice(start, start + CHUNK)
        ratios, cosine = error_ratios(a[part], b[part]), cosines(a[part], b[part])
        points.append(
            CsiPoint(
                len(ratios),
                float(ratios.sum()),
                float(np.square(ratios).sum()),
                float(cosine.sum()),
                float(np.square(cosine).sum()),
            )
        )
    total = points[0]
    for point in points[1:]:
        total = total + point
    return total


def to_complex(x: npt.ArrayLike) -> ComplexArray:
    """X [n, delay, angle] of two real channels [n, 2, delay, angle]."""
    array = np.asarray(x, dtype=np.float64)
    matrix: ComplexArray = array[:, 0] + 1j * array[:, 1]
    return matrix


def to_real(matrix: npt.NDArray[np.complexfloating[Any, Any]]) -> CsiArray:
    """Two real channels [n, 2, delay, angle], float32, of X [n, delay, angle]."""
    return np.stack([matrix.real, matrix.imag], axis=1).astype(np.float32)


def angular_delay(
    h: npt.NDArray[np.complexfloating[Any, Any]], delays: int = DELAYS
) -> ComplexArray:
    """Angular-delay form of a channel given by antenna and subcarrier.

    X = sqrt(A K) IDFT_K(DFT_A(h) / A), the first ``delays`` rows of it (unitary in both axes):
    a path of delay d samples that arrives along DFT beam b lies in X[d, b] alone.

    Args:
        h: [n, A antennas, K subcarriers in rising order from the lowest], complex.
        delays: rows that are kept.

    Returns:
        X [n, delays, A], complex128. Energy in later (and negative) delays is lost.
    """
    if h.ndim != 3 or h.shape[2] < delays:
        raise ConfigError(
            f"channel of shape {h.shape}: must be [n, antennas, at least {delays} subcarriers]"
        )
    beams = np.fft.fft(h, axis=1, norm="ortho")
    taps = np.fft.ifft(beams, axis=2, norm="ortho")[:, :, :delays]
    matrix: ComplexArray = np.ascontiguousarray(np.swapaxes(taps, 1, 2), dtype=np.complex128)
    return matrix


def scale_to_peak(x: npt.ArrayLike) -> CsiArray:
    """Every sample of x [n, 2, 32, 32] scaled so that its largest magnitude (Re, Im) is `PEAK`.

    It is the receiver's gain control, set by the peak so that few bits hold every sample. Indoors
    it leaves a root mean square of about 1. Neither NMSE nor rho depends on it, and the gain is no
    part of the feedback bits. Result float32.
    """
    array = check_csi(x, "CSI").astype(np.float64)
    peak = np.abs(array).max(axis=(1, 2, 3), keepdims=True)
    require_energy(peak, "sample", "it cannot be scaled")
    scaled: CsiArray = (array * (PEAK / peak)).astype(np.float32)
    return scaled


def _pair(x: npt.ArrayLike, y: npt.ArrayLike) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    a, b = check_csi(x, "CSI"), check_csi(y, "reconstruction")
    if a.shape != b.shape:
        raise ConfigError(f"CSI {a.shape} and reconstruction {b.shape}: must be of one shape")
    return a.astype(np.float64), b.astype(np.float64)


def _subcarriers(x: npt.NDArray[Any]) -> ComplexArray:
    """[n, 125 subcarriers, 32 angles]."""
    spectrum: ComplexArray = np.fft.fft(to_complex(x), n=RHO_TONES, axis=1)[:, :RHO_SUBCARRIERS]
    return spectrum

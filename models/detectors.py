# SPDX-License-Identifier: Apache-2.0
"""The linear detectors ZF and MMSE, and the form that every detector has here.

A detector is a function (y [F, N] float32, snr_db) -> bits [F, K] uint8; bit 1 means x = +1, and a
statistic of exactly zero gives 1. The exact maximum-likelihood detector is `models.sphere.ml`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from models.mimo import BitArray, FloatArray, MimoSystem, ReceivedArray

Detector: TypeAlias = Callable[[ReceivedArray, float], BitArray]


def zf_matrix(system: MimoSystem) -> FloatArray:
    """Zero forcing W = (H^T H)^-1 H^T, [K, N]: W y is x plus noise of covariance sigma^2 G^-1."""
    return np.asarray(np.linalg.solve(system.gram, system.h.T), dtype=np.float64)


def mmse_matrix(system: MimoSystem, snr_db: float) -> FloatArray:
    """Linear minimum mean square error W = (H^T H + sigma^2 I)^-1 H^T, [K, N], for E[x x^T] = I."""
    loaded = system.gram + system.noise_variance(snr_db) * np.eye(system.k)
    return np.asarray(np.linalg.solve(loaded, system.h.T), dtype=np.float64)


def decide(statistic: FloatArray) -> BitArray:
    """Bits of a real statistic: 1 where it is zero or more. Any shape."""
    return (statistic >= 0).astype(np.uint8)


def zf(system: MimoSystem) -> Detector:
    """The zero-forcing detector; its bit error rate is `zf_ber`."""
    matrix = zf_matrix(system)
    return lambda y, _snr_db: decide(y.astype(np.float64) @ matrix.T)


def mmse(system: MimoSystem) -> Detector:
    """The linear MMSE detector, told the true SNR of the frames."""
    return lambda y, snr_db: decide(y.astype(np.float64) @ mmse_matrix(system, snr_db).T)


def zf_ber(system: MimoSystem, snr_db: float) -> float:
    """Exact bit error rate of ZF: mean over k of Q(1 / sqrt(sigma^2 [G^-1]_kk))."""
    from scipy.special import erfc

    noise = system.noise_variance(snr_db) * np.diag(np.linalg.inv(system.gram))
    return float(np.mean(0.5 * erfc(1.0 / np.sqrt(2.0 * noise))))


def mmse_ber(system: MimoSystem, snr_db: float) -> float:
    """Exact bit error rate of linear MMSE, by the sum over the 2^(K-1) interfering words; small K.

    With B = W H and C = sigma^2 W W^T, the statistic of bit k given x is N((B x)_k, C_kk).
    """
    from scipy.special import erfc

    matrix = mmse_matrix(system, snr_db)
    gain = matrix @ system.h
    deviation = np.sqrt(system.noise_variance(snr_db) * np.sum(np.square(matrix), axis=1))
    words = 2.0 * ((np.arange(1 << system.k)[:, None] >> np.arange(system.k)) & 1) - 1.0
    signal = (words @ gain.T) * words
    return float(np.mean(0.5 * erfc(signal / (deviation * np.sqrt(2.0)))))

# SPDX-License-Identifier: Apache-2.0
"""ZF and MMSE against their exact error rates and against the published table."""

from __future__ import annotations

import numpy as np
import pytest

from models import detectors
from models.ber import StopRule, estimate
from models.mimo import MimoSystem


def test_noiseless_frames_are_detected_without_error() -> None:
    system = MimoSystem.fixed_toeplitz(12, 20, 0.9)
    bits, y = system.frames(500, 200.0, np.random.default_rng(0))
    np.testing.assert_array_equal(detectors.zf(system)(y, 200.0), bits)
    np.testing.assert_array_equal(detectors.mmse(system)(y, 200.0), bits)


def test_zf_inverts_the_channel_and_mmse_tends_to_it() -> None:
    system = MimoSystem.iid_gaussian(6, 9, seed=2)
    zf = detectors.zf_matrix(system)
    np.testing.assert_allclose(zf @ system.h, np.eye(6), atol=1e-12)
    np.testing.assert_allclose(detectors.mmse_matrix(system, 120.0), zf, atol=1e-9)


def test_mmse_error_is_orthogonal_to_the_observation() -> None:
    """E[(x - W y) y^T] = 0, which is what makes W the linear MMSE estimator."""
    system = MimoSystem.fixed_toeplitz(5, 8, 0.8)
    matrix = detectors.mmse_matrix(system, 6.0)
    covariance = system.h @ system.h.T + system.noise_variance(6.0) * np.eye(8)
    np.testing.assert_allclose(matrix @ covariance, system.h.T, atol=1e-12)


def test_a_statistic_of_zero_gives_one() -> None:
    np.testing.assert_array_equal(
        detectors.decide(np.array([-1e-300, -0.0, 0.0, 2.0])), [0, 1, 1, 1]
    )


SMALL = [
    MimoSystem.fixed_toeplitz(8, 10, 0.9),
    MimoSystem.iid_gaussian(6, 8, seed=1),
    MimoSystem.iid_qpsk(3, 4, seed=2),
]


@pytest.mark.parametrize("system", SMALL, ids=lambda s: s.name)
@pytest.mark.parametrize("snr_db", [0.0, 8.0])
def test_error_rates_meet_the_exact_ones(system: MimoSystem, snr_db: float) -> None:
    chosen = {"zf": detectors.zf(system), "mmse": detectors.mmse(system)}
    points = estimate(system, chosen, snr_db, StopRule(40_000), seed=3)
    exact = {"zf": detectors.zf_ber(system, snr_db), "mmse": detectors.mmse_ber(system, snr_db)}
    for name, point in points.items():
        low, high = point.ci95
        margin = 0.5 * (high - low)  # the interval at twice its width: 4 sigma
        assert low - margin < exact[name] < high + margin


def test_single_antenna_is_textbook_bpsk() -> None:
    """K = N = 1: Q(sqrt(SNR)), 0.0786 at 3.01 dB (SNR = 2 Eb/N0)."""
    system = MimoSystem(np.array([[3.0]]))
    assert detectors.zf_ber(system, 10 * np.log10(2.0)) == pytest.approx(0.078650, abs=1e-6)
    assert detectors.mmse_ber(system, 10 * np.log10(2.0)) == pytest.approx(0.078650, abs=1e-6)


@pytest.mark.parametrize(
    ("snr_db", "published"),
    [(8.0, 3.21e-2), (9.0, 1.88e-2), (10.0, 9.96e-3), (11.0, 4.54e-3), (12.0, 1.70e-3)],
)
def test_zf_meets_the_known_curve_of_the_reference_system(snr_db: float, published: float) -> None:
    exact = detectors.zf_ber(MimoSystem.fixed_toeplitz(), snr_db)
    assert exact == pytest.approx(published, rel=0.01)


@pytest.mark.parametrize(
    ("snr_db", "published"), [(8.0, 2.66e-2), (10.0, 8.32e-3), (12.0, 1.42e-3)]
)
def test_mmse_meets_the_known_curve_of_the_reference_system(
    snr_db: float, published: float
) -> None:
    system = MimoSystem.fixed_toeplitz()
    point = estimate(system, {"m": detectors.mmse(system)}, snr_db, StopRule(50_000), seed=4)["m"]
    low, high = point.ci95
    assert low * 0.98 < published < high * 1.02  # 2 %: the known figures carry noise of their own

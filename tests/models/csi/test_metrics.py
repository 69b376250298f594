# SPDX-License-Identifier: Apache-2.0
"""NMSE and rho against naive references and closed forms; the angular-delay transform."""

import cmath
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.csi.metrics import (
    PEAK,
    CsiPoint,
    angular_delay,
    cosines,
    count,
    error_ratios,
    scale_to_peak,
    to_complex,
    to_real,
)
from models.errors import ConfigError


def draw(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 2, 32, 32)).astype(np.float32)


def naive_rho(x: np.ndarray, y: np.ndarray) -> float:
    """One sample, by the definition, with a written-out DFT."""
    a = [[complex(x[0, d, b], x[1, d, b]) for b in range(32)] for d in range(32)]
    c = [[complex(y[0, d, b], y[1, d, b]) for b in range(32)] for d in range(32)]
    total = 0.0
    for k in range(125):
        turn = [cmath.exp(-2j * math.pi * k * d / 257) for d in range(32)]
        h = [sum(turn[d] * a[d][b] for d in range(32)) for b in range(32)]
        g = [sum(turn[d] * c[d][b] for d in range(32)) for b in range(32)]
        inner = abs(sum(p.conjugate() * q for p, q in zip(h, g, strict=True)))
        norms = math.sqrt(sum(abs(p) ** 2 for p in h) * sum(abs(q) ** 2 for q in g))
        total += inner / norms
    return total / 125


def test_rho_is_the_written_out_definition() -> None:
    x, y = draw(2), draw(2, 1)
    expected = [naive_rho(x[i].astype(float), y[i].astype(float)) for i in range(2)]
    np.testing.assert_allclose(cosines(x, y), expected, rtol=1e-10)


def test_nmse_is_the_mean_of_ratios_not_the_ratio_of_means() -> None:
    x = draw(2)
    x[0] *= 10.0
    y = x.copy()
    y[0] *= 0.5  # ratio 1/4
    y[1] = 0.0  # ratio 1
    point = count(x, y)
    assert point.nmse == pytest.approx(0.625, rel=1e-6)
    assert point.nmse_db == pytest.approx(10 * math.log10(0.625), rel=1e-6)


@pytest.mark.parametrize("level_db", [-40.0, -13.6, 0.0])
def test_an_error_of_known_size_gives_that_nmse(level_db: float) -> None:
    x = scale_to_peak(draw(400))
    noise = draw(400, 1)
    norms = [np.sqrt(np.square(a).sum(axis=(1, 2, 3))) for a in (x, noise)]
    noise *= (norms[0] / norms[1] * 10 ** (level_db / 20))[:, None, None, None]
    point = count(x, x + noise)
    assert point.nmse_db == pytest.approx(level_db, abs=1e-3)
    low, high = point.ci95
    assert low <= point.nmse_db <= high


def test_rho_of_white_noise_follows_its_closed_form() -> None:
    """With y = x + e, E|cos|^2 is near 1 / (1 + NMSE) where e is white; here for 10 %."""
    x = draw(300)
    y = x + math.sqrt(0.1) * draw(300, 1)
    assert count(x, y).rho == pytest.approx(1 / math.sqrt(1.1), abs=2e-3)


@given(scale=st.floats(1e-3, 1e3), phase=st.floats(0, 2 * math.pi))
@settings(max_examples=20, deadline=None)
def test_scale_and_phase_invariance(scale: float, phase: float) -> None:
    x, y = draw(3), draw(3, 1)
    turned = [to_real(to_complex(a) * scale * cmath.exp(1j * phase)) for a in (x, y)]
    np.testing.assert_allclose(error_ratios(*turned), error_ratios(x, y), rtol=1e-5)
    np.testing.assert_allclose(cosines(*turned), cosines(x, y), rtol=1e-5)
    np.testing.assert_allclose(cosines(x, turned[1]), cosines(x, y), rtol=1e-5)


def test_perfect_and_empty_reconstructions() -> None:
    x = draw(5)
    perfect, empty = count(x, x), count(x, np.zeros_like(x))
    assert perfect.nmse_db == -math.inf
    assert perfect.ci95 == (-math.inf, -math.inf)
    assert perfect.rho == pytest.approx(1.0)
    assert empty.nmse_db == pytest.approx(0.0)
    assert empty.rho == 0.0


def test_chunks_add_up_to_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = draw(25), draw(25, 1)
    whole = count(x, y)
    parts = count(x[:10], y[:10]) + count(x[10:], y[10:])
    monkeypatch.setattr("models.csi.metrics.CHUNK", 7)
    for other in (parts, count(x, y)):
        assert other.samples == 25
        assert other.nmse_db == pytest.approx(whole.nmse_db)
        assert other.ci95 == pytest.approx(whole.ci95)
        assert other.rho_ci95 == pytest.approx(whole.rho_ci95)


def test_interval_covers_the_truth_in_95_of_100() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(400):
        ratios = rng.exponential(0.05, size=200)
        point = CsiPoint(200, ratios.sum(), np.square(ratios).sum(), 0.0, 0.0)
        low, high = point.ci95
        inside += low <= 10 * math.log10(0.05) <= high
    assert 0.92 <= inside / 400 <= 0.975


def test_one_sample_has_no_finite_interval() -> None:
    assert count(draw(1), draw(1, 1)).ci95 == (-math.inf, math.inf)


def test_json_round_trip() -> None:
    point = count(draw(4), draw(4, 1))
    record = point.to_json()
    assert record["nmse_db"] == point.nmse_db
    assert CsiPoint.from_json(record) == point
    with pytest.raises(ConfigError, match="without samples"):
        CsiPoint.from_json({"nmse_db": 1.0})


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (draw(2), draw(3), "of one shape"),
        (draw(2)[:, 0], draw(2)[:, 0], r"must be \[n, 2, 32 delays, 32 angles\]"),
        (draw(2)[:0], draw(2)[:0], "n >= 1"),
        (draw(2) * np.nan, draw(2), "must be finite"),
        (draw(2) * np.array([1, 0])[:, None, None, None], draw(2), "sample 1 has no energy"),
    ],
    ids=["lengths", "rank", "empty", "nan", "no-energy"],
)
def test_wrong_samples_are_refused(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        count(x, y)


@pytest.mark.parametrize(("delay", "beam"), [(0, 0), (3, 5), (31, 31)])
def test_a_path_lands_in_its_delay_and_beam(delay: int, beam: int) -> None:
    antennas, tones = np.arange(32)[:, None], np.arange(257)[None, :]
    h = np.exp(2j * np.pi * (beam * antennas / 32 - delay * tones / 257))[None]
    power = np.abs(angular_delay(h)[0]) ** 2
    assert power[delay, beam] == pytest.approx(32 * 257)
    assert power.sum() == pytest.approx(32 * 257)


def test_transform_keeps_energy_and_needs_enough_tones() -> None:
    rng = np.random.default_rng(0)
    h = rng.standard_normal((3, 32, 64)) + 1j * rng.standard_normal((3, 32, 64))
    assert np.sum(np.abs(angular_delay(h, 64)) ** 2) == pytest.approx(np.sum(np.abs(h) ** 2))
    with pytest.raises(ConfigError, match="at least 32 subcarriers"):
        angular_delay(h[:, :, :16])


def test_scale_to_peak() -> None:
    source = draw(4) * np.array([1, 10, 0.1, 3])[:, None, None, None]
    x = scale_to_peak(source)
    np.testing.assert_allclose(np.abs(x).max(axis=(1, 2, 3)), PEAK, rtol=1e-6)
    gain = x / source
    np.testing.assert_allclose(gain, np.broadcast_to(gain[:, :1, :1, :1], gain.shape), rtol=1e-5)
    with pytest.raises(ConfigError, match="sample 0 has no energy"):
        scale_to_peak(np.zeros((1, 2, 32, 32)))

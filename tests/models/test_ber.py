# SPDX-License-Identifier: Apache-2.0
"""Counting, intervals that cover, stop rules, and SNR loss between curves."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from models import detectors, sphere
from models.ber import (
    BerPoint,
    StopRule,
    binomial_interval,
    count,
    crossing,
    estimate,
    snr_at_ber,
    snr_loss_db,
    sweep,
)
from models.errors import CheckError, ConfigError
from models.mimo import MimoSystem

SYSTEM = MimoSystem.fixed_toeplitz()
ZF = {"zf": detectors.zf(SYSTEM)}


def point(snr_db: float, ber: float, bits: int = 3_000_000) -> BerPoint:
    """A point whose bit errors each have a frame of their own."""
    errors = round(ber * bits)
    return BerPoint(snr_db, bits // 30, bits, errors, errors, errors)


def test_count_by_hand() -> None:
    sent = np.array([[0, 1, 1], [1, 0, 0], [1, 1, 1]], dtype=np.uint8)
    decided = np.array([[1, 0, 1], [1, 0, 0], [1, 1, 0]], dtype=np.int64)
    counted = count(8.0, sent, decided)
    assert counted == BerPoint(8.0, 3, 9, errors=3, frame_errors=2, error_squares=5)
    assert counted.ber == pytest.approx(1 / 3)
    assert counted.fer == pytest.approx(2 / 3)


@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5), st.integers(0, 1000))
def test_counts_of_parts_add_up_to_the_count_of_the_whole(
    first: int, second: int, k: int, seed: int
) -> None:
    sent, decided = np.random.default_rng(seed).integers(0, 2, (2, first + second, k))
    parts = count(1.0, sent[:first], decided[:first]) + count(1.0, sent[first:], decided[first:])
    assert parts == count(1.0, sent, decided)


def test_point_survives_json_and_derived_values_are_not_believed() -> None:
    original = BerPoint(9.5, 100, 3000, 40, 30, 66)
    record = json.loads(json.dumps(original.to_json()))
    assert BerPoint.from_json({**record, "ber": 0.5, "ci95": [0, 1]}) == original
    assert record["ber"] == original.ber
    del record["errors"]
    with pytest.raises(ConfigError, match="BER record without errors"):
        BerPoint.from_json(record)


@pytest.mark.parametrize(("errors", "trials"), [(0, 50), (1, 50), (7, 1000), (50, 50), (499, 1000)])
def test_interval_is_clopper_pearson(errors: int, trials: int) -> None:
    expected = binomtest(errors, trials).proportion_ci(0.95, method="exact")
    assert binomial_interval(errors, trials) == pytest.approx((expected.low, expected.high))


def test_no_error_still_has_an_upper_bound() -> None:
    low, high = point(13.0, 0.0).ci95
    assert low == 0.0
    assert high == pytest.approx(3.69 / 3e6, rel=0.01)


def test_design_effect_counts_whole_frames_when_errors_stick_together() -> None:
    """Frames of 30 bits that are wholly right or wholly wrong carry one bit of news, not 30."""
    frames, wrong = 1000, 100
    clustered = BerPoint(8.0, frames, frames * 30, wrong * 30, wrong, wrong * 900)
    assert clustered.design_effect == pytest.approx(30.0)
    assert clustered.ci95 == pytest.approx(binomial_interval(wrong, frames))


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """ML errors come in clusters: 200 estimates, of which about 190 must cover the pooled one."""
    detector = {"ml": sphere.ml(SYSTEM)}
    rule = StopRule(1000)
    points = [estimate(SYSTEM, detector, 8.0, rule, s, chunk=1000)["ml"] for s in range(200)]
    truth = sum(p.errors for p in points) / sum(p.bits for p in points)
    covered = sum(p.ci95[0] <= truth <= p.ci95[1] for p in points)
    naive = [binomial_interval(p.errors, p.bits) for p in points]
    assert covered >= 183  # 190 +- 3.1: two and a quarter sigma
    assert sum(low <= truth <= high for low, high in naive) < covered


def test_estimate_uses_the_same_frames_for_all_and_stops_at_the_frame() -> None:
    both = {"a": ZF["zf"], "b": ZF["zf"]}
    twice = estimate(SYSTEM, both, 8.0, StopRule(2500), 1, chunk=1000)
    assert twice["a"] == twice["b"]
    assert (twice["a"].frames, twice["a"].bits) == (2500, 75_000)
    assert twice == estimate(SYSTEM, both, 8.0, StopRule(2500), 1, chunk=1000)
    assert twice["a"] != estimate(SYSTEM, {"a": ZF["zf"]}, 8.0, StopRule(2500), 2)["a"]


def test_stop_after_enough_errors() -> None:
    found = estimate(SYSTEM, ZF, 8.0, StopRule(100_000, errors=500), 1, chunk=100)["zf"]
    assert 500 <= found.errors < 500 + 200
    assert found.frames % 100 == 0


@pytest.mark.parametrize("target", [1e-1, 1e-3])
def test_stop_when_the_target_is_decided(target: float) -> None:
    found = estimate(SYSTEM, ZF, 8.0, StopRule(100_000, target_ber=target), 1, chunk=100)["zf"]
    assert found.frames < 1000
    assert not found.ci95[0] <= target <= found.ci95[1]


def test_sweep_ends_below_the_target() -> None:
    curves = sweep(SYSTEM, ZF, [10.0, 8.0, 6.0, 12.0], StopRule(5000, target_ber=1.5e-2), 1)
    assert [p.snr_db for p in curves["zf"]] == [6.0, 8.0, 10.0]


def test_crossing_of_a_known_curve_is_within_millidecibels() -> None:
    snrs = np.arange(8.0, 14.0)
    exact = np.arange(8.5, 12.6, 0.37)
    rates = [detectors.zf_ber(SYSTEM, snr) for snr in snrs]
    found = [snr_at_ber(snrs, rates, detectors.zf_ber(SYSTEM, snr)) for snr in exact]
    np.testing.assert_allclose(found, exact, atol=3e-3)  # interpolation error, 1 dB apart
    assert snr_at_ber(snrs, rates, rates[2]) == pytest.approx(10.0, abs=1e-9)


@pytest.mark.parametrize("shift_db", [-0.2, 0.05, 0.3])
def test_loss_is_the_shift_of_the_curve(shift_db: float) -> None:
    snrs = np.arange(8.0, 14.0)
    reference = [point(s, detectors.zf_ber(SYSTEM, s), 30 * 10**8) for s in snrs]
    shifted = [point(s, detectors.zf_ber(SYSTEM, s - shift_db), 30 * 10**8) for s in snrs]
    assert snr_loss_db(shifted, reference, 1e-3) == pytest.approx(shift_db, abs=5e-3)
    assert snr_loss_db(reference, reference, 1e-3) == 0.0


def test_crossing_range_shrinks_with_more_bits_and_holds_the_value() -> None:
    widths = []
    for bits in (3 * 10**5, 3 * 10**7):
        found = crossing([point(s, detectors.zf_ber(SYSTEM, s), bits) for s in range(8, 14)], 1e-3)
        assert found.low_db < found.snr_db < found.high_db
        widths.append(found.high_db - found.low_db)
    assert widths[0] == pytest.approx(10 * widths[1], rel=0.2)


def test_points_without_errors_are_left_out() -> None:
    curve = [8.0, 9.0, 10.0], [1e-2, 1e-3, 0.0]
    assert 8.0 < snr_at_ber(*curve, 3e-3) < 9.0
    with pytest.raises(
        CheckError, match=r"does not cross 1e-05: it runs from 0.01 at 8 dB to 0.001"
    ):
        snr_at_ber(*curve, 1e-5)
    with pytest.raises(CheckError, match="no point with an error"):
        snr_at_ber([8.0], [0.0], 1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: StopRule(0), "stop rule frames=0"),
        (lambda: StopRule(10, errors=0), "stop rule errors=0"),
        (lambda: StopRule(10, target_ber=1.0), "stop rule target_ber=1.0"),
        (
            lambda: count(8.0, np.zeros((2, 3)), np.zeros((2, 4))),
            r"\(2, 3\) sent, \(2, 4\) decided",
        ),
        (lambda: point(8.0, 0.1) + point(9.0, 0.1), "cannot add counts at 8.0 dB and 9.0 dB"),
        (lambda: BerPoint(8.0, 1, 30, 31, 1, 961), "impossible count"),
        (lambda: binomial_interval(3, 2), "3 errors in 2 trials"),
        (lambda: estimate(SYSTEM, {}, 8.0, StopRule(1), 0), "no detector"),
        (lambda: snr_at_ber([9.0, 8.0], [0.1, 0.2], 0.1), "SNR increasing"),
        (lambda: snr_at_ber([8.0, 9.0], [0.1, 0.01], 0.0), "BER target 0.0"),
    ],
    ids=["frames", "errors", "target", "shape", "snr", "count", "interval", "none", "order", "ber"],
)
def test_bad_arguments_are_refused(call: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()  # type: ignore[operator]

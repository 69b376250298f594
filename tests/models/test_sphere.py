# SPDX-License-Identifier: Apache-2.0
"""The sphere decoder is exact: equal to brute force, and nothing beats its metric."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import detectors, sphere
from models.ber import StopRule, estimate
from models.errors import ConfigError
from models.mimo import MimoSystem, frame_chunk, symbols

SMALL = [
    MimoSystem.fixed_toeplitz(8, 10, 0.9),
    MimoSystem.fixed_toeplitz(10, 10, -0.7),
    MimoSystem.iid_gaussian(8, 8, seed=3),
    MimoSystem.iid_qpsk(4, 4, seed=5),
    MimoSystem(np.array([[0.5], [1.0]]), "single symbol"),
]


@pytest.mark.parametrize("system", SMALL, ids=lambda s: s.name)
@pytest.mark.parametrize("snr_db", [-5.0, 4.0, 12.0])
def test_equals_brute_force(system: MimoSystem, snr_db: float) -> None:
    _, y = system.frames(3000, snr_db, np.random.default_rng(1))
    expected = sphere.brute_force(system, y)
    for loading in (0.0, 0.1, 3.0):
        np.testing.assert_array_equal(sphere.detect(system, y, loading).bits, expected)
    np.testing.assert_array_equal(sphere.ml(system)(y, snr_db), expected)


@given(
    k=st.integers(1, 9),
    extra=st.integers(0, 3),
    seed=st.integers(0, 10_000),
    snr_db=st.floats(-10, 20),
    loading=st.floats(0, 10),
)
@settings(max_examples=40, deadline=None)
def test_equals_brute_force_on_any_channel(
    k: int, extra: int, seed: int, snr_db: float, loading: float
) -> None:
    system = MimoSystem.iid_gaussian(k, k + extra, seed)
    _, y = system.frames(50, snr_db, np.random.default_rng(seed))
    np.testing.assert_array_equal(
        sphere.detect(system, y, loading).bits, sphere.brute_force(system, y)
    )


def test_sorted_qr_factors_the_permuted_channel() -> None:
    h = MimoSystem.iid_gaussian(7, 9, seed=4).h
    q, r, order = sphere.sorted_qr(h)
    np.testing.assert_allclose(q @ r, h[:, order], atol=1e-12)
    np.testing.assert_allclose(q.T @ q, np.eye(7), atol=1e-12)
    np.testing.assert_array_equal(r, np.triu(r))
    assert np.all(np.diag(r) > 0)
    assert sorted(order) == list(range(7))


def test_metric_is_never_above_that_of_the_word_sent_or_of_mmse() -> None:
    """On the full reference system, where brute force cannot go."""
    system = MimoSystem.fixed_toeplitz()
    sent, y = frame_chunk(system, 8.0, 11, 0)

    def metric(bits: np.ndarray) -> np.ndarray:
        return np.sum(np.square(y - symbols(bits) @ system.h.T), axis=1)

    best = metric(sphere.ml(system)(y, 8.0))
    assert np.all(best <= metric(sent) + 1e-9)
    assert np.all(best <= metric(detectors.mmse(system)(y, 8.0)) + 1e-9)
    flipped = sphere.ml(system)(y, 8.0)
    for k in range(system.k):  # no single flip improves it
        flipped[:, k] ^= 1
        assert np.all(best <= metric(flipped) + 1e-9)
        flipped[:, k] ^= 1


def test_threads_and_loading_change_nothing_but_time() -> None:
    system = MimoSystem.fixed_toeplitz()
    _, y = system.frames(2500, 8.0, np.random.default_rng(3))
    plain = sphere.detect(system, y)
    loaded = sphere.detect(system, y, 0.08, jobs=2)
    np.testing.assert_array_equal(plain.bits, loaded.bits)
    assert loaded.nodes.min() >= system.k
    assert loaded.nodes.mean() < plain.nodes.mean()


def test_noiseless_frames_walk_straight_to_the_leaf() -> None:
    system = MimoSystem.fixed_toeplitz()
    bits, y = system.frames(50, 120.0, np.random.default_rng(4))
    result = sphere.detect(system, y)
    np.testing.assert_array_equal(result.bits, bits)
    np.testing.assert_array_equal(result.nodes, np.full(50, 30))


@pytest.mark.parametrize(
    ("snr_db", "published"), [(8.0, 1.385e-2), (9.0, 5.97e-3), (10.0, 2.09e-3), (11.0, 5.61e-4)]
)
def test_meets_the_known_ml_curve_of_the_reference_system(snr_db: float, published: float) -> None:
    system = MimoSystem.fixed_toeplitz()
    point = estimate(system, {"ml": sphere.ml(system)}, snr_db, StopRule(100_000), seed=5)["ml"]
    low, high = point.ci95
    assert low * 0.98 < published < high * 1.02  # 2 %: the known figures carry noise of their own


def test_speed_allows_a_hundred_thousand_frames_in_a_minute() -> None:
    system = MimoSystem.fixed_toeplitz()
    _, y = frame_chunk(system, 8.0, 6, 0)
    detector = sphere.ml(system)
    detector(y[:10], 8.0)  # compiles
    start = time.process_time()
    detector(y, 8.0)
    assert time.process_time() - start < 6.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: sphere.detect(s, np.zeros((3, 5), np.float32)), r"must be \[frames, N=60\]"),
        (lambda s: sphere.detect(s, np.full((1, 60), np.inf, np.float32)), "infinite or NaN"),
        (lambda s: sphere.detect(s, np.zeros((1, 60), np.float32), -1.0), "loading=-1.0"),
        (lambda s: sphere.brute_force(s, np.zeros((1, 60), np.float32)), "K=30 bits: at most 12"),
    ],
    ids=["shape", "inf", "loading", "brute-force"],
)
def test_bad_input_is_refused(call: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call(MimoSystem.fixed_toeplitz())  # type: ignore[operator]


def test_no_frames_give_no_bits() -> None:
    system = MimoSystem.fixed_toeplitz()
    assert sphere.detect(system, np.zeros((0, 60), np.float32)).bits.shape == (0, 30)


def test_a_machine_without_a_folder_for_compiled_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container whose user has no home and may not write to the package."""
    compiler = numba.njit

    def refuse(*, cache: bool = False, **options: object) -> Callable[[object], object]:
        if cache:
            raise RuntimeError("cannot cache function: no locator available")
        return compiler(**options)

    monkeypatch.setattr(sphere, "numba", SimpleNamespace(njit=refuse))

    def double(out: np.ndarray) -> None:
        for i in range(len(out)):
            out[i] *= 2

    values = np.ones(3)
    sphere._compiled(double)(values)
    np.testing.assert_array_equal(values, [2, 2, 2])

# SPDX-License-Identifier: Apache-2.0
"""The channel has its Gram matrix, frames obey y = H x + w, and chunks are reproducible."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ConfigError
from models.mimo import (
    MimoSystem,
    frame_chunk,
    frame_chunks,
    iid_per_frame,
    symbols,
)


@pytest.fixture(scope="module")
def reference() -> MimoSystem:
    return MimoSystem.fixed_toeplitz()


def test_reference_channel_has_the_published_gram_matrix(reference: MimoSystem) -> None:
    index = np.arange(30)
    assert (reference.n, reference.k) == (60, 30)
    expected = 0.55 ** np.abs(index[:, None] - index)
    # atol: rounding of the QR and Cholesky factors
    np.testing.assert_allclose(reference.gram, expected, rtol=0, atol=5e-15)
    assert np.linalg.cond(reference.h) == pytest.approx(3.40, abs=0.005)
    assert reference.symbol_energy == pytest.approx(1.0, abs=1e-14)


@given(
    k=st.integers(1, 12),
    extra=st.integers(0, 8),
    rho=st.floats(-0.95, 0.95),
    seed=st.integers(0, 2**32),
)
@settings(max_examples=40, deadline=None)
def test_gram_matrix_does_not_depend_on_the_seed(k: int, extra: int, rho: float, seed: int) -> None:
    index = np.arange(k)
    system = MimoSystem.fixed_toeplitz(k, k + extra, rho, seed)
    expected = np.power(rho, np.abs(index[:, None] - index))
    np.testing.assert_allclose(system.gram, expected, rtol=0, atol=1e-13)


def test_channel_is_reproducible_and_read_only(reference: MimoSystem) -> None:
    np.testing.assert_array_equal(reference.h, MimoSystem.fixed_toeplitz().h)
    assert np.any(reference.h != MimoSystem.fixed_toeplitz(seed=1).h)
    with pytest.raises(ValueError, match="read-only"):
        reference.h[0, 0] = 1.0


@pytest.mark.parametrize("snr_db", [-3.0, 8.0, 13.0])
def test_noise_has_zero_mean_and_the_stated_variance(reference: MimoSystem, snr_db: float) -> None:
    bits, y = reference.frames(20_000, snr_db, np.random.default_rng(1))
    noise = y - symbols(bits) @ reference.h.T
    variance = reference.noise_variance(snr_db)
    assert variance == pytest.approx(10 ** (-snr_db / 10), rel=1e-12)
    deviation = np.sqrt(variance / noise.size)
    assert abs(noise.mean()) < 4 * deviation
    assert noise.var() == pytest.approx(variance, rel=4 * np.sqrt(2 / noise.size))
    covariance = noise.T @ noise / len(noise)
    white = covariance - variance * np.eye(reference.n)
    assert np.abs(white).max() < 6 * variance / np.sqrt(len(noise)) * np.sqrt(2)


def test_bits_are_fair_and_independent_of_each_other(reference: MimoSystem) -> None:
    bits, _ = reference.frames(20_000, 10.0, np.random.default_rng(2))
    assert bits.dtype == np.uint8
    assert set(np.unique(bits)) == {0, 1}
    x = symbols(bits)
    correlation = x.T @ x / len(x) - np.eye(reference.k)
    assert np.abs(correlation).max() < 5 / np.sqrt(len(x))
    assert np.abs(x.mean(axis=0)).max() < 5 / np.sqrt(len(x))


def test_bit_one_is_plus_one() -> None:
    np.testing.assert_array_equal(symbols(np.array([0, 1], dtype=np.uint8)), [-1.0, 1.0])


def test_noise_variance_scales_with_the_channel() -> None:
    system = MimoSystem.iid_gaussian(4, 9, seed=5)
    doubled = MimoSystem(2.0 * system.h)
    assert doubled.noise_variance(10.0) == pytest.approx(4.0 * system.noise_variance(10.0))
    assert system.noise_variance(10.0) == pytest.approx(np.trace(system.gram) / 4 / 10)


def test_snr_per_frame_scales_the_noise_of_that_frame(reference: MimoSystem) -> None:
    snrs_db = np.repeat([0.0, 20.0], 4000)
    bits, y = reference.frames(8000, snrs_db, np.random.default_rng(3))
    power = np.var(y - symbols(bits) @ reference.h.T, axis=1)
    assert power[:4000].mean() == pytest.approx(1.0, rel=0.02)
    assert power[4000:].mean() == pytest.approx(0.01, rel=0.02)


def test_frames_do_not_depend_on_how_many_are_asked_for(reference: MimoSystem) -> None:
    long = list(frame_chunks(reference, 9.0, 250, seed=7, chunk=100))
    short = list(frame_chunks(reference, 9.0, 130, seed=7, chunk=100))
    assert [len(bits) for bits, _ in long] == [100, 100, 50]
    assert [len(bits) for bits, _ in short] == [100, 30]
    for part in range(2):
        whole = np.concatenate([chunk[part] for chunk in long])
        np.testing.assert_array_equal(np.concatenate([c[part] for c in short]), whole[:130])
    np.testing.assert_array_equal(frame_chunk(reference, 9.0, 7, 1, 100)[1], long[1][1])


@pytest.mark.parametrize("other", [(9.0, 8, 0), (9.001, 7, 0), (-9.0, 7, 0), (9.0, 7, 1)], ids=str)
def test_seed_snr_and_chunk_each_change_the_bits(
    reference: MimoSystem, other: tuple[float, int, int]
) -> None:
    bits, _ = frame_chunk(reference, 9.0, 7, 0, 100)
    assert np.any(bits != frame_chunk(reference, *other, 100)[0])


def test_qpsk_is_its_complex_system() -> None:
    rng = np.random.default_rng(4)
    h = rng.standard_normal((5, 3)) + 1j * rng.standard_normal((5, 3))
    system = MimoSystem.qpsk(h)
    assert (system.n, system.k) == (10, 6)
    x = symbols(rng.integers(0, 2, 6))
    y = h @ (x[:3] + 1j * x[3:])
    np.testing.assert_allclose(system.h @ x, np.concatenate([y.real, y.imag]), atol=1e-14)
    # Es/N0 of a complex antenna: symbols of energy 2, noise 2 sigma^2.
    es_n0 = 2 * np.sum(np.abs(h) ** 2) / 3 / (2 * system.noise_variance(10.0))
    assert es_n0 == pytest.approx(10.0)
    assert MimoSystem.iid_qpsk(3, 5, seed=1).h.shape == (10, 6)


def test_iid_channels_have_unit_column_energy() -> None:
    bits, y, h = iid_per_frame(4, 16, 4000, 10.0, np.random.default_rng(6))
    assert np.mean(np.sum(h**2, axis=1)) == pytest.approx(1.0, rel=0.01)
    noise = y - np.einsum("fnk,fk->fn", h, symbols(bits))
    assert noise.var() == pytest.approx(0.1, rel=0.02)
    fixed = MimoSystem.iid_gaussian(40, 400, seed=1)
    assert fixed.symbol_energy == pytest.approx(1.0, rel=0.05)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MimoSystem.fixed_toeplitz(4, 3), "K=4 symbols, N=3 receive antennas: N >= K"),
        (lambda: MimoSystem.fixed_toeplitz(rho=1.0), "rho=1.0: must lie between -1 and 1"),
        (lambda: MimoSystem(np.ones((4, 2))), "rank 1 cannot separate K=2"),
        (lambda: MimoSystem(np.ones((2, 4))), r"shape \(2, 4\): must be \[N, K\]"),
        (lambda: MimoSystem(np.full((2, 1), np.nan)), "infinite or NaN"),
        (lambda: MimoSystem.qpsk(np.ones(3, dtype=complex)), r"must be \[N_r, N_t\]"),
        (lambda: list(frame_chunks(MimoSystem.fixed_toeplitz(), 8.0, -1, 0)), "frames=-1"),
        (lambda: frame_chunk(MimoSystem.fixed_toeplitz(), 8.0, -1, 0), "seed=-1"),
    ],
    ids=["wide", "rho", "rank", "shape", "nan", "qpsk", "frames", "seed"],
)
def test_bad_systems_are_refused(build: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build()  # type: ignore[operator]


def test_import_needs_numpy_only() -> None:
    code = (
        "import sys, models.mimo, models.detectors\n"
        "heavy = {'torch', 'scipy', 'numba', 'onnx', 'brevitas', 'finn'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

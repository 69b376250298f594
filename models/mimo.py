# SPDX-License-Identifier: Apache-2.0
"""The real-valued MIMO system y = H x + w with BPSK, and reproducible frames of it.

    y = H x + w,   x in {-1, +1}^K,   w ~ N(0, sigma^2 I_N),   sigma^2 = (tr(H^T H) / K) / SNR

SNR is the mean energy of one transmitted symbol, summed over all N receive antennas, against the
noise variance of one (real) receive antenna; ``snr_db`` is 10 log10 of it. With unit-norm columns
of H it is 1/sigma^2. It is not Eb/N0: a real BPSK symbol has Es/N0 = SNR/2, because N0 = 2 sigma^2.
Bit 1 means x = +1, bit 0 means x = -1.

A complex system with QPSK is the same thing in twice the dimensions (`MimoSystem.qpsk`).
This file needs numpy only.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self, overload

import numpy as np
import numpy.typing as npt

from models.errors import ConfigError

FloatArray = npt.NDArray[np.float64]
ReceivedArray = npt.NDArray[np.float32]
BitArray = npt.NDArray[np.uint8]

DEFAULT_CHUNK = 10_000
"""Frames drawn from one seed. Another chunk size gives other (equally distributed) frames."""


@dataclass(frozen=True, eq=False)
class MimoSystem:
    """A fixed, perfectly known real channel.

    Attributes:
        h: channel H, [N, K], float64; N receive antennas, K BPSK symbols, N >= K, full column rank.
        name: what the report calls it.
    """

    h: FloatArray
    name: str = "channel"

    def __post_init__(self) -> None:
        h = np.array(self.h, dtype=np.float64, order="C")
        if h.ndim != 2 or h.shape[1] < 1 or h.shape[0] < h.shape[1]:
            raise ConfigError(
                f"{self.name}: channel of shape {h.shape}: must be [N, K] with N >= K >= 1"
            )
        if not np.isfinite(h).all():
            raise ConfigError(
                f"{self.name}: channel has infinite or NaN entries: all must be finite"
            )
        if (rank := int(np.linalg.matrix_rank(h))) < h.shape[1]:
            raise ConfigError(
                f"{self.name}: channel of rank {rank} cannot separate K={h.shape[1]} symbols: "
                "the columns must be linearly independent"
            )
        h.setflags(write=False)
        object.__setattr__(self, "h", h)

    @classmethod
    def fixed_toeplitz(cls, k: int = 30, n: int = 60, rho: float = 0.55, seed: int = 0) -> Self:
        """H = Q L^T with H^T H = G, G[i, j] = rho^|i-j| (to rounding): columns of unit norm.

        Q [N, K] has orthonormal columns (QR of a seeded Gaussian matrix, diagonal of R positive),
        and L is the Cholesky factor of G. Of H only H^T H matters for the error rate, so the seed
        does not. The default is the fixed channel of "Learning to Detect" (Samuel, Diskin, Wiesel).
        """
        _check_sizes(k, n)
        if not -1.0 < rho < 1.0:
            raise ConfigError(f"rho={rho}: must lie between -1 and 1, both excluded")
        gauss = np.random.default_rng(seed).standard_normal((n, k))
        q, r = np.linalg.qr(gauss)
        q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
        index = np.arange(k)
        gram = np.power(float(rho), np.abs(index[:, None] - index[None, :]))
        lower = np.linalg.cholesky(gram)
        return cls(q @ lower.T, f"toeplitz-k{k}-n{n}-rho{rho:g}-seed{seed}")

    @classmethod
    def iid_gaussian(cls, k: int, n: int, seed: int = 0) -> Self:
        """One draw of a channel with i.i.d. N(0, 1/N) entries (columns of unit mean energy)."""
        _check_sizes(k, n)
        h = np.random.default_rng(seed).standard_normal((n, k)) / np.sqrt(n)
        return cls(h, f"iid-k{k}-n{n}-seed{seed}")

    @classmethod
    def qpsk(cls, h_complex: npt.NDArray[np.complex128], name: str = "qpsk") -> Self:
        """Real-valued equivalent of a complex channel with QPSK symbols s = x_re + 1j * x_im.

        [Re y; Im y] = [[Re H, -Im H], [Im H, Re H]] [Re s; Im s] + [Re w; Im w]

        Args:
            h_complex: [N_r, N_t], complex. The result has N = 2 N_r and K = 2 N_t; symbol t has its
                real part at x[t] and its imaginary part at x[N_t + t], each -1 or +1 (energy 2).
            name: what the report calls it.

        ``snr_db`` is then the usual Es/N0: energy 2 |h_t|^2 of a QPSK symbol, summed over antennas,
        over the noise 2 sigma^2 of one complex antenna.
        """
        hc = np.asarray(h_complex)
        if hc.ndim != 2:
            raise ConfigError(f"{name}: complex channel of shape {hc.shape}: must be [N_r, N_t]")
        return cls(np.block([[hc.real, -hc.imag], [hc.imag, hc.real]]), name)

    @classmethod
    def iid_qpsk(cls, n_t: int, n_r: int, seed: int = 0) -> Self:
        """One draw of a complex channel with CN(0, 1/N_r) entries and QPSK, in real form."""
        _check_sizes(n_t, n_r)
        parts = np.random.default_rng(seed).standard_normal((2, n_r, n_t)) / np.sqrt(2 * n_r)
        return cls.qpsk(parts[0] + 1j * parts[1], f"qpsk-iid-nt{n_t}-nr{n_r}-seed{seed}")

    @property
    def n(self) -> int:
        """Number N of real receive antennas."""
        return int(self.h.shape[0])

    @property
    def k(self) -> int:
        """Number K of real BPSK symbols of a frame, which is its number of bits."""
        return int(self.h.shape[1])

    @property
    def gram(self) -> FloatArray:
        """H^T H, [K, K]."""
        return self.h.T @ self.h

    @property
    def symbol_energy(self) -> float:
        """Mean received energy of one symbol, tr(H^T H) / K."""
        return float(np.sum(np.square(self.h))) / self.k

    @overload
    def noise_variance(self, snr_db: float) -> float: ...

    @overload
    def noise_variance(self, snr_db: FloatArray) -> FloatArray: ...

    def noise_variance(self, snr_db: float | FloatArray) -> float | FloatArray:
        """sigma^2 of one real receive antenna, (tr(H^T H) / K) / SNR, for one or many SNR [dB]."""
        variance = self.symbol_energy * np.power(10.0, np.asarray(snr_db, dtype=np.float64) / -10.0)
        return float(variance) if np.ndim(variance) == 0 else variance

    def frames(
        self, n: int, snr_db: float | FloatArray, rng: np.random.Generator
    ) -> tuple[BitArray, ReceivedArray]:
        """Draw ``n`` frames.

        Args:
            n: number of frames.
            snr_db: SNR [dB], one for all frames or one a frame, [n].
            rng: source of bits and noise; its state moves on.

        Returns:
            bits [n, K], uint8, and y [n, N], float32 (the sum is taken in float64).
        """
        bits = rng.integers(0, 2, size=(n, self.k), dtype=np.uint8)
        sigma = np.sqrt(self.noise_variance(snr_db))
        noise = rng.standard_normal((n, self.n))
        noise *= sigma[:, None] if np.ndim(sigma) else sigma
        noise += symbols(bits) @ self.h.T
        return bits, noise.astype(np.float32)


def symbols(bits: npt.ArrayLike) -> FloatArray:
    """x = 2 bits - 1, float64, any shape."""
    return 2.0 * np.asarray(bits, dtype=np.float64) - 1.0


def frame_chunk(
    system: MimoSystem, snr_db: float, seed: int, index: int, chunk: int = DEFAULT_CHUNK
) -> tuple[BitArray, ReceivedArray]:
    """Chunk ``index`` (``chunk`` frames) of the stream of frames that belongs to (seed, snr_db).

    Depends on its arguments alone, so shards may draw any chunks in any order.
    """
    if seed < 0 or index < 0 or chunk < 1:
        raise ConfigError(f"seed={seed}, chunk {index} of {chunk} frames: must not be negative")
    # SeedSequence takes no negative numbers: a negative SNR wraps round, a positive one stays.
    milli_db = round(snr_db * 1000) % (1 << 32)
    rng = np.random.default_rng(np.random.SeedSequence((seed, milli_db, index)))
    return system.frames(chunk, snr_db, rng)


def frame_chunks(
    system: MimoSystem, snr_db: float, frames: int, seed: int, chunk: int = DEFAULT_CHUNK
) -> Iterator[tuple[BitArray, ReceivedArray]]:
    """The first ``frames`` frames of (seed, snr_db), in chunks; the last one may be shorter.

    More frames go on where fewer end: the first n frames are the same for every ``frames`` >= n.
    """
    if frames < 0:
        raise ConfigError(f"frames={frames}: must not be negative")
    for index in range(-(-frames // chunk)):
        bits, y = frame_chunk(system, snr_db, seed, index, chunk)
        keep = min(chunk, frames - index * chunk)
        yield bits[:keep], y[:keep]


def iid_per_frame(
    k: int, n: int, frames: int, snr_db: float, rng: np.random.Generator
) -> tuple[BitArray, ReceivedArray, FloatArray]:
    """Frames with a new i.i.d. N(0, 1/N) channel each; noise variance 1/SNR (E[tr(H^T H)]/K = 1).

    Returns:
        bits [frames, K] uint8, y [frames, N] float32, h [frames, N, K] float64.
    """
    _check_sizes(k, n)
    h = rng.standard_normal((frames, n, k)) / np.sqrt(n)
    bits = rng.integers(0, 2, size=(frames, k), dtype=np.uint8)
    noise = rng.standard_normal((frames, n)) * 10.0 ** (-snr_db / 20.0)
    y = np.einsum("fnk,fk->fn", h, symbols(bits)) + noise
    return bits, y.astype(np.float32), h


def _check_sizes(k: int, n: int) -> None:
    if k < 1 or n < k:
        raise ConfigError(f"K={k} symbols, N={n} receive antennas: N >= K >= 1 must hold")

# SPDX-License-Identifier: Apache-2.0
"""Exact maximum-likelihood detection of BPSK by a depth-first sphere decoder (numba).

    x_ml = argmin ||y - H x||^2  over x in {-1, +1}^K

Since ||x||^2 = K for every candidate, the argmin does not change when loading * ||x||^2 is added;
that turns H into the better conditioned [H; sqrt(loading) I], whose tree is pruned earlier. With
loading sigma^2 the first leaf is the decision of MMSE successive cancellation.

A sorted QR decomposition of the loaded channel (strongest symbols decided first) gives
||z - R x||^2, R upper triangular. The search walks from x[K-1] down to x[0], takes the nearer of
the two children first (Schnorr-Euchner), starts with an infinite radius and shrinks it at each
leaf, so the result is exact. Its time grows exponentially with K at low SNR; nothing limits it.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numba
import numpy as np
import numpy.typing as npt

from models.detectors import Detector
from models.errors import ConfigError
from models.mimo import BitArray, FloatArray, MimoSystem, ReceivedArray

BLOCK_FRAMES = 1000
"""Frames that one call of the kernel searches; the unit of work of a thread."""


def _compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Machine code of ``function``, kept on disk where numba finds a folder that it may write."""
    try:
        kept: Callable[..., None] = numba.njit(cache=True, nogil=True)(function)
    except RuntimeError:  # neither beside this file nor in the home folder
        kept = numba.njit(nogil=True)(function)
    return kept


@dataclass(frozen=True)
class Triangle:
    """min ||z - R x||^2 with x in the order ``order``.

    Attributes:
        r: R, [K, K], upper triangular with positive diagonal.
        rotate: [K, N], z = rotate @ y.
        order: [K], position i of the search is symbol ``order[i]``.
    """

    r: FloatArray
    rotate: FloatArray
    order: npt.NDArray[np.int64]


@dataclass(frozen=True)
class SphereResult:
    """Decided ``bits`` [F, K] and visited tree ``nodes`` [F] of each frame."""

    bits: BitArray
    nodes: npt.NDArray[np.int64]


def sorted_qr(h: FloatArray) -> tuple[FloatArray, FloatArray, npt.NDArray[np.int64]]:
    """Sorted QR decomposition H[:, order] = Q R (modified Gram-Schmidt, weakest column first).

    The column with the smallest remaining norm is taken at each step, so that large diagonal
    entries gather at the bottom of R, where the tree search begins.
    Wuebben et al., "Efficient algorithm for decoding layered space-time codes", 2001.

    Args:
        h: [N, K], full column rank.

    Returns:
        Q [N, K], R [K, K] and order [K].
    """
    q = h.copy()
    k = h.shape[1]
    r = np.zeros((k, k))
    order = np.arange(k)
    for i in range(k):
        pick = i + int(np.argmin(np.sum(np.square(q[:, i:]), axis=0)))
        for array in (q, r, order):
            array[..., [i, pick]] = array[..., [pick, i]]
        r[i, i] = np.linalg.norm(q[:, i])
        q[:, i] /= r[i, i]
        r[i, i + 1 :] = q[:, i] @ q[:, i + 1 :]
        q[:, i + 1 :] -= np.outer(q[:, i], r[i, i + 1 :])
    return q, r, order


def triangle(h: FloatArray, loading: float) -> Triangle:
    """Bring ||y - H x||^2 + loading * ||x||^2 to triangular form. ``loading`` 0 is plain QR."""
    if not (np.isfinite(loading) and loading >= 0):
        raise ConfigError(f"sphere decoder loading={loading}: must be finite and not negative")
    n, k = h.shape
    q, r, order = sorted_qr(np.vstack([h, np.sqrt(loading) * np.eye(k)]))
    return Triangle(r, np.ascontiguousarray(q[:n].T), order)


def detect(
    system: MimoSystem, y: ReceivedArray, loading: float = 0.0, jobs: int = 1
) -> SphereResult:
    """Maximum-likelihood decisions.

    Args:
        system: the channel.
        y: received vectors, [F, N].
        loading: changes the speed only; half the noise variance visits the fewest nodes.
        jobs: threads (the kernel releases the GIL); changes the speed only.
    """
    if y.ndim != 2 or y.shape[1] != system.n:
        raise ConfigError(f"received array of shape {y.shape}: must be [frames, N={system.n}]")
    if not np.isfinite(y).all():
        raise ConfigError("received array has infinite or NaN entries: all must be finite")
    tri = triangle(system.h, loading)
    z = y.astype(np.float64) @ tri.rotate.T
    columns = np.ascontiguousarray(tri.r.T)
    found = np.empty((len(y), system.k), dtype=np.uint8)
    nodes = np.empty(len(y), dtype=np.int64)

    def block(start: int) -> None:
        part = slice(start, start + BLOCK_FRAMES)
        _search(columns, z[part], found[part], nodes[part])

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        for future in [pool.submit(block, s) for s in range(0, len(y), BLOCK_FRAMES)]:
            future.result()
    bits = np.empty_like(found)
    bits[:, tri.order] = found
    return SphereResult(bits, nodes)


def ml(system: MimoSystem, jobs: int = 1) -> Detector:
    """The exact maximum-likelihood detector. ``snr_db`` decides how fast it is, never the bits."""
    return lambda y, snr_db: detect(system, y, 0.5 * system.noise_variance(snr_db), jobs).bits


def brute_force(system: MimoSystem, y: ReceivedArray) -> BitArray:
    """The same by trying all 2^K words; for tests, K <= 12."""
    if system.k > 12:
        raise ConfigError(f"brute force over K={system.k} bits: at most 12; use detect()")
    words = ((np.arange(1 << system.k)[:, None] >> np.arange(system.k)) & 1).astype(np.uint8)
    points = (2.0 * words - 1.0) @ system.h.T
    metric = np.sum(np.square(points), axis=1) - 2.0 * (y.astype(np.float64) @ points.T)
    best: BitArray = words[np.argmin(metric, axis=1)]
    return best


@_compiled
def _search(
    columns: FloatArray, z: FloatArray, bits: BitArray, nodes: npt.NDArray[np.int64]
) -> None:
    """Search each row of z [F, K]; ``columns`` is R^T, so that a column of R is contiguous.

    residual[i, j], j <= i, is z[j] - sum over l > i of R[j, l] x[l]: left to x[i] ... x[0].
    """
    frames, k = z.shape
    residual = np.empty((k, k))
    x = np.empty(k)
    dist = np.zeros(k + 1)  # dist[i]: metric of x[i] ... x[K-1]
    other = np.empty(k)  # metric of the child of level i that was not taken yet, or infinity
    for f in range(frames):
        residual[k - 1] = z[f]
        radius = np.inf
        count = 0
        i = k - 1
        while i < k:
            count += 1
            c = residual[i, i]
            near = 1.0 if c >= 0 else -1.0
            gap = abs(c) - columns[i, i]
            x[i] = near
            dist[i] = dist[i + 1] + gap * gap
            gap = abs(c) + columns[i, i]
            other[i] = dist[i + 1] + gap * gap
            if dist[i] >= radius or i == 0:
                if dist[i] < radius:
                    radius = dist[0]
                    for j in range(k):
                        bits[f, j] = x[j] > 0
                i += 1
                while i < k and other[i] >= radius:
                    i += 1
                if i == k:
                    break
                x[i] = -x[i]
                dist[i] = other[i]
                other[i] = np.inf
            for j in range(i):
                residual[i - 1, j] = residual[i, j] - columns[i, j] * x[i]
            i -= 1
        nodes[f] = count

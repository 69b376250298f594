# SPDX-License-Identifier: Apache-2.0
"""Linear PCA, the baseline that a trained network must beat: the best linear code of the samples.

    code = (x - m) B,   y = m + B code,   m the mean of the training samples,
    B [2048, k] the k strongest eigenvectors of their covariance, k = 2048 / ratio

x is scaled to unit energy first and back at the end, so that the squared error that PCA minimizes
is the NMSE. No bit of the code is counted: its values are real numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from models.csi.metrics import RATIOS, VALUES, CsiArray, CsiPoint, check_csi, count, require_energy
from models.errors import ConfigError


@dataclass(frozen=True, eq=False)
class Pca:
    """Mean [2048] and eigenvectors [2048, k], strongest first; float32."""

    mean: npt.NDArray[np.float32]
    basis: npt.NDArray[np.float32]

    @classmethod
    def fit(cls, train: npt.ArrayLike, components: int = VALUES // min(RATIOS)) -> Pca:
        """From samples [n, 2, 32, 32]; with fewer samples than components the rest is zero."""
        if not 1 <= components <= VALUES:
            raise ConfigError(f"{components} components: must be 1 to {VALUES}")
        flat = check_csi(train, "training samples").reshape(-1, VALUES).astype(np.float64)
        flat = flat / _norms(flat, "training sample")
        mean = flat.mean(axis=0)
        flat -= mean
        if len(flat) < VALUES:
            vectors = np.linalg.svd(flat, full_matrices=False)[2].T
        else:
            vectors = np.linalg.eigh(flat.T @ flat)[1][:, ::-1]
        basis = np.zeros((VALUES, components), dtype=np.float32)
        basis[:, : vectors.shape[1]] = vectors[:, :components]
        return cls(mean.astype(np.float32), basis)

    def reconstruct(self, x: npt.ArrayLike, ratio: int) -> CsiArray:
        """What is left of x [n, 2, 32, 32] after 2048 / ratio values."""
        kept = VALUES // ratio
        if ratio < 1 or kept > self.basis.shape[1]:
            raise ConfigError(f"ratio {ratio}: this PCA has {self.basis.shape[1]} components")
        array = check_csi(x, "CSI")
        flat = array.reshape(-1, VALUES)
        norms = _norms(flat, "sample")
        basis = self.basis[:, :kept]
        code = (flat / norms - self.mean) @ basis
        y: CsiArray = ((self.mean + code @ basis.T) * norms).reshape(array.shape).astype(np.float32)
        return y

    def weights(self, ratio: int) -> int:
        """Weights of encoder and decoder, which are also the multiplications of one sample."""
        return 2 * VALUES * (VALUES // ratio)


def _norms(flat: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Norm of every row, [n, 1]."""
    norms: npt.NDArray[Any] = np.linalg.norm(flat, axis=1, keepdims=True)
    require_energy(norms, name, "it cannot be scaled")
    return norms


def pca_points(train: npt.ArrayLike, test: npt.ArrayLike) -> dict[int, CsiPoint]:
    """NMSE and rho of PCA fitted on ``train``, counted on ``test``, by ratio."""
    pca = Pca.fit(train)
    return {ratio: count(test, pca.reconstruct(test, ratio)) for ratio in RATIOS}

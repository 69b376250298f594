# SPDX-License-Identifier: Apache-2.0
"""``metrics.json`` of a checkpoint: what was counted with its weights, sealed to these weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.errors import CheckpointError
from models.sealed import file_hash, read_sealed, write_sealed

METRICS_FILE = "metrics.json"
WEIGHTS_FILE = "weights.safetensors"


def write_measured(folder: Path, result: Mapping[str, Any]) -> Path:
    """Write what was counted with the weights that lie in ``folder`` now."""
    return write_sealed(folder / METRICS_FILE, result, file_hash(folder / WEIGHTS_FILE))


def read_measured(folder: Path) -> dict[str, Any] | None:
    """What was counted with the weights in ``folder``; None if nothing is, or it does not fit."""
    return read_sealed(folder / METRICS_FILE, file_hash(folder / WEIGHTS_FILE))


def need_measured(folder: Path) -> dict[str, Any]:
    """As `read_measured`, for who cannot go on without.

    Raises:
        CheckpointError: not measured, edited, or measured with other weights.
    """
    body = read_measured(folder)
    if body is None:
        raise CheckpointError(
            f"{folder / METRICS_FILE}: missing, edited, or measured with other weights than those "
            "beside it",
            hint="measure the checkpoint again: `phyfold train`, or `python -m quant.csi measure`",
        )
    return body

# SPDX-License-Identifier: Apache-2.0
"""The learning curve of a training run, drawn from its ``log.csv``."""

from __future__ import annotations

import csv
from pathlib import Path

from models.errors import CheckpointError


def plot_learning_curve(folder: Path) -> Path:
    """Draw loss, BER at 10 dB and sparsity over steps into ``learning_curve.png`` in ``folder``.

    Raises:
        CheckpointError: the folder has no log, or the log has no line yet.
    """
    path = folder / "log.csv"
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such log", hint="`phyfold train` writes one while it trains"
        ) from error
    if not rows:
        raise CheckpointError(f"{path}: no line yet", hint="wait for the first hundred steps")
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4))
    steps = [int(row["step"]) for row in rows]
    axes.plot(steps, [float(row["loss"]) for row in rows], label="training loss [nat/bit]")
    measured = [(int(row["step"]), float(row["ber_10db"])) for row in rows if row["ber_10db"]]
    if measured:
        axes.plot(*zip(*measured, strict=True), "o-", ms=3, label="BER at 10 dB")
    axes.set(xlabel="step", yscale="log", title=folder.name)
    axes.grid(visible=True, which="both", alpha=0.25)
    axes.legend(loc="upper right")
    if any(float(row["sparsity"]) > 0 for row in rows):
        right = axes.twinx()
        right.plot(steps, [float(row["sparsity"]) for row in rows], color="0.6", ls="--")
        right.set(ylabel="zeros (dashed)", ylim=(0, 1))
    figure.tight_layout()
    target = folder / "learning_curve.png"
    figure.savefig(target, dpi=100)
    plt.close(figure)
    return target

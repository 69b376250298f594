# SPDX-License-Identifier: Apache-2.0
"""What every trainer keeps of a run: optimiser states as named tensors, and the learning curve."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from models.files import write_atomic


def optimizer_tensors(optimizers: Sequence[torch.optim.Optimizer]) -> dict[str, Tensor]:
    """States of the optimisers by name, for `restore_optimizers`."""
    return {
        f"optimizer.{number}.{index}.{key}": torch.as_tensor(value)
        for number, optimizer in enumerate(optimizers)
        for index, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }


def restore_optimizers(
    optimizers: Sequence[torch.optim.Optimizer], saved: Mapping[str, Tensor]
) -> None:
    """Inverse of `optimizer_tensors`; other tensors in ``saved`` are left alone."""
    for number, optimizer in enumerate(optimizers):
        body = optimizer.state_dict()
        prefix = f"optimizer.{number}."
        for name, value in saved.items():
            if name.startswith(prefix):
                index, key = name.removeprefix(prefix).split(".")
                body["state"].setdefault(int(index), {})[key] = value
        optimizer.load_state_dict(body)


def write_log(path: Path, fields: Sequence[str], rows: Sequence[Mapping[str, object]]) -> None:
    """Write the learning curve."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fields, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_atomic(path, text.getvalue().encode())


def read_log(path: Path, last_step: int) -> list[dict[str, object]]:
    """Rows of a learning curve up to ``last_step``; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows: list[dict[str, object]] = [dict(row) for row in csv.DictReader(file)]
    return [row for row in rows if int(str(row["step"])) <= last_step]

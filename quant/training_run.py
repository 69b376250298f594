# SPDX-License-Identifier: Apache-2.0
"""The loop of every training run: steps, learning curve, saved state, exact resumption.

A run can be killed at any time: started again with the same recipe and folder it goes on from the
last saved state, and ends with the same bits as one that was never interrupted.
"""

from __future__ import annotations

import csv
import io
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from models.errors import CheckpointError, ConfigError
from models.files import write_atomic
from quant.checkpoint import save_tensors
from quant.pruning import Pruner
from quant.recipe import NamedRecipe

log = logging.getLogger(__name__)

P = TypeVar("P")
"""What a trainer tells while it works."""


@dataclass(frozen=True)
class TrainOptions:
    """How to run a recipe; nothing here changes the result but ``device`` and ``threads``."""

    device: str = "auto"
    threads: int | None = None
    log_every: int = 100
    save_every_s: float = 60.0
    checkpoints: Path | None = None
    """Folder in which ``init`` and ``teacher`` are looked up; default: the shipped checkpoints."""
    stop_after: int | None = None
    """Stop (saved) once this many steps are done; for tests and for time limits."""


def pick_device(name: str) -> torch.device:
    """The device of ``--device auto|cpu|cuda``.

    Raises:
        ConfigError: cuda was asked for and is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: torch finds no CUDA device; use --device cpu or auto")
    if name not in ("cpu", "cuda"):
        raise ConfigError(f"--device {name!r}: choices are auto, cpu, cuda")
    return torch.device(name)


def cpu_has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 matrices in hardware."""
    able = torch.cpu.get_capabilities()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


class TrainingRun(ABC, Generic[P]):
    """One training run in one folder; a trainer adds the network, the samples and the step.

    Args:
        recipe: its hash goes with the saved state.
        folder: of log, state and checkpoint.
        options: how to run.
        steps: of the whole training.
    """

    fields: ClassVar[tuple[str, ...]]
    """Columns of ``log.csv``; "step" and "seconds" are among them."""

    network: nn.Module
    optimizers: list[torch.optim.Optimizer]
    pruner: Pruner | None
    generator: torch.Generator

    def __init__(
        self, recipe: NamedRecipe, folder: Path, options: TrainOptions, steps: int
    ) -> None:
        self._recipe, self.folder, self.options, self.steps = recipe, folder, options, steps
        self.device = pick_device(options.device)
        if options.threads:
            torch.set_num_threads(options.threads)
        self.state_path = folder / "state.safetensors"
        self.rows: list[dict[str, object]] = []
        self.step = 0

    @abstractmethod
    def one_step(self) -> float:
        """One optimiser step (``self.step`` grows by one); returns the loss before it."""

    @abstractmethod
    def log_row(self, loss: float, seconds: float, progress: Callable[[P], None] | None) -> None:
        """Add a row to the learning curve, and tell it."""

    @abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Parameters and scales of the network, by name."""

    @abstractmethod
    def finish(self) -> None:
        """Last touch on the trained network, and its checkpoint."""

    def set_rates(self, rates: Sequence[float]) -> None:
        """Learning rate of every optimiser, in their order."""
        for optimizer, rate in zip(self.optimizers, rates, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = rate

    def autocast(self, precision: str, exact_from: float) -> torch.autocast:
        """Where a step is computed: in bfloat16, if asked for, up to the part ``exact_from``.

        A processor without bfloat16 instructions computes all in float32: emulated, a step took ten
        times as long.
        """
        low = precision == "bfloat16" and self.step < exact_from * self.steps
        low = low and (self.device.type != "cpu" or cpu_has_bfloat16())
        return torch.autocast(self.device.type, torch.bfloat16, enabled=low)

    def optimise(self) -> None:
        """One step of all optimisers on the gradients, and of the pruner, if there is one."""
        for optimizer in self.optimizers:
            optimizer.step()
        self.step += 1
        if self.pruner is not None:
            self.pruner.step(self.step, self.steps)

    def run(self, progress: Callable[[P], None] | None = None) -> None:
        """Train to the end (or ``stop_after``), saving state; then write the checkpoint."""
        stop = min(self.steps, self.options.stop_after or self.steps)
        earlier = float(str(self.rows[-1]["seconds"])) if self.rows else 0.0
        started = last_save = time.monotonic()
        losses: list[float] = []
        self.network.train()
        while self.step < stop:
            losses.append(self.one_step())
            if self.step % self.options.log_every == 0 or self.step == self.steps:
                seconds = earlier + time.monotonic() - started
                self.log_row(sum(losses) / len(losses), seconds, progress)
                losses = []
                if time.monotonic() - last_save > self.options.save_every_s:
                    self.save_state()
                    last_save = time.monotonic()
        if self.step < self.steps:
            self.save_state()
            return
        self.finish()
        write_log(self.folder / "log.csv", self.fields, self.rows)
        self.state_path.unlink(missing_ok=True)

    def save_state(self) -> None:
        """Write all that is needed to go on exactly from here."""
        tensors = dict(self.tensors())
        tensors["step"] = torch.tensor(self.step)
        tensors["generator"] = self.generator.get_state()
        for number, optimizer in enumerate(self.optimizers):
            for index, entry in optimizer.state_dict()["state"].items():
                for key, value in entry.items():
                    tensors[f"optimizer.{number}.{index}.{key}"] = torch.as_tensor(value)
        if self.pruner is not None:
            for index, mask in enumerate(self.pruner.masks):
                tensors[f"mask.{index}"] = mask
        write_log(self.folder / "log.csv", self.fields, self.rows)
        save_tensors(self.state_path, tensors, self._recipe)

    def restore(self, saved: Mapping[str, Tensor]) -> None:
        """Go on from a saved state; the network has its parameters already.

        Raises:
            CheckpointError: something is missing in it.
        """
        try:
            self.step = int(saved["step"])
            self.generator.set_state(saved["generator"])
            for number, optimizer in enumerate(self.optimizers):
                body = optimizer.state_dict()
                prefix = f"optimizer.{number}."
                for name, value in saved.items():
                    if name.startswith(prefix):
                        index, key = name.removeprefix(prefix).split(".")
                        body["state"].setdefault(int(index), {})[key] = value
                optimizer.load_state_dict(body)
            if self.pruner is not None:
                count = len(self.pruner.masks)
                self.pruner.masks = [saved[f"mask.{i}"].to(self.device) for i in range(count)]
        except KeyError as error:
            raise CheckpointError(
                f"{self.state_path}: {error} is missing", hint="delete the file to start afresh"
            ) from error
        self.rows = read_log(self.folder / "log.csv", self.step)
        log.info("resuming %s at step %d", self._recipe.name, self.step)


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

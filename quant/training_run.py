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
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from models.errors import CheckpointError, ConfigError
from models.files import write_atomic
from models.limits import parse_json
from quant.checkpoint import recipe_hash, save_tensors
from quant.pruning import Pruner
from quant.recipe import NamedRecipe

log = logging.getLogger(__name__)

STATE_FILE = "state.safetensors"
P = TypeVar("P")
"""What a trainer tells while it works."""


@dataclass(frozen=True)
class TrainOptions:
    """How to run a recipe; nothing here changes the result but ``device`` and ``threads``."""

    device: str = "auto"
    threads: int | None = None
    log_every: int = 100
    save_every_s: float = 30.0
    """Time between two saved states [s]; one more lies at the start, when that is made."""
    checkpoints: Path | None = None
    """Folder in which ``init`` and ``teacher`` are looked up; default: the shipped checkpoints."""
    stop_after: int | None = None
    """Stop (saved) once this many steps are done; for tests and for time limits."""
    on_step: Callable[[int, float], None] = lambda _step, _loss: None
    """Told how many steps are done, after each, and the loss before it."""
    doing: Callable[[str], None] = lambda _what: None
    """Told in words what is at work where that is no step."""
    clock: Callable[[], float] = time.monotonic
    """Time [s]."""


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
        self.state_path = folder / STATE_FILE
        self.rows: list[dict[str, object]] = []
        self.losses: list[float] = []
        """Of the steps since the last row."""
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
        options = self.options
        stop = min(self.steps, options.stop_after or self.steps)
        earlier = float(str(self.rows[-1]["seconds"])) if self.rows else 0.0
        started = options.clock()
        self.network.train()
        if not self.state_path.exists():
            self.save_state()
        last_save = options.clock()
        while self.step < stop:
            self.losses.append(self.one_step())
            options.on_step(self.step, self.losses[-1])
            if self.step % options.log_every == 0 or self.step == self.steps:
                seconds = earlier + options.clock() - started
                self.log_row(sum(self.losses) / len(self.losses), seconds, progress)
                self.losses = []
            if options.clock() - last_save >= options.save_every_s:
                self.save_state()
                last_save = options.clock()
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
        tensors["losses"] = torch.tensor(self.losses, dtype=torch.float64)
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
            # a state from before these were kept was saved right behind a row
            self.losses = saved["losses"].tolist() if "losses" in saved else []
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


def kept_of(folder: Path, recipe: NamedRecipe, steps: int) -> str:
    """What a training of ``steps`` steps has left in ``folder`` to go on from, in words.

    "" is nothing: no file, one that cannot be read, or one of another recipe.
    """
    mine = recipe_hash(recipe)
    if (folder / STATE_FILE).exists():
        step = _read_step(folder / STATE_FILE, mine)
        return "" if step is None else f"the training state at step {step} of {steps} in {folder}"
    weights = folder / "weights.safetensors"
    done = weights.exists() and _recipe_of(weights) == mine
    return f"the trained network in {folder}" if done else ""


def _read_step(state: Path, recipe: str) -> int | None:
    try:
        with safe_open(state, framework="pt") as file:
            step = int(file.get_tensor("step"))
    except (OSError, SafetensorError):
        return None
    return step if _recipe_of(state) == recipe else None


def _recipe_of(path: Path) -> str | None:
    """Hash of the recipe that a file of tensors belongs to."""
    try:
        with safe_open(path, framework="pt") as file:
            header = parse_json((file.metadata() or {}).get("phyfold", "{}"))
    except (OSError, SafetensorError, ValueError):
        return None
    found = header.get("recipe_sha256") if isinstance(header, dict) else None
    return str(found)


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

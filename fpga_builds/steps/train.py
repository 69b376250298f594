# SPDX-License-Identifier: Apache-2.0
"""Step train: the checkpoint of the build. A shipped one is checked and taken; else it is trained.

`phyfold train` is `train_here`: it trains the recipe again, whether a checkpoint is shipped or not.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpga_builds.config import BUILDS_FOLDER, BuildConfig, load_build
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Better, Metric, too_few_errors
from fpga_builds.progress import Bar, Reporter
from fpga_builds.shipped import SHIPPED, checkpoint_files, checkpoint_path
from fpga_builds.storage import read_json
from fpga_builds.versions import package_version
from models.errors import ConfigError
from models.files import storage_guard
from models.received import refuse_links
from models.sealed import file_hash, read_sealed

if TYPE_CHECKING:
    from quant.recipe import NamedRecipe, Recipe

log = logging.getLogger(__name__)

METRICS_FILE = "10-train/checkpoint/metrics.json"
CHECKPOINT_FILES = (
    *("recipe.json", "weights.safetensors", "metrics.json", "log.csv", "learning_curve.png"),
)
"""What a build keeps of a checkpoint; whatever else lies beside them is not ours to publish."""


def recipe_for(name: str) -> tuple[str, Recipe]:
    """(name, recipe) of a build, or of a shipped recipe that no build uses (``fullycon_float``).

    Raises:
        ConfigError: neither a build nor a recipe.
    """
    from quant.recipe import RECIPE_FOLDER, load_recipe

    if (RECIPE_FOLDER / f"{name}.toml").is_file() and not (BUILDS_FOLDER / name).is_dir():
        return name, load_recipe(name)
    config = load_build(name)
    return config.name, _recipe_of(checkpoint_path(config))


def train_here(
    name: str,
    recipe: Recipe,
    folder: Path,
    *,
    threads: int | None = None,
    quick: bool,
    device: str,
    seed: int | None,
    reporter: Reporter,
) -> dict[str, Any]:
    """Train a recipe in ``folder``, going on where an earlier call was stopped.

    Returns:
        {"build", "checkpoint", "learning_curve", "steps", "ber_10db", "sparsity"}.
    """
    from quant.learning_curve import plot_learning_curve
    from quant.train import Progress, TrainOptions, train_recipe

    if seed is not None:
        train = recipe.train.model_copy(update={"seed": seed})
        recipe = recipe.model_copy(update={"train": train})
    recipe = recipe.quick() if quick else recipe
    last: dict[str, Any] = {"steps": recipe.train.steps, "ber_10db": None, "sparsity": None}
    with training_bar(reporter, recipe, folder, recipe.train.steps) as (bar, tell):

        def progress(now: Progress) -> None:
            last["sparsity"] = now.sparsity
            if now.ber_10db is not None:
                last["ber_10db"] = now.ber_10db
            ber = "" if now.ber_10db is None else f", BER at 10 dB {now.ber_10db:.2e}"
            tell(now.step, f"loss {now.loss:.5f}{ber}")

        def on_step(step: int, loss: float) -> None:
            bar(step, recipe.train.steps)
            bar.doing(f"loss {loss:.5f}")

        options = TrainOptions(device=device, threads=threads, on_step=on_step, doing=bar.doing)
        with storage_guard(folder):
            train_recipe(recipe, folder, options, progress)
            curve = plot_learning_curve(folder)
    return {"build": name, "checkpoint": str(folder), "learning_curve": str(curve), **last}


@contextlib.contextmanager
def training_bar(
    reporter: Reporter, recipe: NamedRecipe, folder: Path, steps: int
) -> Iterator[tuple[Bar, Callable[[int, str], None]]]:
    """Shows a training of ``steps`` steps in ``folder``.

    Gives the bar, and what is told (step, how it goes): that is shown in words some twenty times.
    """
    from quant.training_run import kept_of

    every, shown = max(1, steps // 20), 0
    reporter.kept = lambda: kept_of(folder, recipe, steps)
    with reporter.bar(f"train {recipe.name}", steps) as bar:

        def tell(step: int, text: str) -> None:
            nonlocal shown
            if step - shown >= every or step == steps:
                shown = step
                reporter.line(f"  step {step} of {steps}: {text}")

        yield bar, tell


def _recipe_of(folder: Path) -> Recipe:
    """The shipped recipe of a shipped checkpoint; else the one beside the checkpoint."""
    from quant.recipe import load_recipe, parse_recipe

    if folder.parent == SHIPPED:
        return load_recipe(folder.name)
    body = read_json(folder / "recipe.json")
    if not isinstance(body, dict):
        raise ConfigError(f"{folder}: no readable recipe.json there, so nothing can be trained")
    return parse_recipe(body, str(folder / "recipe.json"))


def run(context: StepContext) -> StepOutput:
    """Take the checkpoint, after a check that it is whole and fits its recipe."""
    from quant.checkpoint import load_checkpoint

    source = checkpoint_path(context.config)
    if not (source / "recipe.json").is_file() and source.parent == SHIPPED:
        folder = context.cache / "train" / source.name
        name, recipe = context.config.name, _recipe_of(source)
        reporter = context.reporter
        train_here(name, recipe, folder, quick=False, device="auto", seed=None, reporter=reporter)
        source = folder
    refuse_links(source, CHECKPOINT_FILES)
    recipe, _network = load_checkpoint(source)
    _check_channel(context.config, recipe)
    body = keep_checkpoint(source, context.folder / "checkpoint")
    info = {"recipe": recipe.model_dump(mode="json"), "trained": body}
    return StepOutput({"checkpoint": "checkpoint"}, _metrics(body), info)


def keep_checkpoint(source: Path, target: Path) -> dict[str, Any]:
    """Copy the files that a checkpoint consists of; returns what its metrics.json holds.

    Figures that were not counted with these weights are left out; a warning says so.

    Raises:
        ConfigError: one of them is a link: it would be published with the build.
    """
    refuse_links(source, CHECKPOINT_FILES)
    with storage_guard(target):
        target.mkdir()
        for name in CHECKPOINT_FILES:
            if (source / name).is_file():
                shutil.copyfile(source / name, target / name, follow_symlinks=False)
    return read_sealed(target / "metrics.json", file_hash(target / "weights.safetensors")) or {}


def _check_channel(config: BuildConfig, recipe: Any) -> None:
    channel = config.channel
    if channel is None:
        return
    for ours, theirs, key in (
        (channel.antennas, recipe.network.inputs, "antennas"),
        (channel.symbols, recipe.network.bits, "symbols"),
        (channel.rho, recipe.channel.rho, "rho"),
        (channel.kind, recipe.channel.kind, "kind"),
        (channel.seed, recipe.channel.seed, "seed"),
    ):
        if ours != theirs:
            raise ConfigError(
                f"{config.name}: channel.{key} = {ours!r}, but checkpoint {recipe.name} was "
                f"trained for {theirs!r}: a fixed-channel detector fits its own channel only",
                hint="train a recipe for that channel, or correct [channel]",
            )


def _metrics(body: dict[str, Any]) -> tuple[Metric, ...]:
    from models.ber import BerPoint

    version = str(body.get("torch") or package_version("torch"))
    metrics = []
    for point in (BerPoint.from_json(item).to_json() for item in body.get("points", [])):
        few = point["upper_bound"] is not None
        metrics.append(
            Metric(
                name=f"ber.snr_{point['snr_db']:g}",
                value=None if few else point["ber"],
                unit="1",
                better="lower",
                stage="train",
                tool="torch",
                version=version,
                source=METRICS_FILE,
                ci95=(point["ci95"][0], point["ci95"][1]),
                reason=too_few_errors(point) if few else "",
                counted=point["errors"],
            )
        )
    cost = body.get("cost", {})
    for name, unit in (
        ("weights", "1"),
        ("nonzero_macs", "1"),
        ("sparsity", "1"),
        ("weight_memory_bits", "bit"),
    ):
        if cost.get(name) is not None:
            better: Better = "higher" if name == "sparsity" else "lower"
            metrics.append(
                Metric(name, cost[name], unit, better, "train", "torch", version, METRICS_FILE)
            )
    return tuple(metrics)


def _external(config: BuildConfig) -> tuple[Path, ...]:
    return checkpoint_files(checkpoint_path(config))


STEP = Step(
    name="train",
    number=10,
    title="takes the checkpoint, or trains it",
    reads=(),
    writes=("checkpoint",),
    settings=lambda config: [
        config.network.checkpoint,
        config.channel.model_dump() if config.channel else None,
    ],
    run=run,
    packages=("torch",),
    external=_external,
    applies=lambda config: config.network.checkpoint is not None,
)

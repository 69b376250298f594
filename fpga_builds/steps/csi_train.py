# SPDX-License-Identifier: Apache-2.0
"""Training of CSI networks: the checkpoint of a build, and `phyfold train`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpga_builds.config import BUILDS_FOLDER, BuildConfig, load_build
from fpga_builds.progress import Reporter
from fpga_builds.steps.train import training_bar
from models.errors import ConfigError
from models.files import storage_guard

if TYPE_CHECKING:
    from quant.csi.recipe import CsiRecipe


def csi_recipe_for(name: str) -> tuple[str, CsiRecipe] | None:
    """(name, recipe) of a CSI build, or of a shipped CSI recipe; None for anything else."""
    from quant.csi.checkpoint import load_csi_checkpoint
    from quant.csi.recipe import RECIPE_FOLDER, load_csi_recipe

    if (RECIPE_FOLDER / f"{name}.toml").is_file() and not (BUILDS_FOLDER / name).is_dir():
        return name, load_csi_recipe(name)
    if "." not in name and not (BUILDS_FOLDER / name).is_dir():
        return None
    config = load_build(name)
    if config.csi is None:
        return None
    checkpoint = str(config.network.checkpoint)
    if "/" in checkpoint:
        return config.name, load_csi_checkpoint(Path(checkpoint))[0]
    return config.name, load_csi_recipe(checkpoint)


def recipe_on(recipe: CsiRecipe, data: str | None) -> tuple[CsiRecipe, str | None]:
    """(the recipe on other data, the folder of COST2100 files if ``data`` is one)."""
    if data is None:
        return recipe, None
    folder = data if "/" in data or Path(data).is_dir() else None
    kind = "cost2100_in" if folder else data
    if kind not in ("inh", "umi", "small", "cost2100_in"):
        raise ConfigError(
            f"--data {data}: neither inh, umi or small, nor a folder",
            hint="a folder holds CsiNet's COST2100 files, DATA_Htrainin.mat and so on",
        )
    other = recipe.data.model_copy(update={"kind": kind})
    return recipe.model_copy(update={"data": other}), folder


def train_csi_here(
    recipe: CsiRecipe,
    folder: Path,
    reporter: Reporter,
    *,
    device: str,
    data: str | None,
    threads: int | None = None,
) -> dict[str, Any]:
    """Train a recipe in ``folder``, going on where an earlier call was stopped, and measure it.

    Args:
        recipe: what to train, on which data.
        folder: of the checkpoint.
        reporter: is shown steps and NMSE.
        device: auto, cpu or cuda.
        data: folder of COST2100 files, for recipes that want such.
        threads: of torch.

    Returns:
        What metrics.json of the checkpoint holds.
    """
    from quant.csi.evaluate import measure_csi
    from quant.csi.train import CsiProgress, CsiTrainOptions, train_csi
    from quant.training_run import kept_of

    steps, place = recipe.train.steps, None if data is None else Path(data)
    with training_bar(reporter, recipe, folder, steps) as (bar, tell):

        def progress(now: CsiProgress) -> None:
            val = "" if now.val_nmse_db is None else f", validation {now.val_nmse_db:.2f} dB"
            tell(now.step, f"{now.train_nmse_db:.2f} dB{val}")

        def on_step(step: int, nmse: float) -> None:
            bar(step, steps)
            bar.doing(f"NMSE {10.0 * math.log10(nmse):.2f} dB")

        def drawing(done: int, total: int) -> None:
            drawn = f"{done:,} of {total:,} samples, drawn"
            bar.doing(drawn)
            reporter.kept = lambda: "; ".join(filter(None, (drawn, kept_of(folder, recipe, steps))))

        options = CsiTrainOptions(
            device=device,
            threads=threads,
            cost2100=place,
            on_step=on_step,
            doing=bar.doing,
            drawing=drawing,
        )
        with storage_guard(folder):
            train_csi(recipe, folder, options, progress)
            bar.doing("measures NMSE and rho")
            body: dict[str, Any] = measure_csi(folder, cost2100=place)
    return body


def csi_checkpoint(config: BuildConfig) -> Path:
    """Folder of the checkpoint that the build names: a shipped one, or a path."""
    from quant.csi.checkpoint import csi_checkpoint_folder

    name = str(config.network.checkpoint)
    return Path(name) if "/" in name else csi_checkpoint_folder(name)

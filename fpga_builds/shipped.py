# SPDX-License-Identifier: Apache-2.0
"""Where the checkpoint of a build lies; asks no torch."""

from __future__ import annotations

from pathlib import Path

from fpga_builds.config import BUILDS_FOLDER, BuildConfig
from models.errors import ConfigError
from models.limits import parse_toml, read_text

FILES = ("weights.safetensors", "recipe.json", "metrics.json")
"""Of a checkpoint, what the results of a build follow from."""
SHIPPED = BUILDS_FOLDER.parent / "quant" / "checkpoints"
SHIPPED_CSI = BUILDS_FOLDER.parent / "quant" / "csi" / "checkpoints"


def checkpoint_path(config: BuildConfig) -> Path:
    """Folder of the checkpoint that the build names."""
    name = config.network.checkpoint
    if name is None:
        raise ConfigError(
            f"{config.name}: is made from a QONNX model, there is nothing to train",
            hint="`phyfold compile` starts from the model",
        )
    return Path(name) if "/" in name else (SHIPPED if config.csi is None else SHIPPED_CSI) / name


def checkpoint_files(folder: Path) -> tuple[Path, ...]:
    """What a build of the checkpoint in ``folder`` follows from, present or not.

    Of a shipped checkpoint that is not there, which is trained then: its recipe, and the same of
    the checkpoints that the training starts from and learns from.
    """
    found: dict[Path, None] = {}
    pending = [folder]
    while pending:
        place = pending.pop()
        recipe = place.parent.parent / "recipes" / f"{place.name}.toml"
        files = [place / name for name in FILES]
        if not (place / "recipe.json").is_file() and recipe.is_file():
            files.append(recipe)
            pending += [place.with_name(name) for name in _others(recipe)]
        if files[0] in found:
            break  # recipes in a circle: training says so
        found.update(dict.fromkeys(files))
    return tuple(found)


def _others(recipe: Path) -> list[str]:
    """Names of the checkpoints that a recipe's training loads."""
    try:
        train = parse_toml(read_text(recipe)).get("train", {})
    except (OSError, ValueError):
        return []  # training says what is wrong with it
    names = [train.get(key) for key in ("init", "teacher")] if isinstance(train, dict) else []
    return [name for name in names if isinstance(name, str)]

# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: safetensors beside the recipe that made them. Nothing is ever unpickled.

A checkpoint is a folder::

    recipe.json          the complete recipe
    weights.safetensors  parameters and scales, with the SHA-256 of the recipe in its header
    log.csv              learning curve
    metrics.json         BER with its confidence interval, frames and command

`state.safetensors` (optimiser, random generator, masks, step) is there while a training runs; with
it a killed training goes on exactly where it was. Files are written beside their place and renamed,
so that a full disk or a kill leaves the last good one.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_bytes
from safetensors.torch import save as save_bytes
from torch import Tensor

from models.errors import CheckpointError
from models.files import write_atomic
from models.fullycon import FullyCon
from models.limits import TENSOR_BYTES, parse_json, read_bytes, read_text
from quant.network import QuantFullyCon, scales_of, shape_of
from quant.recipe import NamedRecipe, R, Recipe

CHECKPOINT_FOLDER = Path(__file__).parent / "checkpoints"


def recipe_hash(recipe: NamedRecipe) -> str:
    """SHA-256 of the recipe's JSON without defaults: a new optional key leaves old hashes alone."""
    return hashlib.sha256(recipe.model_dump_json(exclude_defaults=True).encode()).hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], recipe: NamedRecipe) -> None:
    """Write tensors with the recipe's hash and a checksum of the content."""
    plain = {k: v.detach().cpu().contiguous().clone() for k, v in tensors.items()}
    digest = _content_hash(plain)
    header = {"recipe_sha256": recipe_hash(recipe), "content_sha256": digest, "format": "phyfold-1"}
    # one metadata key: safetensors writes several in random order, and files must be byte-stable
    write_atomic(path, save_bytes(plain, metadata={"phyfold": json.dumps(header)}))


def load_tensors(path: Path, recipe: NamedRecipe | None = None) -> dict[str, Tensor]:
    """Read and check tensors written by `save_tensors`.

    Raises:
        CheckpointError: missing, truncated, altered, or made by another recipe.
    """
    try:
        data = read_bytes(path, TENSOR_BYTES)
        tensors: dict[str, Tensor] = load_bytes(data)
        size = int.from_bytes(data[:8], "little")
        metadata = parse_json(data[8 : 8 + size].decode()).get("__metadata__", {})
        header = parse_json(metadata.get("phyfold", "{}"))
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{path}: no such checkpoint", hint="`phyfold train` makes it"
        ) from error
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(
            f"{path}: not a readable safetensors file ({error})",
            hint="restore it from the repository, or train it again with `phyfold train`",
        ) from error
    if header.get("content_sha256") != _content_hash(tensors):
        raise CheckpointError(
            f"{path}: its content does not match the checksum in its header: the file is damaged",
            hint="restore it from the repository, or train it again with `phyfold train`",
        )
    if recipe is not None and header.get("recipe_sha256") != recipe_hash(recipe):
        raise CheckpointError(
            f"{path}: was made by another recipe than {recipe.name!r} as it reads now",
            hint="train it again, or restore the recipe beside it",
        )
    return tensors


def _content_hash(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key]
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def network_tensors(network: FullyCon | QuantFullyCon) -> dict[str, Tensor]:
    """Parameters and scales of a network, by name."""
    tensors: dict[str, Tensor] = {}
    for index, layer in enumerate(network.layers):
        tensors[f"layers.{index}.weight"] = layer.weight.detach()
        tensors[f"layers.{index}.bias"] = layer.bias.detach()
    if isinstance(network, QuantFullyCon):
        weight_log2, act_log2 = scales_of(network)
        for index, value in enumerate(weight_log2):
            tensors[f"layers.{index}.weight_scale_log2"] = value
        tensors["act_scale_log2"] = torch.tensor(act_log2, dtype=torch.int32)
    return tensors


def build_network(recipe: Recipe, tensors: Mapping[str, Tensor]) -> FullyCon | QuantFullyCon:
    """The network of ``recipe`` with these parameters.

    Raises:
        CheckpointError: a tensor is missing or has another shape than the recipe says.
    """
    shape = shape_of(recipe)
    try:
        if recipe.quant is None:
            network: FullyCon | QuantFullyCon = FullyCon(shape)
        else:
            log2 = [tensors[f"layers.{i}.weight_scale_log2"] for i in range(shape.depth + 1)]
            network = QuantFullyCon(shape, recipe.quant, log2, tensors["act_scale_log2"].tolist())
        with torch.no_grad():
            for index, layer in enumerate(network.layers):
                for key in ("weight", "bias"):
                    name = f"layers.{index}.{key}"
                    copy_tensor(getattr(layer, key), tensors[name], name)
    except KeyError as error:
        raise CheckpointError(
            f"checkpoint of {recipe.name}: tensor {error} is missing", hint="train it again"
        ) from error
    return network


def copy_tensor(target: Tensor, source: Tensor, name: str) -> None:
    """Copy a parameter of a checkpoint; refuses another shape."""
    if target.shape != source.shape:
        raise CheckpointError(
            f"{name} is {tuple(source.shape)} in the checkpoint, but the recipe's "
            f"network has {tuple(target.shape)}: the two do not belong together"
        )
    target.copy_(source)


def save_checkpoint(folder: Path, recipe: Recipe, network: FullyCon | QuantFullyCon) -> None:
    """Write recipe.json and weights.safetensors to ``folder``."""
    save_tensors(folder / "weights.safetensors", network_tensors(network), recipe)
    write_atomic(folder / "recipe.json", recipe.model_dump_json(indent=1).encode() + b"\n")


def load_checkpoint(folder: Path) -> tuple[Recipe, FullyCon | QuantFullyCon]:
    """(recipe, network in eval mode) of a checkpoint folder.

    Raises:
        CheckpointError: missing, damaged, or recipe and weights do not fit each other.
    """
    recipe = saved_recipe(Recipe, folder, CHECKPOINT_FOLDER)
    network = build_network(recipe, load_tensors(folder / "weights.safetensors", recipe))
    return recipe, network.eval()


def saved_recipe(kind: type[R], folder: Path, shipped: Path) -> R:
    """The recipe of a checkpoint; ``shipped`` is the folder whose checkpoints an error names."""
    path = folder / "recipe.json"
    try:
        return kind.model_validate_json(read_text(path))
    except FileNotFoundError as error:
        known = ", ".join(sorted(p.name for p in shipped.glob("*") if p.is_dir()))
        raise CheckpointError(
            f"{folder}: no checkpoint there (recipe.json is missing); shipped: {known}",
            hint="`phyfold train` makes one",
        ) from error
    except (ValueError, OSError) as error:
        raise CheckpointError(f"{path}: not a valid recipe: {error}") from error


def checkpoint_folder(name: str) -> Path:
    """Folder of a shipped checkpoint."""
    return CHECKPOINT_FOLDER / name

# SPDX-License-Identifier: Apache-2.0
"""Checkpoints: round trip, damage, foreign recipes, full disk."""

import errno
import os
from pathlib import Path

import pytest
import torch

from models.errors import CheckpointError, StorageError
from models.files import write_atomic
from models.fullycon import FullyCon, FullyConShape
from quant.checkpoint import (
    CHECKPOINT_FOLDER,
    load_checkpoint,
    load_tensors,
    save_checkpoint,
)
from quant.network import calibrate
from quant.recipe import NetworkConfig, QuantConfig, Recipe, load_recipe

SMALL = NetworkConfig(inputs=8, width=12, depth=2, bits=4)
SHAPE = FullyConShape(8, 12, 2, 4)


def make(folder: Path, scale: str = "tensor") -> Recipe:
    torch.manual_seed(3)
    quant = QuantConfig(weight_bits=4, act_bits=4, weight_scale=scale)
    recipe = Recipe(name="small", network=SMALL, quant=quant)
    save_checkpoint(folder, recipe, calibrate(FullyCon(SHAPE), quant, torch.randn(200, 8)))
    return recipe


@pytest.mark.parametrize("scale", ["tensor", "channel"])
def test_round_trip_gives_the_same_outputs(tmp_path: Path, scale: str) -> None:
    recipe = make(tmp_path, scale)
    loaded, first = load_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "again", loaded, first)
    _, second = load_checkpoint(tmp_path / "again")
    y = torch.randn(50, 8)
    with torch.no_grad():
        assert torch.equal(first(y), second(y))
    assert loaded == recipe


def test_flipped_bit_is_noticed(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "weights.safetensors"
    data = bytearray(path.read_bytes())
    data[-5] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(
        CheckpointError, match=r"weights\.safetensors: .*does not match the checksum"
    ):
        load_checkpoint(tmp_path)


def test_truncated_file_is_noticed(tmp_path: Path) -> None:
    make(tmp_path)
    path = tmp_path / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_checkpoint(tmp_path)


def test_pickle_is_never_loaded(tmp_path: Path) -> None:
    make(tmp_path)
    torch.save({"layers.0.weight": torch.zeros(1)}, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_checkpoint(tmp_path)


def test_recipe_of_another_network_is_refused(tmp_path: Path) -> None:
    recipe = make(tmp_path)
    other = recipe.model_copy(update={"name": "other"})
    with pytest.raises(CheckpointError, match="made by another recipe than 'other'"):
        load_tensors(tmp_path / "weights.safetensors", other)


def test_missing_checkpoint_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"recipe\.json is missing\); shipped:"):
        load_checkpoint(tmp_path / "none")


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=r"no space left.*untouched"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("name", sorted(p.name for p in CHECKPOINT_FOLDER.glob("*")))
def test_shipped_checkpoint_loads_and_is_what_its_name_says(name: str) -> None:
    recipe, network = load_checkpoint(CHECKPOINT_FOLDER / name)
    assert recipe.name == name
    if recipe.pruning is None:
        return
    for layer in network.layers:
        codes = layer.quant_weight().int()
        zeros = float((codes == 0).float().mean())
        if recipe.pruning.scope == "layer":
            assert zeros >= recipe.pruning.target - 1e-6
        if recipe.pruning.kind == "balanced":
            counts = (codes.reshape(codes.shape[0], -1, recipe.pruning.block) != 0).sum(dim=-1)
            assert int(counts.max()) <= (recipe.pruning.nnz or 0)


@pytest.mark.parametrize("name", sorted(p.name for p in CHECKPOINT_FOLDER.glob("*")))
def test_shipped_checkpoint_was_made_by_the_shipped_recipe(name: str) -> None:
    recipe, _ = load_checkpoint(CHECKPOINT_FOLDER / name)
    assert recipe == load_recipe(name)
    assert int(
        (CHECKPOINT_FOLDER / name / "log.csv").read_text().splitlines()[-1].split(",")[0]
    ) == (recipe.train.steps)

# SPDX-License-Identifier: Apache-2.0
"""Training: it learns, it resumes exactly, it is reproducible."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from models.errors import CheckpointError, ConfigError
from quant.checkpoint import load_checkpoint
from quant.recipe import NetworkConfig, PruningConfig, QuantConfig, Recipe, TrainConfig
from quant.train import (
    FrameSource,
    TrainOptions,
    detection_loss,
    pick_device,
    quick_ber,
    system_of,
    train_recipe,
)

SMALL = NetworkConfig(inputs=8, width=24, depth=2, bits=4)


def recipe(steps: int = 60, pruned: bool = False, quantized: bool = True) -> Recipe:
    return Recipe(
        name="small",
        network=SMALL,
        quant=QuantConfig(weight_bits=4, act_bits=4) if quantized else None,
        pruning=PruningConfig(kind="balanced", block=4, nnz=2, every_steps=5) if pruned else None,
        train=TrainConfig(steps=steps, batch=64, warmup_steps=5, precision="float32"),
    )


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("pruned", [False, True], ids=["dense", "pruned"])
def test_interrupted_training_ends_with_the_same_bits(tmp_path: Path, pruned: bool) -> None:
    job = recipe(pruned=pruned)
    train_recipe(job, tmp_path / "whole", TrainOptions(log_every=10))
    train_recipe(job, tmp_path / "parts", TrainOptions(log_every=10, stop_after=23))
    assert not (tmp_path / "parts" / "weights.safetensors").exists()
    train_recipe(job, tmp_path / "parts", TrainOptions(log_every=10, stop_after=41))
    train_recipe(job, tmp_path / "parts", TrainOptions(log_every=10))
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    assert not (tmp_path / "parts" / "state.safetensors").exists()


def test_killed_process_loses_nothing_that_was_saved(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from quant.recipe import Recipe;"
        "from quant.train import TrainOptions, train_recipe;"
        "job = Recipe.model_validate_json(sys.argv[1]);"
        "options = TrainOptions(log_every=5, save_every_s=0.0, threads=1);"
        "train_recipe(job, Path(sys.argv[2]), options)"
    )
    job = recipe(steps=200)
    folder, log = tmp_path / "killed", tmp_path / "killed" / "log.csv"
    process = subprocess.Popen([sys.executable, "-c", code, job.model_dump_json(), str(folder)])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # until a row is saved: the first state lies at step 0
        if log.exists() and len(log.read_text().splitlines()) > 1:
            break
        time.sleep(0.05)
    process.kill()
    process.wait()
    assert (folder / "state.safetensors").exists()
    options = TrainOptions(log_every=5, threads=1)
    train_recipe(job, folder, options)
    train_recipe(job, tmp_path / "whole", options)
    assert weights(folder) == weights(tmp_path / "whole")


def test_training_learns_to_detect(tmp_path: Path) -> None:
    job = recipe(steps=400, quantized=False)
    network = train_recipe(job, tmp_path, TrainOptions(log_every=100))
    system = system_of(job.channel, 8, 4)
    assert quick_ber(network, system, 10.0) < 0.02
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[0].startswith("step,loss")
    assert float(lines[-1].split(",")[1]) < float(lines[1].split(",")[1])


def test_finished_training_is_not_repeated(tmp_path: Path) -> None:
    job = recipe(steps=20)
    train_recipe(job, tmp_path)
    stamp = (tmp_path / "weights.safetensors").stat().st_mtime_ns
    train_recipe(job, tmp_path)
    assert (tmp_path / "weights.safetensors").stat().st_mtime_ns == stamp


def test_state_of_another_recipe_is_refused(tmp_path: Path) -> None:
    train_recipe(recipe(), tmp_path, TrainOptions(stop_after=10))
    with pytest.raises(CheckpointError, match="another recipe"):
        train_recipe(recipe(steps=61), tmp_path)


def test_quantized_starts_from_the_float_network(tmp_path: Path) -> None:
    start = train_recipe(recipe(quantized=False), tmp_path / "float")
    job = recipe(steps=1)
    job = job.model_copy(
        update={"train": job.train.model_copy(update={"init": "float", "lr": 1e-9})}
    )
    options = TrainOptions(checkpoints=tmp_path)
    network = train_recipe(job, tmp_path / "quant", options)
    assert torch.allclose(network.layers[1].weight, start.layers[1].weight, atol=1e-6)
    assert load_checkpoint(tmp_path / "quant")[0] == job


def test_student_learns_from_its_teacher(tmp_path: Path) -> None:
    train_recipe(recipe(steps=400, quantized=False), tmp_path / "teacher")
    job = recipe(steps=150)
    update = {"init": "teacher", "teacher": "teacher", "lr": 0.005}
    job = job.model_copy(update={"train": job.train.model_copy(update=update)})
    network = train_recipe(job, tmp_path / "student", TrainOptions(checkpoints=tmp_path))
    assert quick_ber(network, system_of(job.channel, 8, 4), 10.0) < 0.03


def test_loss_of_sent_bits_is_the_softplus() -> None:
    outputs = torch.randn(5, 8)
    x = torch.randint(0, 2, (5, 4)).float() * 2 - 1
    expected = torch.nn.functional.softplus(-x * (outputs[:, 0::2] - outputs[:, 1::2])).mean()
    assert float(detection_loss(outputs, x)) == pytest.approx(float(expected), rel=1e-5)


def test_projected_noise_has_the_variance_inside_the_column_space() -> None:
    job = recipe()
    system = system_of(job.channel, 8, 4)
    update = {"snr_db": (9.0, 9.0), "project_noise": True}
    job = job.model_copy(update={"train": job.train.model_copy(update=update)})
    source = FrameSource(system, job, torch.device("cpu"))
    x, y = source.draw(20_000)
    noise = y - x @ torch.tensor(system.h.T, dtype=torch.float32)
    basis = torch.linalg.qr(torch.tensor(system.h)).Q.float()
    inside = noise @ basis
    assert torch.allclose(inside @ basis.T, noise, atol=1e-5)
    assert float(inside.var()) == pytest.approx(system.noise_variance(9.0), rel=0.03)


def test_network_trained_on_projected_noise_is_blind_to_the_rest(tmp_path: Path) -> None:
    job = recipe(quantized=False)
    job = job.model_copy(update={"train": job.train.model_copy(update={"project_noise": True})})
    network = train_recipe(job, tmp_path)
    h = torch.tensor(system_of(job.channel, 8, 4).h)
    q = torch.linalg.qr(h, mode="complete").Q.float()
    y = torch.randn(100, 8)
    with torch.no_grad():
        shifted = network(y + torch.randn(100, 4) @ q[:, 4:].T)
        assert torch.allclose(network(y), shifted, atol=1e-4)


def test_device_errors_name_the_choices() -> None:
    with pytest.raises(ConfigError, match="choices are auto, cpu, cuda"):
        pick_device("tpu")

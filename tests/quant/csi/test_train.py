# SPDX-License-Identifier: Apache-2.0
"""Training: it learns, it resumes exactly, it prunes; checkpoints, their metrics, the commands."""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.csi.csinet import CsiNet
from models.csi.data import CsiData
from models.csi.metrics import angular_delay, count, to_complex, to_real
from models.errors import CheckpointError, ConfigError
from quant.csi.__main__ import main
from quant.csi.checkpoint import load_csi_checkpoint, save_csi_checkpoint
from quant.csi.data import BatchSource, load_csi
from quant.csi.evaluate import csi_cost, evaluate, measure_csi
from quant.csi.network import QuantCsiAutoencoder, quant_convs
from quant.csi.recipe import (
    CsiDataConfig,
    CsiNetworkConfig,
    CsiQuantConfig,
    CsiRecipe,
    CsiTrainConfig,
)
from quant.csi.train import CsiProgress, CsiTrainer, CsiTrainOptions, train_csi
from quant.measured import read_measured
from quant.recipe import PruningConfig

OPTIONS = CsiTrainOptions(log_every=2, threads=1)


def recipe(kind: str = "squ", name: str = "small", **changes: object) -> CsiRecipe:
    sections: dict[str, object] = {
        "network": CsiNetworkConfig(kind=kind, ratio=16),
        "data": CsiDataConfig(kind="small"),
        "train": CsiTrainConfig(steps=6, batch=8, warmup_steps=2, precision="float32"),
    }
    return CsiRecipe.model_validate({"name": name, **sections, **changes})


def short(steps: int = 6, **changes: object) -> CsiTrainConfig:
    return CsiTrainConfig.model_validate(
        {"steps": steps, "batch": 8, "warmup_steps": 2, "precision": "float32", **changes}
    )


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, small: CsiData) -> Path:
    """Folder of checkpoints with a short float training in "small"."""
    folder = tmp_path_factory.mktemp("checkpoints")
    train_csi(recipe(train=short(100, batch=32)), folder / "small", OPTIONS, data=small)
    return folder


def weights(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


PRUNED = PruningConfig(kind="balanced", block=4, nnz=2, every_steps=2, end=0.5)
JOBS = {
    "float": recipe(),
    "quantized": recipe(quant=CsiQuantConfig(weight_bits=4, act_bits=4, code_bits=4)),
    "pruned": recipe(quant=CsiQuantConfig(), pruning=PRUNED),
    "adamw": recipe(train=short(optimizer="adamw", lr=1e-3)),
    "csinet": recipe("csinet", train=short(optimizer="adamw", lr=1e-3)),
}


@pytest.mark.parametrize("job", JOBS.values(), ids=JOBS.keys())
def test_interrupted_training_ends_with_the_same_bits(
    tmp_path: Path, small: CsiData, job: CsiRecipe
) -> None:
    train_csi(job, tmp_path / "whole", OPTIONS, data=small)
    for stop in (2, 5):
        options = CsiTrainOptions(log_every=2, threads=1, stop_after=stop)
        train_csi(job, tmp_path / "parts", options, data=small)
        assert not (tmp_path / "parts" / "weights.safetensors").exists()
    train_csi(job, tmp_path / "parts", OPTIONS, data=small)
    assert weights(tmp_path / "whole") == weights(tmp_path / "parts")
    assert not (tmp_path / "parts" / "state.safetensors").exists()
    rows = (tmp_path / "parts" / "log.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows] == ["step", "2", "4", "6"]


def test_training_learns_and_says_so(trained: Path, small: CsiData) -> None:
    job, network = load_csi_checkpoint(trained / "small")
    point = evaluate(network, small.test)
    assert point.nmse_db < -1.5
    assert 0.5 < point.rho <= 1.0
    assert evaluate(network, small.test).nmse_db == point.nmse_db
    seen: list[CsiProgress] = []
    assert train_csi(job, trained / "small", OPTIONS, seen.append).training is False
    assert not seen  # what is finished is not trained again


def test_quantized_network_starts_from_the_float_one(
    trained: Path, tmp_path: Path, small: CsiData
) -> None:
    options = CsiTrainOptions(threads=1, checkpoints=trained)
    job = recipe(
        name="fine", quant=CsiQuantConfig(), train=short(1, init="small", lr=1e-6, other_lr=1e-6)
    )
    network = train_csi(job, tmp_path, options, data=small)
    before = evaluate(load_csi_checkpoint(trained / "small")[1], small.test)
    assert abs(evaluate(network, small.test).nmse_db - before.nmse_db) < 0.5


def test_init_must_fit(trained: Path, tmp_path: Path, small: CsiData) -> None:
    options = CsiTrainOptions(threads=1, checkpoints=trained)
    with pytest.raises(ConfigError, match=r"train\.init='small' is "):
        train_csi(recipe("conv", train=short(init="small")), tmp_path, options, data=small)
    with pytest.raises(CheckpointError, match="no checkpoint there"):
        train_csi(recipe(train=short(init="none")), tmp_path, options, data=small)


def test_balanced_pruning_of_kernels(tmp_path: Path, small: CsiData) -> None:
    network = train_csi(JOBS["pruned"], tmp_path, OPTIONS, data=small)
    assert isinstance(network, QuantCsiAutoencoder)
    pruned = 0
    for unit in quant_convs(network):
        rows = unit.conv.weight.detach().permute(0, 2, 3, 1).reshape(unit.cost.outputs, -1)
        if rows.shape[1] % 4 == 0:
            blocks = (rows != 0).reshape(len(rows), -1, 4).sum(dim=2)
            assert int(blocks.max()) <= 2
            pruned += 1
    assert pruned > 10
    cost = csi_cost(JOBS["pruned"], network)
    assert 0.45 < cost.sparsity < 0.6
    convs = [unit.cost for unit in quant_convs(network)]
    whole = [conv for conv in convs if conv.inputs * conv.kernel**2 % 4]
    halved = [conv for conv in convs if conv not in whole]
    assert whole
    assert halved
    left = sum(conv.weights for conv in whole) + sum(conv.weights // 2 for conv in halved)
    assert cost.kept_weights == left
    assert cost.kept_macs == sum(c.macs for c in whole) + sum(c.macs // 2 for c in halved)
    assert cost.weights > cost.kept_weights
    bits = 8 * left + 2 * sum(conv.weights // 2 for conv in halved)  # four places: two bits
    assert cost.weight_memory_bits == bits


def test_metrics_beside_the_checkpoint(trained: Path, small: CsiData) -> None:
    result = measure_csi(trained / "small", small)
    assert read_measured(trained / "small") == result
    network = load_csi_checkpoint(trained / "small")[1]
    assert result["nmse_db"] == count(small.test, _output(network, small.test)).nmse_db
    assert result["ci95"][0] < result["nmse_db"] < result["ci95"][1]
    assert result["budget"]["samples"] == 3200
    assert result["cost"]["feedback_bits"] == 128 * 32
    assert result["cost"]["weights"] == recipe().spec.weights


def _output(network: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        y: np.ndarray = network(torch.from_numpy(np.array(x))).numpy()
    return y


def test_cost_of_a_quantized_network_and_of_csinet(small: CsiData) -> None:
    job = JOBS["quantized"]
    network = CsiNet(16)
    cost = csi_cost(recipe("csinet"), network)
    assert cost.weights == 2 * 2048 * 128 + 36 + 2 * (144 + 1152 + 288) + 36
    assert cost.encoder_macs == 36 * 1024 + 2048 * 128
    assert job.feedback_bits == 128 * 4


def test_checkpoint_round_trip_and_damage(trained: Path, tmp_path: Path) -> None:
    job, network = load_csi_checkpoint(trained / "small")
    save_csi_checkpoint(tmp_path, job, network)
    assert weights(tmp_path) == weights(trained / "small")
    (tmp_path / "weights.safetensors").write_bytes(weights(tmp_path)[:-5])
    with pytest.raises(CheckpointError, match="not a readable safetensors file"):
        load_csi_checkpoint(tmp_path)
    save_csi_checkpoint(tmp_path, job, network)
    changed = job.model_copy(update={"network": CsiNetworkConfig(kind="conv", ratio=16)})
    (tmp_path / "recipe.json").write_text(changed.model_dump_json())
    with pytest.raises(CheckpointError, match="another recipe"):
        load_csi_checkpoint(tmp_path)
    (tmp_path / "recipe.json").write_text("{}")
    with pytest.raises(CheckpointError, match="not a valid recipe"):
        load_csi_checkpoint(tmp_path)


def test_augmentation_is_a_symmetry_of_the_array() -> None:
    """Numbering the antennas from the other end, and a common phase, in the antenna domain."""
    rng = np.random.default_rng(0)
    h = rng.standard_normal((1, 32, 257)) + 1j * rng.standard_normal((1, 32, 257))
    x = to_real(angular_delay(h))
    mirrored = to_complex(to_real(angular_delay(h[:, ::-1])))
    source = BatchSource(x, 64, True, 1, torch.device("cpu"))
    drawn = to_complex(source.draw().numpy())
    kinds = set()
    for matrix in drawn:
        for name, other in (("plain", to_complex(x)[0]), ("mirrored", mirrored[0])):
            ratio = np.vdot(other, matrix) / np.vdot(other, other)
            if np.allclose(matrix, ratio * other, atol=1e-4):
                assert abs(abs(ratio) - 1.0) < 1e-4
                kinds.add(name)
                break
        else:
            pytest.fail("neither the sample nor its mirror image")
    assert kinds == {"plain", "mirrored"}


def test_plain_batches_are_samples(small: CsiData) -> None:
    source = BatchSource(small.train, 5, False, 1, torch.device("cpu"))
    flat = {sample.tobytes() for sample in np.ascontiguousarray(small.train)}
    assert all(x.numpy().tobytes() in flat for x in source.draw().contiguous())


def test_cost2100_needs_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PHYFOLD_COST2100", raising=False)
    config = CsiDataConfig(kind="cost2100_in")
    with pytest.raises(ConfigError, match="no folder of COST2100 files"):
        load_csi(config)
    monkeypatch.setenv("PHYFOLD_COST2100", str(tmp_path))
    with pytest.raises(ConfigError, match=r"DATA_Htrainin\.mat: no such file"):
        load_csi(config)


def test_commands(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    job = recipe(quant=CsiQuantConfig(), train=short(2))
    path = tmp_path / "small.toml"
    path.write_text(
        'name = "small"\n[network]\nkind = "squ"\nratio = 16\n[data]\nkind = "small"\n[quant]\n'
        '[train]\nsteps = 2\nbatch = 8\nwarmup_steps = 2\nprecision = "float32"\n'
    )
    assert main(["train", str(path), "--out", str(tmp_path / "out"), "--threads", "1"]) == 0
    assert load_csi_checkpoint(tmp_path / "out")[0] == job
    assert (tmp_path / "out" / "metrics.json").exists()
    with pytest.raises(SystemExit) as caught:
        main(["measure", str(tmp_path / "nowhere")])
    assert caught.value.code == 2
    assert "no checkpoint there" in capsys.readouterr().err


def test_start_from_another_ratio(trained: Path, small: CsiData, tmp_path: Path) -> None:
    """All layers but those around the codeword come from the other network."""
    options = CsiTrainOptions(log_every=2, threads=1, checkpoints=trained)
    other = recipe(
        network=CsiNetworkConfig(kind="squ", ratio=8), train=short(1, init="small", lr=1e-9)
    )
    train_csi(other, tmp_path / "other", options, data=small)
    ours = load_csi_checkpoint(tmp_path / "other")[1].state_dict()
    theirs = load_csi_checkpoint(trained / "small")[1].state_dict()
    changed = {k for k in ours if ours[k].shape != theirs[k].shape}
    assert {k.split(".conv")[0].split(".norm")[0] for k in changed} == {"encoder.5", "decoder.0"}
    for name in set(ours) - changed:
        if name.endswith("conv.weight"):
            torch.testing.assert_close(ours[name], theirs[name], atol=1e-6, rtol=0)


def test_start_of_another_kind_is_refused(trained: Path, small: CsiData, tmp_path: Path) -> None:
    options = CsiTrainOptions(threads=1, checkpoints=trained)
    other = recipe("conv", train=short(init="small"))
    with pytest.raises(ConfigError, match="only floating-point networks of one kind"):
        train_csi(other, tmp_path, options, data=small)
    quantized = recipe(
        network=CsiNetworkConfig(kind="squ", ratio=8),
        quant=CsiQuantConfig(),
        train=short(init="small"),
    )
    with pytest.raises(ConfigError, match="only floating-point networks of one kind"):
        train_csi(quantized, tmp_path, options, data=small)


@pytest.mark.parametrize(
    ("able", "low"),
    [({}, False), ({"avx512_bf16": True}, True), ({"avx512_bf16": False, "amx_bf16": True}, True)],
    ids=["none", "avx512", "amx"],
)
def test_bfloat16_only_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    small: CsiData,
    able: dict[str, bool],
    low: bool,
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    options = CsiTrainOptions(device="cpu", threads=1)
    trainer = CsiTrainer(recipe(), tmp_path, options, small)
    for precision, wanted in (("bfloat16", low), ("float32", False)):
        with trainer.autocast(precision, 1.0):
            assert torch.is_autocast_enabled("cpu") is wanted

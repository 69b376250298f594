# SPDX-License-Identifier: Apache-2.0
"""A figure in a build's folder is believed only whole: of single-bit flips none changes one."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
from fake_bench import bench, config_of, context_of

from fpga_builds.metrics import Metric
from fpga_builds.state import StepRecord, load_record
from fpga_builds.steps.rtl_count import count_chunks
from fpga_builds.steps.train import keep_checkpoint
from models import sealed
from models.sealed import read_sealed, write_sealed
from quant.checkpoint import checkpoint_folder
from quant.measured import read_measured

FLIPS = 2000


def flips(text: bytes, count: int, seed: int) -> list[bytes]:
    """``text`` with one bit flipped, ``count`` times, everywhere in it."""
    rng = np.random.default_rng(seed)
    found = []
    for place in rng.choice(len(text) * 8, count, replace=count > len(text) * 8).tolist():
        flipped = bytearray(text)
        flipped[place // 8] ^= 1 << place % 8
        found.append(bytes(flipped))
    return found


def simulate_record(folder: Path) -> StepRecord:
    """A record as the simulate step leaves it."""
    folder.mkdir()
    (folder / "simulation.json").write_text("{}")
    rng = np.random.default_rng(1)
    points = [
        {"snr_db": float(snr), "bits": 600_000, "errors": int(rng.integers(1000)),
         "ber": float(rng.random()), "ci95": rng.random(2).tolist()}
        for snr in range(8, 13)
    ]  # fmt: skip
    metrics = tuple(
        Metric(f"ber.snr_{p['snr_db']:g}", p["ber"], "1", "lower", "rtlsim", "verilator",
               ci95=(p["ci95"][0], p["ci95"][1])) for p in points
    )  # fmt: skip
    info = {"frames": 100_000, "seed": 1, "ii_cycles": 1500.0, "points": points}
    depends = {f"program text of {name}.py": f"{rng.integers(2**60):064x}" for name in "abcdef"}
    files = {"simulation": "simulation.json"}
    return StepRecord("simulate", folder, "ab" * 32, depends, files, metrics, info, {"g++": "12"})


def test_no_flip_in_a_step_record_changes_a_figure(tmp_path: Path) -> None:
    record = simulate_record(tmp_path / "50-simulate")
    record.save()
    path = record.folder / "state.json"
    whole = load_record(record.folder)
    assert whole is not None
    refused = 0
    for text in flips(path.read_bytes(), FLIPS, seed=1):
        path.write_bytes(text)
        loaded = load_record(record.folder)
        assert loaded in (None, whole)  # a flip in a space between two fields changes nothing
        refused += loaded is None
    assert refused > 0.9 * FLIPS


def test_no_flip_in_a_counted_chunk_changes_a_count(tmp_path: Path) -> None:
    config = config_of(snr_db=[0.0], frames=100)
    context = context_of(config, tmp_path)
    counted = count_chunks(context, bench(config))
    (path,) = (context.cache / "simulate").rglob("*.json")
    belongs_to = json.loads(path.read_text())["belongs_to"]
    for text in flips(path.read_bytes(), FLIPS, seed=2):
        path.write_bytes(text)
        assert read_sealed(path, belongs_to) in (None, counted[0])


def test_no_flip_in_measured_figures_of_a_checkpoint_is_believed(tmp_path: Path) -> None:
    shutil.copytree(checkpoint_folder("fullycon_w4a4"), tmp_path / "c")
    path = tmp_path / "c" / "metrics.json"
    whole = read_measured(tmp_path / "c")
    assert whole is not None
    for text in flips(path.read_bytes(), 200, seed=3):
        path.write_bytes(text)
        assert read_measured(tmp_path / "c") in (None, whole)


def test_edited_figures_of_a_checkpoint_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "c"
    shutil.copytree(checkpoint_folder("fullycon_w4a4"), source)
    assert keep_checkpoint(source, tmp_path / "good")["points"]
    path = source / "metrics.json"
    path.write_text(path.read_text().replace('"errors": 144014', '"errors": 14'))
    with caplog.at_level(logging.WARNING):
        assert keep_checkpoint(source, tmp_path / "edited") == {}
    assert "metrics.json is damaged, edited or of something else" in caplog.text


def test_figures_measured_with_other_weights_are_left_out(tmp_path: Path) -> None:
    shutil.copytree(checkpoint_folder("fullycon_w4a4"), tmp_path / "c")
    other = checkpoint_folder("fullycon_w8a8") / "weights.safetensors"
    shutil.copyfile(other, tmp_path / "c" / "weights.safetensors")
    assert read_measured(tmp_path / "c") is None


def test_a_chunk_of_another_snr_counts_there_only(tmp_path: Path) -> None:
    """A chunk of 4 dB in the place of one of 0 dB: the latter is counted again."""
    config = config_of(frames=100)
    context = context_of(config, tmp_path)
    counted = count_chunks(context, bench(config))
    low, high = sorted((context.cache / "simulate").rglob("*.json"))
    shutil.copyfile(high, low)
    again: list[int] = []
    assert count_chunks(context, bench(config, on_chunk=lambda: again.append(1))) == counted
    assert len(again) == 1


@pytest.mark.parametrize("text", ["{}", "[]", "", "null", '{"belongs_to": "x"}', "{" * 100_000])
def test_a_damaged_chunk_is_counted_again_and_said_once(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    config = config_of(snr_db=[0.0], frames=200)
    context = context_of(config, tmp_path)
    counted = count_chunks(context, bench(config))
    first, _second = sorted((context.cache / "simulate").rglob("*.json"))
    first.write_text(text)
    with caplog.at_level(logging.WARNING):
        assert count_chunks(context, bench(config)) == counted
    assert caplog.text.count("damaged, edited or of something else") == 1
    assert read_sealed(first) is not None


def test_outputs_beside_a_chunk_are_checked_too(tmp_path: Path) -> None:
    import dataclasses

    config = config_of(snr_db=[0.0], frames=100)
    context = context_of(config, tmp_path)
    keeping = dataclasses.replace(bench(config), keep_outputs=True)
    counted = count_chunks(context, keeping)
    (path,) = (context.cache / "simulate").rglob("*.npy")
    good = path.read_bytes()
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:50], b""):
        path.write_bytes(bad)
        assert count_chunks(context, keeping) == counted
        assert path.read_bytes() == good


def test_the_record_of_another_step_is_not_taken(tmp_path: Path) -> None:
    simulate_record(tmp_path / "50-simulate").save()
    shutil.copytree(tmp_path / "50-simulate", tmp_path / "60-baselines")
    assert load_record(tmp_path / "50-simulate") is not None
    assert load_record(tmp_path / "60-baselines") is None


def test_a_record_belongs_to_one_key(tmp_path: Path) -> None:
    path = write_sealed(tmp_path / "r.json", {"x": 1.5, "y": [1, None]}, "key")
    assert read_sealed(path, "key") == {"x": 1.5, "y": [1, None]}
    assert read_sealed(path) == {"x": 1.5, "y": [1, None]}
    assert read_sealed(path, "other") is None
    assert read_sealed(tmp_path / "none.json", "key") is None


def test_a_record_goes_with_the_files_beside_it(tmp_path: Path) -> None:
    netlist = tmp_path / "netlist.json"
    netlist.write_text("cells")
    path = sealed.seal_files(tmp_path / "synth.json", {"lut": 5}, "key", [netlist])
    assert sealed.read_with_files(path, "key") == {"lut": 5}
    netlist.write_text("sells")
    assert sealed.read_with_files(path, "key") is None

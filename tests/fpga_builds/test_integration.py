# SPDX-License-Identifier: Apache-2.0
"""A tiny detector through the whole flow, by the command line, up to BER counted on its RTL."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import audited_run
import pytest

from fpga_builds.program_text import ROOT, program_text
from fpga_builds.shipped import SHIPPED, checkpoint_files
from models.errors import MismatchError

pytestmark = pytest.mark.verilator

BUILD = """
name = "tiny"
[network]
checkpoint = "./checkpoint"
[channel]
symbols = 4
antennas = 8
rho = 0.3
[folding]
target = "cycles"
cycles = 64
[simulate]
snr_db = [4.0, 8.0]
frames = 600
chunk_frames = 200
baselines = ["zf", "mmse", "ml"]
"""
RECIPE = {
    "name": "tiny",
    "network": {"inputs": 8, "width": 12, "depth": 2, "bits": 4},
    "channel": {"rho": 0.3},
    "quant": {"weight_bits": 4, "act_bits": 3},
    "train": {"steps": 300, "batch": 200, "warmup_steps": 20, "precision": "float32"},
}


@dataclass(frozen=True)
class Finished:
    """A build that ran to its end."""

    build: Path
    out: Path
    result: dict[str, Any]


SHOWN_IN_TRACEBACKS = [ROOT / "fpga_builds" / f"{n}.py" for n in ("cli", "commands", "runner")]
"""Callers of a step, whose lines torch looks up for its messages."""
COMMAND = ("-m", "fpga_builds.cli")


def phyfold(
    *words: object, command: tuple[str, ...] = COMMAND, **environment: str
) -> tuple[int, dict[str, Any], str]:
    """Exit code, JSON and standard error of one command."""
    done = subprocess.run(
        [sys.executable, *command, *map(str, words), "--json"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        check=False,
    )
    return done.returncode, json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Train, then `phyfold run`, once for this file."""
    import torch

    from quant.recipe import parse_recipe
    from quant.train import train_recipe

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("tiny")
    train_recipe(parse_recipe(RECIPE, "test"), root / "checkpoint")
    (root / "build.toml").write_text(BUILD)
    audited = (audited_run.__file__, str(root / "opened"))
    words = ("run", root, "--out", root / "out", "--jobs", 1)
    code, result, log = phyfold(*words, command=audited)
    assert code == 0, (result, log)
    return Finished(root, root / "out", result)


def copy_of(finished: Finished, place: Path, *, simulator: bool = True) -> Path:
    """The finished steps without the simulation; the built simulator if wanted."""
    shutil.copytree(finished.out, place)
    for name in ("50-simulate", "cache/simulate", *(() if simulator else ("cache/verilator",))):
        shutil.rmtree(place / name)
    return place


def counts(result: dict[str, Any]) -> str:
    """What must be equal in two simulations of the same frames."""
    keys = ("frames", "mismatches", "ii_cycles", "latency_cycles", "points", "qonnx_points")
    return json.dumps([result[key] for key in keys])


def test_ber_is_counted_on_rtl_and_every_check_passes(finished: Finished) -> None:
    result = finished.result
    assert result["passed"]
    assert (result["frames"], result["mismatches"]) == (1200, 0)
    assert [p["bits"] for p in result["points"]] == [2400, 2400]
    assert result["points"] == result["qonnx_points"]
    assert 0 < result["points"][1]["ber"] < result["points"][0]["ber"] < 0.2
    ml = result["curves"]["ml"]
    assert all(p["ber"] >= q["ci95"][0] for p, q in zip(result["points"], ml, strict=True))
    assert Path(result["report"]).is_file()
    assert Path(result["plot"]).is_file()


def test_what_a_step_opens_is_in_its_program_text(finished: Finished) -> None:
    """Modules loaded late and files read: all that decides a result is in its key."""
    opened = [json.loads(line) for line in (finished.build / "opened").read_text().splitlines()]
    assert {module.rsplit(".", 1)[1] for module, _ in opened} >= {"compile_step", "hdl", "simulate"}
    text = program_text()
    reference = checkpoint_files(SHIPPED / "fullycon_float")  # an external file of its step
    missing = [
        (module, path)
        for module, path in opened
        if Path(path) not in {*text.files(module), *reference, *SHOWN_IN_TRACEBACKS}
        and "__pycache__" not in path  # numba keeps what it compiled
    ]
    assert missing == []


def test_a_second_run_repeats_nothing(finished: Finished) -> None:
    before = {p: p.stat().st_mtime_ns for p in finished.out.glob("*/state.json")}
    assert len(before) == 6
    code, result, _ = phyfold("run", finished.build, "--out", finished.out)
    assert code == 0
    assert counts(result) == counts(finished.result)
    assert {p: p.stat().st_mtime_ns for p in finished.out.glob("*/state.json")} == before


def test_shards_and_disturbance_do_not_change_a_bit(finished: Finished, tmp_path: Path) -> None:
    out = copy_of(finished, tmp_path / "out")
    code, result, _ = phyfold("simulate", finished.build, "--out", out, "--jobs", 2)
    assert code == 0
    assert counts(result) == counts(finished.result)
    words = ("--gaps", 0.3, "--stalls", 0.3, "--disturb-seed", 5)
    code, disturbed, _ = phyfold("simulate", finished.build, "--out", out, *words)
    assert code == 0
    assert disturbed["points"] == result["points"]
    assert disturbed["disturbed"]
    assert [check["name"] for check in disturbed["checks"]] == ["mismatches", "ber_errors"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill", "ctrl-c"])
def test_an_interrupted_simulation_goes_on(
    finished: Finished, tmp_path: Path, number: signal.Signals
) -> None:
    out = copy_of(finished, tmp_path / "out")
    words = ["simulate", finished.build, "--out", out, "--frames", 40_000, "--snr-db", 4]
    command = [sys.executable, "-m", "fpga_builds.cli", *map(str, words), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 120
        while len(list(out.rglob("snr*.json"))) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(number)
        told = process.communicate(timeout=60)[0]
    kept = {p: p.stat().st_mtime_ns for p in out.rglob("snr*.json")}
    assert 2 <= len(kept) < 200
    assert not (out / "50-simulate").exists()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "goes on from there" in json.loads(told)["error"]["hint"]
    few = 200 * (len(kept) + 1)
    words[words.index(40_000)] = few
    code, result, _ = phyfold(*words)
    assert code == 0
    assert result["frames"] == few
    assert {p: p.stat().st_mtime_ns for p in kept} == kept


def test_a_missing_compiler_exits_with_3(finished: Finished, tmp_path: Path) -> None:
    out = copy_of(finished, tmp_path / "out", simulator=False)
    code, result, _ = phyfold(
        "simulate", finished.build, "--out", out, PATH=str(tmp_path), PHYFOLD_CXX=""
    )
    assert code == 3
    assert result["error"]["kind"] == "tool_missing"
    assert "g++ not found" in result["error"]["message"]
    assert (out / "40-hdl" / "state.json").is_file()


def test_a_full_disk_exits_with_1_and_loses_nothing(finished: Finished, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(finished.out, out)
    shutil.rmtree(out / "cache" / "simulate")
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))\n"
        "from fpga_builds.cli import main; main()"
    )
    words = ["simulate", finished.build, "--out", out, "--seed", 2, "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    error = json.loads(done.stdout)["error"]
    assert error["kind"] == "storage"
    assert "resumes" in error["hint"] or "free some space" in error["hint"]
    code_after, result, _ = phyfold("simulate", finished.build, "--out", out)
    assert code_after == 0
    assert counts(result) == counts(finished.result)


def test_a_wrong_weight_in_the_rtl_is_found_and_its_layer_named(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fpga_builds.commands import Job, simulate
    from fpga_builds.config import load_build
    from fpga_builds.progress import Reporter
    from hls import stitch

    genuine = stitch.write_rtl

    def broken(accelerator: Any, out_dir: Path) -> Any:
        package = genuine(accelerator, out_dir)
        (victim,) = (p for p in package.data_files if p.name == "fc1_weights.dat")
        words = victim.read_text().split()
        digit = format(int(words[3][-1], 16) ^ 7, "x")
        victim.write_text("\n".join([*words[:3], words[3][:-1] + digit, *words[4:]]) + "\n")
        return package

    monkeypatch.setattr(stitch, "write_rtl", broken)
    config = load_build(str(finished.build)).updated("folding", fifos="default")
    job = Job(config, copy_of(finished, tmp_path / "out"), 1, Reporter(quiet=True))
    with pytest.raises(MismatchError, match=r"RTL and QONNX differ in \d+ of 200 frames at 4 dB"):
        simulate(job)
    with pytest.raises(MismatchError, match=r"layer fc1 \(stream .*\) gives -?\d+ at element"):
        simulate(job)


def test_export_compile_and_report_by_themselves(finished: Finished, tmp_path: Path) -> None:
    code, body, _ = phyfold("export", finished.build, "--out", finished.out)
    assert code == 0
    assert body["brevitas_qonnx_mismatches"] == 0
    code, body, _ = phyfold("compile", finished.build, "--out", finished.out)
    assert code == 0
    assert body["ii_cycles"] <= 64
    assert {layer["kind"] for layer in body["layers"]} >= {"mvau"}
    code, body, _ = phyfold("report", finished.build, "--out", finished.out)
    assert code == 0
    assert body["passed"]
    model = tmp_path / "other.onnx"
    shutil.copy(finished.out / "20-export" / "model.onnx", model)
    code, body, _ = phyfold("simulate", model, "--out", tmp_path / "o", "--frames", 100)
    assert code == 0
    assert (body["frames"], body["mismatches"], body["points"]) == (100, 0, [])
    assert body["stimulus"] == "random codes"


def test_a_waveform_of_chosen_frames(finished: Finished) -> None:
    code, body, _ = phyfold("simulate", finished.build, "--out", finished.out, "--waveform", "3:5")
    assert code == 0
    assert Path(body["waveform"]).stat().st_size > 100


def test_a_hand_written_folding_is_used_and_checked(finished: Finished, tmp_path: Path) -> None:
    folding = json.loads((finished.out / "30-compile" / "compiled" / "folding.json").read_text())
    text = (finished.build / "build.toml").read_text().replace("./checkpoint", str(finished.build))
    text = text.replace(str(finished.build), f"{finished.build}/checkpoint")
    text = text.replace('target = "cycles"\ncycles = 64', 'target = "file"\nfile = "f.json"')
    (tmp_path / "build.toml").write_text(text)
    folding["fc1"] = {"PE": 2, "SIMD": 3}
    (tmp_path / "f.json").write_text(json.dumps(folding))
    code, body, _ = phyfold("compile", tmp_path, "--out", tmp_path / "out")
    assert code == 0, body
    layers = {layer["name"]: layer for layer in body["layers"]}
    assert (layers["fc1"]["pe"], layers["fc1"]["simd"]) == (2, 3)
    folding["fc1"] = {"PE": 5, "SIMD": 3}
    (tmp_path / "f.json").write_text(json.dumps(folding))
    code, body, _ = phyfold("compile", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert body["error"]["kind"] == "compile"
    assert "fc1" in body["error"]["message"]
    assert "5" in body["error"]["message"]


def test_a_damaged_checkpoint_exits_with_2(finished: Finished, tmp_path: Path) -> None:
    shutil.copytree(finished.build / "checkpoint", tmp_path / "checkpoint")
    weights = tmp_path / "checkpoint" / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-3] ^= 1
    weights.write_bytes(bytes(data))
    shutil.copy(finished.build / "build.toml", tmp_path)
    code, body, _ = phyfold("export", tmp_path, "--out", tmp_path / "out")
    assert code == 2
    assert body["error"]["kind"] == "checkpoint"


def test_training_by_the_command_line(finished: Finished, tmp_path: Path) -> None:
    code, body, _ = phyfold("train", finished.build, "--out", tmp_path, "--quick")
    assert code == 0
    assert (Path(body["checkpoint"]) / "weights.safetensors").is_file()
    assert 0 < body["ber_10db"] < 0.5

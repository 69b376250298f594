# SPDX-License-Identifier: Apache-2.0
"""The command line: exit codes, one JSON object, errors as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from command_line import run

from fpga_builds import cli, commands, doctor
from fpga_builds.runner import execute
from fpga_builds.steps.train import recipe_for
from models.errors import CheckError, MismatchError, StorageError, ToolMissingError


def test_list_and_doctor(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "list", "--json")
    assert code == 0
    assert "fullycon_w4a4" in [row["build"] for row in json.loads(out)["builds"]]
    code, out, _ = run(capsys, "list")
    assert "fullycon_w8a8" in out
    code, out, _ = run(capsys, "doctor", "--json")
    tools = {row["name"]: row for row in json.loads(out)["tools"]}
    assert tools["python"]["found"]
    assert {
        "torch",
        "brevitas",
        "qonnx",
        "finn-plus",
        "verilator",
        "g++",
        "pyosys",
        "vivado",
    } <= set(tools)
    assert all(row["use"] for row in tools.values())


def test_doctor_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PHYFOLD_CXX", raising=False)
    code, out, _ = run(capsys, "doctor", "--json")
    body = json.loads(out)
    missing = {row["name"]: row for row in body["tools"] if not row["found"]}
    assert code == 3
    assert not body["ok"]
    assert "apt install g++" in missing["g++"]["hint"]
    assert "simulation" in missing["g++"]["use"]


def test_doctor_reads_versions_of_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "g++"
    program.write_text("#!/bin/sh\necho 'g++ (Demo) 14.2.1'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PHYFOLD_CXX", str(program))
    found = {item.name: item for item in doctor.examine()}["g++"]
    assert found.version == "14.2.1"
    assert found.where == str(program)


@pytest.mark.parametrize(
    ("words", "kind", "message"),
    [
        (("run", "fullycon_w4a"), "config", "no build 'fullycon_w4a'"),
        (("simulate", "fullycon_w4a4", "--frames", "0"), "usage", "frames"),
        (("simulate", "fullycon_w4a4", "--snr-db", "loud"), "usage", "--snr-db"),
        (("simulate", "fullycon_w4a4", "--snr-db", "999"), "config", "snr_db"),
        (("simulate", "fullycon_w4a4", "--waveform", "9:3"), "usage", "--waveform"),
        (("simulate", "--bogus"), "usage", "--bogus"),
        (("nonsense",), "usage", "nonsense"),
        (("compare", "no_a", "no_b"), "config", "no report of 'no_a'"),
        (("train", "fullycon_w4a4", "--device", "tpu", "--quick"), "config", "tpu"),
        (("run", "fullycon_w4a4", "--checkpoint", "nowhere"), "config", "recipe.json"),
        (
            ("synth", "fullycon_w4a4", "--no-netlist", "--netlist-frames", "9"),
            "config",
            "--netlist-frames means nothing here: the netlist is not simulated",
        ),
        (("export", "fullycon_w4a4", "--seed", "3"), "config", "--seed means nothing here"),
        (("compile", "fullycon_w4a4", "--seed", "3"), "config", "--seed means nothing here"),
        (
            ("bitstream", "fullycon_w4a4", "--board", "Pynq-Z2", "--seeds", "2"),
            "config",
            "--seeds means nothing here: Pynq-Z2 is built with Vivado",
        ),
        (
            ("board", "sim:none", "selftest", "--frames", "9", "--snr-db", "3"),
            "config",
            "--snr-db and --frames mean nothing here: only the action ber",
        ),
        (("board", "sim:none", "info", "--input", "x.npy"), "config", "--input means nothing here"),
        (
            ("simulate", "convsqucsinet_enc_r16", "--data", "small", "--seed", "3"),
            "config",
            "--seed 3: the samples of 'small' are not drawn",
        ),
        (("simulate", "convsqucsinet_enc_r16", "--snr-db", "3"), "config", "--snr-db"),
        (
            ("simulate", "convsqucsinet_enc_r16", "--frames", "3", "--samples", "3"),
            "config",
            "give --samples or --frames",
        ),
        (("simulate", "fullycon_w4a4", "--disturb-seed", "3"), "config", "disturb_seed = 3"),
        (("program", "x.bit", "--board", "ulx3s", "--out", "y"), "config", "--out means nothing"),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_wrong_words_exit_with_2(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...], kind: str, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    code, out, _ = run(capsys, *words, "--json")
    error = json.loads(out)["error"]
    assert code == 2
    assert error["kind"] == kind
    assert message in error["message"]
    code, out, err = run(capsys, *words)
    assert code == 2
    assert out == ""
    assert message in " ".join(err.split())


def test_no_command_shows_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys)
    assert code == 2
    assert "simulate" in out + err


def test_every_command_has_help_with_units(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "simulate", "--help")
    assert code == 0
    assert "SNR points in dB" in " ".join(out.split())
    for name in ("train", "export", "compile", "report", "run", "compare", "list", "doctor"):
        assert run(capsys, name, "--help")[0] == 0


RESULT: dict[str, Any] = {
    "build": "fullycon_w4a4",
    "frames": 100,
    "mismatches": 0,
    "ii_cycles": 1500.0,
    "latency_cycles": 6000,
    "clock_mhz": 100.0,
    "sim_cycles_per_s": 1e6,
    "disturbed": False,
    "points": [{"snr_db": 8.0, "bits": 3000, "errors": 60, "ber": 0.02, "ci95": [0.015, 0.025]}],
    "qonnx_points": [],
}


def fake_simulate(monkeypatch: pytest.MonkeyPatch, outcome: Any, failed: bool = False) -> None:
    """`commands.simulate` gives ``outcome`` or raises it; one check, passed or not."""

    def simulate(_job: object, _window: object) -> tuple[dict[str, Any], None]:
        if isinstance(outcome, BaseException):
            raise outcome
        return dict(outcome), None

    check = {"name": "ii_cycles", "passed": not failed, "value": 1600.0, "rule": "within 2%"}
    monkeypatch.setattr(commands, "simulate", simulate)
    monkeypatch.setattr(commands, "simulation_checks_of", lambda *_: [check])


def test_simulate_prints_one_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_simulate(monkeypatch, RESULT)
    code, out, _ = run(capsys, "simulate", "fullycon_w4a4", "--snr-db", "8", "9", "--json")
    body = json.loads(out)
    assert code == 0
    assert {"build", "frames", "mismatches", "ii_cycles", "latency_cycles", "clock_mhz",
            "sim_cycles_per_s", "points"} <= set(body)  # fmt: skip
    code, out, _ = run(capsys, "simulate", "fullycon_w4a4")
    assert "2.000e-02" in out
    assert "every bit equals" in out
    assert "66,667 frames/s" in out


def test_options_reach_the_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def simulate(job: Any, window: object) -> tuple[dict[str, Any], None]:
        seen.append((job, window))
        return dict(RESULT), None

    monkeypatch.setattr(commands, "simulate", simulate)
    monkeypatch.setattr(commands, "simulation_checks_of", lambda *_: [])
    words = "simulate fullycon_w4a4 --snr-db 8 9.5 --frames 77 --seed 3 --jobs 4 --gaps 0.25"
    assert execute(cli.app, [*words.split(), "--waveform", "2:4", "--out", "o", "--quiet"]) == 0
    (job, window), = seen  # fmt: skip
    sim = job.config.simulate
    assert (sim.snr_db, sim.frames, sim.seed, sim.gap_probability) == ((8.0, 9.5), 77, 3, 0.25)
    assert (job.jobs, job.out, window) == (4, Path("o"), range(2, 4))


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (MismatchError("bits differ"), 1, "mismatch"),
        (CheckError("too slow"), 1, "check_failed"),
        (StorageError("disk full"), 1, "storage"),
        (ToolMissingError("g++ not found", hint="install it"), 3, "tool_missing"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (RuntimeError("a defect"), 1, "internal"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_errors_have_their_exit_codes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    kind: str,
) -> None:
    fake_simulate(monkeypatch, error)
    found, out, _ = run(capsys, "simulate", "fullycon_w4a4", "--json")
    assert found == code
    assert json.loads(out)["error"]["kind"] == kind
    if kind == "interrupted":
        found, _, err = run(capsys, "simulate", "fullycon_w4a4")
        assert found == 130
        assert "goes on from there" in err


def test_a_failed_check_still_prints_the_result(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_simulate(monkeypatch, RESULT, failed=True)
    code, out, _ = run(capsys, "simulate", "fullycon_w4a4", "--json")
    body = json.loads(out)
    assert code == 1
    assert body["frames"] == 100
    assert "ii_cycles: 1600, must be within 2%" in body["error"]["message"]
    code, out, err = run(capsys, "simulate", "fullycon_w4a4")
    assert code == 1
    assert "2.000e-02" in out
    assert "1 of 1 checks failed" in err


def test_console_script_runs_without_standard_input() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fpga_builds.cli", "list", "--json"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TERM": "dumb"},
    )
    assert json.loads(done.stdout)["builds"]


TINY_RECIPE = """
name = "tiny_float"
[network]
inputs = 8
width = 24
depth = 2
bits = 4
[train]
steps = 100000
batch = 2500
"""


def test_train_takes_a_recipe_that_no_build_uses(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, recipe = recipe_for("fullycon_float")
    assert (name, recipe.name) == ("fullycon_float", "fullycon_float")
    (tmp_path / "tiny_float.toml").write_text(TINY_RECIPE)
    monkeypatch.setattr("quant.recipe.RECIPE_FOLDER", tmp_path)
    words = ("tiny_float", "--quick", "--json", "--jobs", "1", "--out", str(tmp_path / "out"))
    code, out, err = run(capsys, "train", *words)
    assert (code, err) == (0, "")
    body = json.loads(out)
    assert body["build"] == "tiny_float"
    assert body["steps"] == recipe.quick().train.steps == 400
    assert Path(body["checkpoint"], "weights.safetensors").is_file()
    assert Path(body["learning_curve"]).read_bytes().startswith(b"\x89PNG")


def test_snr_of_a_network_without_a_channel_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(b"x")
    code, out, _ = run(capsys, "simulate", str(model), "--snr-db", "8", "--json")
    error = json.loads(out)["error"]
    assert (code, error["kind"]) == (2, "config")
    assert "--snr-db: the build has no [channel], so there is no noise" in error["message"]


def test_a_report_of_another_seed_than_asked_for_is_refused(tmp_path: Path) -> None:
    from fake_bench import config_of

    from fpga_builds.commands import Job, report
    from fpga_builds.state import StepRecord
    from models.errors import ConfigError

    folder = tmp_path / "50-simulate"
    folder.mkdir()
    StepRecord("simulate", folder, "k", {}, {}, (), {"seed": 4711}).save()
    with pytest.raises(ConfigError, match="--seed 1, but the simulation there has seed 4711"):
        report(Job(config_of(), tmp_path), 1)

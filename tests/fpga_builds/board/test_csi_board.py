# SPDX-License-Identifier: Apache-2.0
"""A CSI build on a simulated board: self-test on samples, NMSE by the command line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from csi_builds import NAMES, Finished, finished, stand_in_models

from fpga_builds import cli
from fpga_builds.board.simulated import SimulatedBoard
from fpga_builds.runner import execute
from fpga_builds.steps import bitstream
from fpga_builds.stimulus import kind_of
from hls.board import board
from hls.sim.board_native import build_board
from models.csi.metrics import count

FRAMES = 6


@dataclass(frozen=True)
class OnBoard:
    """A build, its build file, and the terminal of the board that holds it."""

    build: Finished
    toml: str
    port: str

    def ber(self, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
        """``phyfold board PORT ber BUILD``."""
        start = ["board", self.port, "ber", self.toml, "--out", str(self.build.out)]
        code = execute(cli.app, [*start, *words])
        said = capsys.readouterr()
        return code, said.out, said.err


def build_file(half: str, folder: Path) -> str:
    """The shipped build on the small set."""
    from fpga_builds.config import find_build

    text = find_build(NAMES[half]).read_text().replace('data = "inh"', 'data = "small"')
    (folder / "build.toml").write_text(text)
    return str(folder / "build.toml")


@pytest.fixture(params=["encoder", "decoder"])
def on_board(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OnBoard]:
    """Each half, behind a pseudo-terminal."""
    stand_in_models(monkeypatch)
    build = finished(request.param, tmp_path / "out", FRAMES)
    context = build.context("80-bitstream-ulx3s")
    package = bitstream._package(context, build.accelerator, board("ulx3s"))
    with SimulatedBoard(package, build_board(package, tmp_path / "cache")) as simulated:
        yield OnBoard(build, build_file(request.param, tmp_path), simulated.port)


@pytest.mark.verilator
def test_nmse_of_a_board_is_that_of_the_samples(
    on_board: OnBoard, capsys: pytest.CaptureFixture[str]
) -> None:
    build = on_board.build
    code, text, _ = on_board.ber(capsys, "--frames", "5", "--json")
    body = json.loads(text)
    assert code == 0, body
    point = count(build.samples[:5], build.images[:5])
    assert (body["frames"], body["samples"], body["mismatches"], body["points"]) == (5, 5, 0, [])
    assert body["nmse_db"] == pytest.approx(point.nmse_db, rel=1e-12)
    assert body["rho"] == pytest.approx(point.rho, rel=1e-12)
    assert body["ci95"] == pytest.approx(list(point.ci95))
    assert body["stimulus"] == kind_of(build.config).value
    code, text, _ = on_board.ber(capsys)
    assert code == 0
    nmse = count(build.samples, build.images).nmse_db
    assert f"NMSE        {nmse:.2f} dB (95 %: " in text
    assert f"{FRAMES} {kind_of(build.config).value} on the board, every bit equals" in text


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_without_samples_the_command_says_what_makes_them(
    half: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in_models(monkeypatch)
    build = finished(half, tmp_path / "out")
    build.state.file("samples").unlink()
    on = OnBoard(build, build_file(half, tmp_path), "/dev/null")
    code, _, err = on.ber(capsys)
    assert code == 2
    assert "no samples there to measure with" in err
    assert f"phyfold simulate {NAMES[half]}" in err


def test_codewords_of_other_samples_are_no_measure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from fpga_builds.state import StepRecord

    stand_in_models(monkeypatch)
    build = finished("decoder", tmp_path / "out")
    np.savez(build.state.file("samples"), samples=build.samples[::-1])
    StepRecord("data", build.out / "05-data", "k", {}, {"samples": "samples.npz"}).save()
    code, _, err = OnBoard(build, build_file("decoder", tmp_path), "/dev/null").ber(capsys)
    assert code == 2
    assert "are of other samples than those of the step data" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--snr-db", "8"], "--snr-db is of detectors, this is a CSI network"),
        (["--seed", "3"], "--seed 3: the samples of 'small' are not drawn"),
    ],
)
def test_what_a_board_cannot_change_is_refused(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nothing: Any = None
    build = Finished(nothing, nothing, tmp_path, nothing, nothing)
    code, _, err = OnBoard(build, build_file("encoder", tmp_path), "/dev/null").ber(capsys, *words)
    assert code == 2
    assert message in " ".join(err.split())

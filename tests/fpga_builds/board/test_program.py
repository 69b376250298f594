# SPDX-License-Identifier: Apache-2.0
"""phyfold program with a stand-in for openFPGALoader: success, failure, hanging, missing."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fpga_builds import cli
from fpga_builds.board import program as module
from fpga_builds.board.program import find_bitstream, program
from fpga_builds.runner import execute
from hls.board import board
from models.errors import ConfigError, ToolError, ToolMissingError


@pytest.fixture
def bitstream(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.bit"
    path.write_bytes(b"bits")
    return path


def _loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Path:
    """A program called openFPGALoader at the front of PATH, which writes down its words."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "openFPGALoader"
    script.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\n{body}\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.delenv(module.OVERRIDE, raising=False)
    return script


def test_success(tmp_path: Path, bitstream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _loader(tmp_path, monkeypatch, "echo Done")
    body = program(bitstream, board("ulx3s"))
    assert (tmp_path / "words").read_text().split() == ["-b", "ulx3s", str(bitstream)]
    assert body["memory"] == "sram"
    assert "Done" in Path(body["log"]).read_text()
    program(bitstream, board("ecpix5"), flash=True)
    assert (tmp_path / "words").read_text().split() == ["-b", "ecpix5_r03", "-f", str(bitstream)]
    program(bitstream, board("ecpix5"), loader_board="ecpix5")
    assert (tmp_path / "words").read_text().split()[1] == "ecpix5"


def test_failure_shows_what_it_said(
    tmp_path: Path, bitstream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _loader(tmp_path, monkeypatch, "echo 'unable to open ftdi device: -3' >&2; exit 1")
    with pytest.raises(ToolError, match=r"(?s)exit code 1.*unable to open ftdi device") as caught:
        program(bitstream, board("ulx3s"))
    assert caught.value.exit_code == 1


def test_hanging_is_ended(tmp_path: Path, bitstream: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _loader(tmp_path, monkeypatch, "sleep 60")
    started = time.monotonic()
    with pytest.raises(ToolError, match=r"openFPGALoader did not end within 0\.5 s"):
        program(bitstream, board("ulx3s"), timeout_s=0.5)
    assert time.monotonic() - started < 30


def test_missing_says_how_to_get_it(
    tmp_path: Path, bitstream: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(module.OVERRIDE, raising=False)
    with pytest.raises(ToolMissingError, match="openFPGALoader not found") as caught:
        program(bitstream, board("ulx3s"))
    assert caught.value.exit_code == 3
    assert "apt install openfpgaloader" in caught.value.hint
    monkeypatch.setenv(module.OVERRIDE, "/nowhere/loader")
    with pytest.raises(ToolMissingError, match="PHYFOLD_OPENFPGALOADER=/nowhere/loader"):
        program(bitstream, board("ulx3s"))


def test_no_bitstream(tmp_path: Path) -> None:
    (tmp_path / "empty.bit").touch()
    for name in ("none.bit", "empty.bit"):
        with pytest.raises(ConfigError, match=f"{name}: no such bitstream, or it is empty"):
            program(tmp_path / name, board("ulx3s"))


def test_the_bitstream_of_a_build(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no bitstream there") as caught:
        find_bitstream(tmp_path, board("ulx3s"))
    assert "phyfold bitstream BUILD --board ulx3s" in caught.value.hint
    for name in ("ulx3s", "ecpix5"):
        path = tmp_path / "80-bitstream" / name / f"tiny_{name}.bit"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"bits")
        assert find_bitstream(tmp_path, board(name)) == path
    path.with_name("other_ecpix5.bit").write_bytes(b"bits")
    with pytest.raises(ConfigError, match=r"several bitstreams: .*other_ecpix5\.bit"):
        find_bitstream(tmp_path, board("ecpix5"))


def test_the_command(
    tmp_path: Path,
    bitstream: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    _loader(tmp_path, monkeypatch, "true")
    assert execute(cli.app, ["program", str(bitstream), "--board", "ulx3s", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["loader_board"] == "ulx3s"
    assert execute(cli.app, ["program", str(bitstream), "--board", "ulx3s"]) == 0
    assert "phyfold board PORT selftest" in capsys.readouterr().out
    assert execute(cli.app, ["program", str(bitstream), "--board", "nexys"]) == 2
    assert "known: ulx3s, ecpix5" in capsys.readouterr().err
    monkeypatch.setenv("PATH", "/nowhere")
    assert execute(cli.app, ["program", str(bitstream), "--board", "ulx3s", "--json"]) == 3
    assert json.loads(capsys.readouterr().out)["error"]["kind"] == "tool_missing"

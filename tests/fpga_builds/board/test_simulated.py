# SPDX-License-Identifier: Apache-2.0
"""The host program against a whole simulated board, bit by bit through a pseudo-terminal."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fpga_builds import cli
from fpga_builds.board import session
from fpga_builds.board.ber import Reference, measure
from fpga_builds.board.frames import run_frames
from fpga_builds.board.link import BoardLink, open_port
from fpga_builds.board.protocol import Kind, LinkError, Packet, encode
from fpga_builds.board.simulated import BoardProcess, SimulatedBoard
from fpga_builds.config import BuildConfig
from fpga_builds.runner import execute
from hls.board import BoardPackage
from hls.sim.board_native import board_plan
from hls.sim.library_cache import record_library
from hls.sim.verilate import runtime_of

pytestmark = pytest.mark.verilator


def test_info_and_self_test(chip: Any, simulated: SimulatedBoard, connect: Any) -> None:
    link = connect(simulated.port)
    status = link.info()
    package: BoardPackage = chip.package
    assert (status.build_hash, status.clock_hz, status.baud) == (
        package.build_hash,
        package.clock_hz,
        package.baud,
    )
    assert (status.in_beats, status.in_bytes, status.out_beats, status.out_bytes) == (4, 3, 2, 2)
    assert (status.test_runs, status.test_passed, status.mismatches) == (1, True, 0)
    assert link.selftest().test_runs == 2
    assert link.info().good == 3
    assert link.counts.retries == 0


def test_frames_equal_the_reference(chip: Any, simulated: SimulatedBoard, connect: Any) -> None:
    link = connect(simulated.port)
    codes = chip.tiny.codes(100)
    seen: list[tuple[int, int]] = []
    result = run_frames(
        link, link.info(), chip.package, codes, lambda done, total: seen.append((done, total))
    )
    np.testing.assert_array_equal(result.outputs, chip.tiny.run(codes))
    assert result.packets == 2
    assert seen == [(64, 100), (100, 100)]


def test_rubbish_on_the_line(chip: Any, simulated: SimulatedBoard, connect: Any) -> None:
    """A host that died in a packet, noise, half a header: the board is there again."""
    raw = open_port(simulated.port, chip.package.baud)
    whole = encode(Packet(Kind.FRAMES, 1, bytes(120)))
    rng = random.Random(1)
    for rubbish in (whole[:50], rng.randbytes(200), b"\xa5\x5a\x03\x01", b"\xa5" * 9, whole[:-1]):
        raw.write(rubbish)
        link = connect_over(raw, simulated.port, chip.package.baud)
        status = link.info()
        assert status.test_passed
    raw.close()
    codes = chip.tiny.codes(3)
    link = connect(simulated.port)
    result = run_frames(link, status, chip.package, codes)
    np.testing.assert_array_equal(result.outputs, chip.tiny.run(codes))
    after = link.info()
    assert after.timeouts + after.crc_errors + after.bad_length > 0
    assert after.trouble


def connect_over(port: Any, name: str, baud: int) -> BoardLink:
    """A link over a port that is open already."""
    return BoardLink(port, name, baud=baud, patience_s=2.0)


class NoisyPort:
    """Flips a bit in every third request, and in every 500th byte that comes back."""

    def __init__(self, port: Any) -> None:
        self.port = port
        self.written = self.got = 0

    def write(self, data: bytes) -> int | None:
        self.written += 1
        spoiled = bytearray(data)
        if self.written % 3 == 0:
            spoiled[len(data) // 2] ^= 0x10
        return self.port.write(bytes(spoiled))

    def read(self, size: int = 1) -> bytes:
        data = bytearray(self.port.read(size))
        for place in range(len(data)):
            self.got += 1
            if self.got % 500 == 0:
                data[place] ^= 0x01
        return bytes(data)

    @property
    def in_waiting(self) -> int:
        return self.port.in_waiting

    def close(self) -> None:
        self.port.close()


def test_flipped_bits_cost_time_and_change_nothing(chip: Any, simulated: SimulatedBoard) -> None:
    port = NoisyPort(open_port(simulated.port, chip.package.baud))
    link = connect_over(port, simulated.port, chip.package.baud)
    status = link.info()
    codes = chip.tiny.codes(300, seed=9)
    result = run_frames(link, status, chip.package, codes)
    np.testing.assert_array_equal(result.outputs, chip.tiny.run(codes))
    assert link.counts.retries > 0
    assert link.counts.bad_crc > 0
    assert link.counts.refusals > 0
    assert link.info().crc_errors > 0
    link.close()


@pytest.mark.parametrize("error", [0.02, -0.02], ids=["fast", "slow"])
def test_rates_that_differ_by_two_percent(chip: Any, connect: Any, error: float) -> None:
    with SimulatedBoard(chip.package, chip.library, host_error=error) as board:
        link = connect(board.port)
        codes = chip.tiny.codes(20)
        result = run_frames(link, link.info(), chip.package, codes)
        np.testing.assert_array_equal(result.outputs, chip.tiny.run(codes))
        assert link.counts.retries == 0
        assert board.state().framing_errors == 0


def test_rates_that_differ_too_much(chip: Any) -> None:
    with SimulatedBoard(chip.package, chip.library, host_error=0.12) as board:
        port = open_port(board.port, chip.package.baud)
        link = BoardLink(port, board.port, baud=chip.package.baud, patience_s=0.2, attempts=2)
        with pytest.raises(LinkError, match="no good answer to INFO"):
            link.info()
        link.close()


def _config(**simulate: Any) -> BuildConfig:
    return BuildConfig.model_validate(
        {
            "name": "tiny",
            "network": {"model": "tiny.onnx"},
            "compile": {"output": "soft"},
            "simulate": {"frames": 90, "chunk_frames": 50, **simulate},
        }
    )


def _reference(chip: Any, wrong: int = -1) -> Reference:
    """The integer reference in place of QONNX, with one wrong value in frame ``wrong``."""

    def qonnx(x: np.ndarray) -> np.ndarray:
        outputs = chip.tiny.run(np.rint(x).astype(np.int64)).astype(np.float32)
        if 0 <= wrong < len(outputs):
            outputs[wrong, 3] += 1
        return outputs

    return Reference(chip.tiny.accelerator, qonnx)


def test_every_frame_is_compared(chip: Any, simulated: SimulatedBoard, connect: Any) -> None:
    link = connect(simulated.port)
    status = link.info()
    (row,) = measure(_config(), link, status, chip.package, reference=_reference(chip))
    assert (row.frames, row.mismatches, row.first_mismatch) == (90, 0, None)
    (row,) = measure(_config(), link, status, chip.package, reference=_reference(chip, wrong=45))
    assert (row.mismatches, row.first_mismatch) == (1, 45)


@pytest.fixture
def build(chip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """A build file and a folder of results with a board package in it."""
    chip.copy(tmp_path / "out" / "80-bitstream" / "board")
    toml = tmp_path / "build.toml"
    toml.write_text('name = "tiny"\n[network]\nmodel = "m.onnx"\n[compile]\noutput = "soft"\n')
    monkeypatch.setattr(session, "_reference", lambda _job: _reference(chip))
    return str(toml), str(tmp_path / "out")


def test_the_command_line(
    chip: Any,
    simulated: SimulatedBoard,
    build: tuple[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    toml, out = build

    def run(*words: str) -> tuple[int, str, str]:
        code = execute(cli.app, ["board", simulated.port, *words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    code, text, _ = run("selftest", toml, "--out", out)
    assert code == 0
    assert "passed: 64 of 64 frames, 0 wrong" in text
    assert "one frame every 8.00 cycles at 100 MHz" in text
    code, text, _ = run("ber", toml, "--out", out, "--frames", "70", "--json")
    assert code == 0
    body = json.loads(text)
    assert (body["frames"], body["mismatches"], body["points"]) == (70, 0, [])
    assert (body["ii_cycles"], body["throughput_per_s"]) == (8.0, 12.5e6)
    codes = chip.tiny.codes(5)
    np.save(tmp_path / "in.npy", codes)
    io = ["--input", str(tmp_path / "in.npy"), "--output", str(tmp_path / "out.npy")]
    assert run("send", toml, "--out", out, "--baud", str(chip.package.baud), *io)[0] == 0
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), chip.tiny.run(codes))
    monkeypatch.setattr(session, "_reference", lambda _job: _reference(chip, wrong=11))
    code, text, _ = run("ber", toml, "--out", out, "--frames", "20", "--json")
    assert code == 1
    assert "differ in 1 of 20 frames, first in frame 11" in json.loads(text)["error"]["message"]
    other = chip.tiny.write(tmp_path / "other", baud=chip.package.baud, clock_mhz=50)
    code, _, err = run("info", "--package", str(other.folder))
    assert code == 2
    assert "the board holds another build" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["/dev/nowhere"], "port /dev/nowhere: cannot be opened"),
        (["/dev/null", "ber"], "needs a BUILD to compare"),
        (["/dev/null", "send"], "needs a BUILD or --package, --input and --output"),
        (["sim:/nowhere"], "must name one board package, found none"),
    ],
)
def test_usage_errors(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(cli.app, ["board", *words]) == 2
    assert message in capsys.readouterr().err


def test_a_board_in_a_process_of_its_own(
    chip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runtime = runtime_of(board_plan(chip.package))
    shutil.copytree(runtime, chip.cache / runtime.name)
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(chip.cache))
    record_library(chip.library, chip.library.parent.name)  # in this cache too
    folder = chip.package.folder
    assert execute(cli.app, ["board", f"sim:{folder}", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["test_passed"] is True

    def spoil(outputs: Any) -> None:
        outputs[3, 0] ^= 1

    spoiled = chip.tiny.write(tmp_path / "spoiled", change=spoil)
    assert execute(cli.app, ["board", f"sim:{spoiled.folder}", "selftest"]) == 1
    captured = capsys.readouterr()
    assert "FAILED" in captured.out
    assert "4 of 64 frames are wrong, first frame 3" in captured.err
    words = [sys.executable, "-m", "fpga_builds.board.simulated", str(folder)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    assert Path(port).exists()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    process.stdout.close()
    assert not Path(port).exists()


def test_a_board_that_does_not_start(
    chip: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("PHYFOLD_CXX", "/nowhere/g++")
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "json.py").write_text(f"open({str(tmp_path / 'trace')!r}, 'w')\n")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(Exception, match="did not start"):
        BoardProcess(chip.package.folder)
    assert not (tmp_path / "trace").exists()  # nothing is imported from the current folder
    assert "g++ not found" in capfd.readouterr().err
    assert os.path.lexists(tmp_path)


def test_a_silent_line_slows_the_simulation(chip: Any) -> None:
    quiet = replace(chip.package, body={**chip.package.body, "timeout_cycles": 1})
    with SimulatedBoard(quiet, chip.library) as board:
        link = BoardLink(
            open_port(board.port, quiet.baud), board.port, baud=quiet.baud, patience_s=20
        )
        link.info()
        while board.state().quiet_cycles < 1_000_000:
            pass
        before = board.state().cycles
        link.info()
        assert board.state().cycles > before
        link.close()

# SPDX-License-Identifier: Apache-2.0
"""The board generator: complete, byte-stable, refuses what cannot work."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from board_chains import BAUD, GOLDEN, Tiny, tiny

from hls.board import board, load_board, write_board
from models.errors import CompileError, ConfigError


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny accelerator."""
    return tiny(tmp_path_factory.mktemp("tiny"))


def _contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_equal_inputs_give_equal_bytes(chip: Tiny, tmp_path: Path) -> None:
    first = chip.write(tmp_path / "a")
    chip.write(tmp_path / "b")
    assert _contents(tmp_path / "a") == _contents(tmp_path / "b")
    stale = tmp_path / "a" / "rtl" / "stale.sv"
    stale.write_text("module stale; endmodule\n")
    chip.write(tmp_path / "a")
    assert not stale.exists()
    assert first.top_name == "tiny_ulx3s"


def test_a_package_holds_all_and_is_read_back(chip: Tiny, tmp_path: Path) -> None:
    package = chip.write(tmp_path)
    assert load_board(tmp_path) == package
    names = [path.name for path in package.sources]
    assert names[:2] == ["phy_pkg.sv", "phy_board_pkg.sv"]
    assert names[-1] == "tiny_ulx3s.sv"
    assert {path.name for path in chip.rtl.sources} <= set(names)
    assert {path.name for path in chip.rtl.data_files} <= {p.name for p in package.data_files}
    assert {path.parent for path in (*package.sources, *package.data_files)} == {tmp_path / "rtl"}
    assert (package.clock_hz, package.baud) == (100_000_000, BAUD)
    assert package.input.frame_bytes == 12
    assert package.output.frame_bytes == 4
    assert package.body["test_frames"] == 64
    assert package.lpf.read_text() == board("ulx3s").lpf()
    rows = (tmp_path / "rtl" / "board_inputs.dat").read_text().split()
    assert len(rows) == GOLDEN * package.input.beats
    low = [int(rows[0][i : i + 2], 16) for i in (4, 2, 0)]  # element 0 in the lowest bits
    assert low == [int(code) & 0xFF for code in chip.inputs[0, :3]]


def test_the_hash_tells_builds_apart(chip: Tiny, tmp_path: Path) -> None:
    hashes = {chip.write(tmp_path / "0").build_hash}

    def spoil(outputs: np.ndarray) -> None:
        outputs[3, 2] ^= 1

    hashes.add(chip.write(tmp_path / "1", change=spoil).build_hash)
    hashes.add(chip.write(tmp_path / "2", clock_mhz=50).build_hash)
    hashes.add(chip.write(tmp_path / "3", on=board("ecpix5")).build_hash)
    hashes.add(chip.write(tmp_path / "4", baud=1_000_000).build_hash)
    weights = tmp_path / "weights"
    weights.mkdir()
    files = []
    for path in chip.rtl.data_files:
        text = path.read_text()
        files.append(weights / path.name)
        files[-1].write_text(text.replace("7", "6", 1) if "weights" in path.name else text)
    other = replace(chip, rtl=replace(chip.rtl, data_files=tuple(files)))
    hashes.add(other.write(tmp_path / "5").build_hash)
    assert len(hashes) == 6


def test_other_boards_and_clocks(chip: Tiny, tmp_path: Path) -> None:
    package = chip.write(tmp_path, on=board("ecpix5"), clock_mhz=112)
    top = package.sources[-1].read_text()
    assert "reset_i" not in top
    assert "assign led_o = ~led;" in top
    assert ".CLKOS_DIV(5)" in top
    assert package.clock_hz == 112_000_000


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"clock_mhz": 97.0}, ConfigError, "97 MHz cannot be made"),
        ({"baud": 4_000_000}, ConfigError, "4000000 baud .* at most 3000000"),
        ({"clock_mhz": 25.0, "baud": 3_000_000}, ConfigError, "the clock 16 to 50000 times"),
        ({"baud": 0}, ConfigError, "serial line of 0 baud"),
        ({"golden_inputs": np.zeros((4, 7), int)}, CompileError, r"shape \(4, 7\).*frames, 12"),
        ({"golden_inputs": np.full((16, 12), 128)}, CompileError, "do not fit INT8"),
        ({"golden_outputs": np.zeros((3, 8), int)}, CompileError, "16 golden inputs and 3"),
        ({"golden_inputs": np.zeros((0, 12), int)}, CompileError, "at least one golden frame"),
        ({"golden_inputs": np.zeros((4097, 12), int)}, CompileError, "16384 words, which is 4096"),
    ],
)
def test_what_cannot_work_is_refused(
    chip: Tiny, tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    given = {
        "golden_inputs": chip.inputs,
        "golden_outputs": chip.outputs,
        "clock_mhz": 100.0,
        "baud": BAUD,
        **change,
    }
    with pytest.raises(error, match=message):
        write_board(chip.accelerator, chip.rtl, board("ulx3s"), out_dir=tmp_path, **given)
    assert not (tmp_path / "board.json").exists()


def test_a_damaged_package_is_said(chip: Tiny, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no readable board package"):
        load_board(tmp_path)
    package = chip.write(tmp_path)
    package.lpf.unlink()
    with pytest.raises(ConfigError, match=r"tiny_ulx3s\.lpf: missing"):
        load_board(tmp_path)
    package.info.write_text('{"schema": 0}')
    with pytest.raises(ConfigError, match="written by another version"):
        load_board(tmp_path)

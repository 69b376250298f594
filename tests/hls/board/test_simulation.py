# SPDX-License-Identifier: Apache-2.0
"""The Verilator model of a whole board, through its pins: self-test, lights, button, faults."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from board_chains import Tiny, tiny

from fpga_builds.board.protocol import (
    BoardError,
    Kind,
    Packet,
    Status,
    encode,
    read_frames,
    read_refusal,
    read_status,
    scan,
)
from hls.board import BoardPackage, board, load_board
from hls.cycles import accelerator_cycles
from hls.sim.board_native import BoardModel, build_board
from models.errors import ToolError

pytestmark = pytest.mark.verilator

LOCKED, RUNNING, PASSED, FAILED, RX, TX, TROUBLE = (1 << bit for bit in range(1, 8))
RESULT = RUNNING | PASSED | FAILED
POWER_UP_CYCLES = 20_000


@dataclass(frozen=True)
class Built:
    """A board and its model."""

    tiny: Tiny
    package: BoardPackage
    library: Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The tiny accelerator on a ULX3S."""
    chip = tiny(tmp_path_factory.mktemp("tiny"))
    package = chip.write(tmp_path_factory.mktemp("board"))
    return Built(chip, package, build_board(package, tmp_path_factory.mktemp("sim")))


def ask(model: BoardModel, *requests: Packet, cycles: int = 200_000) -> list[Packet]:
    """The replies to requests that are sent without a pause."""
    model.send(b"".join(encode(packet) for packet in requests))
    data = b""
    for _ in range(cycles // 2000):
        model.run(2000)
        data += model.receive()
        found = scan(data)
        if len(found.packets) == len(requests):
            break
    assert (found.bad, found.junk) == (0, 0)
    return list(found.packets)


def status(model: BoardModel, kind: Kind = Kind.INFO) -> Status:
    """Reply to INFO or TEST."""
    (reply,) = ask(model, Packet(kind, 5))
    assert (reply.kind, reply.seq) == (kind | 0x80, 5)
    return read_status(reply.payload)


def powered(package: BoardPackage, library: Path) -> BoardModel:
    """A board whose self-test after power-up is over."""
    model = BoardModel(library, package)
    model.run(POWER_UP_CYCLES)
    return model


def test_self_test_after_power_up(built: Built) -> None:
    model = BoardModel(built.library, built.package)
    model.run(100)
    assert model.state().leds & LOCKED == 0
    seen = set()
    for _ in range(200):
        model.run(20)
        seen.add(model.state().leds & RESULT)
    assert seen == {0, RUNNING, PASSED}
    now = status(model)
    model.close()
    expected = accelerator_cycles(built.tiny.accelerator)
    assert now.test_passed
    assert (now.compared_frames, now.mismatches, now.first_mismatch) == (64, 0, None)
    assert now.cycles_per_frame == expected.ii_cycles
    assert now.latency_cycles == expected.latency_cycles
    assert now.cycles == now.latency_cycles + 63 * expected.ii_cycles
    assert not now.trouble


def _spoil(built: Built, folder: Path, name: str, row: int, flip: int) -> BoardPackage:
    """A copy of the package, one word of one memory of which is damaged after it was read."""
    shutil.copytree(built.package.folder, folder)
    package = load_board(folder)
    path = folder / "rtl" / name
    rows = path.read_text().split()
    rows[row] = f"{int(rows[row], 16) ^ flip:0{len(rows[row])}x}"
    path.write_text("\n".join(rows) + "\n")
    return package


def test_a_wrong_golden_frame_is_found(built: Built, tmp_path: Path) -> None:
    package = _spoil(built, tmp_path / "wrong", "board_outputs.dat", 2 * 5 + 1, 0x0400)
    model = powered(package, built.library)
    assert model.state().leds & RESULT == FAILED
    now = status(model)
    model.close()
    assert now.test_done
    assert not now.test_passed
    assert (now.mismatches, now.first_mismatch) == (4, 5)  # 16 golden frames, 4 times
    assert now.cycles_per_frame == 8  # and the accelerator is as fast as ever


def test_a_corrupted_weight_is_found(built: Built, tmp_path: Path) -> None:
    package = _spoil(built, tmp_path / "wrong", "l0_weights.dat", 1, 0x444)
    model = powered(package, built.library)
    now = status(model)
    model.close()
    assert not now.test_passed
    assert now.mismatches > 0
    assert now.compared_frames == 64


def test_a_missing_memory_is_said(built: Built, tmp_path: Path) -> None:
    shutil.copytree(built.package.folder, tmp_path / "less")
    package = load_board(tmp_path / "less")
    (tmp_path / "less" / "rtl" / "l0_weights.dat").unlink()
    with pytest.raises(ToolError, match=r"the board does not start: .*l0_weights\.dat"):
        BoardModel(built.library, package)


def test_the_button_starts_all_over(built: Built) -> None:
    model = powered(built.package, built.library)
    assert status(model, Kind.TEST).test_runs == 2
    model.press_reset(pressed=True)
    model.run(100)
    assert model.state().leds == 0
    model.press_reset(pressed=False)
    model.run(POWER_UP_CYCLES)
    now = status(model)
    model.close()
    assert (now.test_runs, now.test_passed, now.good) == (1, True, 1)


def test_every_request_has_its_reply(built: Built) -> None:
    model = powered(built.package, built.library)
    frame = bytes(12)
    first, second = ask(model, Packet(Kind.FRAMES, 1, frame * 3), Packet(Kind.INFO, 2))
    assert read_frames(first.payload).frames == 3
    assert (second.kind, second.seq) == (Kind.ERROR, 2)  # came while the first was worked on
    assert read_refusal(second.payload).error is BoardError.BUSY
    for packet, error in (
        (Packet(Kind.FRAMES, 3, frame + b"\0"), BoardError.LENGTH),
        (Packet(Kind.FRAMES, 4), BoardError.LENGTH),
        (Packet(Kind.INFO, 5, b"\0"), BoardError.LENGTH),
        (Packet(Kind.TEST, 6, b"\0"), BoardError.LENGTH),
        (Packet(0x40, 7), BoardError.COMMAND),
        (Packet(Kind.FRAMES, 8, bytes(4097)), BoardError.LENGTH),
    ):
        (reply,) = ask(model, packet)
        assert (reply.kind, reply.seq) == (Kind.ERROR, packet.seq)
        assert read_refusal(reply.payload).error is error
        while model.state().unsent_bytes:  # what follows a header that was refused
            model.run(10_000)
    now = status(model)
    model.close()
    assert (now.dropped, now.bad_length, now.unknown) == (1, 1, 1)
    assert now.trouble


def test_more_results_than_the_buffer_holds(built: Built) -> None:
    """340 frames fill the input buffer; their results travel while the accelerator runs."""
    model = powered(built.package, built.library)
    codes = built.tiny.codes(340)
    raw = (codes.reshape(-1, 3) & 0xFF).astype("u1").tobytes()
    (reply,) = ask(model, Packet(Kind.FRAMES, 1, raw), cycles=8_000_000)
    model.close()
    result = read_frames(reply.payload)
    assert (result.frames, result.stuck) == (340, False)
    want = built.tiny.run(codes)
    got = [digit for byte in result.data for digit in (byte & 15, byte >> 4)]
    assert got == want.reshape(-1).tolist()


def test_an_accelerator_that_stops(built: Built, tmp_path: Path) -> None:
    shutil.copytree(built.package.folder, tmp_path / "stuck")
    package = load_board(tmp_path / "stuck")
    top = tmp_path / "stuck" / "rtl" / "tiny_top.sv"
    text = top.read_text()
    line = "  assign m_axis_tvalid = "
    assert text.count(line) == 1
    top.write_text(text.replace(line, "  assign m_axis_tvalid = 1'b0 && "))
    model = powered(package, build_board(package, tmp_path / "sim"))
    assert model.state().leds & RESULT == RUNNING
    model.run(100_000)
    assert model.state().leds & RESULT == FAILED
    now = status(model)
    assert (now.test_stuck, now.test_passed, now.compared_frames) == (True, False, 0)
    assert now.cycles_per_frame is None
    (reply,) = ask(model, Packet(Kind.FRAMES, 1, bytes(24)))
    result = read_frames(reply.payload)
    assert (result.data, result.stuck) == (bytes(8), True)
    assert status(model).good == 3  # the board itself goes on
    model.close()


def test_a_board_without_a_button_and_with_inverted_lights(built: Built, tmp_path: Path) -> None:
    package = built.tiny.write(tmp_path / "board", on=board("ecpix5"), clock_mhz=112)
    model = powered(package, build_board(package, tmp_path / "sim"))
    assert ~model.state().leds & RESULT == PASSED
    model.press_reset(pressed=True)  # there is none
    now = status(model)
    model.close()
    assert (now.clock_hz, now.test_passed) == (112_000_000, True)

# SPDX-License-Identifier: Apache-2.0
"""What the host does when a board is silent, refuses, or its line drops and flips bits."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from board_chains import STATUS

from fpga_builds.board import link as link_module
from fpga_builds.board.frames import frames_per_packet, require_build, run_frames
from fpga_builds.board.link import BoardLink, LinkError, open_port
from fpga_builds.board.protocol import (
    REPLY_BIT,
    BoardError,
    Kind,
    Packet,
    encode,
    scan,
    status_payload,
)
from hls.board import BoardPackage
from models.errors import ConfigError, ToolMissingError

Answer = Callable[[Packet, int], bytes]


class FakePort:
    """A serial port whose board answers as told: (request, number of the attempt) to bytes."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.attempts = 0
        self.buffer = b""
        self.closed = False

    def write(self, data: bytes) -> int:
        (packet,) = scan(data).packets
        self.attempts += 1
        self.buffer += self.answer(packet, self.attempts)
        return len(data)

    @property
    def in_waiting(self) -> int:
        return len(self.buffer)

    def read(self, size: int = 1) -> bytes:
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data

    def close(self) -> None:
        self.closed = True


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_module, "SETTLE_S", 0.0)


def _link(answer: Answer, **options: float) -> BoardLink:
    return BoardLink(FakePort(answer), "/dev/fake", patience_s=0.05, **options)


def _good(packet: Packet) -> bytes:
    return encode(Packet(packet.kind | REPLY_BIT, packet.seq, status_payload(STATUS)))


def _refuse(packet: Packet, error: BoardError) -> bytes:
    return encode(Packet(Kind.ERROR, packet.seq, struct.pack("<BBH", error, packet.kind, 0)))


def test_a_good_answer_among_rubbish() -> None:
    link = _link(lambda packet, _n: b"\x00noise" + _good(packet))
    assert link.info() == STATUS
    assert link.counts.junk_bytes == 6
    assert link.counts.retries == 0


def test_a_silent_board() -> None:
    link = _link(lambda _packet, _n: b"")
    with pytest.raises(LinkError, match=r"no good answer to INFO in 4 attempts") as caught:
        link.info()
    assert (link.counts.timeouts, link.counts.retries) == (4, 3)
    assert "--baud" in caught.value.hint
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "error", [BoardError.CRC, BoardError.BUSY, BoardError.TIMEOUT, BoardError.FRAMING]
)
def test_what_arrived_broken_is_sent_again(error: BoardError) -> None:
    link = _link(lambda packet, n: _refuse(packet, error) if n < 3 else _good(packet))
    assert link.selftest() == STATUS
    assert (link.counts.refusals, link.counts.retries) == (2, 2)


@pytest.mark.parametrize("error", [BoardError.LENGTH, BoardError.COMMAND])
def test_what_the_board_cannot_do_is_not_repeated(error: BoardError) -> None:
    link = _link(lambda packet, _n: _refuse(packet, error))
    with pytest.raises(LinkError, match=f"the board refuses INFO .* {error.name.lower()}"):
        link.info()
    assert link.counts.retries == 0


def test_broken_answers_are_counted_and_end() -> None:
    def flip(packet: Packet, _n: int) -> bytes:
        data = bytearray(_good(packet))
        data[20] ^= 4
        return bytes(data)

    link = _link(flip)
    with pytest.raises(LinkError, match="4 broken"):
        link.info()
    assert link.counts.bad_crc == 4


def test_an_old_answer_is_not_taken_for_the_new_one() -> None:
    def late(packet: Packet, n: int) -> bytes:
        old = Packet(packet.kind, (packet.seq - 1) % 256)
        other = status_payload(replace(STATUS, baud=1))
        stale = encode(Packet(old.kind | REPLY_BIT, old.seq, other))
        return stale if n == 1 else stale + _good(packet)

    link = _link(late)
    assert link.info() == STATUS
    assert link.counts.timeouts == 1


def test_a_port_that_goes_away() -> None:
    link = _link(lambda _packet, _n: b"")

    def gone(_size: int = 1) -> bytes:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    link.port.read = gone  # type: ignore[method-assign]
    with pytest.raises(LinkError, match="cannot be read") as caught:
        link.info()
    assert "unplugged" in caught.value.hint


def test_no_such_port_and_no_pyserial(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="/dev/nowhere: cannot be opened") as caught:
        open_port("/dev/nowhere")
    assert "No such file" in caught.value.message
    assert "serial ports here" in caught.value.hint
    monkeypatch.setitem(__import__("sys").modules, "serial", None)
    with pytest.raises(ToolMissingError, match="pyserial not found") as missing:
        open_port("/dev/nowhere")
    assert missing.value.exit_code == 3


def test_the_board_holds_another_build(package: BoardPackage) -> None:
    status = replace(STATUS, build_hash=package.build_hash)
    assert require_build(status, [package], "build/tiny") is package
    with pytest.raises(ConfigError, match="the board holds another build") as caught:
        require_build(STATUS, [package], "build/tiny")
    assert f"{package.build_hash:016x} (ulx3s)" in caught.value.message
    with pytest.raises(ConfigError, match="has none"):
        require_build(STATUS, [], "build/tiny")


def test_frames_fit_buffers_and_packets(package: BoardPackage) -> None:
    assert frames_per_packet(STATUS, package) == 64
    assert frames_per_packet(replace(STATUS, in_buffer=30), package) == 2
    assert frames_per_packet(replace(STATUS, out_buffer=9), package) == 2
    with pytest.raises(ConfigError, match="a frame of 12 bytes does not fit"):
        frames_per_packet(replace(STATUS, in_buffer=11), package)


def test_results_that_are_too_short_or_stuck(package: BoardPackage) -> None:

    def short(flags: int, size: int) -> Answer:
        trailer = struct.pack("<IHH", 50, 3, flags)
        return lambda p, _n: encode(Packet(p.kind | REPLY_BIT, p.seq, bytes(size) + trailer))

    codes = np.zeros((3, 12), dtype=np.int64)
    with pytest.raises(LinkError, match="the accelerator on the board stopped"):
        run_frames(_link(short(1, 12)), STATUS, package, codes)
    with pytest.raises(LinkError, match="11 bytes of results where 12 were due"):
        run_frames(_link(short(0, 11)), STATUS, package, codes)
    with pytest.raises(LinkError, match="counts 3 frames of 2"):
        run_frames(_link(short(0, 8)), STATUS, package, codes[:2])
    with pytest.raises(ConfigError, match=r"codes of shape \(3, 11\)"):
        run_frames(_link(short(0, 8)), STATUS, package, codes[:, :11])
    with pytest.raises(ConfigError, match="do not fit INT8"):
        run_frames(_link(short(0, 8)), STATUS, package, codes + 200)

# SPDX-License-Identifier: Apache-2.0
"""What the host does when a board is silent, refuses, or its line drops and flips bits."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import struct
import threading
import time
import tty
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from board_chains import STATUS
from command_line import run

from fpga_builds.board import link as link_module
from fpga_builds.board.frames import frames_per_packet, require_build, run_frames
from fpga_builds.board.link import BoardLink, open_port
from fpga_builds.board.protocol import (
    REPLY_BIT,
    BoardError,
    Kind,
    LinkError,
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


class TalkingPort(FakePort):
    """A port where something talks without an end, whatever it is asked."""

    def __init__(self, words: bytes) -> None:
        super().__init__(lambda _packet, _n: b"")
        self.words = words
        self.reads = 0

    def read(self, size: int = 1) -> bytes:
        time.sleep(0.001)
        self.reads += 1
        assert self.reads < 20_000, "the host listens for ever"
        self.words = self.words[size:] + self.words[:size]
        return self.words[-size:]


@pytest.mark.parametrize(
    "words",
    [
        b"$GPGGA,120000,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n",
        b"\x00\xff\x80",
        b"\xa5\x5a\x81\x07\xff\xff",  # headers of endless packets
        encode(Packet(Kind.TEST | REPLY_BIT, 7, b"old")),
        encode(Packet(Kind.ERROR, 7, struct.pack("<BBH", BoardError.CRC, 1, 0))),
        b"",
    ],
    ids=["gps", "noise", "headers", "old", "refusals", "silence"],
)
def test_a_port_that_never_stops_talking(words: bytes) -> None:
    port = TalkingPort(words)
    link = BoardLink(port, "/dev/fake", patience_s=0.05)
    with pytest.raises(LinkError, match=r"no good answer to INFO in 4 attempts") as caught:
        link.info()
    assert port.attempts == 4
    stray = link.counts.junk_bytes > 0
    assert ("talks there that is no board" in caught.value.hint) == stray


def test_a_terminal_that_never_stops_talking(capsys: pytest.CaptureFixture[str]) -> None:
    master, slave = os.openpty()
    tty.setraw(slave)
    os.set_blocking(master, False)
    ended = threading.Event()

    def talk() -> None:
        while not ended.wait(0.001):
            with contextlib.suppress(BlockingIOError):
                os.write(master, b"login: " * 8)

    talker = threading.Thread(target=talk, daemon=True)
    talker.start()
    try:
        code, out, _ = run(
            capsys, "board", os.ttyname(slave), "selftest", "--patience", "0.1", "--json"
        )
    finally:
        ended.set()
        talker.join()
        os.close(master)
        os.close(slave)
    assert code == 1
    assert "no good answer to TEST in 4 attempts" in json.loads(out)["error"]["message"]


def test_a_slow_board_that_answers_byte_by_byte() -> None:
    """Silence is what counts as long as the line's own time, times its slowness, has not passed."""

    class Dribble(FakePort):
        def read(self, size: int = 1) -> bytes:
            time.sleep(0.005)
            return super().read(1)

        @property
        def in_waiting(self) -> int:
            return 0

    port = Dribble(lambda packet, _n: _good(packet))
    assert BoardLink(port, "/dev/fake", patience_s=0.25, slowness=1e4).info() == STATUS
    port = Dribble(lambda packet, _n: _good(packet))
    with pytest.raises(LinkError, match="no good answer"):
        BoardLink(port, "/dev/fake", patience_s=0.25).info()


@pytest.mark.parametrize("payload", [b"", b"\x02", b"\x02\x01\x00"])
def test_a_short_error_reply(payload: bytes) -> None:
    link = _link(lambda packet, _n: encode(Packet(Kind.ERROR, packet.seq, payload)))
    with pytest.raises(LinkError, match=f"error reply has {len(payload)} bytes .* must be 4"):
        link.info()


def test_the_word_error_is_no_reply() -> None:
    link = _link(lambda _packet, _n: b"ERROR\r\n")
    with pytest.raises(LinkError, match=r"[1-9]\d* stray bytes"):
        link.info()


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
    source, sink = package.input, package.output
    status = replace(
        STATUS,
        build_hash=package.build_hash,
        baud=package.baud,
        in_beats=source.beats,
        in_bytes=source.beat_bytes,
        out_beats=sink.beats,
        out_bytes=sink.beat_bytes,
    )
    assert require_build(status, [package], "build/tiny") is package
    for name in ("clock_hz", "in_beats", "out_bytes", "golden_frames", "test_frames"):
        odd = replace(status, **{name: getattr(status, name) + 1})
        with pytest.raises(LinkError, match=f"the build hash of .*, and {name}="):
            require_build(odd, [package], "build/tiny")
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

# SPDX-License-Identifier: Apache-2.0
"""Packets of the serial protocol as bytes; ``phy_board_pkg.sv`` has the same numbers.

    A5 5A | kind | seq | length (2 bytes) | payload | CRC-32 of kind to payload (4 bytes)

Numbers are sent lowest byte first. The CRC is that of ISO 3309, Ethernet and zlib (reflected,
polynomial 04C11DB7, start and final exclusive-or all ones). A reply has the kind of its request
with bit 7 set, or `Kind.ERROR`, and the request's seq. docs/board.md describes the payloads.
"""

from __future__ import annotations

import enum
import struct
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from models.errors import ConfigError, ToolError

SYNC = b"\xa5\x5a"
HEADER_BYTES = 6
CRC_BYTES = 4
MAX_PAYLOAD = 65535
PROTOCOL_VERSION = 1
REPLY_BIT = 0x80
TRAILER_BYTES = 8
NO_FRAME = 0xFFFF
OTHER_VERSION = "make the board's bitstream again with this version of phyfold, and program it"


class LinkError(ToolError):
    """A board does not answer, or not as it should."""

    kind = "board"


class Kind(enum.IntEnum):
    """What a packet asks for."""

    INFO = 0x01
    TEST = 0x02
    FRAMES = 0x03
    ERROR = 0xFF


class BoardError(enum.IntEnum):
    """Why a board refused a request."""

    NONE = 0
    CRC = 1
    LENGTH = 2
    COMMAND = 3
    TIMEOUT = 4
    FRAMING = 5
    BUSY = 6


@dataclass(frozen=True)
class Packet:
    """One packet."""

    kind: int
    seq: int
    payload: bytes = b""


@dataclass(frozen=True)
class Scan:
    """What `scan` found in received bytes.

    Attributes:
        packets: complete ones with the right CRC.
        rest: bytes that may be the beginning of a packet.
        bad: packets with a wrong CRC.
        junk: bytes outside of packets.
    """

    packets: tuple[Packet, ...]
    rest: bytes
    bad: int
    junk: int


def encode(packet: Packet) -> bytes:
    """Bytes of a packet."""
    if len(packet.payload) > MAX_PAYLOAD:
        raise ConfigError(
            f"payload of {len(packet.payload)} bytes: a packet holds at most {MAX_PAYLOAD}"
        )
    body = struct.pack("<BBH", packet.kind, packet.seq, len(packet.payload)) + packet.payload
    return SYNC + body + struct.pack("<I", zlib.crc32(body))


def scan(data: bytes) -> Scan:
    """Packets in received bytes; behind a wrong CRC the search goes on with its second byte."""
    packets: list[Packet] = []
    bad = junk = place = 0
    while True:
        start = data.find(SYNC, place)
        if start < 0:
            keep = 1 if data.endswith(SYNC[:1]) and len(data) > place else 0
            end = len(data) - keep
            return Scan(tuple(packets), data[end:], bad, junk + end - place)
        junk += start - place
        if len(data) - start < HEADER_BYTES:
            return Scan(tuple(packets), data[start:], bad, junk)
        kind, seq, length = struct.unpack_from("<BBH", data, start + 2)
        end = start + HEADER_BYTES + length
        if len(data) < end + CRC_BYTES:
            return Scan(tuple(packets), data[start:], bad, junk)
        if zlib.crc32(data[start + 2 : end]) == struct.unpack_from("<I", data, end)[0]:
            packets.append(Packet(kind, seq, data[start + HEADER_BYTES : end]))
            place = end + CRC_BYTES
        else:
            bad += 1
            junk += 1
            place = start + 1


_STATUS = struct.Struct("<BBHQIIHHHHHHIHHHHHHIIIHHHHHHHHHH")
STATUS_BYTES = _STATUS.size
_FLAG_DONE, _FLAG_PASSED, _FLAG_LATE, _FLAG_TROUBLE = 1, 2, 4, 8


@dataclass(frozen=True)
class Status:
    """What a board says of itself (reply to INFO and TEST).

    Attributes:
        test_done: a self-test has run.
        test_passed: every frame of the last one was right.
        test_stuck: the accelerator stopped in it.
        trouble: a packet was lost or wrong since reset (the error light).
        build_hash: of RTL, memories and settings.
        clock_hz: clock of the accelerator [Hz].
        baud: of the serial line.
        in_beats, in_bytes: beats of an input frame, bytes of a beat.
        out_beats, out_bytes: the same of an output frame.
        in_buffer, out_buffer: bytes that the board can hold.
        timeout_cycles: pause between bytes that ends a packet [cycles].
        test_frames: frames of a self-test; golden_frames different ones.
        compared_frames: frames compared in the last one.
        mismatches: of these, frames that differed.
        first_mismatch: number of the first one; None if there is none.
        test_runs: self-tests since reset.
        cycles: of the last one, first beat in to last beat out.
        latency_cycles: first beat in to last beat out of its first frame.
        steady_cycles, steady_frames: cycles in which the last half of its frames came out.
        good: requests carried out.
        crc_errors, dropped, bad_length, timeouts, framing_errors, unknown, junk: what went wrong.
    """

    test_done: bool
    test_passed: bool
    test_stuck: bool
    trouble: bool
    build_hash: int
    clock_hz: int
    baud: int
    in_beats: int
    in_bytes: int
    out_beats: int
    out_bytes: int
    in_buffer: int
    out_buffer: int
    timeout_cycles: int
    test_frames: int
    golden_frames: int
    compared_frames: int
    mismatches: int
    first_mismatch: int | None
    test_runs: int
    cycles: int
    latency_cycles: int
    steady_cycles: int
    steady_frames: int
    good: int
    crc_errors: int
    dropped: int
    bad_length: int
    timeouts: int
    framing_errors: int
    unknown: int
    junk: int

    @property
    def cycles_per_frame(self) -> float | None:
        """Interval of the full accelerator; None before a self-test has run to its end."""
        if not self.test_done or self.test_stuck or not self.steady_frames:
            return None
        return self.steady_cycles / self.steady_frames

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        body = asdict(self)
        body["build_hash"] = f"{self.build_hash:016x}"
        body["cycles_per_frame"] = self.cycles_per_frame
        return body


def status_payload(status: Status) -> bytes:
    """Inverse of `read_status`."""
    flags = (
        _FLAG_DONE * status.test_done
        + _FLAG_PASSED * status.test_passed
        + _FLAG_LATE * status.test_stuck
        + _FLAG_TROUBLE * status.trouble
    )
    first = NO_FRAME if status.first_mismatch is None else status.first_mismatch
    return _STATUS.pack(
        *(PROTOCOL_VERSION, flags, STATUS_BYTES, status.build_hash, status.clock_hz, status.baud),
        *(status.in_beats, status.in_bytes, status.out_beats, status.out_bytes),
        *(status.in_buffer, status.out_buffer, status.timeout_cycles),
        *(status.test_frames, status.golden_frames, status.compared_frames, status.mismatches),
        *(first, status.test_runs, status.cycles, status.latency_cycles, status.steady_cycles),
        *(status.steady_frames, 0, status.good, status.crc_errors, status.dropped),
        *(status.bad_length, status.timeouts, status.framing_errors, status.unknown, status.junk),
    )


def read_status(payload: bytes) -> Status:
    """The status block of a board.

    Raises:
        ConfigError: it is of another version of the protocol.
    """
    if len(payload) < 4 or payload[0] != PROTOCOL_VERSION or len(payload) < STATUS_BYTES:
        version = payload[0] if payload else 0
        raise ConfigError(
            f"the board speaks version {version} of the protocol ({len(payload)} bytes of status); "
            f"this program speaks version {PROTOCOL_VERSION} ({STATUS_BYTES} bytes)",
            hint="make its bitstream again with this version of phyfold",
        )
    _version, flags, _size, *words = _STATUS.unpack_from(payload)
    names = (
        *("build_hash", "clock_hz", "baud", "in_beats", "in_bytes", "out_beats", "out_bytes"),
        *("in_buffer", "out_buffer", "timeout_cycles", "test_frames", "golden_frames"),
        *("compared_frames", "mismatches", "first_mismatch", "test_runs", "cycles"),
        *("latency_cycles", "steady_cycles", "steady_frames", "reserved", "good", "crc_errors"),
        *("dropped", "bad_length", "timeouts", "framing_errors", "unknown", "junk"),
    )
    values = dict(zip(names, words, strict=True))
    del values["reserved"]
    if values["first_mismatch"] == NO_FRAME:
        values["first_mismatch"] = None
    return Status(
        test_done=bool(flags & _FLAG_DONE),
        test_passed=bool(flags & _FLAG_PASSED),
        test_stuck=bool(flags & _FLAG_LATE),
        trouble=bool(flags & _FLAG_TROUBLE),
        **values,
    )


@dataclass(frozen=True)
class Refusal:
    """A board's error reply: what it found wrong with a request of that kind and length."""

    error: BoardError
    kind: int
    length: int


_REFUSAL = struct.Struct("<BBH")


def read_refusal(payload: bytes) -> Refusal:
    """Payload of an error reply.

    Raises:
        LinkError: it is shorter than an error reply is, or gives an error that there is not.
    """
    if len(payload) < _REFUSAL.size:
        raise LinkError(
            f"the board's error reply has {len(payload)} bytes ({payload.hex(' ') or 'none'}): "
            f"must be {_REFUSAL.size}",
            hint=OTHER_VERSION,
        )
    code, kind, length = _REFUSAL.unpack_from(payload)
    try:
        return Refusal(BoardError(code), kind, length)
    except ValueError as error:
        raise LinkError(
            f"the board gives the unknown error {code}; known: 0 to {max(BoardError)}",
            hint=OTHER_VERSION,
        ) from error


@dataclass(frozen=True)
class FramesReply:
    """Results of frames.

    Attributes:
        data: packed output frames, one behind the other.
        cycles: first beat in to last beat out.
        frames: frames that the board counted.
        stuck: the accelerator stopped; what is missing in ``data`` was filled with zeros.
    """

    data: bytes
    cycles: int
    frames: int
    stuck: bool


def read_frames(payload: bytes) -> FramesReply:
    """Payload of the reply to FRAMES.

    Raises:
        LinkError: it is shorter than its trailer.
    """
    if len(payload) < TRAILER_BYTES:
        raise LinkError(
            f"the board's reply to FRAMES has {len(payload)} bytes: must be at least "
            f"{TRAILER_BYTES}",
            hint=OTHER_VERSION,
        )
    cycles, frames, flags = struct.unpack_from("<IHH", payload, len(payload) - TRAILER_BYTES)
    return FramesReply(payload[:-TRAILER_BYTES], cycles, frames, bool(flags & 1))

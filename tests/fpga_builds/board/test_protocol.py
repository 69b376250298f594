# SPDX-License-Identifier: Apache-2.0
"""Packets: whatever is encoded is found again, among rubbish and in pieces; broken ones are not."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import pytest
from board_chains import STATUS
from hypothesis import given
from hypothesis import strategies as st

from fpga_builds.board.protocol import (
    STATUS_BYTES,
    BoardError,
    LinkError,
    Packet,
    encode,
    read_frames,
    read_refusal,
    read_status,
    scan,
    status_payload,
)
from models.errors import ConfigError

BYTE = st.integers(0, 255)
PACKETS = st.builds(Packet, BYTE, BYTE, st.binary(max_size=300))
# Rubbish that begins no packet.
RUBBISH = st.binary(max_size=40).map(lambda data: data.replace(b"\xa5", b"\x00"))
WORD, HALF = st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1)


@given(st.lists(st.tuples(RUBBISH, PACKETS), max_size=5), RUBBISH)
def test_packets_are_found_among_rubbish(parts: list[tuple[bytes, Packet]], tail: bytes) -> None:
    data = b"".join(junk + encode(packet) for junk, packet in parts) + tail
    found = scan(data)
    assert list(found.packets) == [packet for _, packet in parts]
    assert (found.bad, found.rest) == (0, b"")
    assert found.junk == sum(len(junk) for junk, _ in parts) + len(tail)


@given(st.lists(PACKETS, min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_packets_in_pieces(packets: list[Packet], rng: object) -> None:
    data = b"".join(encode(packet) for packet in packets)
    found: list[Packet] = []
    rest = b""
    while data:
        size = rng.randint(1, len(data))  # type: ignore[attr-defined]
        step = scan(rest + data[:size])
        found += step.packets
        rest, data = step.rest, data[size:]
    assert found == packets
    assert rest == b""


@given(PACKETS, st.data())
def test_one_wrong_bit_is_seen(packet: Packet, data: st.DataObject) -> None:
    body = bytearray(encode(packet))
    place = data.draw(st.integers(6, len(body) - 1))
    body[place] ^= 1 << data.draw(st.integers(0, 7))
    found = scan(bytes(body))
    assert packet not in found.packets
    assert found.bad >= 1


def test_the_bytes_are_those_of_the_document() -> None:
    body = bytes([3, 7, 2, 0]) + b"hi"
    assert encode(Packet(3, 7, b"hi")) == b"\xa5\x5a" + body + struct.pack("<I", zlib.crc32(body))
    assert zlib.crc32(b"123456789") == 0xCBF43926  # the check value of CRC-32/ISO-HDLC


def test_a_payload_that_is_too_long() -> None:
    with pytest.raises(ConfigError, match="65536 bytes: a packet holds at most 65535"):
        encode(Packet(3, 0, bytes(65536)))


@given(st.tuples(*[HALF] * 8), st.booleans(), st.none() | st.integers(0, 0xFFFE), WORD)
def test_status_round_trip(
    counts: tuple[int, ...], passed: bool, first: int | None, word: int
) -> None:
    names = ("good", "crc_errors", "dropped", "bad_length", "timeouts", "framing_errors", "unknown")
    status = replace(
        STATUS,
        test_passed=passed,
        first_mismatch=first,
        cycles=word,
        **dict(zip((*names, "junk"), counts, strict=True)),
    )
    assert read_status(status_payload(status)) == status


def test_what_the_self_test_measured() -> None:
    assert STATUS.cycles_per_frame == 1500
    assert replace(STATUS, test_stuck=True).cycles_per_frame is None
    assert replace(STATUS, test_done=False).cycles_per_frame is None
    assert STATUS.to_json()["build_hash"] == "0123456789abcdef"


@pytest.mark.parametrize("payload", [b"", b"\x02" + bytes(79), b"\x01" + bytes(20)])
def test_another_version_of_the_protocol(payload: bytes) -> None:
    with pytest.raises(ConfigError, match=r"the board speaks version \d") as caught:
        read_status(payload)
    assert str(STATUS_BYTES) in caught.value.message


def test_refusals_and_results() -> None:
    assert read_refusal(b"\x02\x03\x0d\x00").error is BoardError.LENGTH
    with pytest.raises(LinkError, match="unknown error 99"):
        read_refusal(b"\x63\x03\x00\x00")
    reply = read_frames(b"abcd" + struct.pack("<IHH", 77, 2, 1))
    assert (reply.data, reply.cycles, reply.frames, reply.stuck) == (b"abcd", 77, 2, True)
    with pytest.raises(LinkError, match="reply to FRAMES has 3 bytes: must be at least 8"):
        read_frames(b"abc")

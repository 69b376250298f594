# SPDX-License-Identifier: Apache-2.0
"""Frames of integer codes through the accelerator on a board."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fpga_builds.board.link import BoardLink
from fpga_builds.board.protocol import (
    MAX_PAYLOAD,
    OTHER_VERSION,
    TRAILER_BYTES,
    LinkError,
    Status,
)
from hls.board.package import BoardPackage
from hls.ir import IntArray
from hls.sim.packing import pack, unpack
from models.errors import ConfigError

PACKET_FRAMES = 64


@dataclass(frozen=True)
class FramesResult:
    """Results of frames.

    Attributes:
        outputs: codes [n, output elements].
        cycles: sum over packets, first beat in to last beat out each.
        packets: sent.
    """

    outputs: IntArray
    cycles: int
    packets: int


def require_build(status: Status, packages: list[BoardPackage], where: str) -> BoardPackage:
    """The package that the board holds.

    Raises:
        ConfigError: it holds none of them.
        LinkError: it reports the build hash of one and other numbers.
    """
    for package in packages:
        if package.build_hash == status.build_hash:
            _require_numbers(status, package)
            return package
    known = ", ".join(f"{p.build_hash:016x} ({p.board.name})" for p in packages) or "none"
    raise ConfigError(
        f"the board holds another build: it reports {status.build_hash:016x}; {where} has {known}",
        hint="program it with `phyfold program BUILD --board BOARD`, or name the folder of its "
        "board.json with --package",
    )


def _require_numbers(status: Status, package: BoardPackage) -> None:
    source, sink, body = package.input, package.output, package.body
    expected = {
        "clock_hz": package.clock_hz,
        "baud": package.baud,
        "in_beats": source.beats,
        "in_bytes": source.beat_bytes,
        "out_beats": sink.beats,
        "out_bytes": sink.beat_bytes,
        "golden_frames": body["golden_frames"],
        "test_frames": body["test_frames"],
    }
    for name, number in expected.items():
        if getattr(status, name) != number:
            raise LinkError(
                f"the board reports the build hash of {package.folder}, and "
                f"{name}={getattr(status, name)} where that build has {number}",
                hint=OTHER_VERSION,
            )


def frames_per_packet(status: Status, package: BoardPackage) -> int:
    """Frames that the board's buffers and one packet can hold."""
    rooms = (
        status.in_buffer // package.input.frame_bytes,
        max(1, status.out_buffer // package.output.frame_bytes),
        (MAX_PAYLOAD - TRAILER_BYTES) // package.output.frame_bytes,
        PACKET_FRAMES,
    )
    if min(rooms) < 1:
        raise ConfigError(
            f"a frame of {package.input.frame_bytes} bytes does not fit the board's buffer of "
            f"{status.in_buffer}"
        )
    return min(rooms)


def run_frames(
    link: BoardLink,
    status: Status,
    package: BoardPackage,
    codes: IntArray,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> FramesResult:
    """Run codes [n, input elements] through the accelerator on the board.

    Raises:
        ConfigError: codes of the wrong shape or outside their format.
        LinkError: the board does not answer as it should.
    """
    source, sink = package.input, package.output
    if codes.ndim != 2 or codes.shape[1] != source.elements or not len(codes):
        raise ConfigError(f"codes of shape {codes.shape}: must be [frames, {source.elements}]")
    try:
        beats = pack(codes.astype(np.int64), source.fmt, source.elems_per_beat)
    except ValueError as error:
        raise ConfigError(f"codes: {error}") from error
    step = frames_per_packet(status, package)
    parts, cycles, packets = [], 0, 0
    for start in range(0, len(beats), step):
        chunk = beats[start : start + step]
        reply = link.frames(chunk.tobytes(), len(chunk) * sink.frame_bytes)
        if reply.frames != len(chunk):
            raise LinkError(f"{link.name}: the board counts {reply.frames} frames of {len(chunk)}")
        raw = np.frombuffer(reply.data, dtype=np.uint8)
        parts.append(raw.reshape(len(chunk), sink.beats, sink.beat_bytes))
        cycles += reply.cycles
        packets += 1
        progress(start + len(chunk), len(beats))
    outputs = unpack(np.concatenate(parts), sink.fmt, sink.elems_per_beat)
    return FramesResult(outputs, cycles, packets)

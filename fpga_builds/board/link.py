# SPDX-License-Identifier: Apache-2.0
"""A serial port with a board at its end: requests, replies, and what is done when bytes get lost.

One request is under way at a time. A reply that is missing, broken or a refusal because the request
arrived broken is answered by sending the request again, a bounded number of times, and counted. An
attempt ends when the line is silent for too long, and in any case at a time that is fixed when the
request is sent: a port that never stops talking (a console, a GPS, a wrong baud rate) is no board.
"""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Protocol

from fpga_builds.board.protocol import (
    REPLY_BIT,
    BoardError,
    FramesReply,
    Kind,
    LinkError,
    Packet,
    Status,
    encode,
    read_frames,
    read_refusal,
    read_status,
    scan,
)
from models.errors import ConfigError, ToolMissingError

DEFAULT_BAUD = 1_000_000
PATIENCE_S = 2.0
SLOW_PATIENCE_S = 60.0
"""For a simulated board, which takes seconds for what a board does in milliseconds."""
SLOWNESS = 1000.0
"""Times that a simulated board may take longer for a byte than a board's line does."""
ATTEMPTS = 4
POLL_S = 0.02
SETTLE_S = 0.1
"""Before a request is sent again: longer than the pause that ends a packet at the board."""


class Port(Protocol):
    """What of a serial port is used (`serial.Serial`)."""

    def read(self, size: int = 1) -> bytes:
        """Up to ``size`` bytes; fewer when its time limit has passed."""

    def write(self, data: bytes, /) -> int | None:
        """Send bytes."""

    @property
    def in_waiting(self) -> int:
        """Bytes received and not read."""

    def close(self) -> None:
        """Give the port back."""


@dataclass
class LinkCounts:
    """What went over the line, and what had to be repeated."""

    requests: int = 0
    retries: int = 0
    bad_crc: int = 0
    timeouts: int = 0
    refusals: int = 0
    junk_bytes: int = 0

    def to_json(self) -> dict[str, int]:
        """Plain data."""
        return asdict(self)


def require_pyserial() -> None:
    """Raise ToolMissingError unless the package pyserial is installed."""
    try:
        import serial  # noqa: F401
    except ImportError as error:
        raise ToolMissingError(
            "pyserial not found: talking to a board needs it", hint="pip install pyserial"
        ) from error


def open_port(name: str, baud: int = DEFAULT_BAUD) -> Port:
    """The serial port of that name.

    Raises:
        ToolMissingError: the package pyserial is missing.
        ConfigError: there is no such port, or it may not or cannot be opened.
    """
    require_pyserial()
    import serial

    try:
        port: Port = serial.Serial(
            name, baud, timeout=POLL_S, write_timeout=SLOW_PATIENCE_S, exclusive=True
        )
    except (OSError, ValueError) as error:
        number = getattr(error, "errno", None)
        reason = os.strerror(number) if number else str(error)
        raise ConfigError(f"port {name}: cannot be opened ({reason})", hint=_port_hint()) from error
    return port


def _port_hint() -> str:
    from serial.tools import list_ports

    found = ", ".join(sorted(item.device for item in list_ports.comports()))
    return (
        f"serial ports here: {found or 'none'}; the user may need to be in the group dialout, and "
        "no other program may hold the port. A simulated board: sim:FOLDER, see docs/board.md"
    )


class BoardLink:
    """Requests to one board.

    Args:
        port: the open serial port; `close` closes it.
        name: of the port, for messages.
        baud: rate of the line.
        patience_s: longest time without a byte, beyond what the bytes themselves take [s].
        attempts: times that a request is sent at most.
        slowness: of the line against its baud rate; an attempt may take `patience_s` and twice the
            time of its bytes at that rate, times this, whatever comes meanwhile.
    """

    def __init__(
        self,
        port: Port,
        name: str,
        *,
        baud: int = DEFAULT_BAUD,
        patience_s: float = PATIENCE_S,
        attempts: int = ATTEMPTS,
        slowness: float = 1.0,
    ) -> None:
        self.port, self.name, self.baud = port, name, baud
        self.patience_s, self.attempts, self.slowness = patience_s, attempts, slowness
        self.counts = LinkCounts()
        self._seq = int(time.monotonic() * 1000) % 256
        self._rest = b""

    def close(self) -> None:
        """Close the port."""
        self.port.close()

    def info(self) -> Status:
        """What the board says of itself."""
        return read_status(self.request(Kind.INFO))

    def selftest(self) -> Status:
        """Run the self-test on the board; its result is part of the status."""
        return read_status(self.request(Kind.TEST))

    def frames(self, data: bytes, reply_bytes: int) -> FramesReply:
        """Send packed frames, get packed frames of ``reply_bytes`` bytes altogether.

        Raises:
            LinkError: no or a wrong answer; the accelerator stopped.
        """
        reply = read_frames(self.request(Kind.FRAMES, data, reply_bytes))
        if reply.stuck:
            raise LinkError(
                f"{self.name}: the accelerator on the board stopped while {reply.frames} frames "
                "were in it",
                hint="`phyfold board PORT selftest` shows whether the board is sound",
            )
        if len(reply.data) != reply_bytes:
            raise LinkError(
                f"{self.name}: {len(reply.data)} bytes of results where {reply_bytes} were due",
                hint="the board's build and the one on this machine differ",
            )
        return reply

    def request(self, kind: Kind, payload: bytes = b"", reply_bytes: int = 80) -> bytes:
        """Payload of the reply to a request.

        Raises:
            LinkError: the board does not answer, refuses, or no attempt comes through.
        """
        self.counts.requests += 1
        bytes_s = 20.0 * (len(payload) + reply_bytes) / self.baud
        before = self.counts.to_json()
        for attempt in range(self.attempts):
            if attempt:
                self.counts.retries += 1
                self._settle()
            reply = self._attempt(kind, payload, bytes_s)
            if reply is not None:
                return reply
        counts = {name: count - before[name] for name, count in self.counts.to_json().items()}
        talks = "something talks there that is no board, or at another rate. "
        raise LinkError(
            f"{self.name}: no good answer to {kind.name} in {self.attempts} attempts of "
            f"{self.patience_s + bytes_s:.1f} s ({counts['timeouts']} without any, "
            f"{counts['bad_crc']} broken, {counts['refusals']} refused, {counts['junk_bytes']} "
            "stray bytes)",
            hint=f"{talks if counts['junk_bytes'] else ''}Is the board programmed, is its line at "
            f"{self.baud} baud (--baud), is this its port? A simulated board is slow: --patience "
            "SECONDS",
        )

    def _attempt(self, kind: Kind, payload: bytes, bytes_s: float) -> bytes | None:
        """Send once; the reply's payload, or None if it has to be sent again."""
        silence_s = self.patience_s + bytes_s
        self._seq = (self._seq + 1) % 256
        self._write(encode(Packet(kind, self._seq, payload)))
        heard = time.monotonic()
        end = heard + self.patience_s + bytes_s * self.slowness
        while time.monotonic() < min(end, heard + silence_s):
            data = self._read()
            if data:
                heard = time.monotonic()
            found = scan(self._rest + data)
            self._rest = found.rest
            self.counts.junk_bytes += found.junk
            for packet in found.packets:
                if packet.kind == Kind.ERROR:
                    self._refused(packet, kind)
                    return None
                if packet.seq == self._seq and packet.kind == kind | REPLY_BIT:
                    return packet.payload
            if found.bad:
                self.counts.bad_crc += found.bad
                return None
        self.counts.timeouts += 1
        return None

    def _refused(self, packet: Packet, kind: Kind) -> None:
        """Count a refusal that sending again can mend; raise for one that it cannot."""
        refusal = read_refusal(packet.payload)
        self.counts.refusals += 1
        broken = refusal.error not in (BoardError.LENGTH, BoardError.COMMAND)
        if broken or packet.seq != self._seq:
            return
        raise LinkError(
            f"{self.name}: the board refuses {kind.name} of {refusal.length} bytes: "
            f"{refusal.error.name.lower()}",
            hint="the board's build and the one on this machine differ, or their versions",
        )

    def _settle(self) -> None:
        """Let the board give up a broken packet and forget what it still sends."""
        time.sleep(SETTLE_S)
        self._read()
        self._rest = b""

    def _write(self, data: bytes) -> None:
        try:
            self.port.write(data)
        except OSError as error:
            raise LinkError(f"{self.name}: cannot be written ({error})") from error

    def _read(self) -> bytes:
        try:
            data = self.port.read(1)
            waiting = self.port.in_waiting if data else 0
            return data + self.port.read(waiting) if waiting else data
        except OSError as error:
            raise LinkError(
                f"{self.name}: cannot be read ({error})", hint="was the board unplugged?"
            ) from error

# SPDX-License-Identifier: Apache-2.0
"""The C functions of a simulation library (``harness.cpp``), as Python sees them."""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hls.sim.library_cache import load_library
from models.errors import ToolError

Bytes = npt.NDArray[np.uint8]
STAMPS = ("in_first", "in_last", "out_first", "out_last")


class Status(enum.IntEnum):
    """How a run ended; the same numbers as in harness.cpp."""

    RUNNING = 0
    DONE = 1
    DEADLOCK = 2
    PROTOCOL = 3
    FAILED = 4


@dataclass(frozen=True)
class BatchOptions:
    """How one batch is driven; see `hls.sim.engine.Disturbance` for the random part."""

    watchdog_cycles: int
    drain_cycles: int = 64
    seed: int = 0
    gap_probability: float = 0.0
    stall_probability: float = 0.0
    max_run: int = 1
    trace_first: int = 0
    trace_last: int = -1
    pace_cycles: int = 0
    """Cycles per frame that the input is offered at, its beats evenly spaced; 0: no limit."""


class _Batch(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("input", "output", *STAMPS)),
        *((name, ctypes.c_int64) for name in ("frames", "in_beats", "in_bytes", "out_beats")),
        *((name, ctypes.c_int64) for name in ("out_bytes", "watchdog_cycles", "drain_cycles")),
        ("seed", ctypes.c_uint64),
        ("gap_probability", ctypes.c_double),
        ("stall_probability", ctypes.c_double),
        *(
            (name, ctypes.c_int64)
            for name in ("max_run", "trace_first", "trace_last", "pace_cycles")
        ),
    )


class _Count(ctypes.Structure):
    _fields_ = tuple(
        (name, ctypes.c_int64)
        for name in ("beats", "stall_cycles", "starve_cycles", "high_water", "valid", "ready")
    )


@dataclass(frozen=True)
class StreamCounts:
    """Counters of one stream over one batch."""

    beats: int
    stall_cycles: int
    """Cycles with valid and without ready."""
    starve_cycles: int
    """Cycles with ready and without valid."""
    high_water: int
    """Most beats that were in the stream's FIFO at once; 0 for a wire."""
    valid: bool
    """Levels of the two wires when the batch ended."""
    ready: bool


@dataclass(frozen=True)
class Borders:
    """Where a batch stands: progress, and the levels of the border wires."""

    cycles: int
    frames_in: int
    frames_out: int
    s_valid: bool
    s_ready: bool
    m_valid: bool
    m_ready: bool


class Model:
    """One instance of a Verilated design. Its memory files are read from the working folder.

    digest: see `hls.sim.library_cache.load_library`.
    """

    def __init__(self, library: Path, digest: str = "") -> None:
        self._lib = load_library(library, digest)
        self._lib.phy_open.restype = ctypes.c_void_p
        self._lib.phy_error.restype = ctypes.c_char_p
        error_text = ctypes.create_string_buffer(1000)
        self._handle = ctypes.c_void_p(self._lib.phy_open(error_text, ctypes.c_int64(1000)))
        if not self._handle:
            raise ToolError(f"the design does not start: {error_text.value.decode()}")
        self._keep: list[object] = []
        self._probes = 0

    def close(self) -> None:
        """Free the instance."""
        if self._handle:
            self._lib.phy_close(self._handle)
            self._handle = ctypes.c_void_p()

    @property
    def error(self) -> str:
        """Why the last run ended with PROTOCOL or FAILED."""
        return str(self._lib.phy_error(self._handle).decode(errors="replace"))

    def begin(
        self, beats: Bytes, output: Bytes, stamps: npt.NDArray[np.int64], options: BatchOptions
    ) -> None:
        """Reset the design and begin a batch.

        beats: [frames, in_beats, in_bytes]. `run` fills output [frames, out_beats, out_bytes] and
        stamps [4, frames], the cycles named in STAMPS.
        """
        arrays = (beats, output, *stamps)
        self._keep = [*arrays]
        batch = _Batch(
            *(array.ctypes.data for array in arrays),
            *(beats.shape[0], beats.shape[1], beats.shape[2], output.shape[1], output.shape[2]),
            *(options.watchdog_cycles, options.drain_cycles, options.seed),
            *(options.gap_probability, options.stall_probability, options.max_run),
            *(options.trace_first, options.trace_last, options.pace_cycles),
        )
        if self._lib.phy_begin(self._handle, ctypes.byref(batch)) == Status.FAILED:
            raise ToolError(f"the design cannot be reset: {self.error}")

    def run(self, max_cycles: int) -> Status:
        """Go on for up to ``max_cycles`` cycles."""
        return Status(self._lib.phy_run(self._handle, ctypes.c_int64(max_cycles)))

    def borders(self) -> Borders:
        """Progress and border wires now."""
        state = (ctypes.c_int64 * 7)()
        self._lib.phy_state(self._handle, state)
        cycles, frames_in, frames_out, *levels = state
        return Borders(cycles, frames_in, frames_out, *map(bool, levels))

    def probe(self, scope: str, wires: Sequence[str], beat_bytes: int) -> int | None:
        """Watch a stream by its wires (up valid, up ready, down valid, down ready, down data)."""
        names = (ctypes.c_char_p * 5)(*(wire.encode() for wire in wires))
        size = ctypes.c_int64(beat_bytes)
        index = int(self._lib.phy_probe(self._handle, scope.encode(), names, size))
        return index if index >= 0 else None

    def capture(self, probe: int, buffer: Bytes) -> None:
        """Keep the beats that leave a stream in ``buffer`` until it is full."""
        self._keep.append(buffer)
        size = ctypes.c_int64(buffer.nbytes)
        self._lib.phy_capture(self._handle, probe, ctypes.c_void_p(buffer.ctypes.data), size)

    def counts(self, probe: int) -> StreamCounts:
        """Counters of a watched stream."""
        raw = _Count()
        self._lib.phy_count(self._handle, probe, ctypes.byref(raw))
        numbers = (raw.beats, raw.stall_cycles, raw.starve_cycles, raw.high_water)
        return StreamCounts(*numbers, bool(raw.valid), bool(raw.ready))

    def poke(self, scope: str, name: str, value: int) -> bool:
        """Write a 32-bit signal made public for writing; False if there is none of that name."""
        word = ctypes.c_uint32(value)
        return int(self._lib.phy_poke(self._handle, scope.encode(), name.encode(), word)) == 0

    def trace(self, path: Path) -> None:
        """Begin a waveform file (trace variant only)."""
        self._lib.phy_trace(self._handle, str(path).encode())

    def trace_end(self) -> None:
        """Close the waveform file."""
        self._lib.phy_trace_end(self._handle)

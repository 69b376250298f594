# SPDX-License-Identifier: Apache-2.0
"""From the RTL of an accelerator to a board top: PLL, serial line, self-test, constraints.

The modules are hand-written (``hls/rtl/board``) and copied as they are; generated are the top
(template ``hls/rtl/templates/board_top.sv.j2``), the memories of golden frames and the constraint
file. Equal inputs give equal bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.board.boards import Board
from hls.board.content import (
    INPUT_FILE,
    OUTPUT_FILE,
    build_hash_of,
    digests,
    parameters,
    settings_digest,
)
from hls.board.package import INFO_NAME, SCHEMA_VERSION, BoardPackage, StreamInfo, package_of
from hls.board.pll import Pll, find_pll
from hls.cycles import accelerator_cycles
from hls.ir import Accelerator, IntArray, Stream
from hls.sim.packing import pack
from hls.sim.source_lint import names_in
from hls.sim.verilate import RtlFiles
from hls.stitch import KERNELS
from hls.templates import render
from models.errors import CompileError, ConfigError
from models.files import storage_guard, write_atomic

BOARD_RTL = KERNELS / "board"
TEMPLATE = "board_top.sv.j2"
CELLS = ("EHXPLLL",)
RTL = "rtl"
HOLD_CYCLES = 256
TEST_FRAMES = 64
"""The self-test repeats the golden frames to at least so many: then the accelerator is full."""
MIN_BUFFER_BYTES, MAX_BUFFER_BYTES = 4096, 32768
MAX_PACKET_BYTES = 65535
GOLDEN_WORDS = 16_384
"""Depth of the deepest block RAM; beyond it the ROM would need a slow multiplexer."""
MIN_RATIO, MAX_BAUD = 16, 3_000_000


@dataclass(frozen=True)
class _Plan:
    """All numbers of a board top."""

    top_name: str
    board: Board
    pll: Pll
    baud: int
    source: StreamInfo
    sink: StreamInfo
    golden_frames: int
    repeats: int
    in_buffer: int
    out_buffer: int
    timeout_cycles: int
    watchdog_cycles: int


def write_board(  # noqa: PLR0917 (the order is the one of the flow)
    accelerator: Accelerator,
    rtl_package: RtlFiles,
    board: Board,
    golden_inputs: npt.ArrayLike,
    golden_outputs: npt.ArrayLike,
    clock_mhz: float,
    out_dir: Path,
    baud: int = 1_000_000,
    byte_timeout_ms: float = 50.0,
) -> BoardPackage:
    """Write the board top of ``accelerator`` to ``out_dir`` and return what was written.

    golden_inputs: codes [n, input elements]; golden_outputs: what they must give, [n, output
    elements]. Both go into ROMs on the chip. clock_mhz: of the accelerator. baud: of the serial
    line, at most 3,000,000 and a sixteenth of the clock. byte_timeout_ms: a packet is given up
    after so long a pause between two bytes.

    Raises:
        ConfigError: the clock cannot be made, or the line is too fast for it.
        CompileError: frames of the wrong shape, outside their format, or too large for a packet.
        StorageError: a file could not be written.
    """
    plan = _plan(
        accelerator,
        board,
        golden_frames=len(np.asarray(golden_inputs)),
        clock_mhz=clock_mhz,
        baud=baud,
        timeout_ms=byte_timeout_ms,
    )
    data = {path.name: path.read_text() for path in rtl_package.data_files}
    data[INPUT_FILE] = _memory(golden_inputs, plan.source, "input")
    data[OUTPUT_FILE] = _memory(golden_outputs, plan.sink, "output")
    if len(np.asarray(golden_outputs)) != plan.golden_frames:
        raise CompileError(
            f"{plan.golden_frames} golden inputs and {len(np.asarray(golden_outputs))} golden "
            "outputs: there must be one output for each input"
        )
    sources = _sources(rtl_package)
    top = f"{plan.top_name}.sv"
    body = _info(
        plan,
        accelerator,
        accelerator_top=rtl_package.top_name,
        sources=[*sources, top],
        data=sorted(data),
    )
    texts = {**sources, **data}
    build_hash = build_hash_of({name: text.encode() for name, text in texts.items()}, body)
    body["build_hash"] = f"{build_hash:016x}"
    texts[top] = _render(plan, rtl_package.top_name, parameters(body, build_hash), build_hash)
    listed = {f"{RTL}/{name}": text for name, text in texts.items()}
    body["files"] = digests({**listed, body["lpf"]: board.lpf()})
    body["settings_sha256"] = settings_digest(body)
    _write(out_dir, texts)
    write_atomic(out_dir / body["lpf"], board.lpf())
    info = write_atomic(out_dir / INFO_NAME, json.dumps(body, indent=1) + "\n")
    return package_of(info, body)


def _plan(
    acc: Accelerator,
    board: Board,
    *,
    golden_frames: int,
    clock_mhz: float,
    baud: int,
    timeout_ms: float,
) -> _Plan:
    pll = find_pll(board.clock_mhz, clock_mhz)
    ratio = pll.output_hz / baud if baud > 0 else 0.0
    if not 1 <= baud <= MAX_BAUD or ratio < MIN_RATIO or ratio > 50_000:
        raise ConfigError(
            f"serial line of {baud} baud at a clock of {float(pll.output_mhz):g} MHz: must be at "
            f"most {MAX_BAUD} baud, and the clock {MIN_RATIO} to 50000 times that"
        )
    if golden_frames < 1:
        raise CompileError("a board needs at least one golden frame for its self-test")
    source = _stream_info(acc.stream(acc.input.stream))
    sink = _stream_info(acc.stream(acc.output.stream))
    for role, stream, limit in (
        ("input", source, MAX_BUFFER_BYTES),
        ("output", sink, MAX_PACKET_BYTES - 64),
    ):
        if stream.frame_bytes > limit:
            raise CompileError(
                f"{acc.name}: an {role} frame of {stream.frame_bytes} bytes: must be at most "
                f"{limit} to travel in one packet"
            )
    cycles = accelerator_cycles(acc)
    moves = 4 * (cycles.latency_cycles + cycles.ii_cycles)
    line = round(24 * ratio * sink.beat_bytes)
    return _Plan(
        top_name=f"{re.sub(r'[^A-Za-z0-9_]', '_', acc.name)}_{board.name}",
        board=board,
        pll=pll,
        baud=baud,
        source=source,
        sink=sink,
        golden_frames=golden_frames,
        repeats=max(1, -(-TEST_FRAMES // golden_frames)),
        in_buffer=_buffer(source.frame_bytes),
        out_buffer=_buffer(sink.frame_bytes),
        timeout_cycles=max(1000, round(float(pll.output_mhz) * 1000 * timeout_ms)),
        watchdog_cycles=max(1 << 16, moves, line),
    )


def _buffer(frame_bytes: int) -> int:
    """Bytes of a buffer: a power of two for two frames."""
    size = 1 << (2 * frame_bytes - 1).bit_length()
    return min(max(size, MIN_BUFFER_BYTES), MAX_BUFFER_BYTES)


def _stream_info(stream: Stream) -> StreamInfo:
    return StreamInfo(stream.fmt, stream.elems_per_beat, stream.beats_per_frame)


def _memory(codes: npt.ArrayLike, stream: StreamInfo, role: str) -> str:
    """Frames [n, elements] as a memory file, one beat a line."""
    array: IntArray = np.asarray(codes, dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != stream.elements:
        raise CompileError(
            f"golden {role}s of shape {array.shape}: must be [frames, {stream.elements}]"
        )
    most = GOLDEN_WORDS // stream.beats
    if len(array) > most:
        raise CompileError(
            f"{len(array)} golden {role}s of {stream.beats} beats: their ROM has at most "
            f"{GOLDEN_WORDS} words, which is {most} frames"
        )
    try:
        beats = pack(array, stream.fmt, stream.elems_per_beat)
    except ValueError as error:
        raise CompileError(f"golden {role}s: {error}") from error
    rows = beats.reshape(-1, stream.beat_bytes)
    return "".join(f"{row.tobytes()[::-1].hex()}\n" for row in rows)


def _sources(rtl: RtlFiles) -> dict[str, str]:
    """File name -> text of the accelerator and of all that a board adds, packages first.

    A kernel that the accelerator brings along is taken as it brings it.
    """
    given = {path.name: path.read_text() for path in rtl.sources}
    found: dict[str, str] = {}
    todo = (KERNELS / "templates" / TEMPLATE).read_text()
    pending = [todo]
    while pending:
        for name in names_in(pending.pop(), r"phy_\w+"):
            path = next((p for p in _places(name) if p.is_file()), None)
            if path is None or path.name in found:
                continue
            found[path.name] = given.get(path.name) or path.read_text()
            pending.append(found[path.name])
    cells = {f"{name}.sv": (BOARD_RTL / f"{name}.sv").read_text() for name in CELLS}
    merged = {**cells, **dict(sorted(found.items())), **given}
    return dict(sorted(merged.items(), key=lambda item: _rank(item[0])))


def _places(module: str) -> tuple[Path, ...]:
    return (BOARD_RTL / f"{module}.sv", KERNELS / f"{module}.sv")


def _rank(name: str) -> int:
    """Packages first, the simple one in front, since others may import it."""
    if name == "phy_pkg.sv":
        return 0
    return 1 if name.endswith("_pkg.sv") else 2


def _render(plan: _Plan, accelerator_top: str, settings: Mapping[str, str], build_hash: int) -> str:
    pll = plan.pll
    return render(
        KERNELS / "templates" / TEMPLATE,
        top=plan.top_name,
        version=_version(),
        build_hash=f"{build_hash:016x}",
        accelerator_top=accelerator_top,
        board=plan.board,
        straps={port: level for port, (_pin, level) in plan.board.straps.items()},
        pll=pll,
        clock_mhz=f"{float(pll.output_mhz):.6g}",
        pfd_mhz=f"{float(pll.pfd_mhz):.6g}",
        vco_mhz=f"{float(pll.vco_mhz):.6g}",
        baud=plan.baud,
        hold_cycles=HOLD_CYCLES,
        in_bytes=plan.source.beat_bytes,
        out_bytes=plan.sink.beat_bytes,
        parameters=settings,
    )


def _info(
    plan: _Plan,
    acc: Accelerator,
    *,
    accelerator_top: str,
    sources: list[str],
    data: list[str],
) -> dict[str, Any]:
    pll = plan.pll
    return {
        "schema": SCHEMA_VERSION,
        "build": acc.name,
        "board": plan.board.name,
        "part": plan.board.part,
        "top_name": plan.top_name,
        "accelerator_top": accelerator_top,
        "version": _version(),
        "build_hash": "",
        "clock_hz": pll.output_hz,
        "clock_mhz": float(pll.output_mhz),
        "oscillator_mhz": plan.board.clock_mhz,
        "pll": {
            "clki_div": pll.clki_div,
            "clkfb_div": pll.clkfb_div,
            "clkop_div": pll.clkop_div,
            "clkos_div": pll.clkos_div,
            "vco_mhz": float(pll.vco_mhz),
        },
        "baud": plan.baud,
        "input": _stream_json(plan.source),
        "output": _stream_json(plan.sink),
        "in_buffer_bytes": plan.in_buffer,
        "out_buffer_bytes": plan.out_buffer,
        "golden_frames": plan.golden_frames,
        "test_frames": plan.golden_frames * plan.repeats,
        "timeout_cycles": plan.timeout_cycles,
        "watchdog_cycles": plan.watchdog_cycles,
        "nextpnr_options": list(plan.board.nextpnr_options),
        "loader": list(plan.board.loader),
        "lpf": f"{plan.top_name}.lpf",
        "sources": [f"{RTL}/{name}" for name in sources],
        "data_files": [f"{RTL}/{name}" for name in data],
    }


def _stream_json(stream: StreamInfo) -> dict[str, Any]:
    return {
        "bits": stream.fmt.bits,
        "signed": stream.fmt.signed,
        "elems_per_beat": stream.elems_per_beat,
        "beats": stream.beats,
        "beat_bytes": stream.beat_bytes,
    }


def _write(out_dir: Path, texts: Mapping[str, str]) -> None:
    """Write the RTL; files of an earlier run that are no longer needed are removed."""
    folder = out_dir / RTL
    with storage_guard(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.suffix in (".sv", ".dat") and old.name not in texts:
                old.unlink()
        for name, text in texts.items():
            (folder / name).write_text(text)


def _version() -> str:
    try:
        return metadata.version("phyfold")
    except metadata.PackageNotFoundError:
        return "(not installed)"

# SPDX-License-Identifier: Apache-2.0
"""What the board generator hands over, and reading it back from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from hls.board.boards import Board, board
from hls.board.content import check_content
from hls.ir import IntFormat
from models.errors import ConfigError
from models.folders import IDENTIFIER, member
from models.limits import parse_json, read_text

INFO_NAME = "board.json"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class StreamInfo:
    """Frames at one border of the accelerator."""

    fmt: IntFormat
    elems_per_beat: int
    beats: int

    @property
    def elements(self) -> int:
        """Elements of a frame."""
        return self.elems_per_beat * self.beats

    @property
    def beat_bytes(self) -> int:
        """Bytes of a beat."""
        return (self.fmt.bits * self.elems_per_beat + 7) // 8

    @property
    def frame_bytes(self) -> int:
        """Bytes of a packed frame."""
        return self.beat_bytes * self.beats


@dataclass(frozen=True)
class BoardPackage:
    """A board top with all that synthesis, place and route, simulation and host need.

    Attributes:
        top_name: module of the board top.
        sources: SystemVerilog files, packages first, the top last.
        data_files: memory files, all in one folder; the RTL names them without a folder.
        lpf: constraints for nextpnr.
        board: the board.
        info: board.json, all of the following as plain data.
        build_hash: of RTL, memories and settings; the board reports it.
        clock_hz: clock of the accelerator [Hz].
        baud: of the serial line.
        input: frames into the accelerator.
        output: frames out of it.
        body: what board.json holds.
    """

    top_name: str
    sources: tuple[Path, ...]
    data_files: tuple[Path, ...]
    lpf: Path
    board: Board
    info: Path
    build_hash: int
    clock_hz: int
    baud: int
    input: StreamInfo
    output: StreamInfo
    body: Mapping[str, Any]

    @property
    def folder(self) -> Path:
        """Folder that holds all files."""
        return self.info.parent


def load_board(folder: Path) -> BoardPackage:
    """The package that `hls.board.write_board` wrote to ``folder``, every file as it was written.

    Raises:
        ConfigError: there is none, a file of it is missing, damaged or changed, or it names a file
            outside of its folder.
    """
    info = folder / INFO_NAME
    try:
        body = parse_json(read_text(info))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{info}: no readable board package ({error})",
            hint="`phyfold bitstream BUILD --board BOARD` writes one",
        ) from error
    if not isinstance(body, dict) or body.get("schema") != SCHEMA_VERSION:
        raise ConfigError(
            f"{info}: written by another version", hint="run `phyfold bitstream` again"
        )
    try:
        package = package_of(info, body)
        for path in (*package.sources, *package.data_files, package.lpf):
            if not path.is_file():
                raise ConfigError(f"{path}: missing", hint="run `phyfold bitstream` again")
        check_content(folder, body)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{info}: no board package ({error!r})", hint="run `phyfold bitstream` again"
        ) from error
    return package


def package_of(info: Path, body: Mapping[str, Any]) -> BoardPackage:
    """The package that board.json at ``info`` describes with ``body``.

    Raises:
        ConfigError: a file's name leaves the folder.
        KeyError, TypeError, ValueError, AttributeError: ``body`` is no such description.
    """
    folder = info.parent
    for name in ("clock_hz", "baud", "golden_frames", "test_frames", "timeout_cycles"):
        if type(body[name]) is not int or body[name] < 1:
            raise ValueError(f"{name}={body[name]!r}: must be a number of 1 or more")
    names = [*body["sources"], *body["data_files"]]
    if not IDENTIFIER.fullmatch(body["top_name"]) or not body["sources"] or not body["data_files"]:
        raise ValueError("it names no top, no sources or no data files")
    if len({PurePosixPath(name).name for name in names}) != len(names):
        raise ValueError("it names two files alike")
    return BoardPackage(
        top_name=body["top_name"],
        sources=tuple(member(folder, name, info) for name in body["sources"]),
        data_files=tuple(member(folder, name, info) for name in body["data_files"]),
        lpf=member(folder, body["lpf"], info),
        board=board(body["board"]),
        info=info,
        build_hash=int(body["build_hash"], 16),
        clock_hz=body["clock_hz"],
        baud=body["baud"],
        input=_stream(body["input"]),
        output=_stream(body["output"]),
        body=body,
    )


def _stream(body: Mapping[str, Any]) -> StreamInfo:
    fmt = IntFormat(body["bits"], signed=body["signed"])
    return StreamInfo(fmt, body["elems_per_beat"], body["beats"])

# SPDX-License-Identifier: Apache-2.0
"""A bitstream onto a board, by openFPGALoader."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from hls.board.boards import Board
from hls.sim import tools
from models.errors import ConfigError, ToolMissingError

PROGRAM = "openFPGALoader"
OVERRIDE = "PHYFOLD_OPENFPGALOADER"
TIMEOUT_S = 300.0
STEP_FOLDERS = "80-bitstream*"
HINT = (
    "install openFPGALoader (Debian, Ubuntu: apt install openfpgaloader; Fedora: dnf install "
    "openFPGALoader; macOS: brew install openfpgaloader; or the OSS CAD Suite), or set "
    f"{OVERRIDE} to it. It needs access to the board's USB device"
)


def find_loader() -> Path:
    """Path of openFPGALoader.

    Raises:
        ToolMissingError: it is not there; says how to get it.
    """
    name = os.environ.get(OVERRIDE) or PROGRAM
    found = shutil.which(name)
    if found is None:
        where = f"{OVERRIDE}={name}" if os.environ.get(OVERRIDE) else "PATH"
        raise ToolMissingError(
            f"{PROGRAM} not found ({where}): programming a board needs it", hint=HINT
        )
    return Path(found)


def find_bitstream(out: Path, board: Board) -> Path:
    """The bitstream for ``board`` among a build's results in ``out``.

    Raises:
        ConfigError: there is none, or more than one.
    """
    every = sorted(out.glob(f"{STEP_FOLDERS}/**/*.bit"))
    mine = [path for path in every if board.name in path.relative_to(out).as_posix()] or every
    if len(mine) == 1:
        return mine[0]
    if not mine:
        raise ConfigError(
            f"{out}: no bitstream there",
            hint=f"`phyfold bitstream BUILD --board {board.name}` makes one",
        )
    names = ", ".join(path.relative_to(out).as_posix() for path in mine)
    raise ConfigError(f"{out}: several bitstreams: {names}", hint="name the file itself")


def program(
    bitstream: Path,
    board: Board,
    *,
    flash: bool = False,
    loader_board: str | None = None,
    timeout_s: float = TIMEOUT_S,
) -> dict[str, Any]:
    """Load ``bitstream`` into the FPGA of ``board``, or into its flash memory.

    loader_board: openFPGALoader's name of the board, where it is not the usual one.

    Raises:
        ConfigError: no such file, or it is empty.
        ToolMissingError: openFPGALoader is not there.
        ToolError: it failed or did not end in time; its last lines are in the message.
    """
    if not bitstream.is_file() or bitstream.stat().st_size == 0:
        raise ConfigError(f"{bitstream}: no such bitstream, or it is empty")
    loader = find_loader()
    name = loader_board or board.loader[0]
    log = Path(tempfile.mkdtemp(prefix="phyfold-")) / "openfpgaloader.log"
    started = time.monotonic()
    tools.run_tool(
        [loader, "-b", name, *(["-f"] if flash else []), bitstream.resolve()],
        cwd=log.parent,
        log_file=log,
        timeout_s=tools.timeout_s(timeout_s),
    )
    return {
        "board": board.name,
        "loader_board": name,
        "bitstream": str(bitstream),
        "memory": "flash" if flash else "sram",
        "seconds": time.monotonic() - started,
        "log": str(log),
    }

# SPDX-License-Identifier: Apache-2.0
"""What a board package consists of, and whether a folder still holds it.

The build hash covers RTL, memories and the settings that the RTL gets; the board reports it. The
generated top names the hash and is outside of it: board.json has the SHA-256 of every file, and of
itself: formats of codes, frames and pins decide too what a result says.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hls.board.boards import board
from hls.board.pll import Pll, exact
from models.errors import ConfigError

INPUT_FILE, OUTPUT_FILE = "board_inputs.dat", "board_outputs.dat"
HINT = "`phyfold bitstream` writes it again; a package that came from elsewhere: ask for it again"


def parameters(body: Mapping[str, Any], build_hash: int) -> dict[str, str]:
    """Parameters of phy_board, from what board.json holds."""
    source, sink = body["input"], body["output"]
    return {
        "ClkHz": str(body["clock_hz"]),
        "Baud": str(body["baud"]),
        "TimeoutCycles": str(body["timeout_cycles"]),
        "WatchdogCycles": str(body["watchdog_cycles"]),
        "BuildHash": f"64'h{build_hash:016x}",
        "InBeats": str(source["beats"]),
        "InBytes": str(source["beat_bytes"]),
        "OutBeats": str(sink["beats"]),
        "OutBytes": str(sink["beat_bytes"]),
        "InBuffer": str(body["in_buffer_bytes"]),
        "OutBuffer": str(body["out_buffer_bytes"]),
        "GoldenFrames": str(body["golden_frames"]),
        "Repeats": str(body["test_frames"] // body["golden_frames"]),
        "InFile": f'"{INPUT_FILE}"',
        "OutFile": f'"{OUTPUT_FILE}"',
    }


def pll_of(body: Mapping[str, Any]) -> Pll:
    """The setting of the PLL, from what board.json holds."""
    words = ("clki_div", "clkfb_div", "clkop_div", "clkos_div")
    numbers = [int(body["pll"][word]) for word in words]
    return Pll(exact(body["oscillator_mhz"]), *numbers)


def build_hash_of(files: Mapping[str, bytes], body: Mapping[str, Any]) -> int:
    """64 bits that tell one build on a board from another: RTL, memories, settings.

    files: content by plain name, without the generated top.
    """
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(name.encode() + b"\0" + hashlib.sha256(files[name]).digest())
    digest.update(json.dumps(parameters(body, 0), sort_keys=True).encode())
    on = board(body["board"])
    digest.update(f"{on.name} {on.part} {pll_of(body)}".encode())
    return int.from_bytes(digest.digest()[:8], "big")


def check_content(folder: Path, body: Mapping[str, Any]) -> None:
    """Refuse a package whose files are not those that board.json was written for.

    Raises:
        ConfigError: names the file, or the two hashes.
    """
    names = [*body["sources"], *body["data_files"]]
    contents = {name: (folder / name).read_bytes() for name in (*names, body["lpf"])}
    listed = body.get("files")
    if listed is not None:  # packages of earlier versions have the build hash alone
        for name, content in contents.items():
            if listed.get(name) != hashlib.sha256(content).hexdigest():
                raise ConfigError(
                    f"{folder / name}: damaged or changed; it is not the file that board.json was "
                    "written for",
                    hint=HINT,
                )
    top = f"{body['top_name']}.sv"
    plain = {Path(name).name: contents[name] for name in names}
    found = build_hash_of({n: content for n, content in plain.items() if n != top}, body)
    if found != int(body["build_hash"], 16):
        raise ConfigError(
            f"{folder}: its files and settings give the build hash {found:016x}, board.json says "
            f"{body['build_hash']}: a file or a setting was changed",
            hint=HINT,
        )
    sealed = body.get("settings_sha256")  # earlier versions have none
    if sealed is not None and sealed != settings_digest(body):
        raise ConfigError(
            f"{folder}: a setting in its board.json was changed after it was written", hint=HINT
        )


def settings_digest(body: Mapping[str, Any]) -> str:
    """SHA-256 of all that board.json holds but this."""
    rest = {name: value for name, value in body.items() if name != "settings_sha256"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def digests(files: Mapping[str, str]) -> dict[str, str]:
    """SHA-256 of texts by name, as board.json lists them."""
    return {name: hashlib.sha256(text.encode()).hexdigest() for name, text in files.items()}

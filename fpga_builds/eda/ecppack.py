# SPDX-License-Identifier: Apache-2.0
"""The bitstream of a routed ECP5 design, with ecppack, checked against the part's identity."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fpga_builds.eda.nextpnr import find_program
from hls.sim import tools
from models.errors import ToolError

TIMEOUT_S = 600.0
IDCODES = {
    "LFE5U-25F": 0x41111043,
    "LFE5U-45F": 0x41112043,
    "LFE5U-85F": 0x41113043,
    "LFE5UM-25F": 0x01111043,
    "LFE5UM-45F": 0x01112043,
    "LFE5UM-85F": 0x01113043,
    "LFE5UM5G-25F": 0x81111043,
    "LFE5UM5G-45F": 0x81112043,
    "LFE5UM5G-85F": 0x81113043,
}
"""JTAG identities, Lattice FPGA-TN-02039."""
FULL_BYTES = {"25F": 5_240_000 // 8, "45F": 9_700_000 // 8, "85F": 15_300_000 // 8}
"""Configuration bits of the three dies, rounded up: an uncompressed bitstream is no larger."""
PREAMBLE = bytes((0xFF, 0xFF, 0xBD, 0xB3))
VERIFY_ID = bytes((0xE2, 0x00, 0x00, 0x00))
MIN_BYTES = 10_000


@dataclass(frozen=True)
class Bitstream:
    """A bitstream: the .bit for memory and flash, the .svf for JTAG players; sizes in bytes."""

    bit: Path
    svf: Path
    bytes: int
    idcode: int


def pack(config: Path, part: str, bit: Path) -> Bitstream:
    """Turn nextpnr's configuration into ``bit`` and an .svf beside it.

    part: full name, as LFE5U-85F-6BG381C; the bitstream must name this part.
    Raises ToolMissingError, or ToolError if ecppack fails or its result is for another part.
    """
    program = find_program("ecppack")
    folder = bit.parent
    words: list[str | Path] = [*(program, "--compress", "--input", config.name, "--bit", bit.name)]
    svf = bit.with_suffix(".svf")
    for path in (bit, svf):
        path.unlink(missing_ok=True)
    if config.parent != folder:
        raise ToolError(f"{config}: must lie in {folder}, where the bitstream is made")
    tools.run_tool(
        [*words, "--svf", svf.name],
        cwd=folder,
        log_file=folder / "ecppack.log",
        timeout_s=tools.timeout_s(TIMEOUT_S),
    )
    if not bit.is_file() or not svf.is_file():
        raise ToolError(
            f"ecppack ended without {bit.name}\n{tools.log_tail(folder / 'ecppack.log')}"
        )
    return Bitstream(bit, svf, bit.stat().st_size, check_bitstream(bit, part))


def check_bitstream(bit: Path, part: str) -> int:
    """The identity in a bitstream; raises ToolError unless it is whole and made for ``part``."""
    data = bit.read_bytes()
    family, die = part.split("-")[:2]
    wanted = IDCODES[f"{family}-{die}"]
    start = data.find(PREAMBLE)
    if start < 0 or len(data) < MIN_BYTES:
        raise ToolError(f"{bit}: {len(data)} bytes without an ECP5 preamble: not a bitstream")
    if len(data) > FULL_BYTES[die]:
        raise ToolError(f"{bit}: {len(data)} bytes, more than a {die} can be given")
    place = data.find(VERIFY_ID, start)
    found = int.from_bytes(data[place + 4 : place + 8], "big") if place >= 0 else 0
    if found != wanted:
        raise ToolError(f"{bit}: made for the part 0x{found:08x}; {part} is 0x{wanted:08x}")
    return found

# SPDX-License-Identifier: Apache-2.0
"""The devices that designs are estimated for, from their data sheets' resource tables.

LUT: LUT4 of Lattice ECP5, LUT6 of AMD 7 series and UltraScale+. BRAM18: 18 kbit blocks (an ECP5
EBR, half an AMD BRAM36). DSP: MULT18X18D, DSP48E1, DSP48E2. URAM: 288 kbit blocks.

Sources: ECP5 and ECP5-5G Family Data Sheet (FPGA-DS-02012), table 1.1; DS190 7 Series and Zynq-7000
Overview; DS891 Zynq UltraScale+ Overview; DS962 Alveo U200 and U250 Data Sheet (the whole XCU250,
of which a shell takes a part).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from models.errors import CompileError


@dataclass(frozen=True)
class Device:
    """Resources of one part; ``family`` is ecp5, xc7 or xcup."""

    name: str
    family: str
    lut: int
    ff: int
    bram18: int
    dsp: int
    uram: int = 0

    @property
    def lut_inputs(self) -> int:
        """Inputs of a LUT."""
        return 4 if self.family == "ecp5" else 6


DEVICES = {
    d.name: d
    for d in (
        Device("LFE5U-25F", "ecp5", 24_288, 24_288, 56, 28),
        Device("LFE5U-45F", "ecp5", 43_848, 43_848, 108, 72),
        Device("LFE5U-85F", "ecp5", 83_640, 83_640, 208, 156),
        Device("xc7z020", "xc7", 53_200, 106_400, 280, 220),
        Device("xc7z045", "xc7", 218_600, 437_200, 1_090, 900),
        Device("xczu3eg", "xcup", 70_560, 141_120, 432, 360),
        Device("xczu7ev", "xcup", 230_400, 460_800, 624, 1_728, 96),
        Device("xcu250", "xcup", 1_728_000, 3_456_000, 5_376, 12_288, 1_280),
    )
}
DEFAULT_DEVICE = "LFE5U-85F"


def device(name: str) -> Device:
    """The device of a part: its name, which package and speed grade may follow.

    Those are letters and digits behind dashes (LFE5U-85F-6BG381C), or, of AMD's parts, behind the
    name itself (xc7z020clg400-1). The name goes into scripts of tools, so nothing else is a part.

    Raises:
        CompileError: no device of this name is known.
    """
    plain = name.lower().replace("lfe5um5g", "lfe5u").replace("lfe5um", "lfe5u")
    for key, value in DEVICES.items():
        package = "" if value.family == "ecp5" else "[a-z0-9]*"
        if re.fullmatch(f"{key.lower()}{package}(-[a-z0-9]+){{0,4}}", plain) and name.isascii():
            return value
    raise CompileError(
        f"part {name!r} is unknown; known: {', '.join(DEVICES)}",
        hint="add it to hls/devices.py, or choose a known one",
    )

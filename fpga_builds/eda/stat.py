# SPDX-License-Identifier: Apache-2.0
"""What a netlist needs, from Yosys' machine-readable ``stat -json``.

A count is the sum of the cells below; a cell type that is not listed stops the count: nothing is
free because nobody thought of it.

LUT   ECP5: LUT4 1, CCU2C 2, a CCU2C that begins a carry chain 6 (placement adds one before and one
      behind every chain), TRELLIS_DPR16X4 6 (4 and what its write port blocks). The sum is what
      nextpnr calls TRELLIS_COMB, but for two constants. AMD: LUT1 to LUT6 and INV 1
      (an inverter that no LUT could take in), shift registers 1, LUT RAM by its size (RAM32M and
      RAM64M 4, RAM32M16 and RAM64M8 8). Two small LUTs that share their inputs fit one LUT6, which
      Vivado uses and Yosys does not: AMD's counts read high.
FF    TRELLIS_FF; FDRE and its kin, latches included.
BRAM18 DP16KD and PDPW16KD; RAMB18 1, RAMB36 2.
DSP   MULT18X18D; DSP48E1, DSP48E2.
URAM  URAM288.
Other Carry logic (CARRY4), multiplexers of a slice (MUXF7, PFUMX), clock buffers, pads and PLLs
      cost none of these.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from models.errors import ToolError


@dataclass(frozen=True)
class Resources:
    """Counts of what a device has; see the top of this file."""

    lut: int = 0
    ff: int = 0
    bram18: int = 0
    dsp: int = 0
    uram: int = 0

    def __add__(self, other: Resources) -> Resources:
        mine, theirs = asdict(self), asdict(other)
        return Resources(**{key: mine[key] + theirs[key] for key in mine})

    def times(self, factor: int) -> Resources:
        """``factor`` of these."""
        return Resources(**{key: value * factor for key, value in asdict(self).items()})


NOTHING = Resources()
CHAIN_START = "CCU2C_FIRST"
"""What synthesis calls the first CCU2C of a carry chain while it counts."""


def _luts(**cells: int) -> dict[str, Resources]:
    return {name: Resources(lut=count) for name, count in cells.items()}


CELLS: Mapping[str, Resources] = {
    # Lattice ECP5
    **_luts(LUT4=1, CCU2C=2, TRELLIS_DPR16X4=6),
    CHAIN_START: Resources(lut=6),
    "TRELLIS_FF": Resources(ff=1),
    "DP16KD": Resources(bram18=1),
    "PDPW16KD": Resources(bram18=1),
    "MULT18X18D": Resources(dsp=1),
    **dict.fromkeys(
        (
            *("PFUMX", "L6MUX21", "GSR", "SGSR", "DCCA", "DCSC", "EHXPLLL", "OSCG", "USRMCLK"),
            *("IB", "OB", "OBZ", "BB", "TRELLIS_IO", "IFS1P3BX", "OFS1P3BX", "VHI", "VLO"),
        ),
        NOTHING,
    ),
    # AMD 7 series and UltraScale+
    **_luts(LUT1=1, LUT2=1, LUT3=1, LUT5=1, LUT6=1, INV=1, SRL16=1, SRL16E=1, SRLC16E=1, SRLC32E=1),
    **_luts(RAM32X1S=1, RAM64X1S=1, RAM128X1S=2, RAM256X1S=4, RAM512X1S=8),
    **_luts(RAM16X1D=2, RAM32X1D=2, RAM64X1D=2, RAM128X1D=4, RAM256X1D=8),
    **_luts(RAM32M=4, RAM64M=4, RAM32M16=8, RAM64M8=8),
    **dict.fromkeys(
        (
            *("FDRE", "FDSE", "FDCE", "FDPE", "FDRE_1", "FDSE_1", "FDCE_1", "FDPE_1"),
            *("LDCE", "LDPE"),
        ),
        Resources(ff=1),
    ),
    **dict.fromkeys(("RAMB18E1", "RAMB18E2"), Resources(bram18=1)),
    **dict.fromkeys(("RAMB36E1", "RAMB36E2"), Resources(bram18=2)),
    **dict.fromkeys(("DSP48E1", "DSP48E2"), Resources(dsp=1)),
    "URAM288": Resources(uram=1),
    **dict.fromkeys(
        (
            *("CARRY4", "CARRY8", "MUXF7", "MUXF8", "MUXF9", "VCC", "GND"),
            *("BUFG", "BUFGCTRL", "BUFGCE", "IBUF", "OBUF", "OBUFT", "IOBUF", "MMCME2_ADV"),
            *("PLLE2_ADV", "PLLE2_BASE", "MMCME4_ADV", "PLLE4_ADV"),
        ),
        NOTHING,
    ),
    "$scopeinfo": NOTHING,  # a comment of Yosys', no cell
}


def resources(cells: Mapping[str, int]) -> Resources:
    """The resources of cells counted by type.

    Raises:
        ToolError: a cell type is unknown, so that its cost is too.
    """
    unknown = {name: count for name, count in cells.items() if name not in CELLS}
    if unknown:
        listed = ", ".join(f"{name} ({count})" for name, count in sorted(unknown.items()))
        raise ToolError(
            f"netlist has cells of unknown cost: {listed}",
            hint="a cell that begins with $ was not mapped; give others a cost in "
            "fpga_builds/eda/stat.py",
        )
    total = NOTHING
    for name, count in cells.items():
        total += CELLS[name].times(count)
    return total


@dataclass(frozen=True)
class Report:
    """One ``stat -json``.

    Attributes:
        modules: cells by type of each module, without those of its submodules.
        instances: submodules by type of each module.
        design: cells by type of the whole design.
    """

    modules: Mapping[str, Mapping[str, int]]
    instances: Mapping[str, Mapping[str, int]]
    design: Mapping[str, int]


def read_stat(path: Path) -> Report:
    """The report in a file.

    Raises:
        ToolError: missing, cut short, not such a report, or its sums are wrong.
    """
    try:
        body = json.loads(path.read_text(encoding="utf-8"))
        names = {_plain(name) for name in body["modules"]}
        counts = {_plain(name): _counts(item) for name, item in body["modules"].items()}
        design = {key: n for key, n in _counts(body["design"]).items() if key not in names}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ToolError(
            f"{path}: no complete report of Yosys' stat -json ({error!r})",
            hint="run the synthesis again; the log beside it says how far Yosys came",
        ) from error
    return Report(
        {name: {k: n for k, n in item.items() if k not in names} for name, item in counts.items()},
        {name: {k: n for k, n in item.items() if k in names} for name, item in counts.items()},
        design,
    )


def _counts(item: Mapping[str, Any]) -> dict[str, int]:
    """Cells and submodules by type; their number must be what the report says."""
    by_type = {_plain(key): int(n) for key, n in item.get("num_cells_by_type", {}).items()}
    stated = int(item["num_cells"]) + int(item.get("num_submodules", 0))
    if sum(by_type.values()) != stated:
        raise ValueError(f"{stated} cells in all, but {sum(by_type.values())} by type")
    return by_type


def _plain(name: str) -> str:
    return name.removeprefix("\\")


def add_cells(*parts: Mapping[str, int]) -> dict[str, int]:
    """Counts by type, summed and sorted."""
    total: Counter[str] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def without_marks(cells: Mapping[str, int]) -> dict[str, int]:
    """Counts by the types that the netlist has."""
    plain = {key: count for key, count in cells.items() if key != CHAIN_START}
    return add_cells(plain, {"CCU2C": cells[CHAIN_START]} if CHAIN_START in cells else {})

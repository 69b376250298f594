# SPDX-License-Identifier: Apache-2.0
"""The Yosys commands of a synthesis."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from fpga_builds.eda.stat import CHAIN_START
from hls.ir import LAYER_KINDS
from models.received import file_name, identifier

UNITS = (*(f"phy_{kind}" for kind in LAYER_KINDS), "phy_fifo")
"""Modules whose instances are counted on their own."""
NETLIST_JSON, NETLIST_VERILOG = "netlist.json", "netlist.v"
STAT, STAT_FLAT = "stat.json", "stat_flat.json"
OUTPUTS = (NETLIST_JSON, NETLIST_VERILOG, STAT, STAT_FLAT)
MAPPED = "mapped.json"
DSP_CELL = "phy_mul_dsp"
MAPS = Path(__file__).with_name("maps")
ROMS = "phy_rom$*"
"""On AMD parts a ROM is mapped on its own and joins its layer afterwards. Mapped together with the
logic behind it, 600 LUTs with MUXF7 of a ROM of 120 x 300 bits became 2,500 without."""
HIERARCHY_ROUNDS = 3
"""Pad bits and unused signals are carried from layer to layer, one layer per round."""
SYNTH_ECP5 = "synth_ecp5 -nodsp -nowidelut"
SYNTH_AMD = "synth_xilinx -family {family} -nodsp -flatten -noiopad -noclkbuf"
STAGES_ECP5 = (
    *("begin", "coarse", "map_ram", "map_ffram", "map_gates", "map_ffs", "map_luts", "map_cells"),
    "check",
)
STAGES_AMD = (
    *("begin", "prepare", "coarse", "map_memory", "map_ffram", "fine", "map_cells", "map_ffs"),
    *("map_luts", "finalize", "check"),
)
"""Labels of Yosys' own synthesis scripts; called one by one, so that progress can be shown."""
MARK_CHAINS = (
    "select -set carries t:CCU2C %co1:+[COUT] w:* %i",
    "select -set inner @carries %co1:+[CIN] t:CCU2C %i",
    f"chtype -set {CHAIN_START} t:CCU2C @inner %d",
)
"""Gives the first cell of each carry chain a type of its own while cells are counted."""


def script(top: str, sources: Sequence[str], family: str, units: Sequence[str]) -> list[str]:
    """The commands up to mapped cells, hierarchy kept; the files lie in the working folder.

    Raises:
        ConfigError: the top or a file has a name that Yosys would read as more than a name.
    """
    identifier(top, "RTL")
    sources = [file_name(name, "RTL") for name in sources]
    lattice = family == "ecp5"
    synth = SYNTH_ECP5 if lattice else SYNTH_AMD.format(family=family)
    stages = (*(STAGES_ECP5 if lattice else STAGES_AMD), "edif")
    kept = " ".join((*(f"{unit}$*" for unit in units), *(() if lattice else (ROMS,))))
    return [
        "read_slang --threads 1 --ignore-assertions --best-effort-hierarchy "
        f"--blackboxed-module {DSP_CELL} --top {top} {' '.join(sources)}",
        # Before `hierarchy`: it would cut every instance to the port widths of the first one.
        f"techmap -map {dsp_map(family).name}",
        f"hierarchy -top {top}",
        f"setattr -mod -set keep_hierarchy 1 {kept}",
        "flatten -noscopeinfo",
        *(("opt_hier", "opt_clean") * HIERARCHY_ROUNDS),
        *(
            f"{synth} -top {top} -run {first}:{second}"
            for first, second in itertools.pairwise(stages)
        ),
    ]


def finish(top: str, family: str, units: Sequence[str]) -> list[str]:
    """The commands that count mapped cells, flatten the netlist and write it."""
    lattice = family == "ecp5"
    kept = " ".join(f"{unit}$*" for unit in units)
    roms = (f"setattr -mod -unset keep_hierarchy {ROMS}", "flatten -noscopeinfo")
    return [
        *(MARK_CHAINS if lattice else roms),
        f"tee -q -o {STAT} stat -json -top {top}",
        *((f"chtype -set CCU2C t:{CHAIN_START}",) if lattice else ()),
        f"setattr -mod -unset keep_hierarchy {kept}",
        "flatten -noscopeinfo",
        "setattr -unset src -unset module_not_derived */c:* */w:*",
        # Of cells of the library too: the folder that it lies in is another one in each run.
        "setattr -unset src =*/*",
        "setattr -mod -unset src =*",
        f"tee -q -o {STAT_FLAT} stat -json -top {top}",
        f"write_json {NETLIST_JSON}",
        f"write_verilog -noattr {NETLIST_VERILOG}",
    ]


def dsp_map(family: str) -> Path:
    """How the family's DSP block does what ``phy_mul_dsp`` does."""
    return MAPS / f"{DSP_CELL}_{family}.v"

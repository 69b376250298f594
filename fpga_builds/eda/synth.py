# SPDX-License-Identifier: Apache-2.0
"""Synthesis with Yosys: from RTL to a netlist of a device's cells, with resources per layer.

The hierarchy is kept down to the layers and FIFOs of the accelerator while Yosys optimises, so that
every cell belongs to one of them (or to "glue", what lies between); then the netlist is flattened
and written. What counts as a LUT, a register, a block RAM or a DSP is stated in
`fpga_builds.eda.stat`.

Multipliers are never put into DSP blocks by Yosys (``-nodsp``): on ECP5 it spends a whole block on
any product and uses none of its registers. A layer that wants DSP blocks says so in its parameters.
"""

from __future__ import annotations

import itertools
import logging
import re
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from fpga_builds.eda.ebr import pack_output_registers
from fpga_builds.eda.memories import check_memories
from fpga_builds.eda.stat import (
    CHAIN_START,
    Report,
    Resources,
    add_cells,
    read_stat,
    resources,
    without_marks,
)
from fpga_builds.eda.yosys import choose_engine, run_yosys
from hls.devices import Device
from hls.ir import LAYER_KINDS
from models.errors import CheckError, ToolError
from models.files import storage_guard

logger = logging.getLogger(__name__)

UNITS = (*(f"phy_{kind}" for kind in LAYER_KINDS), "phy_fifo")
"""Modules whose instances are counted on their own."""
GLUE = "glue"
NETLIST_JSON, NETLIST_VERILOG, LOG = "netlist.json", "netlist.v", "yosys.log"
STAT, STAT_FLAT = "stat.json", "stat_flat.json"
MAPPED = "mapped.json"
WORK = "yosys"
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


class Rtl(Protocol):
    """What is synthesized: the stitched accelerator or a board's top."""

    @property
    def top_name(self) -> str:
        """Name of the top module."""

    @property
    def sources(self) -> Sequence[Path]:
        """SystemVerilog files, packages first."""

    @property
    def data_files(self) -> Sequence[Path]:
        """Memory files; the RTL names them without a folder."""


@dataclass(frozen=True)
class LayerResources:
    """What one layer, one FIFO, or the glue between them needs; counts per Yosys cell too."""

    name: str
    lut: int
    ff: int
    bram18: int
    dsp: int
    uram: int
    cells: Mapping[str, int]

    @classmethod
    def of(cls, name: str, cells: Mapping[str, int]) -> LayerResources:
        """Counted from cells by type."""
        return cls(name=name, **asdict(resources(cells)), cells=without_marks(cells))

    @property
    def resources(self) -> Resources:
        """Its counts without the cells."""
        return Resources(self.lut, self.ff, self.bram18, self.dsp, self.uram)


@dataclass(frozen=True)
class Synthesis:
    """A synthesized netlist. ``engine`` is pyosys or yowasp; ``seconds`` is wall time [s]."""

    part: Device
    engine: str
    version: str
    seconds: float
    netlist_json: Path
    netlist_verilog: Path
    cells: Mapping[str, int]
    totals: Resources
    layers: tuple[LayerResources, ...]

    @property
    def utilisation(self) -> dict[str, float | None]:
        """Share of the part's resources, by resource; None for one that it does not have."""
        part = asdict(self.part)
        return {
            key: value / part[key] if part[key] else None
            for key, value in asdict(self.totals).items()
        }

    def to_json(self) -> dict[str, Any]:
        """Plain data: part, tool, totals, utilisation, layers."""
        return {
            "part": self.part.name,
            "tool": "yosys",
            "version": self.version,
            "engine": self.engine,
            "seconds": round(self.seconds, 1),
            "totals": asdict(self.totals),
            "utilisation": self.utilisation,
            "layers": [asdict(layer) for layer in self.layers],
            "cells": dict(self.cells),
        }

    @classmethod
    def from_json(
        cls, body: Mapping[str, Any], netlist_json: Path, netlist_verilog: Path, part: Device
    ) -> Synthesis:
        """Inverse of `to_json`; further keys of the layers are passed over."""
        names = LayerResources.__dataclass_fields__
        return cls(
            part=part,
            engine=body["engine"],
            version=body["version"],
            seconds=body["seconds"],
            netlist_json=netlist_json,
            netlist_verilog=netlist_verilog,
            cells=body["cells"],
            totals=Resources(**body["totals"]),
            layers=tuple(LayerResources(**{k: r[k] for k in names}) for r in body["layers"]),
        )


def synthesize(
    rtl: Rtl,
    part: Device,
    folder: Path,
    *,
    engine: str = "auto",
    log: Callable[[str], None] | None = None,
    progress: Callable[[float, float], None] | None = None,
    units: Sequence[str] = UNITS,
) -> Synthesis:
    """Synthesize ``rtl`` for ``part``; writes netlist.json, netlist.v and yosys.log in ``folder``.

    Args:
        rtl: top, sources and memory files.
        part: decides the family and what utilisation is relative to.
        folder: of the results; a subfolder ``yosys`` is used meanwhile, and left if Yosys fails.
        engine: "auto", "native" or "wasm", see `fpga_builds.eda.yosys`.
        log: told what is at work, in words.
        progress: told (done, total) stages.
        units: modules whose instances get a line of their own in ``layers``.

    Raises:
        ToolMissingError: no Yosys.
        CheckError: a memory file is missing or damaged.
        ToolError: Yosys failed, or gave a netlist whose cost cannot be told.
    """
    chosen = choose_engine(engine)
    check_memories(rtl.sources, rtl.data_files)
    started = time.monotonic()
    work = _stage(rtl, folder / WORK)
    if log is not None:
        log(f"yosys {chosen.version} ({chosen.name}), {part.name}")

    def tell(done: int, total: int, command: str) -> None:
        logger.info("command %d of %d: %s", done + 1, total, command)
        if progress is not None:
            progress(done, total)

    outputs = (NETLIST_JSON, NETLIST_VERILOG, STAT, STAT_FLAT)
    commands = script(rtl.top_name, [path.name for path in rtl.sources], part.family, units)
    last = finish(rtl.top_name, part.family, units)
    if part.family == "ecp5":
        first = [*commands, f"write_json {MAPPED}"]
        run_yosys(first, work, engine=chosen, outputs=(MAPPED,), name="map", progress=tell)
        moved = pack_output_registers(work / MAPPED)
        logger.info("%d registers moved into block RAM", moved)
        commands = [f"read_json {MAPPED}"]
    run_yosys([*commands, *last], work, engine=chosen, outputs=outputs, progress=tell)
    report, flat = read_stat(work / STAT), read_stat(work / STAT_FLAT)
    layers = tuple(layer_resources(report, rtl.top_name, units))
    cells = add_cells(*flat.modules.values())
    summed = add_cells(*(layer.cells for layer in layers))
    totals = sum((layer.resources for layer in layers), start=Resources())
    if cells != summed:
        raise ToolError(
            f"cells of the flat netlist {cells} are not the sum over its layers {summed}",
            hint=f"see {work / LOG}",
        )
    _publish(work, folder, (*outputs, LOG))
    return Synthesis(
        part=part,
        engine=chosen.name,
        version=chosen.version,
        seconds=time.monotonic() - started,
        netlist_json=folder / NETLIST_JSON,
        netlist_verilog=folder / NETLIST_VERILOG,
        cells=cells,
        totals=totals,
        layers=layers,
    )


def script(top: str, sources: Sequence[str], family: str, units: Sequence[str]) -> list[str]:
    """The commands up to mapped cells, hierarchy kept; the files lie in the working folder."""
    lattice = family == "ecp5"
    synth = SYNTH_ECP5 if lattice else SYNTH_AMD.format(family=family)
    stages = (*(STAGES_ECP5 if lattice else STAGES_AMD), "edif")
    kept = " ".join(f"{unit}$*" for unit in units)
    return [
        "read_slang --threads 1 --ignore-assertions --best-effort-hierarchy "
        f"--top {top} {' '.join(sources)}",
        f"hierarchy -check -top {top}",
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
    return [
        *(MARK_CHAINS if lattice else ()),
        f"tee -q -o {STAT} stat -json -top {top}",
        *((f"chtype -set CCU2C t:{CHAIN_START}",) if lattice else ()),
        f"setattr -mod -unset keep_hierarchy {kept}",
        "flatten -noscopeinfo",
        "setattr -unset src -unset module_not_derived */c:* */w:*",
        f"tee -q -o {STAT_FLAT} stat -json -top {top}",
        f"write_json {NETLIST_JSON}",
        f"write_verilog -noattr {NETLIST_VERILOG}",
    ]


def layer_resources(report: Report, top: str, units: Sequence[str]) -> list[LayerResources]:
    """Resources of every layer and FIFO in the order of their names, the glue last.

    Modules are called ``<module>$<path of the instance>``. A layer's name is the last part of that
    path without its ``u_``; the whole path, if two would be called the same.
    """
    paths: dict[str, str] = {}
    glue: list[Mapping[str, int]] = []
    for name, cells in report.modules.items():
        kind, _, path = name.partition("$")
        if kind in units and path:
            paths[name] = path.removeprefix(f"{top}.")
        else:
            glue.append(cells)
    short = {name: re.sub(r"^u_", "", path.rpartition(".")[2]) for name, path in paths.items()}
    rows = []
    for name, path in paths.items():
        unique = list(short.values()).count(short[name]) == 1
        rows.append(LayerResources.of(short[name] if unique else path, report.modules[name]))
    rows.sort(key=lambda row: (row.name.startswith("fifo_"), row.name))
    return [*rows, LayerResources.of(GLUE, add_cells(*glue))]


def require_fit(synthesis: Synthesis) -> None:
    """Raise CheckError if the design is larger than its part; names every resource that is."""
    used, part = asdict(synthesis.totals), synthesis.part
    over = [
        f"{used[key]:,} {label} of {getattr(part, key):,}"
        + (f" ({100 * used[key] / getattr(part, key):.0f} %)" if getattr(part, key) else "")
        for key, label in (
            *(("lut", "LUT"), ("ff", "FF"), ("bram18", "BRAM18"), ("dsp", "DSP")),
            ("uram", "URAM"),
        )
        if used[key] > getattr(part, key)
    ]
    if over:
        raise CheckError(
            f"the design is larger than {part.name}: {', '.join(over)}",
            hint="choose a larger part with --part, or a slower folding (folding.cycles, "
            "folding.budget)",
        )


def _stage(rtl: Rtl, work: Path) -> Path:
    """Copies of sources and memory files in a fresh working folder."""
    with storage_guard(work):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for path in (*rtl.sources, *rtl.data_files):
            try:
                shutil.copyfile(path, work / path.name)
            except FileNotFoundError as error:
                raise CheckError(
                    f"{path}: missing; the RTL needs it", hint="run `phyfold compile` again"
                ) from error
    return work


def _publish(work: Path, folder: Path, names: Sequence[str]) -> None:
    with storage_guard(folder):
        for name in names:
            (work / name).replace(folder / name)
        shutil.rmtree(work, ignore_errors=True)

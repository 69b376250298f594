# SPDX-License-Identifier: Apache-2.0
"""Synthesis with Yosys: from RTL to a netlist of a device's cells, with resources per layer.

The hierarchy is kept down to the layers and FIFOs of the accelerator while Yosys optimises, so that
every cell belongs to one of them (or to "glue", what lies between); then the netlist is flattened
and written. What counts as a LUT, a register, a block RAM or a DSP is stated in
`fpga_builds.eda.stat`.

Yosys puts no multipliers into DSP blocks by itself (``-nodsp``): it would spend a whole block on
any product and, on most families, use none of its registers. A layer that wants DSP blocks says so
(``dsp`` in its parameters); its ``phy_mul_dsp`` cells are mapped to explicit, registered blocks by
the files in ``maps``. The commands are in `fpga_builds.eda.script`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fpga_builds.eda.ebr import pack_output_registers
from fpga_builds.eda.kept_mapping import KeptMapping
from fpga_builds.eda.memories import check_memories
from fpga_builds.eda.script import (
    MAPPED,
    NETLIST_JSON,
    NETLIST_VERILOG,
    OUTPUTS,
    STAT,
    STAT_FLAT,
    UNITS,
    dsp_map,
    finish,
    script,
)
from fpga_builds.eda.stat import (
    Report,
    Resources,
    add_cells,
    read_stat,
    resources,
    without_marks,
)
from fpga_builds.eda.yosys import Engine, choose_engine, run_yosys
from hls.devices import Device
from hls.sim.source_lint import check_sources
from hls.sim.verilate import RtlFiles
from models.errors import CheckError, ToolError
from models.files import storage_guard
from models.sealed import file_hash

logger = logging.getLogger(__name__)

GLUE = "glue"
WORK = "yosys"


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


@dataclass(frozen=True)
class Keep:
    """Where a synthesis keeps what it has, until all is done.

    Attributes:
        folder: for this synthesis alone.
        made_by: further part of the key: hash of program text.
        told: gets what is kept, before Yosys starts.
    """

    folder: Path
    made_by: str = ""
    told: Callable[[KeptMapping], None] = lambda _kept: None


def synthesize(
    rtl: RtlFiles,
    part: Device,
    folder: Path,
    *,
    engine: str = "auto",
    log: Callable[[str], None] | None = None,
    progress: Callable[[float, float], None] = lambda _done, _total: None,
    doing: Callable[[str], None] = lambda _what: None,
    units: Sequence[str] = UNITS,
    keep: Keep | None = None,
) -> Synthesis:
    """Synthesize ``rtl`` for ``part``; writes netlist.json, netlist.v and yosys.log in ``folder``.

    Args:
        rtl: top, sources and memory files.
        part: decides the family and what utilisation is relative to.
        folder: of the results; a subfolder ``yosys`` is used meanwhile, and left if Yosys fails.
        engine: "auto", "native" or "wasm", see `fpga_builds.eda.yosys`.
        log: told what is at work, in words.
        progress: told (done, total) commands.
        doing: told in a word which command is at work.
        units: modules whose instances get a line of their own in ``layers``.
        keep: where the mapped cells are kept until all is done (ECP5 only); a later call with the
            same files goes on there. None: nowhere.

    Raises:
        ToolMissingError: no Yosys.
        CheckError: a memory file is missing or damaged.
        ConfigError: the RTL reaches out of synthesis (`hls.sim.source_lint`).
        ToolError: Yosys failed, or gave a netlist whose cost cannot be told.
    """
    chosen = choose_engine(engine)
    check_sources(rtl.top_name, rtl.sources)
    check_memories(rtl.sources, rtl.data_files)
    started = time.monotonic()
    work = _stage((*rtl.sources, *rtl.data_files, dsp_map(part.family)), folder / WORK)
    if log is not None:
        log(f"yosys {chosen.version} ({chosen.name}), {part.name}")

    first, last = commands_of(rtl, part.family, units)
    keep = keep or Keep(work / "kept")
    mapping = KeptMapping(keep.folder, _key([first, last], chosen, work, keep.made_by))
    keep.told(mapping)
    lattice = part.family == "ecp5"
    run = _Run(work, chosen, len(first) + len(last) + 2 * lattice, progress, doing)
    logs = _run(part.family, first, last, mapping, run)
    report, flat = read_stat(work / STAT), read_stat(work / STAT_FLAT)
    layers = tuple(layer_resources(report, rtl.top_name, units))
    cells = add_cells(*flat.modules.values())
    summed = add_cells(*(layer.cells for layer in layers))
    totals = sum((layer.resources for layer in layers), start=Resources())
    if cells != summed:
        raise ToolError(
            f"cells of the flat netlist {cells} are not the sum over its layers {summed}",
            hint=f"see {work / logs[-1]}",
        )
    _publish(work, folder, (*OUTPUTS, *logs))
    mapping.clear()
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


@dataclass(frozen=True)
class _Run:
    """Yosys at work on one design.

    Attributes:
        work: working folder.
        engine: which Yosys.
        total: commands of all runs.
        progress, doing: see `synthesize`.
    """

    work: Path
    engine: Engine
    total: int
    progress: Callable[[float, float], None]
    doing: Callable[[str], None]

    def __call__(
        self, commands: Sequence[str], outputs: Sequence[str], *, name: str, behind: int = 0
    ) -> None:
        """Run commands; ``behind``: how many there will be in later runs."""
        before = self.total - behind - len(commands)

        def tell(number: int, _total: int, command: str) -> None:
            logger.info("yosys: %s", command)
            self.doing(described(command))
            self.progress(before + number, self.total)

        run_yosys(
            commands, self.work, engine=self.engine, outputs=outputs, name=name, progress=tell
        )


def _run(
    family: str, first: Sequence[str], last: Sequence[str], mapping: KeptMapping, run: _Run
) -> tuple[str, ...]:
    """Run Yosys, on ECP5 twice, with block RAMs packed in between; returns the logs."""
    if family != "ecp5":
        run([*first, *last], OUTPUTS, name="yosys")
        return ("yosys.log",)
    kept = mapping.kept
    if kept:
        mapping.bring(run.work / MAPPED)
        logger.info("goes on from %s", mapping)
    else:
        run([*first, f"write_json {MAPPED}"], (MAPPED,), name="yosys", behind=len(last) + 1)
        moved = pack_output_registers(run.work / MAPPED)
        logger.info("%d registers moved into block RAM", moved)
        mapping.keep(run.work / MAPPED)
    run([f"read_json {MAPPED}", *last], OUTPUTS, name="netlist")
    return ("netlist.log",) if kept else ("yosys.log", "netlist.log")


def described(command: str) -> str:
    """A command in a word: the stage of a synthesis script that it runs, or its name."""
    stage = command.partition(" -run ")[2].partition(":")[0]
    return stage or command.split(maxsplit=1)[0]


def commands_of(rtl: RtlFiles, family: str, units: Sequence[str]) -> tuple[list[str], list[str]]:
    """Yosys' commands up to mapped cells, and from there to the netlist."""
    first = script(rtl.top_name, [path.name for path in rtl.sources], family, units)
    return first, finish(rtl.top_name, family, units)


def _key(commands: Iterable[Sequence[str]], engine: Engine, work: Path, made_by: str) -> str:
    """Hash of all that the netlist follows from."""
    files = {path.name: file_hash(path) for path in sorted(work.iterdir())}
    parts = [[list(c) for c in commands], asdict(engine), files, made_by]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


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


def _stage(files: Iterable[Path], work: Path) -> Path:
    """Copies of files in a fresh working folder."""
    with storage_guard(work):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        for path in files:
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

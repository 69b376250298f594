# SPDX-License-Identifier: Apache-2.0
"""From HDL files, as FINN's nodes hand them over, to a library that `finn_xsi_design` opens.

Two files of FINN's RTL library use constructs that Verilator refuses. They are changed on a copy,
by text, and only if the construct is still there (``REPAIRS``); the installation is not touched.

Libraries are kept beside FINN's build folders, in ``phyfold_rtlsim``, under a hash of everything
that goes into them: preparing the same node twice compiles once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hls.sim import tools, verilate
from hls.sim.library_cache import copy_library
from hls.sim.source_lint import FINN
from models.errors import CompileError, StorageError

SHIM = Path(__file__).with_name("xsi_shim.cpp")
CACHE = "phyfold_rtlsim"
HEADERS = (".vh", ".svh")
SOURCES = (".v", ".sv")
MEMORIES = (".dat", ".mem", ".hex")
BARE_NAME = re.compile(r'"([\w.-]+)"')
PORT_LINE = re.compile(r"VL_(IN|OUT|INOUT)(?:8|16|64|W)?\(&(\w+),(\d+),(\d+)(?:,\d+)?\);")


@dataclass(frozen=True)
class Repair:
    """A change by text to a file of FINN's RTL library."""

    pattern: str
    replacement: str
    reason: str


REPAIRS: Mapping[str, Repair] = {
    "add_multi.sv": Repair(
        r"(?s)(\blocalparam int unsigned\s+L = .*?)"
        r"(^[ \t]*typedef int unsigned\s+leaf_load_t\b.*?\bendfunction\b[^\n]*\n)",
        r"\2\1",
        "a constant function may not be declared inside a generate block: moved in front of it",
    ),
    "fifo.sv": Repair(
        r"\btypedef struct \{",
        "typedef struct packed {",
        "no constant function with an unpacked struct as its result: packed instead",
    ),
}


@dataclass(frozen=True)
class HdlFiles:
    """A design's files by what they are for."""

    top_name: str
    sources: tuple[Path, ...]
    headers: tuple[Path, ...]
    data_files: tuple[Path, ...]


def build_simulation(
    top_name: str, files: Sequence[str | Path], folder: Path, *, debug: bool, behavioral: bool
) -> Path:
    """Build ``folder``/xsim.dir/<top>/xsimk.so; memory files are linked into ``folder``.

    debug: the library can write waveforms. behavioral: FINN's macro FINN_SIMULATION is defined.
    Returns the library's path relative to ``folder``, of the form that FINN takes apart again.
    """
    hdl = sort_files(top_name, files)
    with tools.storage_guard(folder):
        hdl = replace(hdl, sources=tuple(_repaired(path, folder) for path in hdl.sources))
        _link_memories(hdl.data_files, folder)
    plan = _plan(hdl, debug=debug, behavioral=behavioral)
    built = folder.resolve().parent / CACHE / _key(plan, hdl.headers)
    verilate.build_library(plan, built)
    library = Path("xsim.dir") / top_name / "xsimk.so"
    with tools.storage_guard(folder):
        copy_library(built / verilate.LIBRARY, folder / library)
    return library


def sort_files(top_name: str, files: Sequence[str | Path]) -> HdlFiles:
    """Files by kind: packages first, duplicates dropped, memory files found beside the sources."""
    paths = list(dict.fromkeys(Path(item).resolve() for item in files))
    for path in paths:
        _check_file(path)
    sources = [path for path in paths if path.suffix in SOURCES]
    if not sources:
        raise CompileError(f"{top_name}: no Verilog file among {[path.name for path in paths]}")
    listed = [path for path in paths if path.suffix in MEMORIES]
    beside = [path for source in sources for path in _memories_beside(source)]
    return HdlFiles(
        top_name=top_name,
        sources=tuple(sorted(sources, key=lambda path: not path.stem.endswith("_pkg"))),
        headers=tuple(path for path in paths if path.suffix in HEADERS),
        data_files=tuple(dict.fromkeys([*listed, *beside])),
    )


def _memories_beside(source: Path) -> list[Path]:
    """Memory files in the source's folder that it names, or begins to name, without a path."""
    names = tuple(set(BARE_NAME.findall(source.read_text(errors="replace"))))
    found = (path for path in sorted(source.parent.iterdir()) if path.suffix in MEMORIES)
    return [path for path in found if path.name.startswith(names)]


def _check_file(path: Path) -> None:
    if path.suffix in (".vhd", ".vhdl"):
        raise NotImplementedError(
            f"{path.name}: VHDL; Verilator reads Verilog and SystemVerilog only, so this node can "
            "be simulated with Vivado's simulator alone"
        )
    if path.suffix not in (*SOURCES, *HEADERS, *MEMORIES):
        raise CompileError(
            f"{path}: unknown kind of HDL file; known: {', '.join((*SOURCES, *HEADERS, *MEMORIES))}"
        )
    if not path.is_file():
        raise CompileError(f"{path}: HDL file not found", hint="run PrepareIP before PrepareRTLSim")


def _repaired(path: Path, folder: Path) -> Path:
    """The file itself, or its repaired copy."""
    repair = REPAIRS.get(path.name)
    if repair is None:
        return path
    text = path.read_text()
    changed, count = re.subn(repair.pattern, repair.replacement, text, count=1, flags=re.MULTILINE)
    if not count:
        return path
    copy = folder / "repaired" / path.name
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(f"// Changed for Verilator: {repair.reason}.\n{changed}")
    return copy


def _link_memories(data_files: Sequence[Path], folder: Path) -> None:
    """Memory files named in the RTL without a folder are looked for where the simulation starts."""
    for path in data_files:
        link = folder / path.name
        if link.is_file() and link.read_bytes() != path.read_bytes():
            raise StorageError(
                f"{path}: another memory file of that name belongs to the same design",
                hint="give the nodes different names (GiveUniqueNodeNames) and generate HDL again",
            )
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(path)


def _plan(hdl: HdlFiles, *, debug: bool, behavioral: bool) -> verilate.BuildPlan:
    plan = verilate.make_plan(hdl, verilate.Variant.TRACE if debug else verilate.Variant.FAST)
    flags = [flag for flag in plan.verilator_flags if flag != "--no-assert"]
    flags += ["--assert", *(["-DFINN_SIMULATION"] if behavioral else [])]
    searched = tuple(dict.fromkeys(path.parent for path in hdl.headers))
    plan = replace(plan, verilator_flags=tuple(flags), verilog_includes=searched)
    return replace(plan, harness=SHIM, adapt=write_ports, rules=FINN)


def _key(plan: verilate.BuildPlan, headers: Sequence[Path]) -> str:
    digest = hashlib.sha256(verilate.plan_key(plan).encode())
    for path in headers:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def write_ports(generated: Path) -> None:
    """List the top module's ports, which Verilator's header declares, for the shim."""
    lines = []
    for kind, field, high, low in PORT_LINE.findall((generated / "Vphy.h").read_text()):
        if kind == "INOUT":
            raise NotImplementedError(f"port {field}: bidirectional ports cannot be simulated")
        name = field.replace("___05F", "__")  # how Verilator writes two underscores
        width = int(high) - int(low) + 1
        lines.append(f'PORT({field}, "{name}", {width}, {int(kind == "IN")})\n')
    with tools.storage_guard(generated):
        (generated / "xsi_ports.inc").write_text("".join(lines))

# SPDX-License-Identifier: Apache-2.0
"""From the RTL of an accelerator to a shared library that simulates it.

Verilator writes C++, a generated makefile compiles it with our harness (``harness.cpp``) and links
a shared library. The library's folder is named by a hash of everything it is made from, so an
unchanged design is never built twice and a changed one never reuses a stale library. Memory files
are read when the simulation starts: other weights need no new build.

A library is used again only if `hls.sim.library_cache` knows it as one that this user built, and
sources from outside this package are simulated only if `hls.sim.source_lint` finds nothing in them
that reaches out of the simulation. What every design has in common is `hls.sim.verilator_runtime`.
"""

from __future__ import annotations

import enum
import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from hls.ir import Accelerator
from hls.sim import tools
from hls.sim.library_cache import is_recorded, record_library, say_once
from hls.sim.source_lint import OURS, Rules, check_sources
from hls.sim.verilator_runtime import (
    SLOW_FLAG,
    locked,
    make_links,
    recipe_word,
    run_make,
    write_makefile,
)
from hls.sim.verilator_runtime import runtime as _runtime
from models.errors import ToolError
from models.folders import renewed_folder

HARNESS = Path(__file__).with_name("harness.cpp")
READMEM = Path(__file__).with_name("readmem_guard.h")
"""Lets a design open memory files of its own folder only."""
FST_HEADERS = Path(__file__).with_name("fst")
"""Small stand-ins for lz4.h and zlib.h where the system has none."""
LIBRARY = "libphysim.so"
CXX_FLAGS = (
    *("-std=c++17", "-O2", "-fno-tree-slp-vectorize", "-fPIC", "-fvisibility=hidden"),
    *("-w", "-pthread"),
)
"""-O2 trades build time for speed best; what else was tried is in docs/simulation.md."""
RUNTIME_DEFINES = ("VL_USER_FATAL", "VL_USER_STOP", "VL_USER_FINISH", "VL_USER_WARN")
VERILATOR_FLAGS = (
    *("--cc", "--no-timing", "-O3", "-Wno-fatal", "--prefix", "Vphy"),
    *("--x-initial", "unique", "--x-assign", "fast"),
)
TRACE_CONFIG = """`verilator_config
tracing_off -file "*/phy_dot.sv"
tracing_off -file "*/phy_mul.sv"
"""
"""No waveforms of the thousands of multipliers: they would be most of the file and of the build."""
TRACE_CXX_FLAGS = ("-O1",)
VERILATE_TIMEOUT_S = 900.0
LOCK, LOG, WORK = "lock", "build.log", "work"
VERILATOR = "verilator"
"""Link to Verilator's root folder."""


class Variant(enum.Enum):
    """What a simulation library can do beyond running frames."""

    FAST = "fast"
    """Nothing: all speed."""
    PROBE = "probe"
    """Stream statistics and captured stream contents; assertions checked."""
    LIMIT = "limit"
    """As PROBE, and the depth of each phy_fifo can be lowered at run time."""
    TRACE = "trace"
    """Writes a waveform, as FST."""
    TRACE_VCD = "trace_vcd"
    """Writes a waveform, as VCD, which more programs read and which is larger."""

    @property
    def trace_format(self) -> str:
        """Kind of waveform written: "fst", "vcd" or empty for none."""
        return {Variant.TRACE: "fst", Variant.TRACE_VCD: "vcd"}.get(self, "")


class RtlFiles(Protocol):
    """What the stitcher hands over (`hls.stitch.RtlPackage`)."""

    @property
    def top_name(self) -> str:
        """Name of the top module."""

    @property
    def sources(self) -> Sequence[Path]:
        """SystemVerilog files, packages first."""

    @property
    def data_files(self) -> Sequence[Path]:
        """Memory files, all in one folder, named in the RTL relative to that folder."""


@dataclass(frozen=True)
class SimBinary:
    """A built simulation library."""

    accelerator: Accelerator
    top_name: str
    library: Path
    data_dir: Path
    """Folder in which the design looks for its memory files."""
    variant: Variant
    files: RtlFiles
    out_dir: Path
    """What it was built from and where, to build another variant of the same design."""
    build_s: float = 0.0
    """Time the build took [s]; 0 if the library was there already."""


@dataclass(frozen=True)
class BuildPlan:
    """One build, before it is done."""

    top_name: str
    sources: tuple[Path, ...]
    verilator_flags: tuple[str, ...]
    defines: tuple[str, ...]
    runtime: tuple[str, ...]
    libs: tuple[str, ...] = ()
    cxx_flags: tuple[str, ...] = ()
    includes: tuple[Path, ...] = ()
    verilog_includes: tuple[Path, ...] = ()
    """Folders in which the sources' ```include`` looks."""
    config: str = ""
    harness: Path = HARNESS
    adapt: Callable[[Path], None] | None = None
    """Called with the folder of the generated C++ before it is compiled."""
    rules: Rules = OURS
    """What sources from outside this package may contain."""


def build(
    rtl: RtlFiles,
    accelerator: Accelerator,
    out_dir: Path,
    *,
    variant: Variant = Variant.FAST,
    jobs: int = 2,
) -> SimBinary:
    """Build the simulation library of ``accelerator`` in ``out_dir``, or find it there.

    jobs: compilers at a time.
    Raises ToolMissingError (verilator, g++, make), ToolError with the log's tail, StorageError.
    """
    plan = make_plan(rtl, variant)
    folder = out_dir / f"{variant.value}-{plan_key(plan)}"
    started = time.monotonic()
    fresh = build_library(plan, folder, jobs)
    data_dir = rtl.data_files[0].parent if rtl.data_files else rtl.sources[0].parent
    return SimBinary(
        accelerator=accelerator,
        top_name=rtl.top_name,
        library=(folder / LIBRARY).resolve(),
        data_dir=data_dir.resolve(),
        variant=variant,
        files=rtl,
        out_dir=out_dir,
        build_s=time.monotonic() - started if fresh else 0.0,
    )


def build_library(plan: BuildPlan, folder: Path, jobs: int = 2) -> bool:
    """Build ``folder``/LIBRARY unless it is there; True if it was built.

    folder: named by a hash of all that the library is made from; nothing but the library lies in
    it. A library in it that this user did not build from the same is replaced, never loaded.

    Raises:
        ConfigError: the sources reach out of the simulation (`hls.sim.source_lint`).
        ToolMissingError, ToolError, StorageError: see `build`.
    """
    library = folder / LIBRARY
    with tools.storage_guard(folder):
        foreign = renewed_folder(folder)
    with locked(folder / LOCK):
        there = os.path.lexists(library)
        if there and is_recorded(library, folder.name):
            return False
        if foreign or there:
            say_once(
                f"{library}: not what you built here (damaged, or another user's or machine's): "
                "it is not used, and built again"
            )
        check_sources(plan.top_name, plan.sources, plan.rules)
        _build_library(plan, folder, jobs)
        with tools.storage_guard(library):
            record_library(library, folder.name)
    return True


def make_plan(rtl: RtlFiles, variant: Variant) -> BuildPlan:
    """What has to be done for a variant of a design."""
    flags: tuple[str, ...] = VERILATOR_FLAGS
    defines: tuple[str, ...] = ()
    runtime: tuple[str, ...] = ("verilated", "verilated_threads", "verilated_dpi")
    libs: tuple[str, ...] = ()
    includes: tuple[Path, ...] = ()
    cxx_flags: tuple[str, ...] = ()
    config = ""
    if variant is Variant.FAST:
        flags += ("--no-assert",)
    elif variant.trace_format:
        flags += (f"--trace-{variant.trace_format}", "--no-assert")
        cxx_flags, config = TRACE_CXX_FLAGS, TRACE_CONFIG
        defines += (f"PHY_TRACE_{variant.trace_format.upper()}",)
        runtime += (f"verilated_{variant.trace_format}_c",)
        own = variant is Variant.TRACE and not _fst_from_system()
        includes = (FST_HEADERS,) if own else ()
        libs = ("-llz4", "-lz") if variant is Variant.TRACE and not own else ()
    else:
        flags += ("--assert",)
        defines += ("PHY_PROBE",)
        config = _probe_config(rtl.top_name, limit=variant is Variant.LIMIT)
    if variant is Variant.LIMIT:
        flags += ("-DPHY_FIFO_LIMIT",)
    sources = tuple(rtl.sources)
    return BuildPlan(
        rtl.top_name, sources, flags, defines, runtime, libs, cxx_flags, includes, config=config
    )


def _probe_config(top_name: str, *, limit: bool) -> str:
    lines = ["`verilator_config"]
    for pattern in ("*tvalid", "*tready", "*tdata"):
        lines.append(f'public_flat_rd -module "{top_name}" -var "{pattern}"')
    if limit:
        lines.append('public_flat_rw -module "phy_fifo*" -var "limit_q"')
    return "\n".join(lines) + "\n"


def plan_key(plan: BuildPlan) -> str:
    """Hash of everything that goes into the library."""
    digest = hashlib.sha256()
    words = [tools.verilator_version(), tools.compiler_version(), plan.top_name, plan.config]
    words += [
        *CXX_FLAGS,
        SLOW_FLAG,
        *plan.cxx_flags,
        *RUNTIME_DEFINES,
        *plan.verilator_flags,
        *plan.defines,
        *plan.libs,
    ]
    for word in words:
        digest.update(word.encode() + b"\0")
    headers = (path for folder in plan.verilog_includes for path in sorted(folder.glob("*.*vh")))
    for source in (plan.harness, READMEM, *plan.sources, *headers):
        digest.update(source.name.encode() + b"\0")
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _build_library(plan: BuildPlan, folder: Path, jobs: int) -> None:
    make, cxx = tools.find_tool("make"), tools.find_tool("g++")
    root = tools.verilator_root()
    runtime = runtime_of(plan)
    build_log, work = folder / LOG, folder / WORK
    sources = _source_links(plan)
    with tools.storage_guard(folder):
        _clear(folder)
        work.mkdir()
        (work / "config.vlt").write_text(plan.config)
        make_links(work, {**_shared_links(plan, root), **sources, "runtime": runtime})
        make_links(work, {"ours": READMEM.parent, "harness": plan.harness.parent})
    _verilate(plan, work, build_log, root, sources)
    cpps = sorted((work / "cpp").glob("Vphy*.cpp"))
    if not cpps:
        raise ToolError(f"verilator wrote no C++ into {work / 'cpp'}", hint=f"see {build_log}")
    if plan.adapt is not None:
        plan.adapt(work / "cpp")
    with tools.storage_guard(folder):
        write_makefile(work, _makefile(plan, cpps, cxx))
    run_make(make, work, build_log, jobs)
    if not (work / LIBRARY).is_file():
        raise ToolError(f"make ended without {work / LIBRARY}", hint=f"see {build_log}")
    with tools.storage_guard(folder):
        (work / LIBRARY).replace(folder / LIBRARY)
    shutil.rmtree(work, ignore_errors=True)


def runtime_of(plan: BuildPlan) -> Path:
    """Folder of what a design shares with all that are built like it, made at first use."""
    make, cxx = tools.find_tool("make"), tools.find_tool("g++")
    root = tools.verilator_root()
    return _runtime(_compile_flags(plan), plan.runtime, make, cxx, _shared_links(plan, root))


def _shared_links(plan: BuildPlan, root: Path) -> dict[str, Path]:
    """Links that the compiler needs for the run time and for the design; see `make_links`."""
    return {VERILATOR: root, **{f"headers{n}": path for n, path in enumerate(plan.includes)}}


def _source_links(plan: BuildPlan) -> dict[str, Path]:
    """Links to the folders of the design's Verilog; see `make_links`."""
    folders = [path.resolve().parent for path in plan.sources]
    folders += [path.resolve() for path in plan.verilog_includes]
    return {f"src{n}": folder for n, folder in enumerate(dict.fromkeys(folders))}


def _clear(folder: Path) -> None:
    """Remove all that an earlier build, ended or broken off, left; not the lock that is held."""
    for path in folder.iterdir():
        if path.name == LOCK:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _verilate(
    plan: BuildPlan, work: Path, build_log: Path, root: Path, links: Mapping[str, Path]
) -> None:
    """Write C++ to ``work``/cpp. ``work`` holds no sources: Verilator looks for modules there."""
    names = {folder: name for name, folder in links.items()}
    sources = [path.resolve() for path in plan.sources]
    words: list[str | Path] = [root / "bin" / "verilator_bin", *plan.verilator_flags]
    words += [f"+incdir+{names[folder.resolve()]}" for folder in plan.verilog_includes]
    words += ["--top-module", plan.top_name, "--Mdir", "cpp"]
    words += ["config.vlt"] if plan.config else []
    try:
        tools.run_tool(
            [*words, *(f"{names[path.parent]}/{path.name}" for path in sources)],
            cwd=work,
            log_file=build_log,
            timeout_s=tools.timeout_s(VERILATE_TIMEOUT_S),
            env={"VERILATOR_ROOT": VERILATOR},
        )
    except ToolError as error:
        for folder, name in names.items():
            error.message = error.message.replace(f" {name}/", f" {folder}/")
        raise


def _compile_flags(plan: BuildPlan) -> list[str]:
    """Flags of the run time and of the design, so that variants can share the former."""
    words = [*CXX_FLAGS, *plan.cxx_flags, *(f"-D{name}" for name in RUNTIME_DEFINES)]
    words += [f"-Iheaders{number}" for number, _ in enumerate(plan.includes)]
    return [*words, f"-I{VERILATOR}/include", f"-I{VERILATOR}/include/vltstd"]


def _makefile(plan: BuildPlan, cpps: Sequence[Path], cxx: Path) -> str:
    objects = " ".join(f"cpp/{path.stem}.o" for path in cpps) + " cpp/harness.o"
    shared = " ".join(f"runtime/{name}.o" for name in plan.runtime)
    headers = ["runtime/phy_pch.h"]
    headers += [] if plan.rules.free_memories else [f"ours/{READMEM.name}"]
    words = [*(f"-include {header}" for header in headers), *_compile_flags(plan)]
    words += [*(f"-D{name}" for name in plan.defines), "-Icpp"]
    compiler = " ".join([recipe_word(cxx), *words])
    link = f"{recipe_word(cxx)} -shared -pthread -Wl,-Bsymbolic"
    return (
        f"{LIBRARY}: {objects}\n"
        f"\t{link} -o $@.new $^ {shared} {' '.join(plan.libs)}\n"
        "\tmv $@.new $@\n"
        f"cpp/harness.o: harness/{plan.harness.name}\n\t{compiler} -c $< -o $@\n"
        f"cpp/%__Slow.o: cpp/%__Slow.cpp\n\t{compiler} {SLOW_FLAG} -c $< -o $@\n"
        f"cpp/%.o: cpp/%.cpp\n\t{compiler} -c $< -o $@\n"
    )


@lru_cache(maxsize=1)
def _fst_from_system() -> bool:
    """True if the headers and libraries that Verilator's FST writer wants are installed."""
    probe = subprocess.run(
        [tools.find_tool("g++"), "-x", "c++", "-", "-shared", "-o", "/dev/null", "-llz4", "-lz"],
        input="#include <lz4.h>\n#include <zlib.h>\n",
        capture_output=True,
        text=True,
        check=False,
    )
    return probe.returncode == 0

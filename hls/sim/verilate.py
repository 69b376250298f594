# SPDX-License-Identifier: Apache-2.0
"""From the RTL of an accelerator to a shared library that simulates it.

Verilator writes C++, a generated makefile compiles it with our harness (``harness.cpp``) and links
a shared library. The library's folder is named by a hash of everything it is made from, so an
unchanged design is never built twice and a changed one never reuses a stale library. Memory files
are read when the simulation starts: other weights need no new build.

What every design has in common (Verilator's run time, precompiled headers) is built once per
compiler and variant and kept in ``PHYFOLD_CACHE_DIR`` (default ``~/.cache/phyfold``).
"""

from __future__ import annotations

import contextlib
import enum
import fcntl
import hashlib
import logging
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from hls.ir import Accelerator
from hls.sim import tools
from models.errors import StorageError, ToolError

log = logging.getLogger(__name__)

HARNESS = Path(__file__).with_name("harness.cpp")
FST_HEADERS = Path(__file__).with_name("fst")
"""Small stand-ins for lz4.h and zlib.h where the system has none."""
LIBRARY = "libphysim.so"
CXX_FLAGS = (
    *("-std=c++17", "-O2", "-fno-tree-slp-vectorize", "-fPIC", "-fvisibility=hidden"),
    *("-w", "-pthread"),
)
"""-O2 trades build time for speed best; what else was tried is in docs/simulation.md."""
SLOW_FLAG = "-O0"
"""For what runs once per simulation; the compiler needs minutes for some of it at -O2."""
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
COMPILE_TIMEOUT_S = 3600.0


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
    config: str = ""
    harness: Path = HARNESS
    adapt: Callable[[Path], None] | None = None
    """Called with the folder of the generated C++ before it is compiled."""


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
    """Build ``folder``/LIBRARY unless it is there; True if it was built."""
    with tools.storage_guard(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / "lock"):
        fresh = not (folder / LIBRARY).is_file()
        if fresh:
            _build_library(plan, folder, jobs)
    return fresh


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
        rtl.top_name, sources, flags, defines, runtime, libs, cxx_flags, includes, config
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
    for source in (plan.harness, *plan.sources):
        digest.update(source.name.encode() + b"\0")
        digest.update(hashlib.sha256(source.read_bytes()).digest())
    return digest.hexdigest()[:16]


def _build_library(plan: BuildPlan, folder: Path, jobs: int) -> None:
    make, cxx = tools.find_tool("make"), tools.find_tool("g++")
    root = tools.verilator_root()
    runtime = _runtime(plan, make, cxx, root)
    build_log = folder / "build.log"
    build_log.unlink(missing_ok=True)
    generated = folder / "cpp"
    config = folder / "config.vlt"
    with tools.storage_guard(folder):
        config.write_text(plan.config)
    paths = ([config] if plan.config else []) + list(plan.sources)
    words: list[str | Path] = [root / "bin" / "verilator_bin", *plan.verilator_flags]
    tools.run_tool(
        [*words, "--top-module", plan.top_name, "--Mdir", "cpp", *(p.resolve() for p in paths)],
        cwd=folder,
        log_file=build_log,
        timeout_s=tools.timeout_s(VERILATE_TIMEOUT_S),
        env={"VERILATOR_ROOT": str(root)},
    )
    cpps = sorted(generated.glob("Vphy*.cpp"))
    if not cpps:
        raise ToolError(f"verilator wrote no C++ into {generated}", hint=f"see {build_log}")
    if plan.adapt is not None:
        plan.adapt(generated)
    with tools.storage_guard(folder):
        (folder / "Makefile").write_text(_makefile(plan, cpps, runtime, cxx, root))
    _make(make, folder, build_log, jobs)
    if not (folder / LIBRARY).is_file():
        raise ToolError(f"make ended without {folder / LIBRARY}", hint=f"see {build_log}")
    shutil.rmtree(generated, ignore_errors=True)


def _make(make: Path, folder: Path, build_log: Path, jobs: int) -> None:
    tools.run_tool(
        [make, "--no-print-directory", f"-j{max(1, jobs)}"],
        cwd=folder,
        log_file=build_log,
        timeout_s=tools.timeout_s(COMPILE_TIMEOUT_S),
        env={"MAKEFLAGS": "", "MFLAGS": ""},
    )


def _compile_flags(plan: BuildPlan, root: Path) -> str:
    """Flags of the run time and of the design, so that variants can share the former."""
    include = root / "include"
    words = [*CXX_FLAGS, *plan.cxx_flags, *(f"-D{name}" for name in RUNTIME_DEFINES)]
    words += [f"-I{path}" for path in plan.includes]
    return " ".join([*words, f"-I{include}", f"-I{include / 'vltstd'}"])


def _makefile(plan: BuildPlan, cpps: Sequence[Path], runtime: Path, cxx: Path, root: Path) -> str:
    objects = " ".join(f"cpp/{path.stem}.o" for path in cpps) + " cpp/harness.o"
    shared = " ".join(str(runtime / f"{name}.o") for name in plan.runtime)
    defines = " ".join(f"-D{name}" for name in plan.defines)
    flags = f"-include {runtime / 'phy_pch.h'} {_compile_flags(plan, root)} {defines} -Icpp"
    return (
        f"{LIBRARY}: {objects}\n"
        f"\t{cxx} -shared -pthread -Wl,-Bsymbolic -o $@.new $^ {shared} {' '.join(plan.libs)}\n"
        "\tmv $@.new $@\n"
        f"cpp/harness.o: {plan.harness}\n\t{cxx} {flags} -c $< -o $@\n"
        f"cpp/%__Slow.o: cpp/%__Slow.cpp\n\t{cxx} {flags} {SLOW_FLAG} -c $< -o $@\n"
        f"cpp/%.o: cpp/%.cpp\n\t{cxx} {flags} -c $< -o $@\n"
    )


def _runtime(plan: BuildPlan, make: Path, cxx: Path, root: Path) -> Path:
    """Folder with Verilator's run time compiled for this plan, built at first use."""
    words = [tools.verilator_version(), tools.compiler_version(), str(cxx), str(root)]
    words += [_compile_flags(plan, root), SLOW_FLAG, *plan.runtime]
    name = f"verilator-{hashlib.sha256(' '.join(words).encode()).hexdigest()[:16]}"
    folder = cache_dir() / name
    if (folder / "complete").is_file():
        return folder
    with tools.storage_guard(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder.parent))
    try:
        _build_runtime(plan, work, make, cxx, root)
        with contextlib.suppress(OSError):  # another process was faster
            work.rename(folder)
    except ToolError:
        with contextlib.suppress(OSError):  # the log outlives the folder
            shutil.copy(work / "build.log", folder.with_suffix(".log"))
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _build_runtime(plan: BuildPlan, work: Path, make: Path, cxx: Path, root: Path) -> None:
    flags = _compile_flags(plan, root)
    objects = " ".join(f"{name}.o" for name in plan.runtime)
    with tools.storage_guard(work):
        (work / "phy_pch.h.gch").mkdir()
        (work / "phy_pch.h").write_text('#include "verilated.h"\n')
        (work / "Makefile").write_text(
            f"all: {objects} phy_pch.h.gch/fast phy_pch.h.gch/slow\n"
            f"%.o: {root / 'include'}/%.cpp\n\t{cxx} {flags} -c $< -o $@\n"
            f"phy_pch.h.gch/fast: phy_pch.h\n\t{cxx} {flags} -x c++-header $< -o $@\n"
            f"phy_pch.h.gch/slow: phy_pch.h\n\t{cxx} {flags} {SLOW_FLAG} -x c++-header $< -o $@\n"
        )
    _make(make, work, work / "build.log", 2)
    (work / "complete").touch()


def cache_dir() -> Path:
    """Folder for what all designs share: PHYFOLD_CACHE_DIR, else phyfold in the user's cache."""
    override = os.environ.get("PHYFOLD_CACHE_DIR")
    if override:
        return Path(override)
    base = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(base) if base else Path.home() / ".cache") / "phyfold"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return Path(tempfile.gettempdir()) / f"phyfold-{os.getuid()}"
    return folder


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


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds a lock file, so that two processes do not build in the same folder."""
    try:
        handle = path.open("w")
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror})") from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield

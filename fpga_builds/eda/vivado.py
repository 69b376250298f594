# SPDX-License-Identifier: Apache-2.0
"""AMD's tools: found, and watched while another program (FINN) calls them.

FINN starts ``vivado``, ``vitis_hls``, ``vitis-run`` and ``v++`` by name from shell scripts, without
a time limit. So that each call has a log, an exit code and a limit, a folder of small shell scripts
of these names goes in front of PATH (`install_shims`): each records its folder and arguments, runs
the real program and keeps what it says. `watch` runs the calling program in a session of its own,
looks at the records, and ends the whole session when a call takes too long or when it is
interrupted itself.

A call is a folder ``<time>-<pid>-<tool>`` with ``command`` (working folder, program, arguments, one
a line), ``log``, and, once it has ended, ``exit``.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hls.sim.tools import log_tail, timeout_s
from models.errors import ConfigError, StorageError, ToolError, ToolMissingError
from models.files import storage_guard

TIME_LIMITS_S = {"vivado": 6 * 3600.0, "v++": 24 * 3600.0}
DEFAULT_LIMIT_S = 3600.0
"""Also how long the calling program may go on between two calls [s]."""
POLL_S = 0.2
ROOTS = ("XILINX_VIVADO", "XILINX_HLS", "XILINX_VITIS")
OVERRIDE = "FINN_TOOL_DIR_OVERRIDE"
VERSION = re.compile(r"\b(20\d{2})\.([12])\b")
ERROR_LINE = re.compile(r"^(ERROR|FATAL|CRITICAL WARNING)\b.*", re.MULTILINE)
INSTALL_HINT = (
    "install AMD Vivado (with Vitis HLS), then `source <its folder>/settings64.sh`, which sets "
    "XILINX_VIVADO and PATH; see docs/amd.md"
)
SHIM = """#!/bin/bash
# {tool}, with its arguments, log and exit code kept; written by phyfold.
call={calls}/$(date +%s%N)-$$-{tool}
mkdir -p "$call.part" || exit 1
printf '%s\\n' "$PWD" {program} "$@" > "$call.part/command"
mv "$call.part" "$call"
{program} "$@" > "$call/log" 2>&1 < /dev/null
code=$?
echo "$code" > "$call/exit.part" && mv "$call/exit.part" "$call/exit"
cat "$call/log"
exit "$code"
"""


@dataclass(frozen=True)
class Xilinx:
    """AMD's tools on this machine."""

    root: Path
    version: tuple[int, int]
    programs: Mapping[str, Path]

    @property
    def version_text(self) -> str:
        """Such as 2023.2."""
        return f"{self.version[0]}.{self.version[1]}"


@dataclass(frozen=True)
class Call:
    """One call of a tool."""

    folder: Path

    @property
    def tool(self) -> str:
        """Its name."""
        return self.folder.name.split("-", 2)[2]

    @property
    def command(self) -> tuple[str, ...]:
        """Working folder, program, arguments."""
        return tuple((self.folder / "command").read_text().split("\n")[:-1])

    @property
    def log(self) -> Path:
        """What it said."""
        return self.folder / "log"

    @property
    def exit_code(self) -> int | None:
        """None while it runs, or if it was ended."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / "exit").read_text())
        return None

    @property
    def age_s(self) -> float:
        """Time since it was started [s]."""
        return time.time() - int(self.folder.name.split("-", 1)[0]) / 1e9

    @property
    def title(self) -> str:
        """The tool and the script that it runs."""
        scripts = [Path(word).name for word in self.command[2:] if word.endswith(".tcl")]
        return " ".join([self.tool, *scripts])


def find_xilinx(names: Sequence[str] | None = None) -> Xilinx:
    """Vivado, Vitis HLS of the same version, and the programs ``names`` besides.

    Raises:
        ToolMissingError: XILINX_VIVADO is not set, or a program is not there.
        ConfigError: XILINX_VIVADO does not say which version it is.
    """
    text = os.environ.get("XILINX_VIVADO")
    if not text:
        raise ToolMissingError(
            "XILINX_VIVADO is not set: AMD boards are built by AMD's Vivado", hint=INSTALL_HINT
        )
    found = VERSION.search(text)
    if found is None:
        raise ConfigError(
            f"XILINX_VIVADO={text}: no version such as 2023.2 in this path, and FINN chooses "
            "between vitis_hls and vitis-run by it",
            hint="let it end as AMD's installer does: .../Vivado/2023.2 or .../2025.1/Vivado",
        )
    version = (int(found[1]), int(found[2]))
    hls = "vitis-run" if version > (2024, 2) else "vitis_hls"
    wanted = ("vivado", hls, *(names or ()))
    return Xilinx(Path(text), version, {name: find_program(name) for name in wanted})


def find_program(name: str) -> Path:
    """A program of AMD's.

    Looked for in FINN_TOOL_DIR_OVERRIDE (FINN's variable for a site's own wrappers), in the bin/ of
    XILINX_VIVADO, XILINX_HLS and XILINX_VITIS, and on PATH. Raises ToolMissingError.
    """
    override = os.environ.get(OVERRIDE)
    roots = [os.environ[variable] for variable in ROOTS if os.environ.get(variable)]
    # From 2024.2 on, XILINX_HLS names the folder of Vitis; vitis_hls lies beside it.
    roots += [root.replace("/Vitis/", "/Vitis_HLS/") for root in roots if "/Vitis/" in root]
    places = [*([override] if override else []), *(str(Path(root) / "bin") for root in roots)]
    found = shutil.which(name, path=os.pathsep.join(places)) if places else None
    found = found or shutil.which(name)
    if found is None:
        where = f"XILINX_VIVADO={os.environ.get('XILINX_VIVADO', '')}"
        raise ToolMissingError(f"{name} not found ({where}, PATH)", hint=INSTALL_HINT)
    return Path(found)


def install_shims(xilinx: Xilinx, folder: Path) -> tuple[dict[str, str], Path]:
    """Write the recording scripts.

    Returns the environment that puts them in front, and the folder of their records.
    """
    shims, calls = (folder / "bin").resolve(), (folder / "calls").resolve()
    with storage_guard(folder):
        for place in (shims, calls):
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
        for tool, program in xilinx.programs.items():
            script = SHIM.format(
                tool=tool,
                calls=shlex.quote(str(calls)),
                program=shlex.quote(str(program.absolute())),
            )
            (shims / tool).write_text(script)
            (shims / tool).chmod(0o755)
    path = os.pathsep.join([str(shims), os.environ.get("PATH", os.defpath)])
    # The override has done its part in `find_program`; here it would go round the shims.
    return {"PATH": path, OVERRIDE: ""}, calls


def list_calls(calls: Path) -> list[Call]:
    """The calls so far, in the order in which they were started."""
    if not calls.is_dir():
        return []
    names = sorted(path for path in calls.iterdir() if path.suffix != ".part")
    return [Call(path) for path in names]


def watch(
    command: Sequence[str | Path],
    *,
    cwd: Path,
    log_file: Path,
    calls: Path,
    env: Mapping[str, str],
    limit_s: float | None = None,
    on_call: Callable[[Call], None] = lambda _call: None,
) -> int:
    """Run ``command`` to its end while no call of a tool takes too long; returns its exit code.

    limit_s: time for one call [s]; default PHYFOLD_TOOL_TIMEOUT_S, else that of the tool.
    Raises ToolError for a call that fails (FINN's scripts overlook its exit code), and for a call
    or a pause between calls beyond its limit. Whatever happens, nothing of the session goes on.
    """
    words = [str(word) for word in command]
    with storage_guard(log_file), log_file.open("wb") as sink:
        process = subprocess.Popen(
            words,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            env={**os.environ, **env},
            start_new_session=True,
        )
        try:
            return _wait(process, calls, log_file, limit_s, on_call)
        finally:
            _end_session(process)


def _wait(
    process: subprocess.Popen[bytes],
    calls: Path,
    log_file: Path,
    limit_s: float | None,
    on_call: Callable[[Call], None],
) -> int:
    seen, active = 0, time.monotonic()
    while True:
        code = _exit_code(process)
        known = list_calls(calls)
        for call in known[seen:]:
            on_call(call)
        seen = len(known)
        for call in known:
            if call.exit_code:
                raise call_error(call)
        if code is not None:
            return code
        time.sleep(POLL_S)
        running = [call for call in known if call.exit_code is None]
        if running:
            active = time.monotonic()
        for call in running:
            limit = tool_limit_s(call.tool, limit_s)
            if call.age_s > limit:
                raise _too_long(call, limit)
        pause = timeout_s(DEFAULT_LIMIT_S)
        if time.monotonic() - active > pause:
            raise ToolError(
                f"FINN did not go on within {pause:g} s\n{log_tail(log_file)}",
                hint=f"see {log_file}",
            )


def tool_limit_s(tool: str, limit_s: float | None = None) -> float:
    """Time that one call may take [s]."""
    if limit_s is not None:
        return limit_s
    return timeout_s(TIME_LIMITS_S.get(tool, DEFAULT_LIMIT_S))


def _too_long(call: Call, limit_s: float) -> ToolError:
    return ToolError(
        f"{call.title} did not end within {limit_s:g} s and was ended\n{call_tail(call)}",
        hint=f"see {call.log}; PHYFOLD_TOOL_TIMEOUT_S sets the limit",
    )


def call_error(call: Call) -> ToolError | StorageError:
    """What a failed call is reported as: exit code, the lines that say why, its log."""
    tail = call_tail(call)
    if os.strerror(errno.ENOSPC) in tail:
        return StorageError(f"disk full while {call.title} ran", hint="free some space")
    code = call.exit_code
    return ToolError(f"{call.title} failed with exit code {code}\n{tail}", hint=f"see {call.log}")


def call_tail(call: Call, lines: int = 25) -> str:
    """The errors in a call's log and in those of the runs that it launched, then its last lines."""
    text = _text(call.log)
    errors = [match[0] for match in ERROR_LINE.finditer(text)]
    folder = Path(call.command[0])
    for log in sorted(folder.glob("*.runs/*/runme.log")):
        run = log.parent.name
        errors += [f"{run}: {match[0]}" for match in ERROR_LINE.finditer(_text(log))]
    tail = text.splitlines()[-lines:]
    early = [line for line in dict.fromkeys(errors) if line not in tail]
    return "\n".join([*early[:10], *tail]) or "(it said nothing)"


def _text(path: Path) -> str:
    with contextlib.suppress(OSError):
        return path.read_text(errors="replace")
    return ""


def _end_session(process: subprocess.Popen[bytes]) -> None:
    """End what is left of the session that ``process`` leads, and wait for the leader."""
    session = process.pid
    with contextlib.suppress(ProcessLookupError):
        os.killpg(session, signal.SIGKILL)
    for entry in Path("/proc").glob("[0-9]*"):  # those with a process group of their own
        pid = int(entry.name)
        with contextlib.suppress(OSError):
            if os.getsid(pid) == session:
                os.kill(pid, signal.SIGKILL)
    while _exit_code(process) is None:
        time.sleep(0.01)


def _exit_code(process: subprocess.Popen[bytes]) -> int | None:
    """Exit code of the leader, None while it runs.

    Not by Popen.wait: interrupted at the wrong moment, it leaves its lock taken for good.
    """
    if process.returncode is None:
        try:
            pid, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:  # an interruption came right after the code was fetched
            process.returncode = -signal.SIGKILL
        else:
            if pid:
                process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode

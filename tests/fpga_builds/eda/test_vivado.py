# SPDX-License-Identifier: Apache-2.0
"""Tools that another program calls: recorded, failed calls found, hanging ones ended."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from fpga_builds.eda import vivado
from fpga_builds.eda.vivado import Xilinx, find_program, install_shims, list_calls, watch
from models.errors import StorageError, ToolError, ToolMissingError


class Machine:
    """A folder with tools (shell scripts), and a program that calls them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs: dict[str, Path] = {}

    def tool(self, name: str, text: str) -> None:
        path = self.folder / "tools" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
        self.programs[name] = path

    def run(self, program: str, **options) -> int:
        """Run shell text that calls the tools by name."""
        env, calls = install_shims(Xilinx(Path("/x"), (2023, 2), self.programs), self.folder)
        self.calls = calls
        return watch(
            ["bash", "-c", program],
            cwd=self.folder,
            log_file=self.folder / "program.log",
            calls=calls,
            env=env,
            **options,
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vivado, "POLL_S", 0.02)


def test_calls_are_recorded_with_log_and_exit_code(machine: Machine) -> None:
    machine.tool("vivado", 'echo "in $PWD: $*"; cat; echo to stderr >&2')
    machine.tool("v++", "echo linking")
    seen: list[str] = []
    program = "mkdir sub; (cd sub; echo x | vivado -source 'a b.tcl' >../said); v++ --link"
    assert machine.run(program, on_call=lambda call: seen.append(call.title)) == 0
    first, second = list_calls(machine.calls)
    assert (first.tool, second.tool) == ("vivado", "v++")
    sub = str(machine.folder / "sub")
    assert first.command == (sub, str(machine.programs["vivado"]), "-source", "a b.tcl")
    assert first.exit_code == 0
    assert first.log.read_text() == f"in {sub}: -source a b.tcl\nto stderr\n"
    assert (machine.folder / "said").read_text() == first.log.read_text()  # the caller hears it too
    assert seen == ["vivado a b.tcl", "v++"]


@pytest.mark.usefixtures("quick")
def test_a_failed_call_ends_the_program_that_overlooks_it(machine: Machine) -> None:
    run = "d.runs/impl_1; mkdir -p $r; echo 'ERROR: [Place 30-640] too many LUTs' > $r/runme.log"
    machine.tool("vivado", f"r={run}; seq 100; echo 'ERROR: [Common 17-69] failed'; exit 7")
    with pytest.raises(ToolError, match=r"vivado x.tcl failed with exit code 7") as caught:
        machine.run("vivado -source x.tcl; cd .; sleep 60; touch went_on")
    lines = caught.value.message.splitlines()
    assert lines[1] == "impl_1: ERROR: [Place 30-640] too many LUTs"
    assert lines[-1] == "ERROR: [Common 17-69] failed"
    assert str(list_calls(machine.calls)[0].log) in caught.value.hint
    assert not (machine.folder / "went_on").exists()


def test_a_full_disk_is_said_to_be_one(machine: Machine) -> None:
    machine.tool("vivado", "echo 'write error: No space left on device'; exit 1")
    with pytest.raises(StorageError, match="disk full while vivado ran"):
        machine.run("vivado; true")


@pytest.mark.usefixtures("quick")
def test_a_hanging_call_is_ended_with_its_children(machine: Machine) -> None:
    # A child in a process group of its own outlives a kill of the caller's group.
    machine.tool("vivado", "set -m; sleep 300 & echo $! > child; echo started; wait")
    started = time.monotonic()
    with pytest.raises(ToolError, match=r"vivado did not end within 0.5 s") as caught:
        machine.run("vivado", limit_s=0.5)
    assert time.monotonic() - started < 10
    assert "started" in caught.value.message
    assert ended(int((machine.folder / "child").read_text()))
    assert list_calls(machine.calls)[0].exit_code is None


@pytest.mark.usefixtures("quick")
def test_a_pause_between_calls_has_a_limit_too(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYFOLD_TOOL_TIMEOUT_S", "0.5")
    machine.tool("vivado", "true")
    with pytest.raises(ToolError, match=r"FINN did not go on within 0.5 s"):
        machine.run("vivado; sleep 300")
    assert vivado.tool_limit_s("v++") == 0.5


@pytest.mark.usefixtures("quick")
def test_an_interruption_ends_everything(machine: Machine) -> None:
    machine.tool("vivado", "echo $$ > pid; sleep 300")
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    signal.setitimer(signal.ITIMER_REAL, 1.0)
    try:
        with pytest.raises(KeyboardInterrupt):
            machine.run("vivado")
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended(int((machine.folder / "pid").read_text()))


def ended(pid: int) -> bool:
    for _ in range(50):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_where_a_program_is_looked_for(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def place(folder: str) -> Path:
        path = machine.folder / folder / "vivado"
        path.parent.mkdir(parents=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
        return path

    for variable in (*vivado.ROOTS, vivado.OVERRIDE):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("PATH", f"{machine.folder / 'path'}{os.pathsep}/usr/bin")
    with pytest.raises(ToolMissingError, match="vivado not found"):
        find_program("vivado")
    on_path = place("path")
    monkeypatch.setenv("XILINX_VIVADO", str(machine.folder / "Vivado/2023.2"))
    assert find_program("vivado") == on_path
    in_root = place("Vivado/2023.2/bin")
    assert find_program("vivado") == in_root
    in_hls = place("Vitis_HLS/2024.2/bin").rename(machine.folder / "Vitis_HLS/2024.2/bin/vitis_hls")
    monkeypatch.setenv("XILINX_HLS", str(machine.folder / "Vitis/2024.2"))
    assert find_program("vitis_hls") == in_hls
    override = place("site")
    monkeypatch.setenv(vivado.OVERRIDE, str(override.parent))
    assert find_program("vivado") == override

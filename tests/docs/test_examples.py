# SPDX-License-Identifier: Apache-2.0
"""Every command and every line of Python in README.md and docs/ is run, or parsed where it must.

What runs does so in a folder in which a tiny detector stands for the shipped ones. `PARSED` says
why the others do not; their words, builds, boards, parts and options are checked all the same.
A command without a rule fails.
"""

from __future__ import annotations

import argparse
import importlib
import re
import shlex
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import run
from doc_blocks import ROOT, Command, blocks, code_spans, commands, split
from doc_project import NAME, enter, make_project

from fpga_builds import cli
from fpga_builds.amd import BOARDS as AMD_BOARDS
from fpga_builds.arguments import spread_lists
from fpga_builds.commands import configure
from fpga_builds.commands_bitstream import check_options
from hls.board import BOARDS
from hls.devices import device

RUN = (
    "phyfold list",
    "phyfold doctor",
    "phyfold simulate fullycon_w8a8 ",
    "phyfold run fullycon_",
    "phyfold compare ",
    "phyfold train fullycon_w4a4 --quick",
    "phyfold compile my_network.onnx",
    "grep ",
    "python -m models.baselines",
)
"""How commands begin that are run."""

SMALLER = (
    (r"fullycon_w\w+", NAME),
    (r"'conv\*'", "'fully*'"),
    (r"--frames \d+", "--frames 64"),
    (r"--quick$", "--quick --jobs 1"),
    (r"(models\.baselines)$", r"\1 --frames 300 --out baselines.json"),
)
"""What is put in place of what, so that a command takes seconds."""

PARSED = (
    ("make ", "recipes are shown by `make -n`: they install, or run everything"),
    ("phyfold synth ", "minutes of Yosys; tests/fpga_builds/test_synth_step.py runs it"),
    ("phyfold bitstream ", "minutes of place and route, or Vivado"),
    ("phyfold program ", "needs a board"),
    ("phyfold board ", "needs a board, or a minute to build a simulated one"),
    ("phyfold run conv", "minutes: FIFO depths of a CSI network"),
    ("phyfold simulate conv", "the same"),
    ("phyfold train conv", "hours"),
    ("python -m fpga_builds.calibrate ", "hours of Yosys"),
    ("python -m quant.csi ", "hours, or a set of samples that takes minutes"),
    ("python -m quant.csi.study ", "writes docs/results"),
)
"""How commands begin that are not run, and why."""

FOREIGN = {
    "docker": "builds an image",
    "cd": "into what was cloned",
    "finn": "FINN's own command, needs Vivado and the network",
    "git": "the address is left out",
    "export": "a variable of a shell",
    "source": "AMD's script",
    "sudo": "on a PYNQ board",
    "vivado": "AMD's tool",
}
"""Programs that are not ours, and why they are not started: only their words are taken apart."""

STANDS_FOR = {
    "BUILD": NAME,
    "PART": "xczu7ev",
    "NETWORK.onnx": "my_network.onnx",
    "FOLDER": ".",
    "PORT": "/dev/ttyUSB0",
    "sim:FOLDER": "sim:folder",
    "FIRST:END": "0:4",
    "<name>": "fullycon_float",
    "A": NAME,
    "B": NAME,
    "N": "5",
}
"""What words in capitals stand for where inline code shows the form of a command."""
OURS = re.compile(r"(\.venv/bin/)?(phyfold|python|pytest|make) ")


def plain(text: str) -> str:
    """A command without the folder of the virtual environment, in which it lies."""
    return text.removeprefix(".venv/bin/")


def once(found: Iterable[Command]) -> list[Command]:
    """Each text once, where it stands first."""
    first: dict[str, Command] = {}
    for command in found:
        first.setdefault(plain(command.text), command)
    return list(first.values())


SHOWN = once(command for block in blocks("sh") for command in commands(block))
INLINE = once(
    command
    for place, text in code_spans()
    if text.split()[0] in FOREIGN or OURS.match(text)
    for command in split(place, re.sub(r"\[.*\]", "", text))
)


class Parsed(Exception):
    """Raised in place of work: the words were understood."""


def runs(command: Command) -> bool:
    return plain(command.text).startswith(RUN)


def identity(command: Command) -> str:
    return f"{command.place} {command.text[:60]}"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    make_project(root)
    return root


def test_blocks_have_a_language_that_has_a_rule() -> None:
    known = ("sh", "python", "text")
    without = [f"{b.place}: {b.language or 'none'}" for b in blocks() if b.language not in known]
    assert not without, f"blocks are fenced, and of {', '.join(known)}"
    assert len(SHOWN) > 40
    for block in blocks("text"):
        shown = [line for line in block.text.splitlines() if OURS.match(line)]
        assert not shown, f"{block.place}: a command in a block of text"


def test_every_command_has_one_rule_and_every_rule_a_command() -> None:
    starts = [*RUN, *(start for start, _ in PARSED), *(f"{name} " for name in FOREIGN)]
    for command in SHOWN:
        text = f"{plain(command.text)} "
        rules = [start for start in starts if text.startswith(start)]
        assert len(rules) == 1, f"{command.place}: {text}: rules {rules}; RUN, PARSED, FOREIGN"
    texts = [f"{plain(command.text)} " for command in SHOWN + INLINE]
    unused = [start for start in starts if not any(text.startswith(start) for text in texts)]
    assert not unused, "rules without a command"


@pytest.mark.verilator
@pytest.mark.parametrize("command", [c for c in SHOWN if runs(c)], ids=identity)
def test_command_runs(
    command: Command,
    project: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enter(project, monkeypatch)
    text = plain(command.text)
    for pattern, smaller in SMALLER:
        text = re.sub(pattern, smaller, text)
    words = shlex.split(text)
    if words[0] == "phyfold":
        code, out, err = run(capsys, *words[1:])
    else:
        words[0] = sys.executable if words[0] == "python" else words[0]
        place = sysconfig.get_path("purelib") if words[0] == "grep" else project
        done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
        code, out, err = done.returncode, done.stdout, done.stderr
    assert code == 0, f"{text}\n{out}\n{err}"
    assert out + err


@pytest.mark.verilator
@pytest.mark.parametrize("page", sorted({block.page for block in blocks("python")}))
def test_python_of_a_page_runs(page: str, project: Path) -> None:
    """Its blocks are one program, in the folder in which `make run` was."""
    program = "\n".join(block.text for block in blocks("python") if block.page == page)
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("command", once(SHOWN + INLINE), ids=identity)
def test_command_is_understood(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    words = shlex.split(plain(command.text))
    if words[0] in FOREIGN or words[0] == "grep":
        return
    words = [STANDS_FOR.get(word, word) for word in words]
    if words[0] == "phyfold":
        check_phyfold(words[1:], monkeypatch)
    elif words[0] == "make":
        dry = ["make", "-n", f"PYTHON={sys.executable}", *words[1:]]
        subprocess.run(dry, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    elif words[0] == "pytest":
        assert (ROOT / words[-1]).is_file()
    else:
        assert words[:2] == ["python", "-m"], f"{command.place}: {command.text}"
        check_module(words[2], words[3:], monkeypatch)


def check_phyfold(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Options and their values by the command's own parser; builds, boards and parts exist."""
    group: Any = typer.main.get_command(cli.app)
    if words == ["--help"] or words[1:] == ["--help"]:
        return
    name, command, rest = group.resolve_command(None, spread_lists(words))
    if not rest:  # the name of a command alone
        return
    given = command.make_context(name, rest).params
    if given.get("build") == "my_network.onnx":
        return  # any file will do
    builds = [given[key] for key in ("build", "a", "b", "source") if given.get(key)]
    for build in builds:
        if name == "train" and build == "fullycon_float":
            continue  # a recipe
        keys = ("seed", "checkpoint", "samples", "data")
        simulate = {key: given[key] or None for key in ("snr_db", "frames") if key in given}
        configure(build, simulate=simulate, **{key: given.get(key) for key in keys})
    if given.get("part"):
        device(given["part"])
    if board := given.get("board", given.get("board_name")):
        assert board in {*BOARDS, *AMD_BOARDS}
        check_options(board, given.get("clock_mhz"), given.get("seeds"))


def check_module(name: str, words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Words that the parser of ``python -m NAME`` takes."""
    parse = argparse.ArgumentParser.parse_args

    def stop(self: Any, words: Any = None, namespace: Any = None) -> Any:
        parse(self, words, namespace)
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", stop)
    try:
        module = importlib.import_module(f"{name}.__main__")
    except ModuleNotFoundError:
        module = importlib.import_module(name)
    if "argparse" not in vars(module):
        assert callable(module.main)
        assert not words, f"{name} takes no words"
        return
    monkeypatch.setattr(sys, "argv", [name, *words])
    with pytest.raises(Parsed):
        module.main()

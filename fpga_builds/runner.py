# SPDX-License-Identifier: Apache-2.0
"""From the words of a command line to output and exit code, errors included."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from typer.exceptions import TyperException

from fpga_builds.arguments import spread_lists
from fpga_builds.os_errors import check_surroundings, check_words, explained
from fpga_builds.progress import Interrupted
from fpga_builds.terminal import Terminal, visible
from models.errors import PhyfoldError

INTERRUPTED = Interrupted.exit_code
TERMINATED = 143
USAGE = 2
BROKEN_PIPE = 141
"""As a program that the signal ended."""


@dataclass(frozen=True)
class Outcome:
    """What a command gives back.

    Attributes:
        body: the machine view.
        show: prints the view for people.
        code: exit code.
        after: called when the result is printed; raises PhyfoldError if a check failed.
    """

    body: dict[str, Any]
    show: Callable[[Console], None]
    code: int = 0
    after: Callable[[], None] = lambda: None


def execute(app: typer.Typer, words: Sequence[str] | None = None) -> int:
    """Run the command that ``words`` (default: of this process) name; returns the exit code.

    SIGTERM ends it as Ctrl-C does, children included, with a word and an exit code of its own.
    """
    arguments = spread_lists(sys.argv[1:] if words is None else words)
    machine = "--json" in arguments
    _log_to_stderr(quiet=machine or "--quiet" in arguments)
    ends: list[int] = []

    def terminate(number: int, _frame: FrameType | None) -> None:
        ends.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        return _execute(app, arguments, machine=machine)
    except (KeyboardInterrupt, typer.Abort, Interrupted) as error:
        hint = error.hint if isinstance(error, Interrupted) else _KEPT
        return _interrupted(hint, machine=machine, terminated=bool(ends))
    finally:
        signal.signal(signal.SIGTERM, before)


def _execute(app: typer.Typer, arguments: list[str], *, machine: bool) -> int:
    try:
        outcome = _called(app, arguments)
    except (typer.Abort, Interrupted):
        raise
    except PhyfoldError as error:
        _fail(error.kind, error.message, error.hint, machine=machine)
        return error.exit_code
    except typer.Exit as done:
        outcome = done.exit_code
    except TyperException as error:  # an option or argument that does not exist or is malformed
        if message := error.format_message():
            _fail("usage", message, "`phyfold --help` shows the options", machine=machine)
        return USAGE
    except Exception as error:  # a defect of ours: the traceback is what helps
        if not machine:
            raise
        logging.getLogger(__name__).exception("internal error")
        _fail("internal", f"{type(error).__name__}: {error}", "", machine=True)
        return 1
    if isinstance(outcome, Outcome):
        return _printed(outcome, machine=machine)
    if outcome == INTERRUPTED:  # typer answers a Ctrl-C with the exit code itself
        raise KeyboardInterrupt
    return int(outcome or 0)


def _printed(outcome: Outcome, *, machine: bool) -> int:
    """`_finish`; standard output may take no more, as a full disk or `head` that ended."""
    try:
        with explained("standard output"):
            return _finish(outcome, machine=machine)
    except BrokenPipeError:
        code = BROKEN_PIPE
    except PhyfoldError as error:
        _fail(error.kind, error.message, error.hint, machine=False)
        code = error.exit_code
    sys.stdout = Path(os.devnull).open("w")  # noqa: SIM115 (nothing is printed at the exit either)
    return code


def _called(app: typer.Typer, words: Sequence[str]) -> Any:
    """What the command gives."""
    check_words(words)
    check_surroundings()
    with explained():
        return app(words, standalone_mode=False)


_KEPT = "what was finished is kept; the same command goes on from there"


def _interrupted(hint: str, *, machine: bool, terminated: bool) -> int:
    if terminated:
        _fail("terminated", "ended by SIGTERM", hint, machine=machine)
        return TERMINATED
    _fail("interrupted", "interrupted", hint, machine=machine)
    return INTERRUPTED


def _finish(outcome: Outcome, *, machine: bool) -> int:
    """Print a result, then let its checks speak."""
    from fpga_builds.views import console

    if not machine:
        outcome.show(console())
    try:
        outcome.after()
    except PhyfoldError as error:
        if machine:
            _print_json({**outcome.body, "error": _error(error.kind, error.message, error.hint)})
        else:
            _fail(error.kind, error.message, error.hint, machine=False)
        return error.exit_code
    if machine:
        _print_json(outcome.body)
    return outcome.code


def _print_json(body: dict[str, Any]) -> None:
    text = json.dumps(body, indent=1, allow_nan=False) + "\n"
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # one object, and that one whole
    sys.stdout.write(text)
    sys.stdout.flush()


def _error(kind: str, message: str, hint: str) -> dict[str, str]:
    return {"kind": kind, "message": message, "hint": hint}


def _fail(kind: str, message: str, hint: str, *, machine: bool) -> None:
    if machine:
        _print_json({"error": _error(kind, message, hint)})
        return
    console = Terminal(stderr=True, soft_wrap=True)
    console.print(f"phyfold: {kind.replace('_', ' ')}: {message}", style="red")
    if hint:
        console.print(f"         {hint}")


class _Visible(logging.Formatter):
    """Records as they are, with what a terminal would obey written out."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def _log_to_stderr(*, quiet: bool) -> None:
    handler = RichHandler(console=Terminal(stderr=True), show_path=False, show_time=False)
    handler.setFormatter(_Visible(logging.BASIC_FORMAT))
    handler.setLevel(logging.ERROR if quiet else logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # What libraries say to their own developers is no news to a user of phyfold.
    exporter = "torch.onnx._internal.exporter._registration"
    logging.getLogger(exporter).setLevel(logging.ERROR)
    for library in ("brevitas", "torch", "qonnx", "finn", "onnxscript"):
        warnings.filterwarnings("ignore", module=rf"{library}\.")

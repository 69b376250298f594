# SPDX-License-Identifier: Apache-2.0
"""From the words of a command line to output and exit code, errors included."""

from __future__ import annotations

import json
import logging
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from typer.exceptions import TyperException

from fpga_builds.arguments import spread_lists
from fpga_builds.progress import Interrupted
from models.errors import PhyfoldError

INTERRUPTED = Interrupted.exit_code
TERMINATED = 143
USAGE = 2


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
    """Run the command that ``words`` (default: of this process) name; returns the exit code."""
    arguments = spread_lists(sys.argv[1:] if words is None else words)
    machine = "--json" in arguments
    _log_to_stderr(quiet=machine or "--quiet" in arguments)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        outcome = app(arguments, standalone_mode=False)
    except PhyfoldError as error:
        _fail(error.kind, error.message, error.hint, machine=machine)
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(machine=machine)
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
        return _finish(outcome, machine=machine)
    # typer answers a Ctrl-C with the exit code itself
    return _interrupted(machine=machine) if outcome == INTERRUPTED else int(outcome or 0)


_KEPT = "what was finished is kept; the same command goes on from there"


def _interrupted(*, machine: bool) -> int:
    _fail("interrupted", "interrupted", _KEPT, machine=machine)
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
    sys.stdout.write(json.dumps(body, indent=1, allow_nan=False) + "\n")
    sys.stdout.flush()


def _error(kind: str, message: str, hint: str) -> dict[str, str]:
    return {"kind": kind, "message": message, "hint": hint}


def _fail(kind: str, message: str, hint: str, *, machine: bool) -> None:
    if machine:
        _print_json({"error": _error(kind, message, hint)})
        return
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"phyfold: {kind.replace('_', ' ')}: {message}", style="red", markup=False)
    if hint:
        console.print(f"         {hint}", markup=False)


def _terminate(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(TERMINATED)


def _log_to_stderr(*, quiet: bool) -> None:
    handler = RichHandler(console=Console(stderr=True), show_path=False, show_time=False)
    handler.setLevel(logging.ERROR if quiet else logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    # What libraries say to their own developers is no news to a user of phyfold.
    exporter = "torch.onnx._internal.exporter._registration"
    logging.getLogger(exporter).setLevel(logging.ERROR)
    for library in ("brevitas", "torch", "qonnx", "finn", "onnxscript"):
        warnings.filterwarnings("ignore", module=rf"{library}\.")

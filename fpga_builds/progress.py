# SPDX-License-Identifier: Apache-2.0
"""What a person sees while the flow works: lines and progress bars on standard error."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from fpga_builds.terminal import Terminal, visible
from models.errors import PhyfoldError

LINE_EVERY_S = 20.0
Advance = Callable[[float, float], None]
"""Called with (done, total)."""


class Interrupted(PhyfoldError):
    """Ctrl-C; the hint says what is kept."""

    exit_code = 130
    kind = "interrupted"


class Reporter:
    """Lines and bars on standard error; a quiet one shows nothing."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet
        self.kept = ""
        """What an interruption right now would leave to resume from, in words."""
        self.console = Terminal(stderr=True, quiet=quiet, soft_wrap=True)

    @contextlib.contextmanager
    def interruptible(self, out: Path) -> Iterator[None]:
        """Turns a Ctrl-C into an `Interrupted` that says what work in ``out`` is kept."""
        try:
            yield
        except KeyboardInterrupt as error:
            kept = [f"finished steps in {out}", *([self.kept] if self.kept else [])]
            hint = f"kept: {'; '.join(kept)}. The same command goes on from there"
            raise Interrupted("interrupted", hint) from error

    def line(self, text: str | Text) -> None:
        """One line, shown as it is; `fpga_builds.terminal.styled` makes one with styles."""
        self.console.print(text)

    def _slow_lines(self, title: str) -> Advance:
        """Where no bar can be drawn: a line now and then."""
        last = time.monotonic()

        def advance(done: float, total: float) -> None:
            nonlocal last
            if time.monotonic() - last >= LINE_EVERY_S:
                last = time.monotonic()
                self.line(f"  {title}: {done:,.0f} of {total:,.0f}")

        return advance

    @contextlib.contextmanager
    def bar(self, title: str, total: float = 1.0) -> Iterator[Advance]:
        """A progress bar; the callback takes (done, total)."""
        if self.quiet:
            yield lambda _done, _total: None
            return
        if not self.console.is_terminal:
            yield self._slow_lines(title)
            return
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(visible(title), total=total)
            yield lambda done, whole: progress.update(task, completed=done, total=whole)

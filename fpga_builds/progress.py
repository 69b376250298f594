# SPDX-License-Identifier: Apache-2.0
"""What a person sees while the flow works: lines and progress bars on standard error.

Progress goes by time. On a terminal a bar is drawn; elsewhere a line comes whenever none was shown
for `LINE_EVERY_S`, whatever is at work: a program that says nothing, too, since the lines come from
a thread of their own (`Reporter.beat`).
"""

from __future__ import annotations

import contextlib
import threading
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

LINE_EVERY_S = 9.0
"""Silence after which a line comes where no bar is drawn [s]; with `POLL_S` at most 10 s."""
POLL_S = 1.0
Advance = Callable[[float, float], None]
"""Called with (done, total)."""


class Interrupted(PhyfoldError):
    """Ctrl-C; the hint says what is kept."""

    exit_code = 130
    kind = "interrupted"


class Bar:
    """One piece of work that is shown: called with (done, total), and told what it does.

    Args:
        title: of the work.
        since: when it began [s].
        changed: called after every news.
    """

    def __init__(self, title: str, since: float, changed: Callable[[Bar], None]) -> None:
        self.title, self.since, self._changed = title, since, changed
        self.done, self.total = 0.0, 0.0
        """Total 0: nobody knows how far the work is."""
        self.what = ""

    def __call__(self, done: float, total: float) -> None:
        """So much of the work is done."""
        self.done, self.total = done, total
        self._changed(self)

    def doing(self, what: str) -> None:
        """In words, what is at work."""
        self.what = what
        self._changed(self)

    def text(self, now: float) -> str:
        """One line: how far it is, what it does, for how long it has been at work."""
        far = f"{self.done:,.0f} of {self.total:,.0f}" if self.total else ""
        parts = [part for part in (far, self.what, _span(now - self.since)) if part]
        return f"  {self.title}: {', '.join(parts)}"


class Reporter:
    """Lines and bars on standard error; a quiet one shows nothing.

    Args:
        quiet: show nothing.
        clock: time [s].
    """

    def __init__(self, *, quiet: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self.quiet = quiet
        self.finished: list[str] = []
        """Names of the folders of steps that are finished."""
        self.kept: str | Callable[[], str] = ""
        """What an interruption right now would leave of the step at work, in words, or what finds
        that out; "" is nothing."""
        self.console = Terminal(stderr=True, quiet=quiet, soft_wrap=True)
        self._clock = clock
        self._last_line = clock()
        self._at_work: list[Bar] = []
        self._drawn = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def interruptible(self, out: Path) -> Iterator[None]:
        """Turns a Ctrl-C into an `Interrupted` that says what work in ``out`` is kept."""
        try:
            yield
        except KeyboardInterrupt as error:
            raise Interrupted("interrupted", self._what_is_kept(out)) from error

    def _what_is_kept(self, out: Path) -> str:
        steps = f"finished steps in {out}: {', '.join(self.finished)}" if self.finished else ""
        work = self.kept if isinstance(self.kept, str) else self.kept()
        kept = [text for text in (steps, work) if text]
        if not kept:
            return "nothing is kept yet; the same command begins anew"
        return f"kept: {'; '.join(kept)}. The same command goes on from there"

    def line(self, text: str | Text) -> None:
        """One line, shown as it is; `fpga_builds.terminal.styled` makes one with styles."""
        self._last_line = self._clock()
        self.console.print(text)

    def beat(self) -> None:
        """Where no bar is drawn: a line on what is at work, if none came for `LINE_EVERY_S`."""
        with self._lock:
            now, work = self._clock(), self._at_work[-1:]
            if work and not self._drawn and now - self._last_line >= LINE_EVERY_S:
                self.line(work[0].text(now))

    @contextlib.contextmanager
    def bar(self, title: str, total: float = 0.0) -> Iterator[Bar]:
        """Shows work called ``title`` until the context ends; inner work is shown in its place."""
        if self.quiet:
            yield Bar(title, 0.0, lambda _bar: None)
        elif self.console.is_terminal:
            with self._drawn_bar(title, total) as bar:
                yield bar
        else:
            with self.work(title) as bar:
                yield bar

    @contextlib.contextmanager
    def work(self, title: str) -> Iterator[Bar]:
        """As `bar`, in lines alone: for what may well be done before anybody asks."""
        bar = Bar(title, self._clock(), lambda _bar: self.beat())
        if self.quiet:
            yield bar
            return
        self._at_work.append(bar)
        try:
            with self._pulse():
                yield bar
        finally:
            self._at_work.remove(bar)

    @contextlib.contextmanager
    def _pulse(self) -> Iterator[None]:
        """Calls `beat` from a thread; one is enough for all that is at work."""
        if len(self._at_work) > 1:
            yield
            return
        ended = threading.Event()

        def pulse() -> None:
            while not ended.wait(POLL_S):
                self.beat()

        thread = threading.Thread(target=pulse, name="progress", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    @contextlib.contextmanager
    def _drawn_bar(self, title: str, total: float) -> Iterator[Bar]:
        columns = (
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task(visible(title), total=total or None)

            def changed(bar: Bar) -> None:
                text = visible(f"{title}: {bar.what}" if bar.what else title)
                whole = bar.total or total or None
                progress.update(task, description=text, completed=bar.done, total=whole)

            self._drawn += 1
            try:
                yield Bar(title, self._clock(), changed)
            finally:
                self._drawn -= 1


def _span(seconds: float) -> str:
    """A time for people."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"

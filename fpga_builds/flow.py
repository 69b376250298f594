# SPDX-License-Identifier: Apache-2.0
"""The flow runner: steps in order, each in its own folder, skipped when nothing it reads changed.

Asked for a step, it runs that step and those whose outputs it needs, no others.

A step works in ``<NN-name>.part``; only when it is done does the folder take its place as
``<NN-name>``, with ``state.json`` in it. So a kill or a full disk at any moment leaves the last
good result of every step, and half of a result is never taken for one. Work worth keeping across a
kill (trained steps, counted chunks) lies in ``cache/``, keyed by all that it follows from.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fpga_builds.belongs import fitting
from fpga_builds.config import BuildConfig
from fpga_builds.metrics import Metric
from fpga_builds.program_text import program_text
from fpga_builds.progress import Reporter
from fpga_builds.state import State, StepRecord, load_record
from fpga_builds.storage import hash_json, hash_path, replace_folder, write_json
from fpga_builds.terminal import styled
from fpga_builds.versions import package_versions, tool_versions
from models.errors import CheckError, ConfigError, PhyfoldError
from models.files import storage_guard

log = logging.getLogger(__name__)

SHOWN = 4
"""Changes that are named when a step runs again."""
OUR_LOGGERS = ("models", "quant", "hls", "fpga_builds")


@dataclass(frozen=True)
class StepContext:
    """What a step may use."""

    config: BuildConfig
    folder: Path
    """Where it writes; becomes the step's folder when it is done."""
    cache: Path
    """Survives a kill; everything in it is keyed by what it follows from."""
    state: State
    jobs: int = 1
    reporter: Reporter = field(default_factory=lambda: Reporter(quiet=True))
    made_by: str = ""
    """Hash of the program text and the versions of libraries that the result follows from; part of
    the key of whatever is kept in ``cache``."""

    def input(self, name: str) -> Path:
        """An output of an earlier step."""
        return self.state.file(name)


@dataclass(frozen=True)
class StepOutput:
    """What a step gives back."""

    files: Mapping[str, str]
    """Outputs: path relative to the step's folder, by name."""
    metrics: tuple[Metric, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """A step declares what it reads and writes and what its result follows from.

    Attributes:
        name: of the command and of the folder.
        number: place in the flow; first part of the folder's name.
        title: what a person reads.
        reads: names of earlier outputs.
        writes: names of its outputs.
        settings: the part of the configuration that matters to it.
        run: does the work; the program text that the result follows from is that of its module,
            see `fpga_builds.program_text`.
        packages: distributions whose version matters.
        compiler: the C++ compiler's version is worth recording.
        external: further files that matter (a checkpoint, a model, a folding file).
        applies: whether the build has this step.
        needs: called with the configuration and the build's folder before the first step of a
            command runs: raises ToolMissingError, or ConfigError, if this step could not run.
    """

    name: str
    number: int
    title: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    settings: Callable[[BuildConfig], Any]
    run: Callable[[StepContext], StepOutput]
    packages: tuple[str, ...] = ()
    compiler: bool = False
    external: Callable[[BuildConfig], tuple[Path, ...]] = lambda _config: ()
    applies: Callable[[BuildConfig], bool] = lambda _config: True
    needs: Callable[[BuildConfig, Path], None] = lambda _config, _out: None

    @property
    def folder_name(self) -> str:
        """Name of its folder."""
        return f"{self.number:02d}-{self.name}"

    def depends(self, config: BuildConfig, state: State) -> dict[str, str]:
        """All that the result follows from, hashed, by name."""
        parts = {f"config of {self.name}": hash_json(self.settings(config))}
        parts |= {f"input {name}": hash_path(state.file(name)) for name in self.reads}
        for path in self.external(config):
            parts[f"file {path.parent.name}/{path.name}"] = hash_path(path)
        return parts | self.made_by()

    def made_by(self) -> dict[str, str]:
        """Program text and versions of libraries, hashed, by name."""
        text = program_text().of(self.run.__module__)
        versions = package_versions(self.packages)
        return {f"program text of {path}": digest for path, digest in text.items()} | {
            f"version of {name}": str(value) for name, value in versions.items()
        }


class Flow:
    """Runs the steps of one build in one folder."""

    def __init__(
        self,
        steps: tuple[Step, ...],
        config: BuildConfig,
        out: Path,
        *,
        jobs: int = 1,
        reporter: Reporter | None = None,
    ) -> None:
        self.steps = tuple(step for step in steps if step.applies(config))
        self.config, self.out, self.jobs = config, out, jobs
        self.reporter = reporter or Reporter(quiet=True)
        self._ahead: list[Step] = []
        self._able: set[str] = set()

    def run(self, *wanted: str, done: State | None = None) -> State:
        """Run the steps named, and those whose outputs they need, unless they are up to date.

        Args:
            wanted: names of steps.
            done: what `run` gave before; its steps are not looked at again.

        Raises:
            PhyfoldError: a step failed; its log is named in the hint.
        """
        state = done or State()
        self._ahead = [step for step in self.needed(wanted) if step.name not in state.records]
        for step in tuple(self._ahead):
            state = state.with_record(self.run_step(step, state))
            self._ahead.remove(step)
        return state

    def needed(self, wanted: Iterable[str]) -> tuple[Step, ...]:
        """The steps named and all whose outputs they read, directly or not, in order."""
        names = set(wanted)
        unknown = names - {step.name for step in self.steps}
        if unknown:
            raise ConfigError(
                f"{self.config.name}: has no step {', '.join(sorted(unknown))}; "
                f"steps: {', '.join(step.name for step in self.steps)}"
            )
        found: list[Step] = []
        reads: set[str] = set()
        for step in reversed(self.steps):
            if step.name in names or reads.intersection(step.writes):
                found.append(step)
                reads.update(step.reads)
        return tuple(reversed(found))

    def present(self) -> tuple[State, dict[str, str]]:
        """What earlier runs left, whatever their settings were: see `belongs.fitting`."""
        return fitting(self.out / step.folder_name for step in self.steps)

    def run_step(self, step: Step, state: State) -> StepRecord:
        """The result of one step: the kept one if it is up to date, else a new one."""
        depends = step.depends(self.config, state)
        key = hash_json([step.name, depends])
        place = self.out / step.folder_name
        kept = load_record(place)
        if kept is not None and kept.key == key:
            self.reporter.line(styled((f"{step.name:<10} up to date ({place})", "dim")))
            self.reporter.finished.append(place.name)
            return kept
        self._require((step, *self._ahead))
        why = _why(kept, depends)
        log.info("%s: runs, %s", step.name, why)
        name = (f"{step.name:<10}", "bold")
        self.reporter.line(styled(name, f" {step.title} ", (f"({why})", "dim")))
        started = time.monotonic()
        work = place.with_name(place.name + ".part")
        self.reporter.kept = ""
        with self.reporter.work(step.name):
            output = self._work(step, state, work)
        record = StepRecord(
            step=step.name,
            folder=work,
            key=key,
            depends=depends,
            files=output.files,
            metrics=output.metrics,
            info=output.info,
            versions=tool_versions(step.packages, compiler=step.compiler),
            seconds=time.monotonic() - started,
            config=self.config.model_dump(mode="json"),
        )
        _check_written(step, record)
        record.save()
        replace_folder(work, place)
        self.reporter.kept = ""
        self.reporter.finished.append(place.name)
        self.reporter.line(styled((f"{'':<10} {record.seconds:.1f} s, {place}", "dim")))
        return _moved(record, place)

    def _require(self, steps: Iterable[Step]) -> None:
        """Ask once for what each of the steps needs."""
        for step in steps:
            if step.name not in self._able:
                step.needs(self.config, self.out)
                self._able.add(step.name)

    def _work(self, step: Step, state: State, work: Path) -> StepOutput:
        with storage_guard(work):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        write_json(work / "config.json", self.config.model_dump(mode="json"))
        context = StepContext(
            *(self.config, work, self.out / "cache", state, self.jobs, self.reporter),
            made_by=hash_json(step.made_by()),
        )
        log_file = work / "step.log"
        try:
            with storage_guard(work), _log_to(log_file):
                log.info("%s: starts", step.name)
                output = step.run(context)
                log.info("%s: done", step.name)
        except PhyfoldError as error:
            log_note = f"log: {log_file}"
            error.hint = f"{error.hint}; {log_note}" if error.hint else log_note
            raise
        return output


def _check_written(step: Step, record: StepRecord) -> None:
    for name in step.writes:
        if name not in record.files or not record.path(name).exists():
            raise CheckError(f"step {step.name} ended without its output {name!r}")


def _moved(record: StepRecord, place: Path) -> StepRecord:
    loaded = load_record(place)
    if loaded is None:
        raise CheckError(
            f"{place}: changed while step {record.step} finished", hint="run the command again"
        )
    return loaded


def _why(kept: StepRecord | None, depends: Mapping[str, str]) -> str:
    """In words, why a step runs."""
    if kept is None:
        return "no result yet"
    changed = [name for name, value in depends.items() if kept.depends.get(name) != value]
    changed += [f"{name} is gone" for name in kept.depends if name not in depends]
    more = f" and {len(changed) - SHOWN} more" if len(changed) > SHOWN else ""
    return f"changed: {', '.join(changed[:SHOWN])}{more}"


class _LogFile(logging.FileHandler):
    """A log file that a full disk silences: the step's own writes report that."""

    def handleError(self, record: logging.LogRecord) -> None:
        del record


@contextlib.contextmanager
def _log_to(path: Path) -> Iterator[None]:
    """Everything that our packages log goes to ``path`` too."""
    handler = _LogFile(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in OUR_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(min(logger.level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
        with contextlib.suppress(OSError):
            handler.close()

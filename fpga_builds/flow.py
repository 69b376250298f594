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

from fpga_builds.config import BuildConfig
from fpga_builds.metrics import Metric
from fpga_builds.progress import Reporter
from fpga_builds.state import State, StepRecord, load_record
from fpga_builds.storage import hash_json, hash_path, hash_sources, replace_folder, write_json
from fpga_builds.terminal import styled
from fpga_builds.versions import package_versions, tool_versions
from models.errors import CheckError, ConfigError, PhyfoldError
from models.files import storage_guard

log = logging.getLogger(__name__)

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
        run: does the work.
        sources: packages or files of this project whose text matters to the result.
        packages: distributions whose version matters.
        compiler: the C++ compiler's version is worth recording.
        external: further files that matter (a checkpoint, a model, a folding file).
        applies: whether the build has this step.
    """

    name: str
    number: int
    title: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    settings: Callable[[BuildConfig], Any]
    run: Callable[[StepContext], StepOutput]
    sources: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    compiler: bool = False
    external: Callable[[BuildConfig], tuple[Path, ...]] = lambda _config: ()
    applies: Callable[[BuildConfig], bool] = lambda _config: True

    @property
    def folder_name(self) -> str:
        """Name of its folder."""
        return f"{self.number:02d}-{self.name}"

    def depends(self, config: BuildConfig, state: State) -> dict[str, str]:
        """All that the result follows from, hashed, by name."""
        parts = {f"config of {self.name}": hash_json(self.settings(config))}
        parts |= {f"input {name}": hash_path(state.file(name)) for name in self.reads}
        parts |= {f"file {path.name}": hash_path(path) for path in self.external(config)}
        parts |= {f"program text of {name}": hash_sources(name) for name in self.sources}
        versions = package_versions(self.packages)
        return parts | {f"version of {name}": str(value) for name, value in versions.items()}


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

    def run(self, *wanted: str) -> State:
        """Run the steps named, and those whose outputs they need, unless they are up to date.

        Raises:
            PhyfoldError: a step failed; its log is named in the hint.
        """
        state = State()
        for step in self.needed(wanted):
            state = state.with_record(self.run_step(step, state))
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

    def present(self, before: str) -> State:
        """What earlier runs left for the steps before ``before``, whatever their settings were."""
        state = State()
        for step in self.steps:
            if step.name == before:
                break
            record = load_record(self.out / step.folder_name)
            if record is not None:
                state = state.with_record(record)
        return state

    def run_step(self, step: Step, state: State) -> StepRecord:
        """The result of one step: the kept one if it is up to date, else a new one."""
        depends = step.depends(self.config, state)
        key = hash_json([step.name, depends])
        place = self.out / step.folder_name
        kept = load_record(place)
        if kept is not None and kept.key == key:
            self.reporter.line(styled((f"{step.name:<10} up to date ({place})", "dim")))
            return kept
        why = _why(kept, depends)
        log.info("%s: runs, %s", step.name, why)
        name = (f"{step.name:<10}", "bold")
        self.reporter.line(styled(name, f" {step.title} ", (f"({why})", "dim")))
        started = time.monotonic()
        work = place.with_name(place.name + ".part")
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
        )
        _check_written(step, record)
        record.save()
        replace_folder(work, place)
        self.reporter.line(styled((f"{'':<10} {record.seconds:.1f} s, {place}", "dim")))
        return _moved(record, place)

    def _work(self, step: Step, state: State, work: Path) -> StepOutput:
        with storage_guard(work):
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir(parents=True)
        write_json(work / "config.json", self.config.model_dump(mode="json"))
        context = StepContext(
            self.config, work, self.out / "cache", state, self.jobs, self.reporter
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
    return f"changed: {', '.join(changed)}" if changed else "made by another version"


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

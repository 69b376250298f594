# SPDX-License-Identifier: Apache-2.0
"""What finished steps left behind: immutable records, read back only if they are whole.

A step's folder is a result only with a ``state.json`` in it, which is written last and sealed
(`models.sealed`), and only as long as every file that it names still has the hash it had then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from fpga_builds.metrics import Metric, MetricSet
from fpga_builds.storage import hash_path, write_json
from models.errors import ConfigError
from models.received import plain
from models.sealed import read_sealed, tell_unusable, write_sealed

SCHEMA = 2
STATE_FILE = "state.json"


@dataclass(frozen=True)
class StepRecord:
    """The result of one step.

    Attributes:
        step: its name.
        folder: its folder.
        key: hash of all that the result follows from.
        depends: what the key was made of, by name; tells later why a step runs again.
        files: outputs, path relative to ``folder`` by name.
        metrics: what was measured.
        info: further facts, plain data.
        versions: of the tools used.
        seconds: time it took [s].
        config: the build's settings when it ran, those of the command line in them.
    """

    step: str
    folder: Path
    key: str
    depends: Mapping[str, str]
    files: Mapping[str, str]
    metrics: tuple[Metric, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str | None] = field(default_factory=dict)
    seconds: float = 0.0
    config: Mapping[str, Any] = field(default_factory=dict)

    def path(self, name: str) -> Path:
        """Place of one of its outputs."""
        return self.folder / self.files[name]

    def save(self) -> None:
        """Write metrics.json, then state.json, into its folder."""
        write_json(self.folder / "metrics.json", [m.to_json() for m in self.metrics])
        write_sealed(
            self.folder / STATE_FILE,
            {
                "schema": SCHEMA,
                "step": self.step,
                "key": self.key,
                "depends": dict(self.depends),
                "files": {
                    name: {"path": path, "sha256": hash_path(self.folder / path)}
                    for name, path in self.files.items()
                },
                "metrics": [m.to_json() for m in self.metrics],
                "info": dict(self.info),
                "versions": dict(self.versions),
                "seconds": round(self.seconds, 3),
                "config": dict(self.config),
            },
            belongs_to=self.key,
        )


def load_record(folder: Path) -> StepRecord | None:
    """The record of a step's folder; None if there is none, or if anything changed since."""
    body = read_sealed(folder / STATE_FILE)
    if body is None or body.get("schema") != SCHEMA:
        return None
    try:
        files = {name: item["path"] for name, item in body["files"].items()}
        hashes = {item["path"]: item["sha256"] for item in body["files"].values()}
        record = StepRecord(
            step=body["step"],
            folder=folder,
            key=body["key"],
            depends=body["depends"],
            files=files,
            metrics=tuple(Metric.from_json(m) for m in body["metrics"]),
            info=body["info"],
            versions=body["versions"],
            seconds=body["seconds"],
            config=body["config"],
        )
    except (KeyError, TypeError, AttributeError, ConfigError):
        return None
    if not folder.name.endswith(record.step):
        tell_unusable(folder / STATE_FILE)  # the record of another step
        return None
    if not plain(folder, hashes):
        tell_unusable(folder / STATE_FILE)
        return None
    for path, digest in hashes.items():
        if hash_path(folder / path) != digest:
            tell_unusable(folder / path)
            return None
    return record


def load_records(out: Path, pattern: str) -> tuple[StepRecord, ...]:
    """The records of all finished steps in ``out`` whose folder's name matches ``pattern``.

    What a step works in (``.part``) and what a result replaced (``.old``) is no finished step.
    """
    places = (path for path in sorted(out.glob(pattern)) if not path.suffix)
    found = (load_record(path) for path in places)
    return tuple(record for record in found if record is not None)


@dataclass(frozen=True)
class State:
    """Records of the steps done so far; adding one gives a new state."""

    records: Mapping[str, StepRecord] = field(default_factory=lambda: MappingProxyType({}))

    def with_record(self, record: StepRecord) -> State:
        """This state and one record more."""
        return replace(self, records=MappingProxyType({**self.records, record.step: record}))

    def file(self, name: str) -> Path:
        """The output of that name, whichever step wrote it.

        Raises:
            ConfigError: no step so far wrote it.
        """
        for record in self.records.values():
            if name in record.files:
                return record.path(name)
        raise ConfigError(f"no step has written {name!r} yet", hint="`phyfold run` runs them all")

    def has(self, name: str) -> bool:
        """True if a step wrote an output of that name."""
        return any(name in record.files for record in self.records.values())

    @property
    def metrics(self) -> MetricSet:
        """All metrics of all steps."""
        return MetricSet(m for record in self.records.values() for m in record.metrics)

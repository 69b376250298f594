# SPDX-License-Identifier: Apache-2.0
"""What may stand side by side: figures of one chain of results, counted on the same frames.

A record of a finished step belongs to a report only if what it read is what lies there now. A
figure that was counted carries the key of its frames (`fpga_builds.stimulus.frames_key`); only
equal keys are set beside each other or enter a loss. What does not belong is left out, with a
reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fpga_builds.state import STATE_FILE, State, StepRecord, load_record
from fpga_builds.storage import hash_path
from models.sealed import read_sealed

FRAMES_KEY = "frames_key"
Points = Sequence[Mapping[str, Any]]


def fitting(places: Iterable[Path]) -> tuple[State, dict[str, str]]:
    """(the records in ``places`` that belong together, why each other one does not).

    places: folders of steps, in the order of the flow; those without a record are passed over.
    """
    state, left_out = State(), {}
    for place in places:
        record = load_record(place)
        if record is None:
            continue
        reason = misfit(record, state)
        if reason:
            left_out[record.step] = reason
        else:
            state = state.with_record(record)
    return state, left_out


def misfit(record: StepRecord, state: State) -> str:
    """Why a record does not belong to the results in ``state``; empty if it does."""
    for name, digest in record.depends.items():
        if not name.startswith("input "):
            continue
        wanted = name.removeprefix("input ")
        if not state.has(wanted):
            return f"what it read, {wanted!r}, is gone or left out too"
        if hash_path(state.file(wanted)) != digest:
            return f"it was made from another {wanted!r} than lies there now"
    return ""


def same_frames(
    rtl: Points, curves: Mapping[str, Points]
) -> tuple[dict[str, list[Mapping[str, Any]]], dict[str, list[float]]]:
    """(points of each curve on the frames of the RTL's, SNRs [dB] of the others, by curve).

    Without points of the RTL the curves are compared with each other alone, and all stay.
    """
    keys = {point["snr_db"]: point.get(FRAMES_KEY) for point in rtl}
    kept: dict[str, list[Mapping[str, Any]]] = {}
    other: dict[str, list[float]] = {}
    for name, points in curves.items():
        good = [p for p in points if not rtl or _fits(p, keys)]
        kept[name] = good
        if len(good) < len(points):
            other[name] = [p["snr_db"] for p in points if p not in good]
    return kept, other


def _fits(point: Mapping[str, Any], keys: Mapping[float, str | None]) -> bool:
    key = point.get(FRAMES_KEY)
    return key is not None and keys.get(point["snr_db"]) == key


def differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Settings of a finished step that are others now: ``section.key = then (now: value)``."""
    found = []
    for section in sorted({*kept, *now}):
        old, new = kept.get(section), now.get(section)
        if old == new:
            continue
        if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
            found.append(f"{section} = {old!r} (now {new!r})")
            continue
        found += [
            f"{section}.{key} = {_shown(old.get(key))} (now {_shown(new.get(key))})"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        ]
    return found


def _shown(value: Any) -> str:
    return "not set" if value is None else repr(value)


def present_keys(out: Path) -> dict[str, str]:
    """Key of every finished step in a build's folder, by the step's name."""
    found = {}
    for path in sorted(out.glob(f"[0-9][0-9]-*/{STATE_FILE}")):
        if path.parent.suffix:
            continue  # what a step works in, or what a result replaced
        body = read_sealed(path)
        if body is not None:
            found[str(body.get("step"))] = str(body.get("key"))
    return found


def newer_than(report: Mapping[str, Any], out: Path) -> list[str]:
    """Steps in ``out`` whose results are not those that a report was made of; [] if it is fresh."""
    made_of = report.get("results")
    if not isinstance(made_of, Mapping):
        return ["all steps"]  # a report of an earlier version does not say what it was made of
    now = present_keys(out)
    return sorted(step for step in {*made_of, *now} if made_of.get(step) != now.get(step))

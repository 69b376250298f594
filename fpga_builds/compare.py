# SPDX-License-Identifier: Apache-2.0
"""Two reports side by side, what got worse first."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpga_builds.metrics import Metric
from fpga_builds.storage import read_json
from models.errors import ConfigError

OTHER_FRAMES = "other frames"


def load_report(build: str, root: Path) -> dict[str, Any]:
    """The report.json that ``build`` means: its path, its folder, or a name below ``root``.

    Raises:
        ConfigError: there is none.
    """
    for path in (Path(build), Path(build) / "report.json", root / build / "report.json"):
        if path.is_file():
            body = read_json(path)
            if not isinstance(body, dict) or "metrics" not in body:
                raise ConfigError(f"{path}: is no report of phyfold")
            return body
    raise ConfigError(
        f"no report of {build!r}: neither a report.json, nor a folder with one, nor below {root}",
        hint=f"`phyfold run {build}` makes it",
    )


def compare(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    """Metrics of report ``b`` against report ``a``.

    Returns:
        {"name", "stage", "unit", "a", "b", "change", "verdict"} each, the largest worsening first;
        ``change`` is b / a - 1, or None. A verdict is worse, same, better, changed, missing, or
        other frames: two figures counted on different frames are not compared.
    """
    first = {(m.name, m.stage): m for m in map(Metric.from_json, a["metrics"])}
    second = {(m.name, m.stage): m for m in map(Metric.from_json, b["metrics"])}
    rows = [_row(first.get(key), second.get(key)) for key in {**first, **second}]
    shown = [row for row in rows if not (row["a"] is None and row["b"] is None)]
    order = {"worse": 0, "missing": 1, OTHER_FRAMES: 2, "better": 3, "changed": 4, "same": 5}
    return sorted(
        shown, key=lambda row: (order[row["verdict"]], -abs(row["change"] or 0.0), row["name"])
    )


def _row(a: Metric | None, b: Metric | None) -> dict[str, Any]:
    metric = a or b
    if metric is None:
        raise ConfigError("comparing nothing with nothing")
    old, new = (m.value if m is not None else None for m in (a, b))
    verdict = _verdict(a, b, metric.better)
    change = new / old - 1 if old and new is not None and verdict != OTHER_FRAMES else None
    return {
        "name": metric.name,
        "stage": metric.stage,
        "unit": metric.unit,
        "a": old,
        "b": new,
        "change": change,
        "verdict": verdict,
    }


def _verdict(a: Metric | None, b: Metric | None, better: str) -> str:
    if a is None or b is None or a.value is None or b.value is None:
        return "missing"
    if a.frames_key and b.frames_key and a.frames_key != b.frames_key:
        return OTHER_FRAMES
    if a.value == b.value or _intervals_overlap(a, b):
        return "same"
    if better == "neither":
        return "changed"
    return "better" if (b.value < a.value) == (better == "lower") else "worse"


def _intervals_overlap(a: Metric, b: Metric) -> bool:
    """Two statistics whose 95 % intervals overlap are not said to differ."""
    if a.ci95 is None or b.ci95 is None:
        return False
    return a.ci95[0] <= b.ci95[1] and b.ci95[0] <= a.ci95[1]

# SPDX-License-Identifier: Apache-2.0
"""What `phyfold list` knows of each build: its figures, where they come from, how they stand.

All figures of a row are of one report: the one in the build's own folder, else the one that the
repository keeps (`fpga_builds.table`). What that report does not hold is null, with a reason.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from fpga_builds.belongs import newer_than
from fpga_builds.config import BUILDS_FOLDER, BuildConfig, available_builds, load_build
from fpga_builds.shipped import checkpoint_path
from fpga_builds.storage import hash_path, read_json
from models.errors import ConfigError

KEPT = BUILDS_FOLDER.parent / "docs" / "results" / "builds"
REFERENCE_SNR_DB = 10.0
"""Where the BER of a detector is shown, the middle one of the README's."""
FIGURES = {
    "lut": ("lut", "estimate"),
    "bram18": ("bram18", "estimate"),
    "dsp": ("dsp", "estimate"),
    "throughput_per_s": ("throughput_per_s", "rtlsim"),
    "latency_us": ("latency_us", "rtlsim"),
}
"""(name, stage) of the metrics of a row, by their key."""


def overview(root: Path, patterns: Sequence[str] = (), kept: Path = KEPT) -> list[dict[str, Any]]:
    """A row for each build whose name matches one of ``patterns`` (as of a shell), or for all.

    Args:
        root: folder of the user's results, one folder a build.
        patterns: like ``conv*``; none means all.
        kept: folder of the results that the repository keeps.

    Raises:
        ConfigError: a pattern matches no build.
    """
    names = available_builds()
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            near = difflib.get_close_matches(pattern, names, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"builds: {', '.join(names)}"
            raise ConfigError(f"no build matches {pattern!r}", hint=hint)
    wanted = [name for name in names if not patterns or any(fnmatchcase(name, p) for p in patterns)]
    return [_row(load_build(name), root / name, kept / f"{name}.json") for name in wanted]


def _row(config: BuildConfig, out: Path, kept_file: Path) -> dict[str, Any]:
    own, shipped = _object(out / "report.json"), _object(kept_file)
    weights = _weights(config)
    body, source = (own, out / "report.json") if own else (shipped, kept_file)
    row: dict[str, Any] = {
        "build": config.name,
        "description": config.description,
        "checkpoint": weights is not None,
        "part": _part(body) or config.compile.part,
        "report": bool(own),
        "passed": own.get("passed"),
        "newer_results": newer_than(own, out) if own else [],
        "source": str(source) if body else None,
        "frames": body.get("frames"),
        "other_weights": bool(body) and not own and body.get("weights_sha256") != weights,
    }
    found = _metrics(body)
    reason = "not in that report" if body else "no report yet: `phyfold run` makes one"
    values = {key: found.get(pair, {}).get("value") for key, pair in FIGURES.items()}
    row |= values
    row["metric"] = _nmse(found) if config.csi is not None else _ber(body)
    missing = [key for key in (*FIGURES, "metric") if row[key] is None]
    why = {pair[0]: str(found.get(pair, {}).get("reason") or reason) for pair in FIGURES.values()}
    return {**row, "reasons": {key: why.get(key, reason) for key in missing}}


def _object(path: Path) -> dict[str, Any]:
    """The JSON object of a file; an empty one if it is missing, damaged or something else."""
    body = read_json(path)
    return body if isinstance(body, dict) else {}


def _weights(config: BuildConfig) -> str | None:
    """SHA-256 of what the build's network is made from; None if it has to be trained first."""
    if config.network.model is not None:
        return hash_path(Path(config.network.model))
    folder = checkpoint_path(config)
    ready = (folder / "recipe.json").is_file()
    return hash_path(folder / "weights.safetensors") if ready else None


def _part(body: Mapping[str, Any]) -> str | None:
    """The part that the figures are estimated for: of a kept result, or of a report."""
    settings = body.get("config")
    compiled = settings.get("compile") if isinstance(settings, Mapping) else None
    part = compiled.get("part") if isinstance(compiled, Mapping) else body.get("part")
    return part if isinstance(part, str) else None


def _metrics(body: Mapping[str, Any]) -> dict[tuple[Any, Any], Mapping[str, Any]]:
    rows = body.get("metrics")
    known = [m for m in rows if isinstance(m, Mapping)] if isinstance(rows, list) else []
    return {(m.get("name"), m.get("stage")): m for m in known}


def _nmse(found: Mapping[tuple[Any, Any], Mapping[str, Any]]) -> dict[str, Any] | None:
    metric = found.get(("nmse_db", "rtlsim"), {})
    if metric.get("value") is None:
        return None
    return {"name": "nmse_db", "value": metric["value"], "ci95": metric.get("ci95")}


def _ber(body: Mapping[str, Any]) -> dict[str, Any] | None:
    """The point of the RTL's curve at the reference SNR, or at the only one that there is."""
    curves = body.get("curves")
    points = curves.get("rtl") if isinstance(curves, Mapping) else None
    known = [p for p in points if isinstance(p, Mapping)] if isinstance(points, list) else []
    at = [p for p in known if p.get("snr_db") == REFERENCE_SNR_DB] or known
    if len(at) != 1 or at[0].get("ber") is None:
        return None
    point = {key: at[0].get(key) for key in ("snr_db", "ci95", "errors", "upper_bound")}
    bounded = point["upper_bound"] is not None  # too few errors for a figure
    return {"name": "ber", "value": None if bounded else at[0]["ber"], **point}

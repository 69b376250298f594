# SPDX-License-Identifier: Apache-2.0
"""The README's results table and the page of CSI builds, made of reports.

    python -m fpga_builds.table       (make table)

A report in ``build/<name>/report.json`` whose checks passed is condensed to
``docs/results/builds/<name>.json``, unless the one kept there counted more frames of the same
weights, or the report is older than the results beside it. The table between the markers in
README.md, and docs/results/csi_builds.md, are then written from the kept ones: a fresh clone gives
the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fpga_builds import table_csi
from fpga_builds.belongs import FRAMES_KEY, newer_than
from fpga_builds.markdown import markdown_code, markdown_row, markdown_text
from fpga_builds.report import ber_text, number
from fpga_builds.storage import read_json, write_json
from models.errors import ConfigError, PhyfoldError
from models.files import write_atomic
from models.received import BUILD_NAME

BEGIN, END = "<!-- results:begin -->", "<!-- results:end -->"
KEPT = Path("docs/results/builds")
CSI_PAGE = "csi_builds.md"
"""Beside the folder of kept results."""
SNRS_DB = (8.0, 10.0, 12.0)
ORDER = ("w8a8", "w4a4", "w2a4", "w4a4_p80", "w4a4_p90", "w4a4_b80", "w4a4_b90")
METRICS = (
    ("ii_cycles", "rtlsim"),
    ("ii_cycles_ideal", "estimate"),
    ("latency_cycles", "rtlsim"),
    ("latency_cycles", "estimate"),
    ("throughput_per_s", "rtlsim"),
    ("latency_us", "rtlsim"),
    ("clock_mhz", "estimate"),
    ("snr_loss_db", "rtlsim"),
    ("multipliers", "estimate"),
    ("lut", "estimate"),
    ("bram18", "estimate"),
    ("dsp", "estimate"),
    ("weight_memory_bits", "estimate"),
    ("nonzero_macs", "train"),
    ("mismatches", "rtlsim"),
    ("float32_frames", "rtlsim"),
)


def condense(report: dict[str, Any]) -> dict[str, Any]:
    """What of a report is kept in the repository."""
    metrics = {(m["name"], m["stage"]): m for m in report["metrics"]}
    csi = report.get("csi")
    keys = (*METRICS, *table_csi.METRICS) if csi else METRICS
    wanted = [metrics[key] for key in keys if key in metrics]
    simulated: dict[str, Any] = next((s for s in report["steps"] if s["name"] == "simulate"), {})
    return {
        "build": report["build"],
        "description": report["description"],
        "phyfold": report["phyfold"],
        "versions": simulated.get("versions", {}),
        "seed": report["seed"],
        "frames": report["frames"],
        "weights_sha256": report["weights_sha256"],
        "part": report["config"]["compile"]["part"],
        "checks": report["checks"],
        "metrics": wanted,
        "curves": report["curves"],
        **({"csi": {key: csi[key] for key in ("half", "other", "data")}} if csi else {}),
    }


def collect(root: Path, kept: Path) -> tuple[list[str], list[str]]:
    """Condense the reports below ``root`` that passed into ``kept``.

    Returns:
        (builds taken, why each other report was not, as far as that is worth a line).
    """
    taken, refused = [], []
    for path in sorted(root.glob("*/report.json")):
        report = read_json(path)
        if not isinstance(report, dict) or "weights_sha256" not in report:
            continue
        if not report.get("passed") or not report.get("frames"):
            continue
        if not BUILD_NAME.fullmatch(str(report["build"])):
            raise ConfigError(
                f"{path}: build = {report['build']!r} is no name of a build",
                hint="names are lower-case letters, digits and _; move this folder away",
            )
        if newer := newer_than(report, path.parent):
            refused.append(f"{path}: older than the results beside it ({', '.join(newer)})")
            continue
        place = kept / f"{report['build']}.json"
        old = read_json(place)
        known = old if isinstance(old, dict) else {"frames": 0, "weights_sha256": None}
        same = known["weights_sha256"] == report["weights_sha256"]
        if same and known["frames"] > report["frames"]:
            continue
        write_json(place, condense(report))
        taken.append(report["build"])
    return taken, refused


def kept_results(kept: Path) -> list[dict[str, Any]]:
    """The kept results, by name."""
    found = (read_json(path) for path in sorted(kept.glob("*.json")))
    return [body for body in found if isinstance(body, dict)]


def table(kept: Path) -> str:
    """The Markdown table of the kept results, and a line on how they were got."""
    bodies = kept_results(kept)
    rows = [body for body in bodies if "csi" not in body]
    if not rows:
        return "No results yet: `make run`, then `make table`.\n"
    rows.sort(key=_position)
    heads = [f"BER at {snr:g} dB (95 %)" for snr in SNRS_DB]
    titles = ["build", *heads, "loss [dB]", "frames/s", "latency [us]", "multipliers"]
    titles += ["LUT", "BRAM18", "DSP", "weights [kbit]", "non-zero MACs"]
    lines = [markdown_row(titles), markdown_row(["---"] + ["---:"] * (len(titles) - 1))]
    lines += [markdown_row(_cells(row)) for row in rows]
    if same_counts(rows):
        lines += _baselines(rows[0], len(titles))
    lines += ["", *_notes(rows)]
    lines += table_csi.csi_lines([body for body in bodies if "csi" in body])
    return "\n".join(lines) + "\n"


def same_counts(rows: Sequence[dict[str, Any]]) -> bool:
    """Whether all rows counted the same frames, so that one row's baselines stand for all."""

    def counted(row: dict[str, Any]) -> Any:
        points = row["curves"]["rtl"]
        return row["seed"], [(p["snr_db"], p["frames"], p.get(FRAMES_KEY)) for p in points]

    return all(counted(row) == counted(rows[0]) for row in rows)


def _position(row: dict[str, Any]) -> tuple[int, str]:
    name = row["build"].removeprefix("fullycon_")
    return (ORDER.index(name) if name in ORDER else len(ORDER), name)


def _cells(row: dict[str, Any]) -> list[str]:
    found = {(m["name"], m["stage"]): m["value"] for m in row["metrics"]}
    points = {p["snr_db"]: p for p in row["curves"]["rtl"]}
    bers = [_interval(points.get(snr)) for snr in SNRS_DB]
    loss = found.get(("snr_loss_db", "rtlsim"))
    bits = found.get(("weight_memory_bits", "estimate"))
    rate = found.get(("throughput_per_s", "rtlsim"))
    latency = found.get(("latency_us", "rtlsim"))
    return [
        markdown_code(row["build"]),
        *bers,
        "-" if loss is None else f"{loss:+.2f}",
        "-" if rate is None else f"{rate:,.0f}",
        "-" if latency is None else f"{latency:.1f}",
        number(found.get(("multipliers", "estimate"))),
        *table_csi.Values(row).resources(),
        "-" if bits is None else f"{bits / 1000:,.0f}",
        number(found.get(("nonzero_macs", "train"))),
    ]


def _interval(point: dict[str, Any] | None) -> str:
    if point is None:
        return "-"
    low, high = point["ci95"]
    if point.get("upper_bound") is not None:
        return ber_text(point)
    return f"{point['ber']:.2e} ({low:.2e} to {high:.2e})"


def _baselines(row: dict[str, Any], columns: int) -> list[str]:
    lines = []
    for key, name in (
        ("float", "FullyCon, floating point"),
        ("ml", "maximum likelihood"),
        ("mmse", "linear MMSE"),
        ("zf", "zero forcing"),
    ):
        points = {p["snr_db"]: p for p in row["curves"].get(key, [])}
        if points:
            cells = [name, *(_interval(points.get(snr)) for snr in SNRS_DB)]
            lines.append(markdown_row(cells + ["-"] * (columns - len(cells))))
    return lines


def _equal_to(rows: Sequence[dict[str, Any]]) -> str:
    """What the RTL's frames equal: QONNX, unless its float32 was rounded somewhere."""
    values = (m for row in rows for m in row["metrics"] if m["name"] == "float32_frames")
    rounded = sum(m["value"] or 0 for m in values)
    if not rounded:
        return "the QONNX execution"
    return f"exact arithmetic ({rounded:,} of them QONNX' float32 rounds otherwise)"


def _notes(rows: Sequence[dict[str, Any]]) -> list[str]:
    counts = sorted({p["frames"] for row in rows for p in row["curves"]["rtl"]})
    frames = f"{counts[0]:,}" + (f" to {counts[-1]:,}" if len(counts) > 1 else "")
    total = sum(row["frames"] for row in rows)
    clocks = {
        f"{m['value']:g} MHz" for row in rows for m in row["metrics"] if m["name"] == "clock_mhz"
    }
    parts = markdown_text(", ".join(sorted({row["part"] for row in rows})))
    return [
        f"BER: counted on the cycle-accurate RTL, {frames} frames of 30 bits per SNR; all "
        f"{total:,} frames equal {_equal_to(rows)} bit for bit. Loss: SNR beyond floating point "
        "at BER 1e-3, on the same frames (so few that it is good to some 0.05 dB; "
        "[docs/results/compression.md](docs/results/compression.md) counts it on 300,000 a SNR). "
        "Frames/s and latency: measured cycles at the target "
        f"clock of {', '.join(sorted(clocks))}. LUT, BRAM18, DSP: estimates for {parts}, no "
        "synthesis results ([how good they are](docs/costs.md)), in brackets the share of the "
        "part. Weights: memory as stored, places of non-zeros included.",
    ]


def update_readme(readme: Path, text: str) -> bool:
    """Put ``text`` between the markers; True if that changed the file.

    Raises:
        ConfigError: a marker is missing.
    """
    body = readme.read_text(encoding="utf-8")
    if BEGIN not in body or END not in body:
        raise ConfigError(f"{readme}: the markers {BEGIN} and {END} are missing")
    head, rest = body.split(BEGIN, 1)
    _old, tail = rest.split(END, 1)
    new = f"{head}{BEGIN}\n{text}{END}{tail}"
    if new != body:
        write_atomic(readme, new)
    return new != body


def main(words: Sequence[str] | None = None) -> int:
    """Collect, then write the table; returns the exit code."""
    parser = argparse.ArgumentParser(description="Write the README's results table.")
    parser.add_argument("--builds", type=Path, default=Path("build"), help="folder of results")
    parser.add_argument("--kept", type=Path, default=KEPT, help="condensed results")
    parser.add_argument("--readme", type=Path, default=Path("README.md"))
    options = parser.parse_args(words)
    try:
        taken, refused = collect(options.builds, options.kept)
        changed = update_readme(options.readme, table(options.kept))
        if csi := [body for body in kept_results(options.kept) if "csi" in body]:
            write_atomic(options.kept.parent / CSI_PAGE, table_csi.csi_page(csi))
    except PhyfoldError as error:
        sys.stderr.write(f"{error.message}\n")
        return error.exit_code
    for line in refused:
        sys.stderr.write(f"{line}: not taken; `phyfold report BUILD` writes it anew\n")
    state = "written" if changed else "unchanged"
    sys.stdout.write(f"results taken: {', '.join(taken) or 'none'}; table {state}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

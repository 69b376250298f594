# SPDX-License-Identifier: Apache-2.0
"""The part of the report that a CSI build has: NMSE and rho on the RTL, and what they lose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from fpga_builds import plots
from fpga_builds.belongs import FRAMES_KEY
from fpga_builds.checks import Check
from fpga_builds.config import BuildConfig
from fpga_builds.csi import load_array
from fpga_builds.metrics import Metric, MetricSet
from fpga_builds.state import State
from fpga_builds.steps.rtl_count import rtl_metric
from fpga_builds.storage import read_json
from models.counts import DECIDING_SAMPLES

LOSS = "nmse_loss_db"


def csi_section(
    config: BuildConfig, state: State, left_out: Mapping[str, str] | None = None
) -> dict[str, Any] | None:
    """Counts on the RTL and of the references on the same samples; None for another build."""
    if config.csi is None:
        return None
    record = state.records.get("simulate")
    rtl = dict(record.info) if record is not None else None
    counted = read_json(state.file("baselines")) if state.has("baselines") else None
    return {
        "half": config.csi.half,
        "other": config.csi.other,
        "data": rtl["data"] if rtl else config.csi.data,
        "rtl": rtl,
        "references": counted or {},
        "left_out": dict(left_out or {}),
    }


def loss_metric(section: Mapping[str, Any]) -> Metric:
    """NMSE on the RTL over that of floating point, same samples [dB]."""
    rtl, reference = section["rtl"], section["references"].get("float")
    if not rtl or not reference:
        why = section["left_out"].get("baselines") or section["left_out"].get("simulate")
        why = why or "needs NMSE on the RTL and in floating point"
        return Metric.missing(LOSS, "dB", "rtlsim", why)
    loss = rtl_metric(LOSS, rtl["nmse_db"] - reference["nmse_db"], "dB", "lower")
    return replace(loss, frames_key=rtl.get(FRAMES_KEY, ""), counted=rtl["samples"])


def csi_checks(config: BuildConfig, found: MetricSet) -> tuple[Check, ...]:
    """The rule of the build on the NMSE, if it has one."""
    limit = config.checks.max_nmse_loss_db
    if config.csi is None or limit is None:
        return ()
    metric = found.get(LOSS)
    loss, samples = (None, None) if metric is None else (metric.value, metric.counted)
    rule = (
        f"at most {limit:g} dB beyond floating point, of {DECIDING_SAMPLES} channel samples or more"
    )
    if loss is None:
        return (Check(LOSS, False, None, rule),)
    if samples is not None and samples < DECIDING_SAMPLES:
        return (Check(LOSS, None, loss, rule),)
    return (Check(LOSS, loss <= limit, loss, rule),)


def csi_remarks(section: Mapping[str, Any]) -> list[str]:
    """What a reader must know to read the numbers."""
    half, other = section["half"], section["other"]
    way = (
        "the decoder's QONNX model made the images of the codewords that the RTL gave"
        if half == "encoder"
        else f"the codewords came from the RTL of {other}"
    )
    return [
        f"NMSE and rho are counted from end to end, every quantizer in between: {way}. NMSE is the "
        "mean of the samples' error ratios, in dB; its interval is of the sampling of channels.",
        "The network is our own reconstruction of the article's; figures on other data are not "
        "comparable.",
    ]


def example_plot(config: BuildConfig, state: State, out: Path) -> dict[str, str]:
    """Writes plots/csi.png of the examples that the simulation kept."""
    if config.csi is None or not state.has("examples"):
        return {}
    samples, images = (load_array(state.file("examples"), n) for n in ("samples", "images"))
    plots.csi_plot(config.name, samples, images, out / "plots" / "csi.png")
    return {"csi": "plots/csi.png"}

# SPDX-License-Identifier: Apache-2.0
"""What `phyfold list` shows: a table of 120 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from fpga_builds.overview import REFERENCE_SNR_DB
from fpga_builds.report import ber_text
from fpga_builds.terminal import styled
from fpga_builds.views import MARKS

NUMBERS = {"lut": "LUT", "bram18": "BRAM18", "dsp": "DSP", "throughput_per_s": "frames/s"}
CAPTION = (
    f"BER at {REFERENCE_SNR_DB:g} dB and NMSE: counted on the RTL. LUT, BRAM18, DSP: estimates for "
    "the part. Rate and latency: measured cycles at the target clock. Report: how the one in "
    "build/ ended; shipped: figures of the repository. -: no figure, --json says why."
)


def builds_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """The rows of `fpga_builds.overview.overview`."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, caption=CAPTION, caption_justify="left")
    table.add_column("build", overflow="fold")
    table.add_column("part", overflow="fold")
    for head in ("BER or NMSE", *NUMBERS.values(), "latency [us]"):
        table.add_column(head, justify="right")
    table.add_column("report", overflow="fold")
    for row in rows:
        numbers = [_number(row[key], ",.0f") for key in NUMBERS]
        latency = _number(row["latency_us"], ",.1f")
        table.add_row(row["build"], row["part"], _metric(row["metric"]), *numbers, latency,
                      _state(row))  # fmt: skip
    return table


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _metric(metric: Mapping[str, Any] | None) -> str:
    """The figure of merit, with its SNR where that is not the one of the caption."""
    if metric is None:
        return "-"
    if metric["name"] == "nmse_db":
        return f"{metric['value']:.2f} dB"
    where = "" if metric["snr_db"] == REFERENCE_SNR_DB else f" at {metric['snr_db']:g} dB"
    return ber_text({"ber": metric["value"], "upper_bound": metric["upper_bound"]}, ".2e") + where


def _state(row: Mapping[str, Any]) -> Text:
    """How the last report ended, and whether it still stands for the results beside it."""
    if row["report"]:
        newer = row["newer_results"]
        return styled(MARKS[row["passed"]], f", older than {', '.join(newer)}" if newer else "")
    if row["source"] is not None:
        return styled("shipped, of other weights" if row["other_weights"] else "shipped")
    return styled("none yet" if row["checkpoint"] else "to be trained")

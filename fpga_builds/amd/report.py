# SPDX-License-Identifier: Apache-2.0
"""What AMD's reports say of timing, clock and resources. A missing report gives no number."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from models.errors import ToolError

TIMING_REPORT = "post_route_timing.rpt"
RESOURCE_REPORT = "post_synth_report.xml"
TOP = "(top)"
SUMMARY = "| Design Timing Summary"
TIMING_ROW = re.compile(r"^\s*(-?\d+\.\d+|NA)\s+(-?\d+\.\d+|NA)\s+\d+\s+\d+\s", re.MULTILINE)
DATA_CLOCK = re.compile(r"Name:\s+DATA_CLK\b.*?Frequency:\s+(\d+(?:\.\d+)?)\s*MHz", re.DOTALL)


@dataclass(frozen=True)
class Timing:
    """Timing after routing; what could not be read is None, and ``why`` says why."""

    clock_mhz: float | None
    fmax_mhz: float | None
    wns_ns: float | None
    met: bool | None
    why: str = ""


def zynq_timing(report: Path, target_mhz: float) -> Timing:
    """Timing of Vivado's ``report_timing_summary``.

    fmax = 1 / (1/target - worst negative slack), which takes the slack to be that of the
    accelerator's clock, the fastest of FINN's Zynq shell at 100 MHz or more.

    Raises:
        ToolError: the report is missing or has no summary: then nothing is known about timing.
    """
    try:
        text = report.read_text(errors="replace")
    except OSError as error:
        raise ToolError(f"{report}: Vivado left no timing report ({error.strerror})") from error
    row = TIMING_ROW.search(text, max(text.find(SUMMARY), 0)) if SUMMARY in text else None
    if row is None or "NA" in row.groups():
        raise ToolError(f"{report}: no worst slack in this timing report", hint="look into it")
    wns = float(row[1])
    return Timing(target_mhz, 1e3 / (1e3 / target_mhz - wns), wns, wns >= 0)


def vitis_timing(info: Path | None, target_mhz: float) -> Timing:
    """The clock that v++ gave the kernels, from the ``.xclbin.info`` that it writes.

    v++ lowers the kernels' clock by itself where timing is not met, and reports no other margin.
    """
    text = ""
    if info is not None and info.is_file():
        text = info.read_text(errors="replace")
    found = DATA_CLOCK.search(text)
    if found is None:
        return Timing(None, None, None, None, "v++ left no a.xclbin.info with the kernels' clock")
    clock = float(found[1])
    return Timing(clock, None, None, clock >= target_mhz, "v++ reports the clock, not its margin")


def read_resources(report: Path, cells: Mapping[str, str]) -> tuple[dict[str, int], list[Any]]:
    """Counts after implementation: of the whole design, shell included, and of each of our nodes.

    Read from Vivado's hierarchical utilization report (XML). FINN's own reading of it leaves out
    every node on Alveo boards.

    cells: node of the design -> layer or FIFO.
    Raises ToolError if the report is missing, damaged, or has no total.
    """
    try:
        root = ElementTree.parse(report).getroot()  # noqa: S314 (written by Vivado here)
    except (OSError, ElementTree.ParseError) as error:
        raise ToolError(f"{report}: no readable utilization report ({error})") from error
    header: list[str] = []
    totals: dict[str, int] = {}
    rows = []
    for row in root.iter("tablerow"):
        values = [cell.get("contents", "").strip() for cell in row.iter("tablecell")]
        if "Instance" in values:
            header = values
        elif header and len(values) == len(header):
            counts = _counts(dict(zip(header, values, strict=True)))
            if TOP in values and not totals:
                totals = counts
            if values[0] in cells:
                rows.append({"name": cells[values[0]], **counts})
    if not totals:
        raise ToolError(f"{report}: no row {TOP} in this utilization report", hint="look into it")
    return totals, rows


def _counts(row: Mapping[str, str]) -> dict[str, int]:
    def count(*names: str) -> int:
        return sum(int(float(row[name])) for name in names if name in row)

    return {
        "lut": count("Total LUTs"),
        "ff": count("FFs"),
        "bram18": 2 * count("RAMB36") + count("RAMB18"),
        "dsp": count("DSP Blocks", "DSP48 Blocks"),
        "uram": count("URAM"),
    }

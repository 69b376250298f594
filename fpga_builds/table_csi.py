# SPDX-License-Identifier: Apache-2.0
"""The tables of CSI builds: the README's part, and a page of all; see `fpga_builds.table`.

The README shows the builds at one compression ratio; docs/results/csi_builds.md shows every one,
with cycles beside the model's, resources and FIFOs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from fpga_builds.markdown import markdown_code, markdown_row, markdown_text
from hls.devices import device
from models.errors import CompileError

METRICS = (
    ("nmse_db", "rtlsim"),
    ("rho", "rtlsim"),
    ("feedback_bits", "rtlsim"),
    ("nmse_loss_db", "rtlsim"),
    ("nmse_float_db", "software"),
    ("weights", "train"),
    ("macs", "train"),
    ("fifo_bits", "rtlsim"),
    ("fifo_bits", "estimate"),
    ("ff", "estimate"),
    *((name, "synth") for name in ("lut", "ff", "bram18", "dsp")),
)
TITLES = (
    *("build", "NMSE [dB] (95 %)", "rho", "loss [dB]", "feedback bits", "samples/s"),
    *("latency [us]", "multipliers", "LUT", "BRAM18", "DSP"),
    "weights of both halves, zeros included",
)
RESOURCES = ("lut", "bram18", "dsp")


PAGE_TITLES = (
    *("build", "samples", "NMSE [dB]", "loss [dB]", "feedback bits", "interval (ideal) [cycles]"),
    *("latency (model) [cycles]", "latency [ms]", "multipliers", "LUT", "FF", "BRAM18", "DSP"),
    *("weights [kbit]", "FIFOs [kbit]", "LUT / FF / BRAM18 / DSP after synthesis"),
)
SHOWN_RATIO = 16
RATIO = re.compile(r"_r(\d+)(?:_|$)")
PAGE = """# CSI builds

Written by `python -m fpga_builds.table` (`make table`) from the reports of `phyfold run BUILD`; one
row an accelerator.

{table}

{notes}

Interval: between two samples, measured; the ideal is that of the slowest layer. Latency: from the
first beat of a sample to its last result, measured, beside the flow's model. Weights: the memory of
this half. After synthesis: the whole accelerator in Yosys, for the same part, where it was run
(`phyfold synth BUILD`). `_slot` is the slowest folding whose modelled latency is below 0.5 ms.
"""


def csi_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of the README's table and its notes, one ratio alone; none without rows."""
    rows = [row for row in rows if _ratio(row) in (SHOWN_RATIO, None)]
    if not rows:
        return []
    lines = [markdown_row(TITLES), markdown_row(["---", *["---:"] * (len(TITLES) - 1)])]
    lines += [markdown_row(_cells(row)) for row in sorted(rows, key=_order)]
    more = "All ratios, cycles, FIFOs: [docs/results/csi_builds.md](docs/results/csi_builds.md)."
    return ["", *lines, "", f"{_notes(rows)} {more}"]


def csi_page(rows: Sequence[Mapping[str, Any]]) -> str:
    """The page of all CSI builds."""
    lines = [markdown_row(PAGE_TITLES), markdown_row(["---", *["---:"] * (len(PAGE_TITLES) - 1)])]
    lines += [markdown_row(_page_cells(row)) for row in sorted(rows, key=_order)]
    return PAGE.format(notes=_notes(rows), table="\n".join(lines))


def _notes(rows: Sequence[Mapping[str, Any]]) -> str:
    samples = sorted({row["frames"] for row in rows})
    counts = f"{samples[0]:,}" + (f" to {samples[-1]:,}" if len(samples) > 1 else "")
    data = ", ".join(sorted({row["csi"]["data"] for row in rows}))
    parts = markdown_text(", ".join(sorted({row["part"] for row in rows})))
    return (
        f"NMSE and rho: counted on the outputs of the cycle-accurate RTL, {counts} test samples "
        f"({data}), every quantizer in between; all outputs equal the QONNX execution. "
        "An encoder's codewords are decoded by QONNX, a decoder's come from the encoder's RTL. "
        "Loss: against floating point on the same samples. Rates and latency: measured cycles at "
        f"the target clock. LUT, BRAM18, DSP: estimates for {parts}, FIFOs included, in brackets "
        "the share of the part. "
        "The networks are our own reconstruction."
    )


def _ratio(row: Mapping[str, Any]) -> int | None:
    found = RATIO.search(str(row["build"]))
    return int(found[1]) if found else None


def _order(row: Mapping[str, Any]) -> tuple[str, int, str]:
    """By network and half, then by ratio, then by name."""
    name = str(row["build"])
    return RATIO.split(name)[0], _ratio(row) or 0, name


class Values:
    """Metrics of a row by (name, stage), as cells."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        self.part = str(row["part"])
        self.metrics = {(m["name"], m["stage"]): m for m in row["metrics"]}

    def value(self, name: str, stage: str) -> float | None:
        """A value, or None."""
        found: float | None = self.metrics.get((name, stage), {}).get("value")
        return found

    def first(self, name: str, *stages: str) -> str:
        """The first of ``stages`` that has a value; the first of all if none has."""
        return next((s for s in stages if self.value(name, s) is not None), stages[0])

    def cell(self, name: str, stage: str, form: str = ",.0f", unit: float = 1.0) -> str:
        """Its value in ``unit``, formatted; a dash where it is missing."""
        value = self.value(name, stage)
        return "-" if value is None else format(value / unit, form)

    def resources(self) -> list[str]:
        """Estimated LUT, BRAM18 and DSP, each with the share of the part that it takes.

        A part that is not one of ours, as in a report of another version, has no shares.
        """
        try:
            totals = device(self.part)
        except CompileError:
            totals = None
        cells = []
        for name in RESOURCES:
            value = self.value(name, "estimate")
            percent = 100 * (value or 0) / getattr(totals, name) if totals else 0.0
            share = f" ({percent:.0f} %)" if percent >= 1 else " (< 1 %)" if percent else ""
            cells.append(self.cell(name, "estimate") + share)
        return cells


def _cells(row: Mapping[str, Any]) -> list[str]:
    values = Values(row)
    nmse = values.metrics.get(("nmse_db", "rtlsim"), {})
    low, high = nmse.get("ci95") or (None, None)
    return [
        markdown_code(str(row["build"])),
        "-" if low is None else f"{nmse['value']:.2f} ({low:.2f} to {high:.2f})",
        values.cell("rho", "rtlsim", ".4f"),
        values.cell("nmse_loss_db", "rtlsim", "+.2f"),
        values.cell("feedback_bits", "rtlsim"),
        values.cell("throughput_per_s", "rtlsim"),
        values.cell("latency_us", "rtlsim"),
        values.cell("multipliers", "estimate"),
        *values.resources(),
        values.cell("weights", "train"),
    ]


def _page_cells(row: Mapping[str, Any]) -> list[str]:
    values = Values(row)
    ideal = values.cell("ii_cycles_ideal", "estimate")
    model = values.cell("latency_cycles", "estimate")
    synthesized = [values.cell(n, "synth") for n in ("lut", "ff", "bram18", "dsp")]
    return [
        markdown_code(str(row["build"])),
        f"{row['frames']:,}",
        values.cell("nmse_db", "rtlsim", ".2f"),
        values.cell("nmse_loss_db", "rtlsim", "+.2f"),
        values.cell("feedback_bits", "rtlsim"),
        f"{values.cell('ii_cycles', 'rtlsim')} ({ideal})",
        f"{values.cell('latency_cycles', 'rtlsim')} ({model})",
        values.cell("latency_us", "rtlsim", ".2f", 1e3),
        *(values.cell(n, "estimate") for n in ("multipliers", "lut", "ff", "bram18", "dsp")),
        values.cell("weight_memory_bits", "estimate", ",.0f", 1e3),
        values.cell("fifo_bits", values.first("fifo_bits", "rtlsim", "estimate"), ",.0f", 1e3),
        " / ".join(synthesized) if any(cell != "-" for cell in synthesized) else "-",
    ]

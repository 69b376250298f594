# SPDX-License-Identifier: Apache-2.0
"""The part of the README's table that CSI builds have; see `fpga_builds.table`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fpga_builds.report import markdown_row, number

METRICS = (
    ("nmse_db", "rtlsim"),
    ("rho", "rtlsim"),
    ("feedback_bits", "rtlsim"),
    ("nmse_loss_db", "rtlsim"),
    ("nmse_float_db", "software"),
    ("weights", "train"),
    ("macs", "train"),
    ("fifo_bits", "rtlsim"),
)
TITLES = (
    *("build", "NMSE [dB] (95 %)", "rho", "loss [dB]", "feedback bits", "samples/s"),
    *("latency [us]", "multipliers", "LUT", "BRAM18", "weights of both halves"),
)


def csi_lines(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Lines of the table and its notes; none without rows."""
    if not rows:
        return []
    lines = [markdown_row(TITLES), markdown_row(["---", *["---:"] * (len(TITLES) - 1)])]
    lines += [markdown_row(_cells(row)) for row in sorted(rows, key=lambda row: str(row["build"]))]
    samples = sorted({row["frames"] for row in rows})
    counts = f"{samples[0]:,}" + (f" to {samples[-1]:,}" if len(samples) > 1 else "")
    data = ", ".join(sorted({row["csi"]["data"] for row in rows}))
    parts = ", ".join(sorted({row["part"] for row in rows}))
    notes = (
        f"NMSE and rho: counted on the outputs of the cycle-accurate RTL, {counts} test samples "
        f"({data}), every quantizer in between; all outputs equal the QONNX execution. "
        "An encoder's codewords are decoded by QONNX, a decoder's come from the encoder's RTL. "
        "Loss: against floating point on the same samples. Rates and latency: measured cycles at "
        f"the target clock. LUT and BRAM18: estimates for {parts}, FIFOs included. "
        "The networks are our own reconstruction."
    )
    return ["", *lines, "", notes]


def _cells(row: Mapping[str, Any]) -> list[str]:
    metrics = {(m["name"], m["stage"]): m for m in row["metrics"]}

    def value(name: str, stage: str) -> float | None:
        found: float | None = metrics.get((name, stage), {}).get("value")
        return found

    nmse = metrics.get(("nmse_db", "rtlsim"), {})
    low, high = nmse.get("ci95") or (None, None)
    shown = "-" if low is None else f"{nmse['value']:.2f} ({low:.2f} to {high:.2f})"
    loss, rho = value("nmse_loss_db", "rtlsim"), value("rho", "rtlsim")
    rate, latency = value("throughput_per_s", "rtlsim"), value("latency_us", "rtlsim")
    return [
        f"`{row['build']}`",
        shown,
        "-" if rho is None else f"{rho:.4f}",
        "-" if loss is None else f"{loss:+.2f}",
        number(value("feedback_bits", "rtlsim")),
        "-" if rate is None else f"{rate:,.0f}",
        "-" if latency is None else f"{latency:,.0f}",
        number(value("multipliers", "estimate")),
        number(value("lut", "estimate")),
        number(value("bram18", "estimate")),
        number(value("weights", "train")),
    ]

# SPDX-License-Identifier: Apache-2.0
"""Terminal views of results: tables on standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from fpga_builds.compare import OTHER_FRAMES
from fpga_builds.csi import nmse_text
from fpga_builds.doctor import Finding
from fpga_builds.report import ber_rows, ber_text, number
from fpga_builds.terminal import Part, Terminal, styled
from hls.float32_frames import ROUNDED_TEXT

SHOWN = 5
"""Frames of float32 rounding that a terminal shows."""
MARKS: Mapping[bool | None, Part] = {
    True: ("passed", "green"),
    False: ("FAILED", "red"),
    None: ("not decided", "yellow"),
}


def console() -> Console:
    """Standard output; wide where it is no terminal, so that nothing is cut off."""
    plain = Terminal()
    return plain if plain.is_terminal else Terminal(width=160)


def findings_table(findings: Sequence[Finding]) -> Table:
    """What `phyfold doctor` shows."""
    table = Table(title="phyfold doctor")
    for column in ("tool", "", "version", "needed", "what for", "how to get it"):
        table.add_column(column)
    for item in findings:
        mark = styled(("found", "green") if item.found else ("missing", "red"))
        need = "yes" if item.required else "optional"
        table.add_row(item.name, mark, item.version, need, item.use, item.hint)
    return table


def ber_table(title: str, curves: dict[str, Any]) -> Table:
    """BER of every detector at every SNR."""
    table = Table(title=title)
    columns = ("rtl", "qonnx", "float", "ml", "mmse", "zf")
    heads = ("RTL, counted", "QONNX", "float", "ML", "MMSE", "ZF")
    table.add_column("SNR [dB]", justify="right")
    table.add_column("errors", justify="right")
    for head in heads:
        table.add_column(head, justify="right")
        if head == heads[0]:
            table.add_column("95 % interval")
    for row in ber_rows(curves):
        cells = [f"{row['snr_db']:g}"]
        rtl = row.get("rtl")
        cells.append(number(rtl["errors"]) if rtl else "-")
        for name in columns:
            point = row.get(name)
            cells.append(ber_text(point))
            if name == "rtl":
                cells.append(f"{rtl['ci95'][0]:.2e} to {rtl['ci95'][1]:.2e}" if rtl else "-")
        table.add_row(*cells)
    return table


def show_simulation(out: Console, body: dict[str, Any]) -> None:
    """Result of a simulation: BER, equality, cycles."""
    if "nmse_db" in body:
        bits = body["feedback_bits"]
        out.print(f"NMSE        {nmse_text(body)}, {bits} feedback bits a sample")
    if body.get("points"):
        curves = {"rtl": body["points"], "qonnx": body["qonnx_points"], **body.get("curves", {})}
        out.print(ber_table(f"{body['build']}: bit error rate", curves))
    equal = ("every bit equals", "") if body["mismatches"] == 0 else ("bits differ from", "red")
    what = "exact arithmetic" if body.get("float32_frames") else "the QONNX execution"
    fed = f"frames      {number(body['frames'])} {body.get('stimulus', 'frames')} on RTL, "
    out.print(styled(fed, equal, f" {what}"))
    for line in float32_lines(body):
        out.print(line)
    clock = body["clock_mhz"]
    if body["ii_cycles"] is not None:
        rate = clock * 1e6 / body["ii_cycles"]
        out.print(
            f"throughput  {rate:,.0f} frames/s: one frame every {body['ii_cycles']:,.1f} cycles "
            f"at {clock:g} MHz (measured cycles, target clock)"
        )
    latency = body["latency_cycles"]
    out.print(f"latency     {latency:,} cycles, {latency / clock:,.2f} us")
    if body["sim_cycles_per_s"]:
        out.print(f"simulation  {body['sim_cycles_per_s'] / 1e6:.2f} million cycles/s per process")


def float32_lines(body: Mapping[str, Any]) -> list[str]:
    """Frames in which float32 execution of QONNX was rounded, a few of them; nothing for none."""
    frames, places = body.get("float32_frames", 0), body.get("float32", [])
    if not frames:
        return []
    lines = [f"float32     {number(frames)} frames: {ROUNDED_TEXT}"]
    for place in places[:SHOWN]:
        at = "" if place.get("snr_db") is None else f" at {place['snr_db']:g} dB"
        tie = "" if place["threshold"] is None else f", threshold {place['threshold']}"
        lines.append(
            f"            frame {place['frame']}{at}: layer {place['layer']}, channel "
            f"{place['channel']}, sum {place['accumulator']}{tie}"
        )
    if frames > SHOWN:
        lines.append("            more are in simulation.json")
    return lines


def show_report(out: Console, body: dict[str, Any], folder: Path) -> None:
    """Checks and paths of a report."""
    for check in body["checks"]:
        found = f"  {check['name']}: {number(check['value'])}, {check['rule']}"
        out.print(styled("check       ", MARKS[check["passed"]], found))
    shown = body["remarks"][:1]
    shown += [r for r in body["remarks"][1:] if r.startswith(("Left out", "Step "))]
    for remark in shown:
        out.print(f"remark      {remark}")
    for name in ("ber", "csi"):
        if name in body["plots"]:
            out.print(f"plot        {folder / body['plots'][name]}")
    out.print(f"report      {folder / 'report.html'}, report.md, report.json")


def compare_table(a: str, b: str, rows: Sequence[dict[str, Any]]) -> Table:
    """What `phyfold compare` shows; what got worse comes first."""
    table = Table(title=f"{a} against {b}")
    for column in ("metric", "stage"):
        table.add_column(column)
    for column in (a, b, "change"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    color = {"worse": "red", "better": "green", "missing": "yellow", OTHER_FRAMES: "yellow"}
    for row in rows:
        change = "-" if row["change"] is None else f"{row['change']:+.1%}"
        verdict = row["verdict"]
        shown = styled((verdict, color.get(verdict, "")))
        unit = "" if row["unit"] == "1" else f" [{row['unit']}]"
        cells = (number(row["a"]), number(row["b"]), change)
        table.add_row(row["name"] + unit, row["stage"], *cells, shown)
    return table

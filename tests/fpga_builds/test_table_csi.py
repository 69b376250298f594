# SPDX-License-Identifier: Apache-2.0
"""CSI builds in the README's table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpga_builds.storage import write_json
from fpga_builds.table import CSI_PAGE, KEPT, collect, condense, kept_results, table
from fpga_builds.table_csi import csi_lines, csi_page


def metric(name: str, value: float, stage: str, **more: Any) -> dict[str, Any]:
    """A metric as report.json has it."""
    return {"name": name, "value": value, "stage": stage, "unit": "1", **more}


def report(build: str, *, csi: bool) -> dict[str, Any]:
    """What of a report.json the table reads."""
    rows = [
        metric("nmse_db", -13.84, "rtlsim", ci95=[-14.26, -13.43]),
        metric("rho", 0.9791, "rtlsim"),
        metric("feedback_bits", 1024, "rtlsim"),
        metric("throughput_per_s", 2713.0, "rtlsim"),
        metric("lut", 11772, "estimate"),
        metric("bram18", 62, "estimate"),
        metric("dsp", 5, "estimate"),
    ]
    section = {"half": "encoder", "other": "x", "data": "inh", "rtl": {}, "references": {}}
    return {
        **{"build": build, "description": "", "phyfold": "0", "steps": [], "seed": 1},
        **{"frames": 500, "weights_sha256": "a", "passed": True, "checks": [], "results": {}},
        "config": {"compile": {"part": "xczu7ev"}},
        "metrics": rows,
        "curves": {"rtl": []} if not csi else {},
        "csi": section if csi else None,
    }


def test_a_row_has_nmse_with_interval_and_dashes_for_what_is_missing() -> None:
    lines = csi_lines([condense(report("enc", csi=True))])
    row = next(line for line in lines if line.startswith("| `enc`"))
    assert "-13.84 (-14.26 to -13.43) | 0.9791 | - | 1,024 | 2,713 | - | - |" in row
    assert "| - | 11,772 (5 %) | 62 (10 %) | 5 (< 1 %) |" in row
    assert "500 test samples (inh)" in lines[-1]


def test_the_readme_shows_one_ratio_and_the_page_all_in_order() -> None:
    names = ("n_enc_r4_mixed", "n_enc_r16", "n_enc_r16_slot", "n_enc_r8", "n_dec_r16")
    rows = [condense(report(name, csi=True)) for name in names]
    shown = [line.split("`")[1] for line in csi_lines(rows) if line.startswith("| `")]
    assert shown == ["n_dec_r16", "n_enc_r16", "n_enc_r16_slot"]
    page = [line.split("`")[1] for line in csi_page(rows).splitlines() if line.startswith("| `")]
    assert page == ["n_dec_r16", "n_enc_r4_mixed", "n_enc_r8", "n_enc_r16", "n_enc_r16_slot"]


def test_the_page_has_measured_cycles_beside_the_models() -> None:
    body = report("enc_r8", csi=True)
    body["metrics"] += [
        metric("ii_cycles", 36864.0, "rtlsim"),
        metric("ii_cycles_ideal", 36864, "estimate"),
        metric("latency_cycles", 87470, "rtlsim"),
        metric("latency_cycles", 87466, "estimate"),
        metric("latency_us", 874.7, "rtlsim"),
        metric("fifo_bits", 98200, "rtlsim"),
    ]
    row = next(line for line in csi_page([condense(body)]).splitlines() if "`enc_r8`" in line)
    assert "| 36,864 (36,864) | 87,470 (87,466) | 0.87 | - | 11,772 |" in row
    assert row.endswith("| - | 98 | - |")
    proven = [m for m in body["metrics"] if m["name"] != "fifo_bits"]
    proven.append(metric("fifo_bits", 0, "estimate"))
    assert "| - | 0 | - |\n" in csi_page([condense({**body, "metrics": proven})])
    body["metrics"] += [metric(name, 7, "synth") for name in ("lut", "ff", "bram18", "dsp")]
    assert "| 98 | 7 / 7 / 7 / 7 |\n" in csi_page([condense(body)])


def test_the_shipped_page_is_what_the_kept_results_give() -> None:
    kept = Path(__file__).parents[2] / KEPT
    rows = [body for body in kept_results(kept) if "csi" in body]
    assert (kept.parent / CSI_PAGE).read_text() == csi_page(rows)


def test_no_rows_no_table() -> None:
    assert csi_lines([]) == []


def test_both_kinds_of_builds_stand_in_the_table(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    write_json(tmp_path / "enc" / "report.json", report("enc", csi=True))
    assert collect(tmp_path, kept) == (["enc"], [])
    detector = condense(report("det", csi=False))
    point = {"snr_db": 8.0, "ber": 1e-2, "ci95": [9e-3, 2e-2], "frames": 5}
    write_json(kept / "det.json", {**detector, "curves": {"rtl": [point]}})
    text = table(kept)
    assert text.index("`det`") < text.index("`enc`")
    assert "det" not in text[text.index("NMSE [dB]") :]

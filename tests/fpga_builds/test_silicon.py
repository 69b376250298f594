# SPDX-License-Identifier: Apache-2.0
"""Synthesis and bitstreams in the report: what belongs to this RTL is shown, the rest named."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from board_chains import tiny

from fpga_builds.eda.stat import Resources
from fpga_builds.eda.synth import LayerResources, Synthesis
from fpga_builds.metrics import Metric
from fpga_builds.report import render, report_body
from fpga_builds.silicon import silicon
from fpga_builds.state import State, StepRecord
from fpga_builds.steps import bitstream
from fpga_builds.storage import hash_path, write_json
from hls.devices import device

PART = "LFE5U-85F"
PLACED = {"lut": 70, "ff": 30, "bram18": 1, "dsp": 0}
BOARD: dict[str, Any] = {
    "build": "demo", "board": "ulx3s", "part": "LFE5U-85F-6BG381C", "bitstream": "demo.bit",
    "bytes": 355_000, "fmax_mhz": 92.0, "target_mhz": 100.0, "timing_met": False,
    "throughput_per_s": 66_667.0, "throughput_mbit_s": 2.0, "selftest_simulated": True,
    "critical_path_text": "a to b: 10.9 ns", "used": PLACED,
    "utilisation": dict.fromkeys(PLACED, 0.01), "seeds": [{"seed": 1, "fmax_mhz": 92.0}],
}  # fmt: skip


def _record(out: Path, step: str, number: int, rtl: str, **fields: Any) -> None:
    folder = out / f"{number}-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    for name in fields.get("files", {}).values():
        if not (folder / name).exists():
            (folder / name).write_text("x")
    depends = {"input rtl": rtl}
    StepRecord(step, folder, "k", depends, **{"files": {}, **fields}).save()


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, State, str]:
    """(folder, state, hash of its RTL) with one synthesis and one bitstream of that RTL."""
    made = tiny(tmp_path / "tiny")
    hdl = tmp_path / "40-hdl"
    made.accelerator.save(hdl / "accelerator")
    (hdl / "rtl").mkdir()
    (hdl / "rtl" / "top.sv").write_text("module top; endmodule")
    files = {"rtl": "rtl", "accelerator": "accelerator", "compiled": "accelerator"}
    state = State().with_record(StepRecord("hdl", hdl, "k", {}, files))
    rtl = hash_path(hdl / "rtl")
    names = [layer.name for layer in made.accelerator.layers]
    rows = tuple(LayerResources(n, 60, 20, 1, 0, 0, {"LUT4": 60}) for n in (*names, "glue"))
    total = sum((row.resources for row in rows), start=Resources())
    place = tmp_path / "70-synth-lfe5u-85f"
    place.mkdir()
    result = Synthesis(
        *(device(PART), "pyosys", "0.70", 3.0, place / "n.json", place / "n.v"),
        cells={"LUT4": total.lut}, totals=total, layers=rows,
    )  # fmt: skip
    write_json(place / "synth.json", result.to_json())
    lut = Metric("lut", total.lut, "1", "lower", "synth", "yosys", "0.70")
    kept = {"synth": "synth.json", "netlist_json": "n.json", "netlist_verilog": "n.v"}
    info = {"part": PART}
    _record(tmp_path, "synth-lfe5u-85f", 70, rtl, files=kept, info=info, metrics=(lut,))
    fmax = Metric("fmax_mhz", 92.0, "MHz", "higher", "pnr", "nextpnr", "0.11")
    body = {**BOARD, "layers": dict.fromkeys(names, PLACED)}
    _record(tmp_path, "bitstream-ulx3s", 80, rtl, info=body, metrics=(fmax,))
    return tmp_path, state, rtl


def test_all_four_columns_and_the_clock_are_there(built: tuple[Path, State, str]) -> None:
    out, state, _rtl = built
    found = silicon(out, state, PART)
    (table,) = found["synthesis"]
    row = table["layers"][0]
    assert row["lut"] == 60
    assert row["routed"]["lut"] == 70
    assert row["estimate"]["lut"] > 0
    assert row["finn"]["lut"] is None
    assert row["finn"]["reason"]
    assert {(m.name, m.stage) for m in found["metrics"]} == {("lut", "synth"), ("fmax_mhz", "pnr")}
    assert found["stale"] == []


def test_results_of_another_part_are_no_metrics_of_the_build(
    built: tuple[Path, State, str],
) -> None:
    out, state, _rtl = built
    found = silicon(out, state, "xczu7ev")
    assert found["metrics"] == []
    assert len(found["synthesis"]) == 1


def test_results_of_older_rtl_are_left_out_and_named(built: tuple[Path, State, str]) -> None:
    out, state, _rtl = built
    (state.file("rtl") / "top.sv").write_text("module top; wire changed; endmodule")
    found = silicon(out, state, PART)
    assert (found["synthesis"], found["bitstreams"], found["metrics"]) == ([], [], [])
    assert found["stale"] == ["synth-lfe5u-85f", "bitstream-ulx3s"]


def test_a_simulation_counts_for_the_netlist_that_it_ran_on_only(
    built: tuple[Path, State, str],
) -> None:
    out, state, _rtl = built
    place = out / "75-netlist-lfe5u-85f"
    place.mkdir()
    this = hash_path(out / "70-synth-lfe5u-85f" / "n.v")
    for netlist, found in ((this, {"frames": 200}), ("another", None)):
        depends = {"input netlist_verilog": netlist}
        StepRecord("netlist-lfe5u-85f", place, "k", depends, {}, info={"frames": 200}).save()
        (table,) = silicon(out, state, PART)["synthesis"]
        assert table["netlist"] == found


def test_counts_on_the_netlist_are_in_the_report(built: tuple[Path, State, str]) -> None:
    from fake_bench import config_of

    out, state, _rtl = built
    place = out / "75-netlist-lfe5u-85f"
    place.mkdir()
    depends = {"input netlist_verilog": hash_path(out / "70-synth-lfe5u-85f" / "n.v")}
    nmse = Metric("netlist_nmse_db", -12.0, "dB", "lower", "netlist", "verilator", "5.48")
    counts = {"frames": 5, "stimulus": "channel samples", "mismatches": 0, "bits": None,
              "errors": None, "nmse_db": -12.0, "ci95": [-14.0, -10.0], "rho": 0.97}  # fmt: skip
    record = StepRecord("netlist-lfe5u-85f", place, "k", depends, {}, (nmse,), counts)
    record.save()
    assert nmse in silicon(out, state, PART)["metrics"]
    assert nmse not in silicon(out, state, "xczu7ev")["metrics"]
    body = {**report_body(config_of(), state, out), "plots": {}}
    body["bitstreams"][0]["selftest_stimulus"] = "channel samples"
    for template in ("report.md.j2", "report.html.j2"):
        text = render(template, body, out)
        assert (
            "simulated: 5 channel samples, 0 mismatches with QONNX, NMSE -12.00 dB (95 %: -14.00 "
            "to -10.00), rho 0.9700." in text
        )
        assert "passed, in the simulated board, on channel samples" in text
    bits = {"bits": 6000, "errors": 12, "stimulus": "channel frames", "mismatches": 0}
    body["synthesis"][0]["netlist"] = {"frames": 200, **bits}
    text = render("report.md.j2", body, out)
    assert "200 channel frames, 0 mismatches with QONNX, 12 errors in 6,000 bits." in text


def test_a_step_at_work_or_replaced_is_no_result(built: tuple[Path, State, str]) -> None:
    out, state, _rtl = built
    for suffix in (".part", ".old"):
        folder = out / f"80-bitstream-ulx3s{suffix}"
        shutil.copytree(out / "80-bitstream-ulx3s", folder)
    assert len(silicon(out, state, PART)["bitstreams"]) == 1


def test_the_report_shows_them_and_a_missed_clock_fails_it(
    built: tuple[Path, State, str],
) -> None:
    from fake_bench import config_of

    out, state, _rtl = built
    body = report_body(config_of(), state, out)
    failed = {check["name"] for check in body["checks"] if not check["passed"]}
    assert "fmax_mhz" in failed
    assert bitstream.checks(BOARD)[1].passed
    body["plots"] = {}
    for template in ("report.md.j2", "report.html.j2"):
        text = render(template, body, out)
        assert "Resources on LFE5U-85F" in text
        assert "Bitstream for ulx3s" in text
        assert "a to b: 10.9 ns" in text

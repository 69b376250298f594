# SPDX-License-Identifier: Apache-2.0
"""The report and its views, of made-up results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_bench import config_of

from fpga_builds.commands import Job, report
from fpga_builds.compare import load_report
from fpga_builds.config import BuildConfig
from fpga_builds.metrics import Metric
from fpga_builds.progress import Reporter
from fpga_builds.report import make_report, number
from fpga_builds.state import State, StepRecord
from fpga_builds.storage import read_json, write_json
from models.ber import BerPoint
from models.errors import ConfigError

RECIPE = {"network": {"inputs": 60, "width": 300, "depth": 5, "bits": 30}}


def curve(rates: dict[float, float], bits: int = 600_000, seed: int = 5) -> list[dict[str, Any]]:
    """Points of a BER curve."""
    points = []
    for snr, rate in rates.items():
        errors = round(rate * bits)
        point = BerPoint(snr, bits // 30, bits, errors, errors, errors).to_json()
        points.append({**point, "frames_key": f"{seed} {snr} {bits}"})
    return points


def results(out: Path, *, ii: float = 1500.0) -> State:
    """A state as a finished flow leaves it."""
    config = config_of()
    rtl = curve({8.0: 2e-2, 10.0: 4e-3, 12.0: 3e-4})
    simulation = {"seed": 5, "frames": 20_000, "disturbed": False, "points": rtl,
                  "qonnx_points": rtl}  # fmt: skip
    layers = [
        {"name": "fc0", "kind": "mvau", "mat_w": 60, "mat_h": 300, "pe": 4, "simd": 4,
         "ii_cycles": 1125, "lut": 900},
        {"name": "t0", "kind": "thresholding", "channels": 300, "pe": 1, "ii_cycles": 300,
         "lut": None},
    ]  # fmt: skip

    def metric(name: str, value: float, stage: Any) -> Metric:
        return Metric(name, value, "cycles", "lower", stage, "tool", "1")

    estimates = (metric("ii_cycles_ideal", 1500, "estimate"), metric("ii_cycles", 1500, "estimate"),
                 metric("latency_cycles", 7000, "estimate"))  # fmt: skip
    measured = (metric("ii_cycles", ii, "rtlsim"), metric("latency_cycles", 7100, "rtlsim"),
                metric("mismatches", 0, "rtlsim"))  # fmt: skip
    folder = out / "60-baselines"
    folder.mkdir(parents=True)
    body = {"float": curve({8.0: 1.5e-2, 10.0: 2.5e-3, 12.0: 1.5e-4}), "ml": curve({8.0: 1.4e-2})}
    write_json(folder / "baselines.json", body)
    state = State()
    for record in (
        StepRecord("train", out, "k", {}, {}, (), {"recipe": RECIPE}, {"torch": "2"}),
        StepRecord("compile", out, "k", {}, {}, (), {"layers": layers}),
        StepRecord("hdl", out, "k", {}, {}, estimates, {"fifo_depths": {"s1": 4}}),
        StepRecord("simulate", out, "k", {}, {}, measured, simulation),
        StepRecord("baselines", folder, "k", {}, {"baselines": "baselines.json"}),
    ):
        state = state.with_record(record)
    assert config.name == "demo"
    return state


def made(out: Path, config: BuildConfig | None = None, **more: Any) -> dict[str, Any]:
    """A report in ``out``."""
    return make_report(config or config_of(), out, results(out, **more))


def test_report_has_checks_ratios_loss_and_the_honest_remark(tmp_path: Path) -> None:
    body = made(tmp_path)
    assert body["passed"]
    assert read_json(tmp_path / "report.json") == body
    pairs = {row["name"]: row["ratio"] for row in body["estimate_against_measurement"]}
    assert pairs == {"ii_cycles": 1.0, "latency_cycles": pytest.approx(7100 / 7000)}
    metrics = {(m["name"], m["stage"]): m for m in body["metrics"]}
    assert 0.3 < metrics["snr_loss_db", "rtlsim"]["value"] < 1.0
    assert "1,800 multiplications" in body["remarks"][0]
    assert "396,000" in body["remarks"][0]


def test_what_was_not_measured_is_null_with_a_reason(tmp_path: Path) -> None:
    metrics = {(m["name"], m["stage"]): m for m in made(tmp_path)["metrics"]}
    for key in (("lut", "synth"), ("fmax_mhz", "pnr")):
        assert metrics[key]["value"] is None
        assert metrics[key]["reason"]


def test_views_hold_the_numbers_and_stand_alone(tmp_path: Path) -> None:
    made(tmp_path)
    markdown = (tmp_path / "report.md").read_text()
    assert "| 12 | 3.000e-04 (" in markdown
    assert "| fc0 | mvau | 60 x 300 | 4 | 4 | 1,125 | 900 |" in markdown
    html = (tmp_path / "report.html").read_text()
    assert html.count("data:image/png;base64,") == 2
    assert "3.000e-04" in html
    assert 'src="plots' not in html
    for name in ("ber", "layers"):
        assert (tmp_path / "plots" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / "plots" / f"{name}.svg").read_text()


def test_a_failed_check_shows_everywhere(tmp_path: Path) -> None:
    body = made(tmp_path, ii=1600.0)
    assert not body["passed"]
    assert "CHECKS FAILED" in (tmp_path / "report.md").read_text()
    assert "Checks failed" in (tmp_path / "report.html").read_text()


def test_loss_beyond_the_curve_is_null(tmp_path: Path) -> None:
    config = config_of().updated("checks", loss_at_ber=1e-6)
    metrics = {m["name"]: m for m in made(tmp_path, config)["metrics"]}
    assert metrics["snr_loss_db"]["value"] is None
    assert "does not cross 1e-06" in metrics["snr_loss_db"]["reason"]


def test_nothing_to_report_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no results there to report"):
        report(Job(config_of(), tmp_path, 1, Reporter(quiet=True)))


def test_load_report_finds_it_by_path_folder_and_name(tmp_path: Path) -> None:
    made(tmp_path / "demo")
    for word in ("demo", str(tmp_path / "demo"), str(tmp_path / "demo" / "report.json")):
        assert load_report(word, tmp_path)["build"] == "demo"
    with pytest.raises(ConfigError, match="no report of 'other'"):
        load_report("other", tmp_path)


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "-"), (3, "3"), (12345.0, "12,345"), (1.5e-4, "1.500e-04"), (2.25, "2.25")],
)
def test_numbers_for_people(value: float | None, text: str) -> None:
    assert number(value) == text

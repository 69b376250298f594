# SPDX-License-Identifier: Apache-2.0
"""No figure stands beside one from other frames, other weights or other RTL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fake_bench import bench, config_of, context_of

from fpga_builds import commands, table
from fpga_builds.belongs import differences, fitting, newer_than, present_keys, same_frames
from fpga_builds.checks import Check, require, simulation_checks, verdict
from fpga_builds.compare import compare
from fpga_builds.config import BuildConfig
from fpga_builds.metrics import Metric, MetricSet
from fpga_builds.report import ber_text, make_report, report_body, verdict_text
from fpga_builds.state import State, StepRecord
from fpga_builds.steps import baselines, simulate
from fpga_builds.steps.rtl_count import count_chunks
from fpga_builds.stimulus import frames_key
from fpga_builds.storage import hash_path, write_json
from fpga_builds.views_builds import builds_table
from models.ber import BerPoint, snr_loss
from models.errors import CheckError


def counted(config: BuildConfig, out: Path) -> tuple[StepRecord, StepRecord]:
    """Records of the simulation and of the baselines, as the steps leave them."""
    context = context_of(config, out)
    records = count_chunks(context, bench(config))
    body = simulate.summary(config, bench(config).accelerator, records)
    sim = StepRecord("simulate", out, "s", {}, {}, simulate._metrics(body), body)
    folder = out / "60-baselines"
    folder.mkdir(parents=True, exist_ok=True)
    (out / "work" / "baselines.json").unlink(missing_ok=True)
    output = baselines.run(context)
    (out / "work" / "baselines.json").replace(folder / "baselines.json")
    return sim, StepRecord("baselines", folder, "b", {}, output.files, output.metrics)


def config_with(**settings: Any) -> BuildConfig:
    return config_of(baselines=["zf", "mmse"], **settings)


def test_figures_of_other_frames_are_left_out_of_the_report(tmp_path: Path) -> None:
    """Simulated with one seed, baselines counted with another."""
    sim, _ = counted(config_with(seed=4711, frames=300), tmp_path / "a")
    _, base = counted(config_with(seed=1, frames=300), tmp_path / "b")
    state = State().with_record(sim).with_record(base)
    body = report_body(config_with(seed=1), state)
    assert body["seed"] == 4711
    assert len(body["curves"]["rtl"]) == 2
    assert body["curves"]["zf"] == body["curves"]["mmse"] == []
    assert not [m for m in body["metrics"] if m["stage"] == "software"]
    text = " ".join(body["remarks"])
    assert (
        "Left out, zero forcing, linear MMSE at 0, 4 dB: counted on other frames than the RTL"
        in text
    )


def test_figures_of_the_same_frames_stand_side_by_side(tmp_path: Path) -> None:
    sim, base = counted(config_with(frames=300), tmp_path)
    body = report_body(config_with(), State().with_record(sim).with_record(base))
    assert [p["bits"] for p in body["curves"]["zf"]] == [900, 900]
    assert [m["name"] for m in body["metrics"] if m["stage"] == "software"]
    assert "Left out" not in " ".join(body["remarks"])


def test_one_snr_of_other_frames_leaves_the_others(tmp_path: Path) -> None:
    """More SNRs, or more frames at one of them: point by point."""
    rtl = [{"snr_db": 8.0, "frames_key": "a"}, {"snr_db": 9.0, "frames_key": "b"}]
    zf = [{"snr_db": 8.0, "frames_key": "a"}, {"snr_db": 9.0, "frames_key": "c"}, {"snr_db": 10.0}]
    kept, other = same_frames(rtl, {"zf": zf})
    assert kept == {"zf": zf[:1]}
    assert other == {"zf": [9.0, 10.0]}
    assert same_frames([], {"zf": zf}) == ({"zf": zf}, {})


@pytest.mark.parametrize(
    "change",
    [{"seed": 2}, {"frames": 300}, {"chunk_frames": 50}],
    ids=lambda change: next(iter(change)),
)
def test_the_key_of_frames_is_of_all_that_decides_them(change: dict[str, Any]) -> None:
    config = config_of()
    other = config.updated("simulate", **change)
    key = frames_key(config, 4.0, config.simulate.frames)
    assert key != frames_key(other, 4.0, other.simulate.frames)
    assert key != frames_key(config, 5.0, config.simulate.frames)
    channel = config.updated("channel", rho=0.1)
    assert key != frames_key(channel, 4.0, config.simulate.frames)
    assert key == frames_key(config.updated("compile", clock_mhz=50.0), 4.0, 250)


def record(out: Path, number: int, step: str, reads: dict[str, str], text: str) -> Path:
    """A finished step with one output of its own name."""
    folder = out / f"{number}-{step}"
    folder.mkdir(parents=True)
    (folder / step).write_text(text)
    depends = {f"input {name}": digest for name, digest in reads.items()}
    StepRecord(step, folder, f"{step} {text}", depends, {step: step}).save()
    return folder


def test_a_result_of_other_rtl_is_left_out_and_what_follows_from_it(tmp_path: Path) -> None:
    hdl = record(tmp_path, 40, "rtl", {}, "new")
    sim = record(tmp_path, 50, "sim", {"rtl": "of the old one"}, "ber")
    last = record(tmp_path, 60, "last", {"sim": hash_path(sim / "sim")}, "x")
    state, left_out = fitting([hdl, sim, last])
    assert list(state.records) == ["rtl"]
    assert left_out["sim"] == "it was made from another 'rtl' than lies there now"
    assert left_out["last"] == "what it read, 'sim', is gone or left out too"
    good = record(tmp_path / "b", 50, "sim", {"rtl": hash_path(hdl / "rtl")}, "ber")
    assert list(fitting([hdl, good])[0].records) == ["rtl", "sim"]


def test_what_is_left_out_stands_in_the_report(tmp_path: Path) -> None:
    body = make_report(config_of(), tmp_path, State(), {"simulate": "it was made from other RTL"})
    assert body["left_out"] == {"simulate": "it was made from other RTL"}
    text = "Left out, step simulate: it was made from other RTL."
    assert text in (tmp_path / "report.md").read_text()
    assert text in (tmp_path / "report.html").read_text()


def test_settings_that_were_others_are_told(tmp_path: Path) -> None:
    now = config_of()
    then = now.updated("simulate", seed=9).updated("folding", cycles=77)
    kept = then.model_dump(mode="json")
    records = [
        StepRecord(name, tmp_path, "k", {}, {}, config=kept) for name in ("compile", "simulate")
    ]
    state = State()
    for item in records:
        state = state.with_record(item)
    text = report_body(now, state)["remarks"]
    assert "Step simulate ran with simulate.seed = 9 (now 1)." in text
    assert "Step compile ran with folding.cycles = 77 (now not set)." in text
    assert differences({"a": 1}, {"a": 2}) == ["a = 1 (now 2)"]


def test_an_old_report_says_that_it_is_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ROOT", tmp_path)
    out = tmp_path / "fullycon_w4a4"
    record(out, 50, "simulate", {}, "first")
    write_json(out / "report.json", {"passed": True, "results": present_keys(out)})
    (row,) = commands.list_builds(["fullycon_w4a4"])
    assert (row["passed"], row["newer_results"]) == (True, [])
    record(out, 60, "baselines", {}, "later")
    (row,) = commands.list_builds(["fullycon_w4a4"])
    assert row["newer_results"] == ["baselines"]
    shown = [str(cell) for cell in builds_table([row]).columns[-1].cells]
    assert shown == ["passed, older than baselines"]
    assert newer_than({"passed": True}, out) == ["all steps"]


def test_the_table_takes_no_old_report(tmp_path: Path) -> None:
    out = tmp_path / "build" / "a"
    record(out, 50, "simulate", {}, "now")
    body = {"build": "a", "weights_sha256": "w", "passed": True, "frames": 9,
            "results": {"simulate": "before"}}  # fmt: skip
    write_json(out / "report.json", body)
    taken, refused = table.collect(tmp_path / "build", tmp_path / "kept")
    assert taken == []
    assert "older than the results beside it (simulate)" in refused[0]


def test_baselines_of_one_row_stand_for_rows_of_the_same_frames_only() -> None:
    def row(seed: int, frames: int) -> dict[str, Any]:
        return {"seed": seed, "curves": {"rtl": [{"snr_db": 8.0, "frames": frames}]}}

    assert table.same_counts([row(1, 60), row(1, 60)])
    assert not table.same_counts([row(1, 60), row(2, 60)])
    assert not table.same_counts([row(1, 60), row(1, 90)])


def test_compare_does_not_compare_other_frames() -> None:
    def one(value: float, key: str) -> dict[str, Any]:
        metric = Metric("ber.snr_8", value, "1", "lower", "rtlsim", "x", frames_key=key)
        return {"metrics": [metric.to_json()]}

    (row,) = compare(one(1e-3, "a"), one(2e-3, "b"))
    assert (row["verdict"], row["change"]) == ("other frames", None)
    (row,) = compare(one(1e-3, "a"), one(2e-3, "a"))
    assert row["verdict"] == "worse"


def point(errors: int, snr: float = 14.0, bits: int = 6000) -> BerPoint:
    return BerPoint(snr, bits // 30, bits, errors, errors, errors)


@pytest.mark.parametrize(("errors", "bound"), [(0, 3 / 6000), (1, 4.74 / 6000), (9, 15.7 / 6000)])
def test_few_errors_give_a_bound(errors: int, bound: float) -> None:
    """Without errors the rule of three; Poisson's one-sided 95 % limits else."""
    assert point(errors).upper_bound == pytest.approx(bound, rel=0.01)
    assert point(10).upper_bound is None
    text = ber_text(point(errors).to_json())
    assert text.startswith("< ")


def test_a_ber_without_errors_is_not_said_to_pass(tmp_path: Path) -> None:
    config = config_of(snr_db=[20.0], frames=200)
    sim, _ = counted(config.updated("simulate", baselines=["zf"]), tmp_path)
    (metric,) = [m for m in sim.metrics if m.name == "ber.snr_20"]
    assert metric.value is None
    assert "0 errors in 600 bits, fewer than 10: BER at most 0.005 (95 %)" in metric.reason
    checks = simulation_checks(config, MetricSet(sim.metrics), disturbed=True)
    assert verdict(checks) is None
    (ber,) = [check for check in checks if check.name == "ber_errors"]
    assert (ber.passed, ber.value) == (None, 0)
    require(checks, "demo")  # no limit of the build: the command itself succeeds
    body = make_report(config, tmp_path, State().with_record(sim))
    assert body["passed"] is not True
    for name in ("report.md", "report.html"):
        text = (tmp_path / name).read_text()
        assert "All checks passed" not in text
        assert "not decided" in text
        assert "5.0e-03" in text


def test_a_loss_of_few_errors_decides_nothing() -> None:
    config = config_of().updated("network", reference="fullycon_float")
    config = config.updated("simulate", baselines=["float"]).updated("checks", max_loss_db=0.2)

    def checked(value: float | None, errors: int) -> Check:
        reason = "" if value is not None else "few"
        metric = Metric("snr_loss_db", value, "dB", "lower", "rtlsim", "x", reason=reason,
                        counted=errors)  # fmt: skip
        (check,) = simulation_checks(config, MetricSet([metric]), disturbed=True)[1:]
        return check

    assert checked(0.1, 100).passed is True
    assert checked(0.3, 100).passed is False
    for check in (checked(0.1, 99), checked(0.3, 99), checked(None, 5)):
        assert check.passed is None
        with pytest.raises(CheckError, match="1 of 1 checks not decided: snr_loss_db: not decided"):
            require([check], "demo")
    assert checked(None, 500).passed is False  # not measured, for another reason


def test_a_loss_knows_its_errors() -> None:
    high, low = point(600, 8.0), point(6, 10.0)
    better = [point(300, 8.0), point(3, 10.0)]
    loss = snr_loss([high, low], better, 1e-2)
    assert loss.errors == 3


def test_verdicts_in_words() -> None:
    def said(*passed: bool | None) -> str:
        checks = [{"name": f"c{i}", "passed": p} for i, p in enumerate(passed)]
        return verdict_text({"checks": checks})

    assert said(True, True) == "All checks passed"
    assert said(True, None) == "Not decided: c1; the other checks passed"
    assert said(False, None) == "Checks failed: c0"


def test_a_trained_ber_of_few_errors_is_a_bound_too() -> None:
    from fpga_builds.steps.train import _metrics

    body = {"points": [point(4).to_json(), point(40, 8.0).to_json()]}
    found = {metric.name: metric for metric in _metrics(body)}
    assert found["ber.snr_14"].value is None
    assert "4 errors in 6,000 bits, fewer than 10" in found["ber.snr_14"].reason
    assert found["ber.snr_8"].value == pytest.approx(40 / 6000)

# SPDX-License-Identifier: Apache-2.0
"""Metrics, checks and comparisons."""

from __future__ import annotations

from typing import Any

import pytest

from fpga_builds.checks import require, simulation_checks
from fpga_builds.compare import compare
from fpga_builds.config import parse_build
from fpga_builds.metrics import Metric, MetricSet, Stage
from models.errors import CheckError, ConfigError

CONFIG = parse_build({"name": "demo", "network": {"checkpoint": "x"}}, "test")


def metric(name: str, value: float, stage: Stage = "rtlsim", **more: Any) -> Metric:
    """A metric of which less is better."""
    return Metric(name, value, "cycles", more.pop("better", "lower"), stage, "tool", **more)


def simulated(ii: float = 1500, latency: float = 4000, mismatches: int = 0) -> MetricSet:
    """Metrics of a simulation whose ideal II is 1500 and whose modelled latency is 4000."""
    return MetricSet(
        [
            metric("ii_cycles_ideal", 1500, "estimate"),
            metric("latency_cycles", 4000, "estimate"),
            metric("ii_cycles", ii),
            metric("latency_cycles", latency),
            metric("mismatches", mismatches),
        ]
    )


def test_round_trip() -> None:
    for item in (metric("a", 1.5, ci95=(1.0, 2.0)), Metric.missing("b", "1", "pnr", "no tool")):
        assert Metric.from_json(item.to_json()) == item


def test_null_needs_a_reason_and_nan_is_refused() -> None:
    with pytest.raises(ConfigError, match="null needs a reason"):
        Metric("a", None, "1", "lower", "rtlsim", "x")
    with pytest.raises(ConfigError, match="no measurement"):
        Metric("a", float("nan"), "1", "lower", "rtlsim", "x")


def test_estimate_and_measurement_stand_side_by_side() -> None:
    pairs = simulated(latency=4100).pairs()
    assert [(e.name, ratio) for e, _m, ratio in pairs] == [("latency_cycles", 4100 / 4000)]


def test_good_simulation_passes_every_check() -> None:
    checks = simulation_checks(CONFIG, simulated())
    assert [c.name for c in checks] == ["mismatches", "ii_cycles", "latency_cycles"]
    require(checks, "demo")


@pytest.mark.parametrize(
    ("values", "failed"),
    [
        ({"mismatches": 1}, "mismatches: 1, must be at most 0"),
        ({"ii": 1531}, "ii_cycles: 1531, must be within 2% of the ideal's 1500"),
        ({"latency": 4500}, "latency_cycles: 4500, must be within 10% of the model's 4000"),
        ({"latency": 3500}, "latency_cycles: 3500"),
    ],
    ids=["bits", "interval", "slow", "too-fast-for-the-model"],
)
def test_each_check_can_fail(values: dict[str, Any], failed: str) -> None:
    with pytest.raises(CheckError, match=failed):
        require(simulation_checks(CONFIG, simulated(**values)), "demo")


def test_a_missing_metric_fails() -> None:
    checks = simulation_checks(CONFIG, MetricSet())
    assert not any(check.passed for check in checks)
    with pytest.raises(CheckError, match="3 of 3 checks failed: mismatches: not measured"):
        require(checks, "demo")


def test_cycles_are_not_checked_under_disturbance() -> None:
    checks = simulation_checks(CONFIG, simulated(ii=9999), disturbed=True)
    assert [check.name for check in checks] == ["mismatches"]


def test_snr_loss_is_checked_where_asked_for() -> None:
    config = parse_build(
        {
            **{"name": "demo", "network": {"checkpoint": "x", "reference": "fullycon_float"}},
            **{"channel": {}, "checks": {"max_loss_db": 0.2}},
        },
        "test",
    )
    metrics = MetricSet([*simulated(), metric("snr_loss_db", 0.31)])
    with pytest.raises(CheckError, match=r"snr_loss_db: 0.31, must be at most 0.2 dB at BER 0.001"):
        require(simulation_checks(config, metrics), "demo")


def test_compare_puts_what_got_worse_first() -> None:
    a = {"metrics": [metric(n, v).to_json() for n, v in (("p", 10), ("q", 10), ("r", 10))]}
    b = {"metrics": [metric(n, v).to_json() for n, v in (("p", 9), ("q", 12), ("r", 20))]}
    b["metrics"].append(metric("s", 1).to_json())
    rows = compare(a, b)
    assert [(r["name"], r["verdict"]) for r in rows] == [
        ("r", "worse"),
        ("q", "worse"),
        ("s", "missing"),
        ("p", "better"),
    ]
    assert rows[0]["change"] == pytest.approx(1.0)


def test_compare_knows_counting_noise_and_direction() -> None:
    def one(value: float, ci95: tuple[float, float] | None, better: str) -> dict[str, Any]:
        return {"metrics": [metric("m", value, ci95=ci95, better=better).to_json()]}

    noisy = compare(one(1.0, (0.8, 1.2), "lower"), one(1.1, (0.9, 1.3), "lower"))
    assert noisy[0]["verdict"] == "same"
    faster = compare(one(1.0, None, "higher"), one(2.0, None, "higher"))
    assert faster[0]["verdict"] == "better"

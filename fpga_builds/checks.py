# SPDX-License-Identifier: Apache-2.0
"""Pass or fail, from metrics and the build's [checks]. A metric that is missing fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fpga_builds.config import BuildConfig
from fpga_builds.metrics import MetricSet
from models.errors import CheckError


@dataclass(frozen=True)
class Check:
    """One rule and how it went.

    Attributes:
        name: what is checked.
        passed: whether the rule holds.
        value: what was found, None if nothing was measured.
        rule: the rule, in words with numbers.
    """

    name: str
    passed: bool
    value: float | None
    rule: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        found = "not measured" if self.value is None else f"{self.value:g}"
        return f"{self.name}: {found}, must be {self.rule}"


def simulation_checks(
    config: BuildConfig, metrics: MetricSet, *, disturbed: bool = False
) -> tuple[Check, ...]:
    """Bits, initiation interval, latency and, if asked for, SNR loss.

    With gaps or stalls the cycles are the disturbance's, not the design's, and are not checked.
    """
    rules = config.checks
    checks = [_mismatches(metrics, rules.max_mismatches)]
    if not disturbed and rules.ii_tolerance is not None:
        checks.append(
            _near(
                "ii_cycles", metrics, metrics.value("ii_cycles_ideal"), rules.ii_tolerance, "ideal"
            )
        )
    if not disturbed and rules.latency_tolerance is not None:
        model = metrics.value("latency_cycles", "estimate")
        checks.append(_near("latency_cycles", metrics, model, rules.latency_tolerance, "model"))
    if rules.max_loss_db is not None:
        loss = metrics.value("snr_loss_db")
        passed = loss is not None and loss <= rules.max_loss_db
        at = f"at most {rules.max_loss_db:g} dB at BER {rules.loss_at_ber:g}"
        checks.append(Check("snr_loss_db", passed, loss, at))
    return tuple(checks)


def _mismatches(metrics: MetricSet, allowed: int) -> Check:
    found = metrics.value("mismatches", "rtlsim")
    return Check("mismatches", found is not None and found <= allowed, found, f"at most {allowed}")


def _near(
    name: str, metrics: MetricSet, target: float | None, tolerance: float, word: str
) -> Check:
    value = metrics.value(name, "rtlsim")
    passed = value is not None and target is not None and abs(value - target) <= tolerance * target
    shown = "unknown" if target is None else f"{target:g}"
    return Check(name, passed, value, f"within {tolerance:.0%} of the {word}'s {shown}")


def require(checks: Sequence[Check], build: str) -> None:
    """Raise if a check failed.

    Raises:
        CheckError: names every check that failed, its value and its rule.
    """
    failed = [check for check in checks if not check.passed]
    if failed:
        raise CheckError(
            f"{build}: {len(failed)} of {len(checks)} checks failed: "
            + "; ".join(str(check) for check in failed),
            hint="the limits are in [checks] of the build's file",
        )

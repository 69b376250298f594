# SPDX-License-Identifier: Apache-2.0
"""Pass or fail, from metrics and the build's [checks].

A metric that is missing fails its check. One that rests on too few errors or samples leaves it not
decided, which is never passed: a limit that the build sets then ends with exit code 1 too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from fpga_builds.config import BuildConfig
from fpga_builds.metrics import MetricSet
from models.counts import DECIDING_ERRORS, FIGURE_ERRORS
from models.errors import CheckError


@dataclass(frozen=True)
class Check:
    """One rule and how it went.

    Attributes:
        name: what is checked.
        passed: whether the rule holds; None if too little was counted to tell.
        value: what was found, None if nothing was measured.
        rule: the rule, in words with numbers.
        limit: the build's file sets it. One that does not, and only says that a figure is none,
            fails no command.
    """

    name: str
    passed: bool | None
    value: float | None
    rule: str
    limit: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def __str__(self) -> str:
        found = "not measured" if self.value is None else f"{self.value:g}"
        undecided = "not decided, " if self.passed is None else ""
        return f"{self.name}: {undecided}{found}, must be {self.rule}"


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
        checks.append(_loss(config, metrics))
    if (counted := _counted(metrics)) is not None:
        checks.append(counted)
    return tuple(checks)


def verdict(checks: Sequence[Check]) -> bool | None:
    """False if a check failed, else None if one is not decided, else True."""
    if any(check.passed is False for check in checks):
        return False
    return None if any(check.passed is None for check in checks) else True


def _loss(config: BuildConfig, metrics: MetricSet) -> Check:
    """The limit on the SNR loss: decided only by enough errors."""
    rules, metric = config.checks, metrics.get("snr_loss_db")
    limit = rules.max_loss_db or 0.0
    rule = (
        f"at most {limit:g} dB at BER {rules.loss_at_ber:g}, of {DECIDING_ERRORS} errors or more "
        "at each SNR beside it"
    )
    value = None if metric is None else metric.value
    errors = None if metric is None else metric.counted
    if value is None:
        few = errors is not None and errors < FIGURE_ERRORS
        return Check("snr_loss_db", None if few else False, None, rule)
    if errors is not None and errors < DECIDING_ERRORS:
        return Check("snr_loss_db", None, value, f"{rule}; it has {errors}")
    return Check("snr_loss_db", value <= limit, value, rule)


def _counted(metrics: MetricSet) -> Check | None:
    """Whether the BER at every SNR is a figure; None without a BER."""
    points = [m for m in metrics if m.stage == "rtlsim" and m.name.startswith("ber.")]
    if not points:
        return None
    fewest = min(points, key=lambda m: -1 if m.counted is None else m.counted)
    errors = fewest.counted or 0
    place = fewest.name.removeprefix("ber.snr_")
    rule = f"{FIGURE_ERRORS} errors at every SNR for a figure; fewest at {place} dB"
    return Check("ber_errors", True if errors >= FIGURE_ERRORS else None, errors, rule, limit=False)


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
    """Raise if a check failed, or a limit of the build is not decided.

    Raises:
        CheckError: names every such check, its value and its rule.
    """
    failed = [check for check in checks if check.passed is False]
    open_ones = [check for check in checks if check.passed is None and check.limit]
    if failed or open_ones:
        parts = [f"{len(failed)} of {len(checks)} checks failed"] if failed else []
        parts += [f"{len(open_ones)} of {len(checks)} checks not decided"] if open_ones else []
        more = "simulate more frames (--frames, --samples)" if open_ones else ""
        limits = "the limits are in [checks] of the build's file"
        raise CheckError(
            f"{build}: {', '.join(parts)}: "
            + "; ".join(str(check) for check in (*failed, *open_ones)),
            hint="; ".join(filter(None, [more, limits])),
        )

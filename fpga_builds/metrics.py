# SPDX-License-Identifier: Apache-2.0
"""Metrics as objects: a number never travels without its unit, origin and direction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, Self

from models.counts import FIGURE_ERRORS
from models.errors import ConfigError

Stage = Literal["train", "export", "software", "estimate", "rtlsim", "synth", "netlist", "pnr"]
Better = Literal["lower", "higher", "neither"]


@dataclass(frozen=True)
class Metric:
    """One measured or estimated number.

    Attributes:
        name: dotted name, e.g. ``ber.snr_10``.
        value: the number, or None if it was not measured; ``reason`` then says why.
        unit: e.g. ``cycles``, ``1`` for a ratio.
        better: which way is better.
        stage: where it comes from.
        tool: program that measured it.
        version: its version.
        source: file it was read from, relative to the build's folder.
        ci95: 95 % confidence interval, where the number is a statistic.
        reason: why there is no value.
        frames_key: what it was counted on, where it was counted; only figures of equal keys are
            compared.
        counted: errors (of a BER or a loss) or samples (of an NMSE) that it rests on.
    """

    name: str
    value: float | int | None
    unit: str
    better: Better
    stage: Stage
    tool: str
    version: str = ""
    source: str = ""
    ci95: tuple[float, float] | None = None
    reason: str = ""
    frames_key: str = ""
    counted: int | None = None

    def __post_init__(self) -> None:
        if self.value is None and not self.reason:
            raise ConfigError(f"metric {self.name}: a value that is null needs a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ConfigError(f"metric {self.name}: {self.value} is no measurement; use null")

    @classmethod
    def missing(cls, name: str, unit: str, stage: Stage, reason: str) -> Self:
        """A metric that was not measured."""
        return cls(name, None, unit, "neither", stage, tool="", reason=reason)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        try:
            metric = cls(**record)
        except TypeError as error:
            raise ConfigError(f"metric record {dict(record)}: {error}") from error
        return replace(metric, ci95=(metric.ci95[0], metric.ci95[1])) if metric.ci95 else metric


def too_few_errors(point: Mapping[str, Any]) -> str:
    """Why a BER point of few errors is no figure."""
    return (
        f"{point['errors']} errors in {point['bits']:,} bits, fewer than {FIGURE_ERRORS}: "
        f"BER at most {point['upper_bound']:.2g} (95 %)"
    )


class MetricSet:
    """Metrics by name; the same name in two stages stands side by side."""

    def __init__(self, metrics: Iterable[Metric] = ()) -> None:
        self._items: dict[tuple[str, str], Metric] = {(m.name, m.stage): m for m in metrics}

    def __iter__(self) -> Any:
        return iter(self._items.values())

    def __len__(self) -> int:
        return len(self._items)

    def get(self, name: str, stage: Stage | None = None) -> Metric | None:
        """The metric of that name (and stage)."""
        for (key, where), metric in self._items.items():
            if key == name and stage in (None, where):
                return metric
        return None

    def value(self, name: str, stage: Stage | None = None) -> float | None:
        """Its value; None if it is missing or was not measured."""
        metric = self.get(name, stage)
        return None if metric is None else metric.value

    def pairs(self) -> list[tuple[Metric, Metric, float | None]]:
        """(estimate, measurement, measurement / estimate) of each name that has both."""
        rows = []
        for metric in self:
            if metric.stage != "estimate":
                continue
            for stage in ("rtlsim", "synth", "pnr"):
                other = self._items.get((metric.name, stage))
                if other is not None:
                    both = metric.value and other.value is not None
                    rows.append((metric, other, other.value / metric.value if both else None))
        return rows

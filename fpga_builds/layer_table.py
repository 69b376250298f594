# SPDX-License-Identifier: Apache-2.0
"""Resources of each layer side by side: FINN, our cost model, synthesis, place and route.

A number that is not there is null, and the row says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich.table import Table

from fpga_builds.eda.synth import GLUE, Synthesis
from hls.costs import layer_cost, stream_cost
from hls.devices import Device
from hls.ir import Accelerator

COMPARED = ("lut", "ff", "bram18", "dsp")
COUNTED = (*COMPARED, "uram")
HEADS = {"lut": "LUT", "ff": "FF", "bram18": "BRAM18", "dsp": "DSP"}
NO_FINN = "FINN has no such layer"
NO_MODEL = "what lies between layers has no cost model"
NOT_ROUTED = "not placed and routed"


def layer_rows(
    synthesis: Synthesis,
    accelerator: Accelerator,
    finn: Mapping[str, Mapping[str, Any]] | None = None,
    routed: Mapping[str, Mapping[str, int]] | None = None,
) -> list[dict[str, Any]]:
    """One row per layer, FIFO and for the glue, in the order of the data.

    Args:
        synthesis: of the accelerator, for some part.
        accelerator: gives the cost model's estimates for that part.
        finn: FINN's estimates by layer, see `finn_by_layer`.
        routed: counts after place and route by layer, where there are any.

    Each row has its counts after synthesis (``lut`` ...), ``kind``, ``cells``, and beside them
    ``finn``, ``estimate`` (our cost model) and ``routed``, each with these keys or null and a
    ``reason``, and ``ratio``: synthesis to our cost model.
    """
    kinds, models = _models(accelerator, synthesis.part)
    order = {name: number for number, name in enumerate(kinds)}
    rows = []
    for item in sorted(synthesis.layers, key=lambda layer: order.get(layer.name, len(order))):
        counts = asdict(item.resources)
        estimate = _known(models.get(item.name), NO_MODEL)
        rows.append(
            {
                "name": item.name,
                "kind": kinds.get(item.name, GLUE),
                **counts,
                "finn": _finn((finn or {}).get(item.name)),
                "estimate": estimate,
                "routed": _known((routed or {}).get(item.name), NOT_ROUTED),
                "ratio": {key: ratio(counts[key], estimate[key]) for key in COMPARED},
                "cells": dict(item.cells),
            }
        )
    return rows


def _models(
    accelerator: Accelerator, part: Device
) -> tuple[dict[str, str], dict[str, dict[str, int]]]:
    """Kind and estimate by name of a layer or FIFO, in the order of the data."""
    kinds: dict[str, str] = {}
    models: dict[str, dict[str, int]] = {}
    for layer in accelerator.layers:
        for stream in (s for s in accelerator.streams if s.name in layer.inputs and s.fifo_depth):
            kinds[f"fifo_{stream.name}"] = "fifo"
            models[f"fifo_{stream.name}"] = asdict(stream_cost(stream, part))
        kinds[layer.name] = layer.kind
        models[layer.name] = asdict(layer_cost(layer, part))
    for stream in accelerator.streams:
        if stream.fifo_depth and f"fifo_{stream.name}" not in kinds:
            kinds[f"fifo_{stream.name}"] = "fifo"
            models[f"fifo_{stream.name}"] = asdict(stream_cost(stream, part))
    return kinds, models


def finn_by_layer(estimates: Any) -> dict[str, dict[str, Any]]:
    """FINN's estimates by layer, of the estimates.json that the compiler wrote."""
    layers = estimates.get("layers", []) if isinstance(estimates, dict) else []
    return {item["name"]: item["finn"] for item in layers if item.get("finn")}


def ratio(measured: float | None, estimate: float | None) -> float | None:
    """Measured to estimated; null where one is missing or the estimate is 0."""
    return measured / estimate if measured is not None and estimate else None


def _known(item: Mapping[str, int] | None, why: str) -> dict[str, Any]:
    if item is None:
        return {**dict.fromkeys(COMPARED), "reason": why}
    return {**{key: item.get(key) for key in COMPARED}, "reason": ""}


def _finn(item: Mapping[str, Any] | None) -> dict[str, Any]:
    known = {key: (item or {}).get(key) for key in COMPARED}
    return {**known, "reason": NO_FINN if item is None else item.get("reason", "")}


def totals_row(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Sums over ``rows``; a source that knows nothing at all of a resource stays null."""
    total: dict[str, Any] = {"name": "total", "kind": ""}
    total |= {key: sum(row[key] for row in rows) for key in COUNTED}
    for source in ("finn", "estimate", "routed"):
        found = {key: [row[source][key] for row in rows] for key in COMPARED}
        total[source] = {
            key: sum(v for v in values if v is not None) if any_known(values) else None
            for key, values in found.items()
        }
    total["ratio"] = {key: ratio(total[key], total["estimate"][key]) for key in COMPARED}
    return total


def any_known(values: Sequence[float | None]) -> bool:
    """True if one of them is a number."""
    return any(value is not None for value in values)


def layer_table(
    title: str, rows: Sequence[Mapping[str, Any]], utilisation: Mapping[str, float | None]
) -> Table:
    """The terminal's view: for each resource FINN, model, synthesis, routed, and the ratio."""
    table = Table(title=title, pad_edge=False, collapse_padding=True)
    table.add_column("layer", no_wrap=True)
    shown = {
        key: [
            source for source in ("finn", "estimate", "synth", "routed") if _has(rows, source, key)
        ]
        for key in COMPARED
    }
    names = {"finn": "FINN", "estimate": "model", "synth": "synth", "routed": "routed"}
    for key in COMPARED:
        for source in shown[key]:
            table.add_column(f"{HEADS[key]}\n{names[source]}", justify="right", no_wrap=True)
        table.add_column("\nratio", justify="right", no_wrap=True)
    for row in (*rows, totals_row(rows)):
        if row["name"] == "total":
            table.add_section()
        cells = [str(row["name"])]
        for key in COMPARED:
            values = [row[key] if s == "synth" else row[s][key] for s in shown[key]]
            cells += ["-" if value is None else f"{value:,}" for value in values]
            quotient = row["ratio"][key]
            cells.append("" if quotient is None else f"{quotient:.2f}")
        table.add_row(*cells)
    table.caption = _caption(rows, utilisation)
    return table


def _has(rows: Sequence[Mapping[str, Any]], source: str, key: str) -> bool:
    return source == "synth" or any_known([row[source][key] for row in rows])


def _caption(rows: Sequence[Mapping[str, Any]], utilisation: Mapping[str, float | None]) -> str:
    shares = [f"{HEADS[key]} {100 * (utilisation[key] or 0):.1f} %" for key in COMPARED]
    lines = [
        "of the part: " + ", ".join(shares),
        "ratio: synthesis to our cost model; -: no number",
    ]
    if any(row["finn"]["lut"] is not None for row in rows):
        lines.append("FINN: its formulas for AMD devices")
    if not any(any_known([row["routed"][key] for key in COMPARED]) for row in rows):
        lines.append(NOT_ROUTED)
    return "\n".join(lines)

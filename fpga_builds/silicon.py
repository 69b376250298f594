# SPDX-License-Identifier: Apache-2.0
"""What a build's folder holds of synthesis, netlist simulation and bitstreams, for the report.

These steps are run on request, part by part and board by board; whatever is there is shown if it
was made from the RTL that the folder holds now, and left out, with a remark, if it was not.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fpga_builds.eda.nextpnr import CELLS
from fpga_builds.eda.synth import Synthesis
from fpga_builds.layer_table import finn_by_layer, layer_rows, totals_row
from fpga_builds.metrics import Metric
from fpga_builds.state import State, StepRecord, load_record
from fpga_builds.steps import netlist
from fpga_builds.steps.bitstream import bitstream_records
from fpga_builds.steps.synth import load_synthesis, synth_records
from fpga_builds.storage import hash_path, read_json
from hls.devices import device
from hls.ir import Accelerator
from models.errors import CompileError

RTL, NETLIST = "input rtl", "input netlist_verilog"
Layers = Mapping[str, Mapping[str, int]]


def silicon(out: Path, state: State, part: str) -> dict[str, Any]:
    """Synthesis results, bitstreams, their metrics, and which of them are stale.

    Args:
        out: the build's folder.
        state: its other results, the RTL among them.
        part: whose results become metrics of the report.
    """
    if not state.has("rtl") or not state.has("accelerator"):
        return {"synthesis": [], "bitstreams": [], "metrics": [], "stale": []}
    now = hash_path(state.file("rtl"))
    synths, stale = current(synth_records(out), now)
    boards, old = current(bitstream_records(out), now)
    routed = routed_layers(boards)
    rows = [_synthesis(record, state, routed) for record in synths]
    own = tuple(record for record in (*synths, *boards) if _is_for(record, part))
    nets = [_netlist(record, load_synthesis(record)) for record in synths if record in own]
    found = [m for record in own for m in _metrics(record)]
    found += [m for record in nets if record is not None for m in record.metrics]
    return {
        "synthesis": rows,
        "bitstreams": [dict(record.info) for record in boards],
        "metrics": found,
        "stale": [*stale, *old],
    }


def routed_layers(records: tuple[StepRecord, ...]) -> dict[str, Layers]:
    """Placed cells per layer by device, of the open boards' bitstreams."""
    return {
        device(record.info["part"]).name: record.info["layers"]
        for record in records
        if isinstance(record.info.get("layers"), dict) and record.info.get("used")
    }


def current(records: tuple[StepRecord, ...], rtl: str) -> tuple[tuple[StepRecord, ...], list[str]]:
    """(records made from the RTL with this hash, names of the others)."""
    good = tuple(record for record in records if record.depends.get(RTL) == rtl)
    return good, [record.step for record in records if record not in good]


def layers_of(
    result: Synthesis, state: State, routed: Mapping[str, Layers]
) -> list[dict[str, Any]]:
    """Rows of `layer_rows` for a synthesis: FINN, cost model, synthesis, and routed if it was."""
    accelerator = Accelerator.load(state.file("accelerator"))
    finn = finn_by_layer(read_json(state.file("compiled") / "estimates.json"))
    return layer_rows(result, accelerator, finn, routed.get(result.part.name))


def _synthesis(record: StepRecord, state: State, routed: Mapping[str, Layers]) -> dict[str, Any]:
    result = load_synthesis(record)
    rows = layers_of(result, state, routed)
    body = {**result.to_json(), "layers": rows, "total": totals_row(rows)}
    simulated = _netlist(record, result)
    return {**body, "netlist": None if simulated is None else dict(simulated.info)}


def _netlist(record: StepRecord, result: Synthesis) -> StepRecord | None:
    """The simulation of this very netlist, if there was one."""
    simulated = load_record(record.folder.parent / netlist.folder_name(result.part))
    if simulated is None or simulated.depends.get(NETLIST) != hash_path(result.netlist_verilog):
        return None
    return simulated


def _is_for(record: StepRecord, part: str) -> bool:
    """True if a result is for this part."""
    try:
        return device(str(record.info["part"])).name == device(part).name
    except CompileError:
        return False


def _metrics(record: StepRecord) -> list[Metric]:
    """The metrics of a synthesis or bitstream that a report shows."""
    keep = (*CELLS.values(), "fmax_mhz", "throughput_per_s", "throughput_mbit_s")
    names = {*keep, *(f"{name}_utilisation" for name in keep)}
    return [m for m in record.metrics if m.name in names]

# SPDX-License-Identifier: Apache-2.0
"""``phyfold synth``: resources of a build on a part, per layer, after synthesis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console

from fpga_builds.commands import Job
from fpga_builds.csi import nmse_text
from fpga_builds.eda.synth import Synthesis, require_fit
from fpga_builds.eda.yosys import choose_engine
from fpga_builds.flow import Flow
from fpga_builds.layer_table import layer_table
from fpga_builds.silicon import current, layers_of, routed_layers
from fpga_builds.steps.bitstream import bitstream_records
from fpga_builds.steps.netlist import DEFAULT_FRAMES
from fpga_builds.steps.netlist import step_for as netlist_step_for
from fpga_builds.steps.order import steps_of
from fpga_builds.steps.synth import load_synthesis, step_for
from fpga_builds.storage import exclusive, hash_path
from hls.devices import device
from models.errors import CheckError


def synth(
    job: Job, part: str | None, engine: str = "auto", netlist_frames: int = DEFAULT_FRAMES
) -> tuple[dict[str, Any], Callable[[], None]]:
    """Flow up to the netlist for ``part`` (the build's own if None), and that netlist simulated.

    Args:
        job: build and folder.
        part: device.
        engine: of Yosys.
        netlist_frames: frames to simulate on the netlist; 0 for none.

    Returns:
        What ``--json`` prints, and the check that the design fits, which raises CheckError.

    Raises:
        CompileError: the part is unknown.
        ToolMissingError: no Yosys.
    """
    target = device(part or job.config.compile.part)
    choose_engine(engine)
    step = step_for(target, engine)
    last = netlist_step_for(job.config, target, netlist_frames, engine)
    steps = (*steps_of(job.config), step, last)
    if netlist_frames:
        last.needs(job.config, job.out)
    with exclusive(job.out), job.reporter.interruptible(job.out):
        flow = Flow(steps, job.config, job.out, jobs=job.jobs, reporter=job.reporter)
        state = flow.run(step.name)
        netlist = None
        if netlist_frames and fits(load_synthesis(state.records[step.name])):
            netlist = dict(flow.run(last.name, done=state).records[last.name].info)
    record = state.records[step.name]
    result = load_synthesis(record)
    made, _stale = current(bitstream_records(job.out), hash_path(state.file("rtl")))
    body = {
        "build": job.config.name,
        **result.to_json(),
        "layers": layers_of(result, state, routed_layers(made)),
        "netlist": netlist,
        "netlist_json": str(result.netlist_json),
        "netlist_verilog": str(result.netlist_verilog),
    }
    return body, lambda: require_fit(result)


def fits(synthesis: Synthesis) -> bool:
    """True if the design is not larger than its part: a larger one is not simulated."""
    try:
        require_fit(synthesis)
    except CheckError:
        return False
    return True


def show_synth(out: Console, body: dict[str, Any]) -> None:
    """The terminal's view."""
    title = f"{body['build']} on {body['part']}: resources per layer"
    out.print(layer_table(title, body["layers"], body["utilisation"]))
    out.print(
        f"netlist     {body['netlist_json']}\n"
        f"tool        yosys {body['version']} ({body['engine']}), {body['seconds']:.0f} s"
    )
    netlist = body["netlist"]
    if netlist is not None:
        out.print("\n".join(netlist_lines(netlist)))


def netlist_lines(netlist: dict[str, Any]) -> list[str]:
    """What the simulation of the netlist gave, for people."""
    interval, speed = netlist["ii_cycles"], netlist["sim_cycles_per_s"]
    paced = "too few for the interval" if interval is None else f"one every {interval:,.1f} cycles"
    shown = "" if speed is None else f", {speed:,.0f} cycles/s"
    lines = [
        f"simulated   {netlist['frames']} {netlist['stimulus']} on the netlist, every bit equals "
        f"the QONNX execution; {paced}, latency {netlist['latency_cycles']:,} cycles{shown}"
    ]
    if "nmse_db" in netlist:
        lines.append(f"NMSE        {nmse_text(netlist)}, on the netlist")
    return lines

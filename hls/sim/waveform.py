# SPDX-License-Identifier: Apache-2.0
"""A waveform of chosen frames."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy.typing as npt

from hls.ir import Accelerator
from hls.sim import tools
from hls.sim.engine import Disturbance, Simulator, flat_codes
from hls.sim.verilate import RtlFiles, Variant, build
from models.errors import ConfigError

LEAD_FRAMES = 8
"""Frames simulated ahead of the first one shown, so that it meets a full accelerator."""


def write_waveform(
    rtl: RtlFiles,
    accelerator: Accelerator,
    codes: npt.ArrayLike,
    frames: range,
    *,
    path: Path,
    build_dir: Path,
    disturbance: Disturbance | None = None,
    vcd: bool = False,
) -> Path:
    """Write all signals, from the first beat in of ``frames[0]`` to the last out of ``frames[-1]``.

    codes: [n, *input shape]; ``frames`` are indices into it. The file gets the suffix .fst, with
    ``vcd`` .vcd. Returns its path. One unit of time is a tenth of a clock cycle.
    """
    array = flat_codes(accelerator, codes)
    if frames.step != 1 or not 0 <= frames.start < frames.stop <= len(array):
        raise ConfigError(
            f"waveform of frames {frames.start} to {frames.stop - 1}: "
            f"must lie in 0 to {len(array) - 1}"
        )
    variant = Variant.TRACE_VCD if vcd else Variant.TRACE
    binary = build(rtl, accelerator, build_dir, variant=variant)
    target = path.with_suffix(f".{binary.variant.trace_format}").resolve()
    lead = min(LEAD_FRAMES, frames.start)
    shown = array[frames.start - lead : frames.stop]
    with tools.storage_guard(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.open("w").close()
    with Simulator(binary) as simulator:
        job = simulator.job(0, shown, disturbance)
        options = replace(job.options, trace_first=lead, trace_last=lead + len(frames) - 1)
        traced = replace(job, options=options, trace_path=str(target))
        list(simulator.run_jobs(iter([traced])))
    return target

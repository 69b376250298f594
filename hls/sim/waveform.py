# SPDX-License-Identifier: Apache-2.0
"""A waveform of chosen frames."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy.typing as npt

from hls.sim.engine import Disturbance, Simulator, flat_codes
from hls.sim.verilate import RtlFiles, Variant, build
from hls.ir import Accelerator
from hls.sim import tools
from models.errors import ConfigError

log = logging.getLogger(__name__)

LEAD_FRAMES = 8
"""Frames simulated ahead of the first one shown, so that it meets a full accelerator."""


def write_waveform(
    rtl: RtlFiles,
    accelerator: Accelerator,
    codes: npt.ArrayLike,
    frames: range,
    path: Path,
    build_dir: Path,
    *,
    disturbance: Disturbance | None = None,
) -> Path:
    """Write all signals from the first input beat of ``frames[0]`` to the last output of ``frames[-1]``.

    codes: [n, *input shape]; ``frames`` are indices into it. The file gets the suffix .fst or, where
    the headers of lz4 and zlib are not installed, .vcd. Returns its path. One unit of time is a
    tenth of a clock cycle.
    """
    array = flat_codes(accelerator, codes)
    if frames.step != 1 or not 0 <= frames.start < frames.stop <= len(array):
        raise ConfigError(
            f"waveform of frames {frames.start} to {frames.stop - 1}: must lie in 0 to {len(array) - 1}"
        )
    binary = build(rtl, accelerator, build_dir, variant=Variant.TRACE)
    target = path.with_suffix(f".{binary.trace_format}").resolve()
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
    if binary.trace_format == "vcd":
        log.info("%s: VCD, because lz4.h and zlib.h (for FST) are not installed", target)
    return target

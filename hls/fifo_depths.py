# SPDX-License-Identifier: Apache-2.0
"""FIFO depths without a simulation: those with which no branch can stop another one.

Whether an accelerator can stand still does not depend on when beats come. So one frame that passes
completely, and leaves every buffer as empty as it found it, shows that all will.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import ceil

from hls.beat_times import beat_times, deep_branches
from hls.cycles import accelerator_cycles
from hls.ir import Accelerator
from models.errors import CompileError

log = logging.getLogger(__name__)


def safe_depths(acc: Accelerator) -> dict[str, int]:
    """Depths [beat] by stream with which ``acc`` never stands still and keeps its interval.

    None is changed where frames pass as it is: chains need no FIFO. Otherwise each stream of a
    branch gets what it holds, and one place more, while frames are offered evenly at the interval
    of the slowest layer and no branch is ever full; all that need no more than one place become
    wires if frames still pass.

    Raises:
        CompileError: no depths help; the message names the streams at which it stands still.
    """
    if len(beat_times(acc).ends):
        return {}
    deep = acc.with_fifo_depths(deep_branches(acc))
    cycles = accelerator_cycles(deep)
    frames = ceil(cycles.latency_cycles / cycles.ii_cycles) + 2
    times = beat_times(deep, frames, cycles.ii_cycles)
    if len(times.ends) < frames:
        raise CompileError(f"{acc.name}: stands still, however deep its FIFOs are")
    # A full FIFO takes no beat in the cycle in which it gives one: one place more.
    depths = {name: times.most(name) + 1 for name in deep_branches(acc)}
    wired = {name: 0 if depth <= 2 else depth for name, depth in depths.items()}
    if _pass(acc, wired, frames, cycles.ii_cycles):
        return wired
    if not _pass(acc, depths, frames, cycles.ii_cycles):
        log.warning("%s: FIFOs of branches stay at two frames", acc.name)
        return deep_branches(acc)
    return depths


def _pass(acc: Accelerator, depths: Mapping[str, int], frames: int, ii_cycles: int) -> bool:
    """True if all frames come out, the last ones no further apart than ``ii_cycles``."""
    ends = beat_times(acc.with_fifo_depths(depths), frames).ends
    return len(ends) == frames and int(ends[-1] - ends[-2]) <= ii_cycles

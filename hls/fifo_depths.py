# SPDX-License-Identifier: Apache-2.0
"""FIFO depths without a simulation: those with which no branch stops or slows another one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import ceil

from hls.beat_times import beat_times, deep_branches, steady_interval
from hls.cycles import accelerator_cycles
from hls.ir import Accelerator
from models.errors import CompileError

log = logging.getLogger(__name__)


def safe_depths(acc: Accelerator) -> dict[str, int]:
    """Depths [beat] by stream with which ``acc`` never stands still and keeps its interval.

    None is changed in chains, which need no FIFO, and where frames keep the interval as it is.
    Otherwise each stream of a branch gets what it holds, and one place more, while frames are
    offered evenly at the interval of the slowest layer and no branch is ever full; all that need no
    more than one place become wires if the interval stays. Depths that do not keep it although no
    branch is ever full are those of two frames, with a warning.

    Raises:
        CompileError: no depths help.
    """
    inside = deep_branches(acc)
    cycles = accelerator_cycles(acc)
    fill = ceil(cycles.latency_cycles / cycles.ii_cycles)
    if not inside or _keeps(acc, {}, fill, cycles.ii_cycles):
        return {}
    times = beat_times(acc.with_fifo_depths(inside), fill + 2, cycles.ii_cycles)
    if len(times.ends) < fill + 2:
        raise CompileError(f"{acc.name}: stands still, however deep its FIFOs are")
    # A full FIFO takes no beat in the cycle in which it gives one: one place more.
    depths = {name: times.most(name) + 1 for name in inside}
    wired = {name: 0 if depth <= 2 else depth for name, depth in depths.items()}
    for found in (wired, depths):
        if _keeps(acc, found, fill, cycles.ii_cycles):
            return found
    log.warning("%s: FIFOs of branches stay at two frames", acc.name)
    return inside


def _keeps(acc: Accelerator, depths: Mapping[str, int], fill_frames: int, ii_cycles: int) -> bool:
    """True if frames settle to the interval ``ii_cycles`` with these depths."""
    steady = steady_interval(acc.with_fifo_depths(depths), fill_frames)
    return steady is not None and steady.ii_cycles <= ii_cycles

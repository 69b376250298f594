# SPDX-License-Identifier: Apache-2.0
"""What an accelerator does with other FIFO depths, by the cycle model or in the RTL.

Both start from an accelerator that has a deep FIFO in every inner stream, and lower the depths: a
depth of 0 is a wire, any other keeps the latency of the deep FIFO.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

import numpy as np

from hls.beat_times import beat_times
from hls.ir import Accelerator, IntArray
from hls.sim.engine import Simulator, mean_ii
from hls.sim.kept_runs import KeptRuns, Result
from hls.sim.streams import fifo_scope
from models.errors import CheckError

log = logging.getLogger(__name__)


class Trials(Protocol):
    """An accelerator whose FIFO depths can be lowered."""

    def ii(self, depths: Mapping[str, int]) -> float | None:
        """Cycles per frame with these depths; None: it stands still."""

    def most(self, depths: Mapping[str, int], pace_cycles: int) -> dict[str, int]:
        """Most beats in each FIFO while a frame is offered every ``pace_cycles``, evenly."""


class ModelTrials:
    """By the cycle model: no library is built."""

    def __init__(self, deep: Accelerator, frames: int) -> None:
        self.deep, self.frames = deep, frames

    def ii(self, depths: Mapping[str, int]) -> float | None:
        """See `Trials`."""
        ends = beat_times(self.deep, self.frames, limits=depths).ends
        if len(ends) < self.frames:
            return None
        return mean_ii([np.broadcast_to(ends, (4, self.frames))], int(ends[0]))

    def most(self, depths: Mapping[str, int], pace_cycles: int) -> dict[str, int]:
        """See `Trials`."""
        times = beat_times(self.deep, self.frames, pace_cycles, limits=depths)
        return {name: times.most(name) for name in depths}


class RtlTrials:
    """By simulation of a library of the limit variant."""

    def __init__(self, simulator: Simulator, codes: IntArray) -> None:
        self.simulator, self.codes = simulator, codes

    def ii(self, depths: Mapping[str, int]) -> float | None:
        """See `Trials`."""
        return measured_ii(self.simulator, self.codes, self._pokes(depths))

    def most(self, depths: Mapping[str, int], pace_cycles: int) -> dict[str, int]:
        """See `Trials`."""
        result = self.simulator.run(
            self.codes,
            segment_frames=len(self.codes),
            pokes=self._pokes(depths),
            pace_cycles=pace_cycles,
        )
        return {name: result.streams[name].high_water for name in depths}

    def _pokes(self, depths: Mapping[str, int]) -> tuple[tuple[str, str, int], ...]:
        top, accelerator = self.simulator.binary.top_name, self.simulator.accelerator
        return tuple(
            (fifo_scope(top, accelerator, name), "limit_q", depth) for name, depth in depths.items()
        )


class KeptTrials:
    """Trials that are not made again where their results are kept.

    name: of the accelerator and of how it is tried, for the key.
    """

    def __init__(self, trials: Trials, name: str, kept: KeptRuns) -> None:
        self.trials, self.name, self.kept, self.asked = trials, name, kept, 0

    def ii(self, depths: Mapping[str, int]) -> float | None:
        """See `Trials`."""
        return self._get("ii", depths, 0, lambda: self.trials.ii(depths))

    def most(self, depths: Mapping[str, int], pace_cycles: int) -> dict[str, int]:
        """See `Trials`."""
        return self._get("most", depths, pace_cycles, lambda: self.trials.most(depths, pace_cycles))

    def _get(
        self, what: str, depths: Mapping[str, int], pace_cycles: int, result: Callable[[], Result]
    ) -> Result:
        self.asked += 1
        return self.kept.get([what, self.name, dict(depths), pace_cycles], result)


def measured_ii(
    simulator: Simulator, codes: IntArray, pokes: tuple[tuple[str, str, int], ...] = ()
) -> float | None:
    """II of the frames ``codes``; None if the accelerator stands still."""
    try:
        return simulator.run(codes, segment_frames=len(codes), pokes=pokes).ii_cycles
    except CheckError as error:
        log.debug("%s", error)
        return None

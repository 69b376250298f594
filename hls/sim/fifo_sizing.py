# SPDX-License-Identifier: Apache-2.0
"""The smallest FIFO depths with which an accelerator keeps its full throughput.

First the cycle model says what the accelerator does without any FIFO (`hls.beat_times`). If that
is proven to be the bound that its slowest layer sets, as in chains, nothing is built or simulated.
Otherwise the depths of deep FIFOs in every internal stream are lowered, stream by stream, as far as
the throughput allows: in the model, or at run time in the RTL if that is not of our kernels
(`hls.sim.fifo_trials`). The RTL with the depths found confirms them; a simulation of the
accelerator finds its library again.

Graphs of image layers are sized from what their FIFOs hold when frames are offered evenly, at the
interval that deep FIFOs reach: with that many places the same schedule is possible again, and a
beat that comes earlier delays no other. From there on FIFOs become wires, all at once where that
works, else half by half; the large ones of branches that fork and join, which are needed, are
lowered only where that saves block RAM.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from hls.beat_times import branches, steady_interval
from hls.cost_terms import ram_blocks
from hls.cycle_terms import FIFO_BLOCK_DEPTH
from hls.cycles import AcceleratorCycles, accelerator_cycles
from hls.ir import IMAGE_KINDS, Accelerator, IntArray, Stream
from hls.sim.engine import MIN_WATCHDOG_CYCLES, Simulator, flat_codes
from hls.sim.fifo_trials import KeptTrials, ModelTrials, RtlTrials, Trials, measured_ii
from hls.sim.kept_runs import KeptRuns
from hls.sim.streams import ordered_streams
from hls.sim.verilate import RtlFiles, Variant, build
from models.errors import CheckError

log = logging.getLogger(__name__)

TOLERANCE = 1e-3
"""Relative difference of two II that counts as none: means over a few dozen frames."""

WriteRtlFn = Callable[[Accelerator, Path], RtlFiles]


@dataclass(frozen=True)
class FifoSizing:
    """Depths found and what they give."""

    depths: Mapping[str, int]
    """Beats per internal stream; 0 is a wire."""
    ii_cycles: float
    """Measured with these depths, or proven."""
    ideal_ii_cycles: float
    """Measured with deep FIFOs, or the bound of the slowest layer where wires reach it."""
    wires_ii_cycles: float | None
    """Without any FIFO; None if the accelerator stands still then."""
    simulations: int
    """0 where wires are proven to keep the bound."""


def size_fifos(
    accelerator: Accelerator,
    build_dir: Path,
    *,
    max_depth: int = 255,
    write_rtl: WriteRtlFn | None = None,
    seed: int = 0,
    libraries: Path | None = None,
    kept: KeptRuns | None = None,
) -> FifoSizing:
    """Find the FIFO depths of the internal streams of ``accelerator``, by simulation if need be.

    build_dir: for the RTL that is tried.
    max_depth: depth that counts as unlimited [beat]; a stream with longer frames gets two frames.
    write_rtl: another stitcher; what the cycle model says of our kernels does not count then.
    seed: of the random input frames.
    libraries: where simulation libraries lie, shared with other simulations of the accelerator.
    kept: what simulations of the same search gave before.
    Raises CheckError if the depths found do not keep the throughput once they are built in.
    """
    kind = _GraphSearch if _has_images(accelerator) else _Search
    search = kind(accelerator, (build_dir, libraries), max_depth, write_rtl, seed)
    if kept is not None:
        search.kept = kept
    return search.run()


def _has_images(accelerator: Accelerator) -> bool:
    return any(layer.kind in IMAGE_KINDS for layer in accelerator.layers)


class _Search:
    """State of one search."""

    def __init__(
        self,
        accelerator: Accelerator,
        folders: tuple[Path, Path | None],
        max_depth: int,
        write_rtl: WriteRtlFn | None,
        seed: int,
    ) -> None:
        streams = ordered_streams(accelerator)
        inner = [s for s in streams if s.producer is not None and s.consumer is not None]
        self.deep = {s.name: max(max_depth, 2 * s.beats_per_frame) for s in inner}
        self.inner: tuple[Stream, ...] = tuple(inner)
        self.accelerator = accelerator
        self.build_dir = folders[0]
        self.libraries = folders[1] or folders[0] / "sim"
        self.modelled = write_rtl is None
        self.write_rtl = write_rtl or _stitch
        self.codes = random_codes(accelerator, self._frames(), seed)
        self.simulations = 0
        self.kept = KeptRuns()

    def _frames(self) -> int:
        """Frames that a simulation takes: those that fill the accelerator, and some more."""
        return 3 * len(self.accelerator.layers) + 16

    def _patience(self) -> int | None:
        """Cycles without a beat at the borders after which it stands still; None: the usual."""
        return None

    def run(self) -> FifoSizing:
        """The whole search."""
        wires = dict.fromkeys(self.deep, 0)
        model = accelerator_cycles(self.accelerator)
        wires_ii, enough = self._wired_ii(wires, model)
        if enough and wires_ii is not None:
            return FifoSizing(wires, wires_ii, model.ii_cycles, wires_ii, self.simulations)
        depths, ideal = self._lower()
        final = self._built_ii(depths)
        if final is None or final > ideal * (1 + TOLERANCE):
            raise CheckError(
                f"{self.accelerator.name}: FIFO depths {depths} give II {final}, the search "
                f"came to {ideal:g}: phy_fifo with a limit differs from one of that depth"
            )
        return FifoSizing(depths, final, ideal, wires_ii, self.simulations)

    def _wired_ii(
        self, wires: Mapping[str, int], model: AcceleratorCycles
    ) -> tuple[float | None, bool]:
        """II without FIFOs, None if it stands still then; and whether it is the bound for sure."""
        bound = model.ii_cycles * (1 + TOLERANCE)
        if not self.modelled:
            ii = self._built_ii(wires)
            return ii, ii is not None and ii <= bound
        fill = ceil(model.latency_cycles / model.ii_cycles)
        steady = steady_interval(self.accelerator.with_fifo_depths(wires), fill)
        if steady is None:
            return None, False
        return steady.ii_cycles, steady.proven and steady.ii_cycles <= bound

    def _lower(self) -> tuple[dict[str, int], float]:
        """Depths found by lowering deep ones, and the II with all FIFOs deep."""
        accelerator = self.accelerator.with_fifo_depths(self.deep)
        if self.modelled:
            model = ModelTrials(accelerator, len(self.codes))
            return self._lowered_from(KeptTrials(model, "model", self.kept))
        rtl = self.write_rtl(accelerator, self.build_dir / "limit")
        self.kept.building("with deep FIFOs")
        binary = build(rtl, accelerator, self.libraries, variant=Variant.LIMIT)
        self.kept.builds += 1
        with Simulator(binary, explain=False, watchdog_cycles=self._patience()) as simulator:
            rtl_trials = RtlTrials(simulator, self.codes)
            trials = KeptTrials(rtl_trials, binary.library.parent.name, self.kept)
            found = self._lowered_from(trials)
            self.simulations += trials.asked
            return found

    def _lowered_from(self, trials: Trials) -> tuple[dict[str, int], float]:
        ideal = trials.ii(self.deep)
        if ideal is None:
            raise CheckError(
                f"{self.accelerator.name}: stands still even with FIFOs of {self.deep} beats"
            )
        return self._lowered(trials, ideal), ideal

    def _lowered(self, trials: Trials, ideal: float) -> dict[str, int]:
        """Depths with which the limited accelerator keeps the interval ``ideal``."""
        depths = dict(self.deep)
        for stream in self.inner:
            depths[stream.name] = self._smallest(trials, depths, stream.name, ideal)
            log.info("stream %s: depth %d", stream.name, depths[stream.name])
        return depths

    def _smallest(self, trials: Trials, depths: Mapping[str, int], name: str, ideal: float) -> int:
        """Smallest depth of stream ``name``, the others as in ``depths``, that keeps ``ideal``."""

        def keeps(depth: int) -> bool:
            return self._keeps(trials, {**depths, name: depth}, ideal)

        if keeps(0):
            return 0
        low, high = 0, 1
        while high < depths[name] and not keeps(high):
            low, high = high, 2 * high
        high = min(high, depths[name])
        while high - low > 1:  # low does not keep the throughput, high does
            middle = (low + high) // 2
            low, high = (low, middle) if keeps(middle) else (middle, high)
        return high

    @staticmethod
    def _keeps(trials: Trials, depths: Mapping[str, int], ideal: float) -> bool:
        ii = trials.ii(depths)
        return ii is not None and ii <= ideal * (1 + TOLERANCE)

    def _built_ii(self, depths: Mapping[str, int]) -> float | None:
        """II of the accelerator with these depths built in."""
        accelerator = self.accelerator.with_fifo_depths(depths)
        name = "wires" if not any(depths.values()) else "sized"
        rtl = self.write_rtl(accelerator, self.build_dir / name)
        self.kept.building("without FIFOs" if name == "wires" else "with the FIFOs found")
        binary = build(rtl, accelerator, self.libraries)
        self.kept.builds += 1
        self.simulations += 1
        with Simulator(binary, explain=False, watchdog_cycles=self._patience()) as simulator:
            return self.kept.get(
                ["built", binary.library.parent.name], lambda: measured_ii(simulator, self.codes)
            )


class _GraphSearch(_Search):
    """The search for graphs of image layers."""

    def _frames(self) -> int:
        model = accelerator_cycles(self.accelerator)
        return 2 * ceil(model.latency_cycles / model.ii_cycles) + 4

    def _patience(self) -> int:
        model = accelerator_cycles(self.accelerator)
        return max(MIN_WATCHDOG_CYCLES, model.latency_cycles + model.ii_cycles)

    def _lowered(self, trials: Trials, ideal: float) -> dict[str, int]:
        depths = self._held(trials, ideal)
        if not self._keeps(trials, depths, ideal):
            log.warning("%s: FIFO depths stay at two frames", self.accelerator.name)
            depths = dict(self.deep)
        inside = branches(self.accelerator)
        large = [s for s in self.inner if s.name in inside and depths[s.name] > FIFO_BLOCK_DEPTH]
        others = [s.name for s in self.inner if depths[s.name] and s not in large]
        depths = self._wired(trials, depths, others, ideal)
        for stream in large:
            depths = self._cheaper(trials, depths, stream, ideal)
        for name, depth in depths.items():
            log.info("stream %s: depth %d", name, depth)
        return depths

    def _wired(
        self, trials: Trials, depths: dict[str, int], names: list[str], ideal: float
    ) -> dict[str, int]:
        """With wires in place of as many of the FIFOs ``names`` as the interval allows."""
        wires = {**depths, **dict.fromkeys(names, 0)}
        if not names or self._keeps(trials, wires, ideal):
            return wires
        if len(names) == 1:
            return depths
        half = len(names) // 2
        depths = self._wired(trials, depths, names[:half], ideal)
        return self._wired(trials, depths, names[half:], ideal)

    def _cheaper(
        self, trials: Trials, depths: dict[str, int], stream: Stream, ideal: float
    ) -> dict[str, int]:
        """With a depth of fewer blocks of memory for ``stream``, if one keeps the interval."""
        for depth in cheaper_depths(depths[stream.name], stream.payload_bits):
            less = {**depths, stream.name: depth}
            if self._keeps(trials, less, ideal):
                return less
        return depths

    def _held(self, trials: Trials, ideal: float) -> dict[str, int]:
        """Depths that let the deep accelerator's schedule pass, frames offered every ``ideal``."""
        most = trials.most(self.deep, ceil(ideal))
        log.info("most beats in each stream: %s", most)
        # A full FIFO takes no beat in the cycle in which it gives one: one place more.
        return {name: min(held + 1, self.deep[name]) for name, held in most.items()}


def cheaper_depths(depth: int, width: int) -> list[int]:
    """Depths from half of ``depth`` on that need less block RAM, smallest first.

    What a FIFO held in the even schedule is seldom far from what it needs: less than half of it is
    not tried.
    """
    choices = (FIFO_BLOCK_DEPTH, 512, 1024, 2048, 4096, 8192, 16384)
    used = fifo_blocks(depth, width)
    return [d for d in choices if depth / 2 <= d < depth and fifo_blocks(d, width) < used]


def fifo_blocks(depth: int, width: int) -> int:
    """Blocks of 18 kbit of a FIFO; none where it lies in LUT RAM."""
    return 0 if depth <= FIFO_BLOCK_DEPTH else ram_blocks(depth, width)


def random_codes(accelerator: Accelerator, frames: int, seed: int) -> IntArray:
    """Random input frames [frames, elements] over the whole input format."""
    fmt = accelerator.input.fmt
    shape = (frames, *accelerator.input.shape)
    codes = np.random.default_rng(seed).integers(fmt.min, fmt.max, shape, endpoint=True)
    return flat_codes(accelerator, codes).reshape(shape)


def _stitch(accelerator: Accelerator, folder: Path) -> RtlFiles:
    from hls import stitch

    package: RtlFiles = stitch.write_rtl(accelerator, folder)
    return package

# SPDX-License-Identifier: Apache-2.0
"""Which layer of an accelerator computes something else than the integer reference.

The frames are simulated again with every internal stream watched, and each stream is compared with
the reference, from the input on: the first stream that differs comes out of the broken layer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from hls.ir import Accelerator, IntArray
from hls.sim.engine import Disturbance, Simulator, default_segment, flat_codes
from hls.sim.streams import captured_codes, ordered_streams, probes_of
from hls.sim.verilate import RtlFiles, Variant, build

log = logging.getLogger(__name__)

TraceFn = Callable[[Accelerator, IntArray], Mapping[str, IntArray]]


@dataclass(frozen=True)
class Difference:
    """The first value that is not what it has to be."""

    frame: int
    """Index of the frame in the batch."""
    layer: str
    """Layer that delivered it; "input" if the stimulus itself is wrong."""
    stream: str
    element: int
    """Index of the element in the frame of that stream."""
    expected: int
    got: int

    def __str__(self) -> str:
        return (
            f"first difference: frame {self.frame}, layer {self.layer} (stream {self.stream}), "
            f"element {self.element}: expected {self.expected}, got {self.got}"
        )


def first_difference(expected: npt.ArrayLike, got: npt.ArrayLike) -> tuple[int, int] | None:
    """(frame, element) of the first difference of two [n, elements] arrays; None if equal."""
    where = np.argwhere(np.asarray(expected) != np.asarray(got))
    return (int(where[0, 0]), int(where[0, 1])) if len(where) else None


def locate(
    rtl: RtlFiles,
    accelerator: Accelerator,
    codes: npt.ArrayLike,
    frame: int,
    build_dir: Path,
    *,
    trace: TraceFn | None = None,
    disturbance: Disturbance | None = None,
) -> Difference | None:
    """Find the layer that makes frame ``frame`` of the batch ``codes`` [n, *input shape] differ.

    The segment that holds the frame is simulated again as `hls.sim.engine.simulate` did it, up to
    that frame. trace: gives stream -> [n, elements] as it has to be (default:
    `hls.reference.trace`). Returns None if no stream differs from the trace: then the trace and
    whatever the frame was compared with disagree, or the frame differs only in the fast build.
    """
    array = flat_codes(accelerator, codes)
    size = default_segment(len(array))
    start = frame - frame % size
    part = array[start : frame + 1]
    streams = ordered_streams(accelerator)
    wanted = (trace or _reference_trace)(accelerator, part.reshape(-1, *accelerator.input.shape))
    binary = build(rtl, accelerator, build_dir, variant=Variant.PROBE)
    with Simulator(binary) as simulator:
        probes = probes_of(binary.top_name, accelerator, len(part))
        job = simulator.job(start // size, part, disturbance, probes)
        (result,) = simulator.run_jobs(iter([job]))
    found: list[Difference] = []
    for stream in streams:
        if stream.name not in wanted:
            log.warning("stream %s: the reference has no values for it", stream.name)
            continue
        got = captured_codes(stream, result.captures[stream.name])
        expected = np.asarray(wanted[stream.name]).reshape(len(part), -1)[: len(got)]
        place = first_difference(expected, got)
        if place is not None:
            at, element = place
            values = (int(expected[at, element]), int(got[at, element]))
            layer = stream.producer or "input"
            found.append(Difference(start + at, layer, stream.name, element, *values))
    return min(found, key=lambda d: d.frame, default=None)


def _reference_trace(accelerator: Accelerator, codes: IntArray) -> Mapping[str, IntArray]:
    from hls import reference

    trace: Mapping[str, IntArray] = reference.trace(accelerator, codes)
    return trace

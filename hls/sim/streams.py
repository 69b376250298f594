# SPDX-License-Identifier: Apache-2.0
"""Where the streams of an accelerator are found in its stitched top module.

The stitcher gives every stream the wires ``<stream>_tdata``, ``_tvalid`` and ``_tready`` on the
side of its consumer and, if it has a FIFO, ``<stream>_in_tdata`` and so on on that of its producer.
"""

from __future__ import annotations

from hls.ir import Accelerator, IntArray, Stream
from hls.sim.native import Bytes
from hls.sim.packing import unpack
from hls.sim.worker import Probe


def ordered_streams(accelerator: Accelerator) -> tuple[Stream, ...]:
    """The streams from input to output, in the order of their producers."""
    order = {layer.name: index for index, layer in enumerate(accelerator.layers)}
    return tuple(sorted(accelerator.streams, key=lambda s: order.get(s.producer or "", -1)))


def probe_of(top_name: str, stream: Stream, capture_frames: int = 0) -> Probe:
    """What to watch for ``stream``; keeps the beats of the first ``capture_frames`` frames."""
    down = stream.name
    up = f"{stream.name}_in" if stream.fifo_depth else stream.name
    names = (f"{up}_tvalid", f"{up}_tready", f"{down}_tvalid", f"{down}_tready", f"{down}_tdata")
    return Probe(
        stream=stream.name,
        scope=f"TOP.{top_name}",
        wires=names,
        beat_bytes=stream.tdata_bytes,
        capture_beats=capture_frames * stream.beats_per_frame,
    )


def probes_of(
    top_name: str, accelerator: Accelerator, capture_frames: int = 0
) -> tuple[Probe, ...]:
    """`probe_of` for every stream, from input to output."""
    return tuple(probe_of(top_name, s, capture_frames) for s in ordered_streams(accelerator))


def captured_codes(stream: Stream, beats: Bytes) -> IntArray:
    """Captured beats as codes [whole frames, elements]."""
    frames = len(beats) // stream.beats_per_frame
    whole = beats[: frames * stream.beats_per_frame]
    shaped = whole.reshape(frames, stream.beats_per_frame, stream.tdata_bytes)
    return unpack(shaped, stream.fmt, stream.elems_per_beat)

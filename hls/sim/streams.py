# SPDX-License-Identifier: Apache-2.0
"""Where the streams of an accelerator are found in its Verilated top module."""

from __future__ import annotations

from hls.ir import Accelerator, IntArray, Stream
from hls.sim.native import Bytes
from hls.sim.packing import unpack
from hls.sim.worker import Probe
from hls.stitch import StreamWires, stream_wires

ENDS = ("tvalid", "tready")


def ordered_streams(accelerator: Accelerator) -> tuple[Stream, ...]:
    """The streams from input to output, in the order of their producers."""
    order = {layer.name: index for index, layer in enumerate(accelerator.layers)}
    return tuple(sorted(accelerator.streams, key=lambda s: order.get(s.producer or "", -1)))


def probes_of(
    top_name: str, accelerator: Accelerator, capture_frames: int = 0
) -> tuple[Probe, ...]:
    """What to watch for every stream, from input to output.

    Keeps the beats of the first ``capture_frames`` frames.
    """
    return tuple(
        _probe(top_name, stream_wires(accelerator, stream.name), capture_frames)
        for stream in ordered_streams(accelerator)
    )


def _probe(top_name: str, wires: StreamWires, capture_frames: int) -> Probe:
    up, down, stream = wires.up, wires.down, wires.stream
    return Probe(
        stream=stream.name,
        scope=f"TOP.{top_name}",
        wires=(*(f"{side}_{end}" for side in (up, down) for end in ENDS), f"{down}_tdata"),
        beat_bytes=stream.tdata_bytes,
        capture_beats=capture_frames * stream.beats_per_frame,
    )


def fifo_scope(top_name: str, accelerator: Accelerator, stream: str) -> str:
    """Verilator's scope of the phy_fifo in a stream."""
    return f"TOP.{top_name}.{stream_wires(accelerator, stream).fifo}"


def captured_codes(stream: Stream, beats: Bytes) -> IntArray:
    """Captured beats as codes [whole frames, elements]."""
    frames = len(beats) // stream.beats_per_frame
    whole = beats[: frames * stream.beats_per_frame]
    shaped = whole.reshape(frames, stream.beats_per_frame, stream.tdata_bytes)
    return unpack(shaped, stream.fmt, stream.elems_per_beat)

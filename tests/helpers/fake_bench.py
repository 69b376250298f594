# SPDX-License-Identifier: Apache-2.0
"""A simulation without RTL: the detector is zero forcing on the quantized frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds.config import BuildConfig, parse_build
from fpga_builds.flow import StepContext
from fpga_builds.sources import count_bits
from fpga_builds.state import State, StepRecord
from fpga_builds.steps.rtl_count import Bench
from fpga_builds.stimulus import dequantize, received, system_of
from hls.compiler import to_codes
from hls.ir import Accelerator, Border, IntFormat, Stream
from models.detectors import zf_matrix

SYMBOLS, ANTENNAS, II, LATENCY = 3, 5, 40, 111


def config_of(**simulate: Any) -> BuildConfig:
    """A build of a small channel, few frames."""
    settings = {"snr_db": [0.0, 4.0], "frames": 250, "chunk_frames": 100, **simulate}
    return parse_build(
        {
            "name": "demo",
            "network": {"checkpoint": "x"},
            "channel": {"symbols": SYMBOLS, "antennas": ANTENNAS},
            "simulate": settings,
        },
        "test",
    )


def accelerator() -> Accelerator:
    """Borders only."""
    adc, bit = IntFormat(8, signed=True), IntFormat(1, signed=False)
    streams = (
        Stream("s_axis", None, None, adc, ANTENNAS, 1),
        Stream("m_axis", None, None, bit, SYMBOLS, 1),
    )
    source = Border("s_axis", (ANTENNAS,), adc, (2.0**-5,), (0.0,), "codes")
    sink = Border("m_axis", (SYMBOLS,), bit, (1.0,), (0.0,), "hard_bits")
    return Accelerator("demo", (), streams, source, sink, clock_mhz=100.0)


@dataclass(frozen=True)
class FakeResult:
    """The part of a SimResult that the step reads."""

    outputs: Any
    ii_cycles: float | None = II
    latency_cycles: int = LATENCY
    cycles: int = 10_000
    seconds: float = 0.01


def bench(
    config: BuildConfig,
    *,
    flip: tuple[int, int] | None = None,
    delay_s: float = 0.0,
    on_chunk: Callable[[], None] = lambda: None,
) -> Bench:
    """A bench whose RTL equals its QONNX, but for the bit ``flip`` (frame of a chunk, bit)."""
    assert config.channel is not None
    system = system_of(config.channel)
    matrix = zf_matrix(system)
    acc = accelerator()

    def soft(x: Any) -> Any:
        return dequantize(acc.input, to_codes(acc.input, x)) @ matrix.T

    def qonnx(x: Any) -> Any:
        pairs = np.zeros((len(x), 2 * SYMBOLS))
        pairs[:, 0::2] = soft(x)
        return pairs

    def simulate(codes: Any, _progress: object) -> FakeResult:
        on_chunk()
        time.sleep(delay_s)
        bits = (soft(dequantize(acc.input, codes)) >= 0).astype(np.int64)
        if flip is not None and len(bits) > flip[0]:
            bits[flip] ^= 1
        return FakeResult(bits)

    return Bench(
        accelerator=acc,
        simulate=simulate,  # type: ignore[arg-type]
        qonnx=qonnx,
        frames=lambda chunk: received(config, system, chunk),
        explain=lambda _codes, frame: f"layer third is wrong in frame {frame} of its chunk",
        score=count_bits,
    )


def context_of(config: BuildConfig, out: Path, jobs: int = 1) -> StepContext:
    """A context with stand-ins for the inputs of the step."""
    folder = out / "40-hdl"
    files = {}
    for name in ("model", "rtl", "accelerator"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
        files[name] = name
    state = State().with_record(StepRecord("hdl", folder, "k", {}, files))
    (out / "work").mkdir(exist_ok=True)
    return StepContext(config, out / "work", out / "cache", state, jobs)

# SPDX-License-Identifier: Apache-2.0
"""What goes into an accelerator and what has to come out: frames, codes, expected integers.

Frames come in chunks that depend on (SNR, seed, chunk number) alone, see `models.mimo.frame_chunk`:
whoever simulates which chunk, in which order and on how many cores, the frames are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from fpga_builds.config import BuildConfig, ChannelConfig
from hls.ir import Border, IntArray
from models.errors import CompileError, ConfigError
from models.mimo import BitArray, MimoSystem, frame_chunk

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Chunk:
    """One chunk of work: ``frames`` frames, number ``index``, at one SNR (None: no channel)."""

    snr_db: float | None
    index: int
    frames: int

    @property
    def label(self) -> str:
        """File name of its result."""
        where = "codes" if self.snr_db is None else f"snr_{self.snr_db:+08.3f}"
        return f"{where}-{self.index:06d}-{self.frames}"


def chunks_of(config: BuildConfig) -> list[Chunk]:
    """All chunks of a simulation, SNR by SNR."""
    sim = config.simulate
    size = sim.chunk_frames
    snrs = sim.snr_db if config.channel is not None else (None,)
    counts = [min(size, sim.frames - start) for start in range(0, sim.frames, size)]
    return [Chunk(snr, index, count) for snr in snrs for index, count in enumerate(counts)]


def system_of(channel: ChannelConfig) -> MimoSystem:
    """The MIMO system of a build's [channel]."""
    if channel.kind == "fixed_toeplitz":
        return MimoSystem.fixed_toeplitz(
            k=channel.symbols, n=channel.antennas, rho=channel.rho, seed=channel.seed
        )
    return MimoSystem.iid_gaussian(k=channel.symbols, n=channel.antennas, seed=channel.seed)


def received(config: BuildConfig, system: MimoSystem, chunk: Chunk) -> tuple[BitArray, FloatArray]:
    """(bits sent [n, K], y [n, N] float32) of a chunk."""
    if chunk.snr_db is None:
        raise ConfigError(f"{config.name}: no [channel], so there are no received frames")
    sim = config.simulate
    bits, y = frame_chunk(system, chunk.snr_db, sim.seed, chunk.index, sim.chunk_frames)
    return bits[: chunk.frames], y[: chunk.frames]


def random_codes(border: Border, chunk: Chunk, seed: int) -> IntArray:
    """Codes over the whole range of the input format, [n, *shape]; the extremes come first."""
    rng = np.random.default_rng(np.random.SeedSequence((seed, chunk.index)))
    low = border.fmt.min + int(border.narrow and border.fmt.signed)
    codes = rng.integers(low, border.fmt.max + 1, (chunk.frames, *border.shape), dtype=np.int64)
    if chunk.index == 0:
        codes[0] = border.fmt.max
        codes[-1] = low
    return codes


def quantize(border: Border, x: npt.ArrayLike) -> IntArray:
    """Input codes clip(half_even((x - offset) / scale)) of host values [n, *shape]."""
    values = np.asarray(x, dtype=np.float64)
    scale = np.asarray(border.scale, dtype=np.float64)
    offset = np.asarray(border.offset, dtype=np.float64)
    low = border.fmt.min + int(border.narrow and border.fmt.signed)
    codes = np.rint((values - offset) / scale)  # numpy's rint rounds half to even
    clipped: IntArray = np.clip(codes, low, border.fmt.max).astype(np.int64)
    return clipped


def dequantize(border: Border, codes: npt.ArrayLike) -> FloatArray:
    """Host values code * scale + offset, float32."""
    values = np.asarray(codes, dtype=np.float64) * np.asarray(border.scale)
    return np.asarray(values + np.asarray(border.offset), dtype=np.float32)


def expected_outputs(config: BuildConfig, border: Border, outputs: npt.ArrayLike) -> IntArray:
    """The integers that the accelerator must deliver where QONNX gives ``outputs`` [n, ...].

    Raises:
        CompileError: soft outputs that are no integer multiple of their scale.
    """
    values = np.asarray(outputs, dtype=np.float64).reshape(len(np.asarray(outputs)), -1)
    if border.meaning == "hard_bits":
        if config.compile.output == "hard_pairs":
            values = values[:, 0::2] - values[:, 1::2]
        return (values >= 0).astype(np.int64)
    exact = (values - np.asarray(border.offset)) / np.asarray(border.scale)
    codes = np.rint(exact)
    worst = float(np.max(np.abs(exact - codes), initial=0.0))
    if worst > 1e-2:  # float32 sums of the QONNX execution leave far less than this
        raise CompileError(
            f"{config.name}: QONNX outputs are {worst:.3g} steps off the accelerator's codes",
            hint="the output scale of accelerator.json does not belong to this model",
        )
    return codes.astype(np.int64)


def channel_facts(config: BuildConfig) -> dict[str, Any] | None:
    """What the report says of the channel."""
    if config.channel is None:
        return None
    system = system_of(config.channel)
    return {"name": system.name, "symbols": system.k, "antennas": system.n}

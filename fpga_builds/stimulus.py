# SPDX-License-Identifier: Apache-2.0
"""What goes into an accelerator and what has to come out: frames, codes, expected integers.

Frames come in chunks that depend on (SNR, seed, chunk number) alone, see `models.mimo.frame_chunk`:
whoever simulates which chunk, in which order and on how many cores, the frames are the same.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fpga_builds.config import BuildConfig, ChannelConfig
from fpga_builds.program_text import program_text
from fpga_builds.storage import hash_json
from hls.borders import decide_outputs, to_codes, to_values
from hls.float32_frames import FloatReference, Verdict
from hls.ir import Accelerator, Border, IntArray
from hls.reference import run
from models.errors import ConfigError, MismatchError
from models.mimo import BitArray, MimoSystem, frame_chunk

FloatArray = npt.NDArray[np.float32]


class Kind(enum.Enum):
    """What a build's accelerator is fed with; the value is what a reader is told."""

    CHANNEL = "channel frames"
    SAMPLES = "channel samples"
    CODEWORDS = "codewords of channel samples"
    RANDOM = "random codes"


def kind_of(config: BuildConfig) -> Kind:
    """The frames of the build's own task; random codes where it names no task (a QONNX file)."""
    if config.channel is not None:
        return Kind.CHANNEL
    if config.csi is None:
        return Kind.RANDOM
    return Kind.SAMPLES if config.csi.half == "encoder" else Kind.CODEWORDS


def snrs_of(config: BuildConfig) -> tuple[float | None, ...]:
    """The SNR points of a channel [dB]; one None where there is no channel to add noise in."""
    return config.simulate.snr_db if kind_of(config) is Kind.CHANNEL else (None,)


@dataclass(frozen=True)
class Chunk:
    """One chunk of work: ``frames`` frames, number ``index``, at one SNR (None: without noise)."""

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
    counts = [min(size, sim.frames - start) for start in range(0, sim.frames, size)]
    return [
        Chunk(snr, index, count) for snr in snrs_of(config) for index, count in enumerate(counts)
    ]


def frames_key(config: BuildConfig, snr_db: float | None, frames: int) -> str:
    """Equal for figures that were counted on the same frames, whatever build counted them."""
    sim = config.simulate
    channel = config.channel.model_dump() if config.channel else None
    text = program_text().of("models.mimo")
    return hash_json([channel, sim.seed, sim.chunk_frames, snr_db, frames, text])[:16]


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
    shape = (chunk.frames, *border.shape)
    codes = rng.integers(border.lowest, border.fmt.max + 1, shape, dtype=np.int64)
    if chunk.index == 0:
        codes[0] = border.fmt.max
        codes[-1] = border.lowest
    return codes


def dequantize(border: Border, codes: npt.ArrayLike) -> FloatArray:
    """Host values code * scale + offset, float32; of images [n, channels, height, width]."""
    return to_values(border, codes).astype(np.float32)


def input_codes(border: Border, x: npt.ArrayLike) -> IntArray:
    """What the host's quantizer makes of host values [n, ...]: codes [n, *shape]."""
    values = np.asarray(x)
    return to_codes(border, values.reshape(len(values), -1)).reshape(len(values), *border.shape)


@dataclass(frozen=True)
class Vectors:
    """Frames and what has to come out of them.

    Attributes:
        truth: what the outputs are scored against, or None.
        codes: input codes [n, *shape].
        expected: outputs [n, out] of exact integer arithmetic, equal to what QONNX gives but in the
            frames of ``verdict``.
        verdict: frames in which float32 execution of QONNX was rounded.
    """

    truth: Any
    codes: IntArray
    expected: IntArray
    verdict: Verdict


def vectors(
    config: BuildConfig,
    accelerator: Path,
    model: Path,
    frames: Callable[[Chunk], tuple[Any, FloatArray]],
    chunks: Sequence[Chunk],
) -> Vectors:
    """All frames of ``chunks``, for the accelerator in a folder and the QONNX file ``model``.

    ``frames`` gives truth and host values of a chunk, see `fpga_builds.sources`.

    Raises:
        MismatchError: the accelerator's integers and QONNX differ; rounding does not explain it.
    """
    from hls.qonnx_exec import load_model, run_qonnx

    acc = Accelerator.load(accelerator)
    truths, values = zip(*(frames(chunk) for chunk in chunks), strict=True)
    x = np.concatenate(values)
    codes = input_codes(acc.input, x)
    found = decide_outputs(run_qonnx(load_model(model), x), config.compile.output, acc.output)
    exact, verdict = run(acc, codes), Verdict()
    if exact.shape != found.shape:
        raise MismatchError(
            f"{config.name}: the accelerator gives {exact.shape} values, QONNX {found.shape}",
            hint="compile.output does not fit the model",
        )
    differ = np.flatnonzero((exact != found).any(axis=1))
    if len(differ):
        reference = FloatReference.open(accelerator, model, config.compile.output)
        verdict = reference.judge(x, codes, exact, differ)
    if len(verdict.mismatches):
        raise MismatchError(
            f"{config.name}: the compiled integers and QONNX differ in {len(verdict.mismatches)} "
            f"of {len(x)} frames, first in frame {verdict.mismatches[0]}",
            hint="`phyfold compile` checks every step: run it again",
        )
    truth = None if truths[0] is None else np.concatenate(truths)
    return Vectors(truth, codes, exact, verdict)

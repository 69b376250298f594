# SPDX-License-Identifier: Apache-2.0
"""Where the frames of a build come from: its own task's, wherever an accelerator is fed.

    detector      frames of its channel; the truth is the bits sent
    CSI encoder   samples of the step data; they are the truth, too
    CSI decoder   codewords of the step feedback; the truth is the samples that they stand for
    QONNX file    random codes: it names no task, and there is no truth

RTL, netlist, waveform, board and the golden frames of a self-test ask here and nowhere else: none
of them is fed with something else than the others. A step that asks declares `frame_reads` (and,
where it counts errors, `score_reads`) as what it reads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

from fpga_builds import csi
from fpga_builds.config import BuildConfig
from fpga_builds.csi import Score
from fpga_builds.state import State
from fpga_builds.stimulus import (
    Chunk,
    FloatArray,
    Kind,
    chunks_of,
    dequantize,
    kind_of,
    random_codes,
    received,
    snrs_of,
    system_of,
)
from hls.ir import Accelerator, Border, IntArray
from models.errors import ConfigError

Files = Callable[[str], Path]
"""Gives the output of an earlier step, by its name."""
FRAME_READS: dict[Kind, tuple[str, ...]] = {
    Kind.CHANNEL: (),
    Kind.SAMPLES: ("samples",),
    Kind.CODEWORDS: ("samples", "feedback"),
    Kind.RANDOM: (),
}
SCORE_READS = {**dict.fromkeys(Kind, ()), Kind.SAMPLES: ("other_model",)}


def frame_reads(config: BuildConfig) -> tuple[str, ...]:
    """Outputs of earlier steps that `open_frames` needs."""
    return FRAME_READS[kind_of(config)]


def score_reads(config: BuildConfig) -> tuple[str, ...]:
    """Outputs of earlier steps that `open_score` needs beside those."""
    return SCORE_READS[kind_of(config)]


def settings_of(config: BuildConfig) -> object:
    """The part of the configuration that the frames follow from."""
    sim = config.simulate
    sections = [s and s.model_dump(mode="json") for s in (config.channel, config.csi)]
    return [*sections, sim.seed, sim.chunk_frames, list(snrs_of(config))]


@dataclass(frozen=True)
class Frames:
    """The frames of a build.

    Attributes:
        kind: what they are.
        of: gives (truth or None, host values [n, ...] float32) of a chunk.
        held: how many there are; None: as many as one wants.
    """

    kind: Kind
    of: Callable[[Chunk], tuple[Any, FloatArray]]
    held: int | None = None

    def within(self, wanted: int) -> int:
        """``wanted`` frames, or as many as there are."""
        return wanted if self.held is None else min(wanted, self.held)

    def first(self, config: BuildConfig, wanted: int) -> list[Chunk]:
        """The first frames, the same number at every SNR: ``wanted`` in all, or a few more.

        Of samples and codewords these are at most all that there are.
        """
        snrs = snrs_of(config)
        each = -(-self.within(wanted) // len(snrs))
        if self.kind is Kind.CHANNEL:
            each = min(each, config.simulate.chunk_frames)
        return [Chunk(snr, 0, each) for snr in snrs]

    def chunks(self, config: BuildConfig) -> list[Chunk]:
        """All chunks of the build's simulation, of the frames that there are."""
        return chunks_of(config.updated("simulate", frames=self.within(config.simulate.frames)))


def open_frames(config: BuildConfig, files: Files, border: Border) -> Frames:
    """The frames of a build.

    Args:
        config: of the build.
        files: gives the outputs that `frame_reads` names.
        border: where they enter the accelerator.

    Raises:
        CheckError: samples or codewords cannot be read, or do not belong together.
    """
    kind = kind_of(config)
    if kind is Kind.CHANNEL:
        assert config.channel is not None
        system = system_of(config.channel)
        return Frames(kind, lambda chunk: received(config, system, chunk))
    if kind is Kind.RANDOM:
        seed = config.simulate.seed
        return Frames(
            kind, lambda chunk: (None, dequantize(border, random_codes(border, chunk, seed)))
        )
    samples = csi.load_samples(files("samples"))
    coded = kind is Kind.CODEWORDS
    values = csi.load_array(files("feedback"), "values") if coded else samples
    return Frames(kind, csi.frame_source(config, samples, values), len(samples))


def open_score(config: BuildConfig, files: Files, accelerator: Accelerator) -> Score:
    """Counts what the build's task is measured by: bit errors, NMSE and rho, or nothing.

    Args:
        config: of the build.
        files: gives the outputs that `score_reads` names.
        accelerator: its output border says what codes mean.
    """
    kind = kind_of(config)
    if kind in (Kind.SAMPLES, Kind.CODEWORDS):
        return csi.scorer(accelerator.output, open_decoder(config, files))
    return count_bits if accelerator.output.meaning == "hard_bits" else count_nothing


def open_decoder(config: BuildConfig, files: Files) -> Callable[[FloatArray], FloatArray] | None:
    """Makes images of an encoder's codewords, with QONNX; None where the outputs are images."""
    if kind_of(config) is not Kind.SAMPLES:
        return None
    from hls.qonnx_exec import load_model, run_qonnx

    model = load_model(files("other_model"))
    return lambda codewords: run_qonnx(model, codewords)


def summed(points: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    """What `open_score` counted in several chunks of one SNR, added up; None if that is nothing."""
    from models.ber import BerPoint
    from models.csi.metrics import CsiPoint

    if not points:
        return None
    if "nmse_db" in points[0]:
        return reduce(add, map(CsiPoint.from_json, points)).to_json()
    return dict(reduce(add, map(BerPoint.from_json, points)).to_json())


def csi_facts(point: dict[str, Any]) -> dict[str, Any]:
    """What a machine view shows of an NMSE that was counted."""
    return {name: point[name] for name in ("samples", "nmse_db", "ci95", "rho", "rho_ci95")}


def count_bits(chunk: Chunk, sent: Any, outputs: IntArray) -> dict[str, Any] | None:
    """Bit errors of a chunk; None where no bits were sent."""
    from models.ber import count

    if sent is None:
        return None
    return dict(count(float(chunk.snr_db or 0.0), sent, outputs).to_json())


def count_nothing(_chunk: Chunk, _sent: Any, _outputs: IntArray) -> None:
    """Soft outputs: there are no bits to count."""


def require_frames(config: BuildConfig, state: State, left_out: Mapping[str, str]) -> None:
    """Refuse a folder that does not hold what `frame_reads` and `score_reads` name.

    left_out: steps whose results do not fit the others, and why, see `belongs.fitting`.

    Raises:
        ConfigError: something is missing, or codewords and samples are of different runs.
    """
    way_out = f"`phyfold simulate {config.name}` makes them, `--samples N` says how many"
    if kind_of(config) is Kind.CODEWORDS and "feedback" in left_out and state.has("samples"):
        raise ConfigError(
            f"{config.name}: the codewords are of other samples than those of the step data",
            hint=way_out,
        )
    for name in (*frame_reads(config), *score_reads(config)):
        if not state.has(name):
            raise ConfigError(f"{config.name}: no {name} there to measure with", hint=way_out)


def remarks(config: BuildConfig) -> Sequence[str]:
    """What a reader must know of the frames."""
    if kind_of(config) is not Kind.RANDOM:
        return ()
    return (
        "The build names no task, so RTL, netlist and board were fed with random codes over the "
        "whole range of the input; equality with QONNX was checked, no error rate counted.",
    )

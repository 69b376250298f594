# SPDX-License-Identifier: Apache-2.0
"""Error rates counted on a board: the frames of a build's simulation, bit for bit.

Detectors give bit errors, CSI networks NMSE and rho, see `fpga_builds.sources`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds import sources
from fpga_builds.board.frames import FramesResult, run_frames
from fpga_builds.board.link import BoardLink
from fpga_builds.board.protocol import Status
from fpga_builds.config import BuildConfig
from fpga_builds.csi import Score
from fpga_builds.stimulus import Chunk, input_codes
from hls.board.package import BoardPackage
from hls.borders import decide_outputs
from hls.float32_frames import Verdict
from hls.ir import Accelerator, IntArray
from models.errors import ConfigError


def no_files(name: str) -> Path:
    """Refuses: nothing is there beside accelerator and model."""
    raise ConfigError(f"no {name} there to measure with")


@dataclass(frozen=True)
class Reference:
    """What the board is compared with.

    Attributes:
        accelerator: its borders say what codes mean.
        qonnx: host values [n, ...] float32, as the network takes them, to model outputs.
        files: gives samples, codewords and the other half of a CSI build, by their names.
        judge: what frames are in which board and QONNX differ, see
            `hls.float32_frames.FloatReference.judge`. None: mismatches.
    """

    accelerator: Accelerator
    qonnx: Callable[[Any], Any]
    files: sources.Files = no_files
    judge: Callable[[Any, IntArray, IntArray, Any], Verdict] | None = None


@dataclass(frozen=True)
class BoardBer:
    """Counts of one SNR; None of samples, codewords and random codes.

    ``point`` is a `BerPoint` or a `CsiPoint` as plain data; None where there is no truth.
    """

    snr_db: float | None
    frames: int
    mismatches: int
    float32_frames: int
    first_mismatch: int | None
    cycles: int
    point: dict[str, Any] | None


def measure(
    config: BuildConfig,
    link: BoardLink,
    status: Status,
    package: BoardPackage,
    *,
    reference: Reference,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[BoardBer]:
    """Run the frames of ``config.simulate`` on the board and compare every bit with QONNX.

    Of samples and codewords these are at most all that there are.

    Raises:
        ConfigError: the build and the accelerator do not fit together.
        LinkError: the board does not answer as it should.
    """
    source = sources.open_frames(config, reference.files, reference.accelerator.input)
    score = sources.open_score(config, reference.files, reference.accelerator)
    chunks = source.chunks(config)
    total = sum(chunk.frames for chunk in chunks)
    counted: dict[float | None, list[BoardBer]] = {}
    done = 0
    for chunk in chunks:
        run = partial(_run, link, status, package, partial(_shifted, progress, done, total))
        result = _count(config, chunk, reference, (source.of(chunk), score), run)
        counted.setdefault(chunk.snr_db, []).append(result)
        done += chunk.frames
    return [_sum(parts) for parts in counted.values()]


def _run(
    link: BoardLink,
    status: Status,
    package: BoardPackage,
    progress: Callable[[int, int], None],
    codes: IntArray,
) -> FramesResult:
    return run_frames(link, status, package, codes, progress)


def _shifted(
    progress: Callable[[int, int], None], before: int, total: int, done: int, _frames: int
) -> None:
    progress(before + done, total)


def _count(
    config: BuildConfig,
    chunk: Chunk,
    reference: Reference,
    measured: tuple[tuple[Any, Any], Score],
    run: Callable[[IntArray], FramesResult],
) -> BoardBer:
    border, output = reference.accelerator.input, reference.accelerator.output
    (truth, x), score = measured
    codes = input_codes(border, x)
    result = run(codes.reshape(len(x), -1))
    expected = decide_outputs(reference.qonnx(x), config.compile.output, output)
    if expected.shape != result.outputs.shape:
        raise ConfigError(
            f"{config.name}: the board gives {result.outputs.shape} values, QONNX {expected.shape}"
        )
    wrong = np.flatnonzero((expected != result.outputs).any(axis=1))
    rounded = 0
    if len(wrong) and reference.judge is not None:
        verdict = reference.judge(x, codes, result.outputs, wrong)
        wrong, rounded = verdict.mismatches, len(verdict.rounded)
    point = score(chunk, truth, result.outputs)
    first = chunk.index * config.simulate.chunk_frames + int(wrong[0]) if len(wrong) else None
    return BoardBer(chunk.snr_db, chunk.frames, len(wrong), rounded, first, result.cycles, point)


def _sum(parts: list[BoardBer]) -> BoardBer:
    first = next((p.first_mismatch for p in parts if p.first_mismatch is not None), None)
    return BoardBer(
        parts[0].snr_db,
        sum(part.frames for part in parts),
        sum(part.mismatches for part in parts),
        sum(part.float32_frames for part in parts),
        first,
        sum(part.cycles for part in parts),
        sources.summed([part.point for part in parts if part.point is not None]),
    )

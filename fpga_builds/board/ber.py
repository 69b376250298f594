# SPDX-License-Identifier: Apache-2.0
"""Bit error rates counted on a board: the frames of a build's simulation, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from fpga_builds import stimulus
from fpga_builds.board.frames import FramesResult, run_frames
from fpga_builds.board.link import BoardLink
from fpga_builds.board.protocol import Status
from fpga_builds.config import BuildConfig
from fpga_builds.stimulus import Chunk
from hls.board.package import BoardPackage
from hls.compiler import decide_outputs, to_codes
from hls.float32_frames import Verdict
from hls.ir import Accelerator, IntArray
from models.errors import ConfigError


@dataclass(frozen=True)
class Reference:
    """What the board is compared with.

    Attributes:
        accelerator: its borders say what codes mean.
        qonnx: host values [n, *shape] float32 to model outputs.
        judge: what frames are in which board and QONNX differ, see
            `hls.float32_frames.FloatReference.judge`. None: mismatches.
    """

    accelerator: Accelerator
    qonnx: Callable[[Any], Any]
    judge: Callable[[Any, IntArray, IntArray, Any], Verdict] | None = None


@dataclass(frozen=True)
class BoardBer:
    """Counts of one SNR (None: no channel, random codes)."""

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

    Raises:
        ConfigError: the build and the accelerator do not fit together.
        LinkError: the board does not answer as it should.
    """
    chunks = stimulus.chunks_of(config)
    total = sum(chunk.frames for chunk in chunks)
    source = stimulus.frame_source(config, reference.accelerator.input)
    counted: dict[float | None, list[BoardBer]] = {}
    done = 0
    for chunk in chunks:
        run = partial(_run, link, status, package, partial(_shifted, progress, done, total))
        result = _count(config, chunk, reference, source(chunk), run)
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
    frames: tuple[Any, Any],
    run: Callable[[IntArray], FramesResult],
) -> BoardBer:
    from models.ber import count

    border, output = reference.accelerator.input, reference.accelerator.output
    sent, x = frames
    flat = np.asarray(x, dtype=np.float32).reshape(len(x), -1)
    codes = to_codes(border, flat)
    result = run(codes)
    shaped = flat.reshape(len(flat), *border.shape)
    expected = decide_outputs(reference.qonnx(shaped), config.compile.output, output)
    if expected.shape != result.outputs.shape:
        raise ConfigError(
            f"{config.name}: the board gives {result.outputs.shape} values, QONNX {expected.shape}"
        )
    wrong = np.flatnonzero((expected != result.outputs).any(axis=1))
    rounded = 0
    if len(wrong) and reference.judge is not None:
        verdict = reference.judge(shaped, codes, result.outputs, wrong)
        wrong, rounded = verdict.mismatches, len(verdict.rounded)
    point = None
    if sent is not None and output.meaning == "hard_bits":
        point = count(float(chunk.snr_db or 0.0), sent, result.outputs).to_json()
    first = chunk.index * config.simulate.chunk_frames + int(wrong[0]) if len(wrong) else None
    return BoardBer(chunk.snr_db, chunk.frames, len(wrong), rounded, first, result.cycles, point)


def _sum(parts: list[BoardBer]) -> BoardBer:
    from models.ber import BerPoint

    points = [BerPoint.from_json(part.point) for part in parts if part.point is not None]
    first = next((p.first_mismatch for p in parts if p.first_mismatch is not None), None)
    total = points[0] if points else None
    for point in points[1:]:
        total = total + point if total is not None else point
    return BoardBer(
        parts[0].snr_db,
        sum(part.frames for part in parts),
        sum(part.mismatches for part in parts),
        sum(part.float32_frames for part in parts),
        first,
        sum(part.cycles for part in parts),
        total.to_json() if total is not None else None,
    )

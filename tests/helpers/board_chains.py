# SPDX-License-Identifier: Apache-2.0
"""A tiny accelerator on a board, for the tests of the boards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from rtl_chains import chain, frames, mvau, thresholding

from fpga_builds.board.protocol import Status
from hls import reference
from hls.board import Board, BoardPackage, board, write_board
from hls.ir import Accelerator, IntArray, IntFormat
from hls.stitch import RtlPackage, write_rtl

BAUD = 3_000_000
GOLDEN = 16
STATUS = Status(
    *(True, True, False, False, 0x0123456789ABCDEF, 100_000_000, 1_000_000, 5, 12, 30, 1),
    *(4096, 4096, 5_000_000, 64, 16, 64, 0, None, 1, 99_000, 9_000, 48_000, 32),
    *(7, 0, 0, 0, 0, 0, 0, 0),
)


@dataclass(frozen=True)
class Tiny:
    """The accelerator, its RTL and golden frames."""

    accelerator: Accelerator
    rtl: RtlPackage
    inputs: IntArray
    outputs: IntArray

    def run(self, codes: IntArray) -> IntArray:
        """What the accelerator must give, [n, elements]."""
        return reference.run(self.accelerator, codes).reshape(len(codes), -1)

    def codes(self, count: int, seed: int = 5) -> IntArray:
        """Random input frames [n, elements]."""
        return frames(self.accelerator, max(count, 4), seed=seed)[:count]

    def write(
        self,
        folder: Path,
        *,
        on: Board | None = None,
        clock_mhz: float = 100.0,
        baud: int = BAUD,
        change: Callable[[IntArray], None] = lambda _outputs: None,
    ) -> BoardPackage:
        """The board top; ``change`` may spoil the golden outputs."""
        outputs = self.outputs.copy()
        change(outputs)
        return write_board(
            self.accelerator,
            self.rtl,
            on or board("ulx3s"),
            self.inputs,
            outputs,
            clock_mhz,
            folder,
            baud=baud,
            byte_timeout_ms=1.0,
        )


def tiny(folder: Path) -> Tiny:
    """Twelve 8-bit codes through a matrix of 4-bit weights to eight 4-bit codes."""
    codes, levels = IntFormat(8, signed=True), IntFormat(4, signed=False)
    first = mvau((8, 12), 4, 3, codes, IntFormat(4, signed=True))
    second = thresholding(8, 4, first.fmt, 15, levels)
    # As wide as the sums really are, so that a wrong weight shows in the outputs.
    values = np.random.default_rng(2).normal(0.0, 1200.0, (8, 15)).astype(np.int64)
    second = replace(second, arrays={"thresholds": np.sort(values, axis=1)})
    acc = chain(codes, 3, 12, [first, second], name="tiny")
    inputs = frames(acc, GOLDEN)
    outputs = np.asarray(reference.run(acc, inputs)).reshape(GOLDEN, -1)
    return Tiny(acc, write_rtl(acc, folder), inputs, outputs)

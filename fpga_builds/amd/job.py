# SPDX-License-Identifier: Apache-2.0
"""What one process tells the other: the job for FINN, and where its end is written."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

JOB, RESULT, ERROR = "job.json", "result.json", "error.json"


@dataclass(frozen=True)
class FinnJob:
    """What FINN is to build.

    Attributes:
        model: the folded FINN graph of our nodes.
        accelerator: folder of the accelerator that was simulated, FIFO depths in it.
        board: FINN's name of the board.
        part: its FPGA.
        flow: ``vivado`` or ``vitis``.
        platform: Vitis platform, or empty.
        clk_ns: clock period [ns].
        build_dir: FINN's folder for all that it generates.
        output_dir: where FINN puts its products.
    """

    model: str
    accelerator: str
    board: str
    part: str
    flow: str
    platform: str
    clk_ns: float
    build_dir: str
    output_dir: str

    def save(self, folder: Path) -> Path:
        """Write ``job.json``."""
        path = folder / JOB
        path.write_text(json.dumps(asdict(self), indent=1) + "\n")
        return path

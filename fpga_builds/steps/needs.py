# SPDX-License-Identifier: Apache-2.0
"""Tools without which a step cannot run, asked for before the first step of a command."""

from __future__ import annotations

from pathlib import Path

from fpga_builds.config import BuildConfig
from hls.finn_env import require_finn
from hls.sim.tools import find_tool, verilator_root


def finn(_config: BuildConfig, _out: Path) -> None:
    """Raise ToolMissingError unless FINN is installed."""
    require_finn()


def simulator(_config: BuildConfig, _out: Path) -> None:
    """Raise ToolMissingError unless Verilator and what compiles its C++ are there."""
    verilator_root()
    for name in ("g++", "make"):
        find_tool(name)

# SPDX-License-Identifier: Apache-2.0
"""Boards: pins, clocks, and the top module that makes an accelerator run on one."""

from __future__ import annotations

from hls.board.boards import BOARDS, Board, board
from hls.board.generate import write_board
from hls.board.package import BoardPackage, StreamInfo, load_board
from hls.board.pll import Pll, find_pll

__all__ = [
    "BOARDS",
    "Board",
    "BoardPackage",
    "Pll",
    "StreamInfo",
    "board",
    "find_pll",
    "load_board",
    "write_board",
]

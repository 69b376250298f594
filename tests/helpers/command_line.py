# SPDX-License-Identifier: Apache-2.0
"""`phyfold` called in this process."""

from __future__ import annotations

import signal

import pytest

from fpga_builds import cli
from fpga_builds.runner import execute


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    """Exit code, standard output, standard error of one command line."""
    handler = signal.getsignal(signal.SIGTERM)
    try:
        code = execute(cli.app, words)
    finally:
        signal.signal(signal.SIGTERM, handler)
    captured = capsys.readouterr()
    return code, captured.out, captured.err

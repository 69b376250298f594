# SPDX-License-Identifier: Apache-2.0
"""Benchmarks run only when this folder is named on the command line (``make bench``)."""

from __future__ import annotations

from pathlib import Path

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the benchmarks out of a run over all tests."""
    named = any("bench" in Path(str(word).split("::")[0]).parts for word in config.args)
    return None if named else collection_path.parent == Path(__file__).parent

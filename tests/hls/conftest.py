# SPDX-License-Identifier: Apache-2.0
"""The hand-written QONNX networks of `qonnx_mlp.py`, for every test under tests/hls."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def mlp() -> ModuleType:
    """The module ``qonnx_mlp`` beside this file."""
    path = Path(__file__).with_name("qonnx_mlp.py")
    spec = importlib.util.spec_from_file_location("qonnx_mlp", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["qonnx_mlp"] = module
    spec.loader.exec_module(module)
    return module

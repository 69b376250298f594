# SPDX-License-Identifier: Apache-2.0
"""The hand-written QONNX networks beside this file, for every test under tests/hls."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


def _beside(name: str) -> ModuleType:
    """The module of that name beside this file."""
    if name in sys.modules:
        return sys.modules[name]
    path = Path(__file__).with_name(f"{name}.py")
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def mlp() -> ModuleType:
    """The module ``qonnx_mlp``: networks of dense layers."""
    return _beside("qonnx_mlp")


@pytest.fixture(scope="session")
def cnn(mlp: ModuleType) -> ModuleType:
    """The module ``qonnx_cnn``: networks of convolutions."""
    return _beside("qonnx_cnn")

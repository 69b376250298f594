# SPDX-License-Identifier: Apache-2.0
"""Simulation in folders whose names make, shells and Verilator would take apart."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from odd_names import ODD

from hls.sim import tools
from hls.sim.engine import simulate
from hls.sim.verilate import build
from models.errors import ToolError


@pytest.fixture
def odd_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an odd name that holds cache, temporary files, Verilator, compiler, make."""
    folder = tmp_path / ODD
    for name in ("cache", "temporary"):
        (folder / name).mkdir(parents=True)
    (folder / "verilator").symlink_to(tools.verilator_root())
    for name in ("g++", "make"):
        (folder / name).symlink_to(tools.find_tool(name))
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setenv("PHYFOLD_VERILATOR_ROOT", str(folder / "verilator"))
    monkeypatch.setenv("PHYFOLD_CXX", str(folder / "g++"))
    monkeypatch.setenv("PHYFOLD_MAKE", str(folder / "make"))
    monkeypatch.setenv("TMPDIR", str(folder / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return folder


@pytest.mark.verilator
def test_everything_in_odd_folders(toy, odd_surroundings: Path) -> None:
    place = odd_surroundings / "rtl"
    place.mkdir()
    files = replace(
        toy.files,
        sources=tuple(Path(shutil.copy(path, place)) for path in toy.files.sources),
        data_files=tuple(Path(shutil.copy(path, place)) for path in toy.files.data_files),
    )
    binary = build(files, toy.accelerator, odd_surroundings / "out")
    assert binary.library.parents[2] == odd_surroundings.resolve()
    codes = toy.codes(5)
    np.testing.assert_array_equal(simulate(binary, codes).outputs, toy.expected(codes))

    (source,) = files.sources
    source.write_text(source.read_text().replace("sum = '0;", "sum = nothing;"))
    with pytest.raises(ToolError) as caught:
        build(files, toy.accelerator, odd_surroundings / "out")
    assert f"%Error: {source.resolve()}:" in caught.value.message

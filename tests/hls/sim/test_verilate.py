# SPDX-License-Identifier: Apache-2.0
"""Building simulation libraries: the cache, and what a failing or missing program leads to."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hls.sim import tools
from hls.sim.verilate import SimBinary, Variant, build
from models.errors import StorageError, ToolError, ToolMissingError


@pytest.fixture
def mock_verilator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a shell script in verilator's place."""

    def write(body: str) -> None:
        path = tmp_path / "root" / "bin" / "verilator_bin"
        path.parent.mkdir(parents=True)
        path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && exit 0\n{body}\n')
        path.chmod(0o755)
        monkeypatch.setenv("PHYFOLD_VERILATOR_ROOT", str(tmp_path / "root"))
        runtime = tmp_path / "runtime"
        monkeypatch.setattr("hls.sim.verilate._runtime", lambda *_: runtime)

    return write


@pytest.mark.verilator
def test_an_unchanged_design_is_found_and_a_changed_one_built(
    toy, toy_binary: SimBinary, tmp_path: Path
) -> None:
    out_dir = toy_binary.library.parents[1]
    assert toy_binary.build_s > 0
    again = build(toy.files, toy.accelerator, out_dir)
    assert again == replace(toy_binary, build_s=0.0)
    source = tmp_path / "toy_top.sv"
    source.write_text(toy.files.sources[0].read_text().replace("Hold  = 2", "Hold  = 3"))
    other = build(replace(toy.files, sources=(source,)), toy.accelerator, out_dir)
    assert other.library != toy_binary.library
    assert other.build_s > 0


@pytest.mark.verilator
def test_other_weights_need_no_build(toy, toy_binary: SimBinary, tmp_path: Path) -> None:
    data = Path(shutil.copy(toy.files.data_files[0], tmp_path))
    moved = build(
        replace(toy.files, data_files=(data,)), toy.accelerator, toy_binary.library.parents[1]
    )
    assert (moved.library, moved.data_dir) == (toy_binary.library, tmp_path)


@pytest.mark.verilator
@pytest.mark.parametrize("variant", [Variant.TRACE, Variant.PROBE], ids=lambda v: v.name.lower())
def test_a_relative_folder_will_do(
    toy, variant: Variant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    binary = build(toy.files, toy.accelerator, Path("sim"), variant=variant)
    assert binary.library.is_file()


@pytest.mark.verilator
def test_an_error_in_the_rtl_is_shown(toy, tmp_path: Path) -> None:
    source = tmp_path / "toy_top.sv"
    source.write_text(toy.files.sources[0].read_text().replace("sum = '0;", "sum = nothing;"))
    with pytest.raises(ToolError, match=r"verilator_bin failed(.|\n)*toy_top\.sv(.|\n)*nothing"):
        build(replace(toy.files, sources=(source,)), toy.accelerator, tmp_path / "out")


@pytest.mark.parametrize(
    ("body", "error", "match"),
    [
        ("echo %Error: odd; exit 2", ToolError, r"failed with exit code 2\n(.|\n)*%Error: odd"),
        ("exit 0", ToolError, "verilator wrote no C"),
        ("echo No space left on device; exit 1", StorageError, "disk full while verilator_bin"),
        ("sleep 60", ToolError, r"verilator_bin did not end within 0\.3 s"),
    ],
    ids=["fails", "writes-nothing", "disk-full", "hangs"],
)
def test_verilator_in_trouble(
    toy,
    tmp_path: Path,
    mock_verilator: Callable[[str], None],
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    error: type[Exception],
    match: str,
) -> None:
    mock_verilator(body)
    monkeypatch.setenv("PHYFOLD_TOOL_TIMEOUT_S", "0.3" if body.startswith("sleep") else "60")
    with pytest.raises(error, match=match):
        build(toy.files, toy.accelerator, tmp_path / "out")
    assert not list((tmp_path / "out").rglob("libphysim.so"))


def test_failing_compiler(
    toy, tmp_path: Path, mock_verilator: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mock_verilator("mkdir -p cpp; touch cpp/Vphy.cpp")
    compiler = tmp_path / "cxx"
    compiler.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && exit 0\necho Vphy.cpp:1:1: error: out of luck; exit 1\n'
    )
    compiler.chmod(0o755)
    monkeypatch.setenv("PHYFOLD_CXX", str(compiler))
    with pytest.raises(ToolError, match=r"make failed(.|\n)*error: out of luck"):
        build(toy.files, toy.accelerator, tmp_path / "out")


@pytest.mark.parametrize("name", ["g++", "make"])
def test_missing_program(toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(tools.TOOLS[name].override, "/nowhere/program")
    with pytest.raises(ToolMissingError, match=name.replace("+", r"\+") + " not found"):
        build(toy.files, toy.accelerator, tmp_path, variant=Variant.FAST)


def test_a_folder_that_cannot_be_written(toy, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot be written"):
        build(toy.files, toy.accelerator, tmp_path / "file" / "out")

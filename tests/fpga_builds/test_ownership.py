# SPDX-License-Identifier: Apache-2.0
"""``--out`` on a folder that is not ours never deletes or overwrites what lies in it."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from fpga_builds import cli
from fpga_builds.config import parse_build
from fpga_builds.flow import Flow, Step, StepContext, StepOutput
from fpga_builds.ownership import MARK, claim
from fpga_builds.runner import execute
from fpga_builds.storage import exclusive
from models.errors import ConfigError

CONFIG = parse_build({"name": "demo", "network": {"checkpoint": "x"}}, "test")
OTHERS = (
    "30-compile/thesis.txt", "20-export.part/data.csv", "20-export.old/data.csv", "10-train",
    "cache/mine.db", "training/notes.txt", "report.md", "report.html", "plots/figure.png",
    "40-hdl/config.json", "10-data/state.json",
)  # fmt: skip


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def run(*words: str) -> int:
    handler = signal.getsignal(signal.SIGTERM)
    try:
        return execute(cli.app, words)
    finally:
        signal.signal(signal.SIGTERM, handler)


def build(out: Path) -> None:
    """A finished step of ours, as it was before there were marks."""

    def work(context: StepContext) -> StepOutput:
        (context.folder / "a.txt").write_text("a")
        return StepOutput({"a": "a.txt"})

    step = Step("first", 1, "makes a", (), ("a",), lambda _c: 0, work)
    Flow((step,), CONFIG, out).run("first")


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("command", ["compile", "export", "run", "train", "report"])
def test_a_folder_of_others_is_left_as_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, command: str
) -> None:
    project = tmp_path / "project"
    (project / name).parent.mkdir(parents=True)
    (project / name).write_text('{"mine": "not yours"}')
    before = contents(project)
    assert run(command, "fullycon_w4a4", "--out", str(project), "--quiet") == 2
    said = capsys.readouterr().err
    first = Path(name).parts[0]
    assert f"{project}: holds '{first}', which phyfold did not make" in said
    assert "choose another folder with --out" in said
    assert contents(project) == before


def test_files_by_other_names_do_not_matter_and_stay(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_text("mine")
    (tmp_path / "00_x.onnx").write_text("mine")
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "top.sv").write_text("mine")
    (tmp_path / ".lock").write_text("mine")
    before = contents(tmp_path)
    with exclusive(tmp_path):
        build(tmp_path)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert (tmp_path / MARK).is_file()


def test_new_and_empty_folders_are_marked(tmp_path: Path) -> None:
    for folder in (tmp_path / "a" / "b", tmp_path / "empty"):
        folder.mkdir(parents=True) if folder.name == "empty" else None
        claim(folder)
        assert (folder / MARK).read_text().startswith("Results of phyfold")
        claim(folder)


def test_a_build_without_a_mark_goes_on(tmp_path: Path) -> None:
    build(tmp_path)
    for name in ("report.json", "report.md", "plots", "cache", "training"):
        (tmp_path / name).mkdir()
    (tmp_path / "cache" / "of_an_older_version").mkdir()
    claim(tmp_path)
    assert (tmp_path / MARK).is_file()


@pytest.mark.parametrize("left", [None, "config.json.4711.part"])
def test_a_step_that_was_killed_at_once_is_ours(tmp_path: Path, left: str | None) -> None:
    work = tmp_path / "20-export.part"
    work.mkdir()
    if left is not None:
        (work / left).write_text("{")
    claim(tmp_path)


def test_a_damaged_record_is_ours(tmp_path: Path) -> None:
    build(tmp_path)
    (tmp_path / "01-first" / "state.json").write_text("{")
    claim(tmp_path)


def test_a_foreign_step_folder_in_a_marked_one_is_left(tmp_path: Path) -> None:
    claim(tmp_path)
    build(tmp_path)
    (tmp_path / "20-export").mkdir()
    (tmp_path / "20-export" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="holds '20-export'"):
        claim(tmp_path)


def test_a_link_by_the_name_of_a_step_is_not_ours(tmp_path: Path) -> None:
    build(tmp_path / "other")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "01-first").symlink_to(tmp_path / "other" / "01-first")
    with pytest.raises(ConfigError, match="holds '01-first'"):
        claim(tmp_path / "out")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConfigError, match="out: is a file, results go into a folder"):
        claim(tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("training/recipe.json", "{}"),
        ("cache/verilator/x", ""),
        ("report.json", json.dumps({"schema": 1, "metrics": []})),
    ],
)
def test_what_single_commands_left_is_ours(tmp_path: Path, name: str, body: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(body)
    claim(tmp_path)

# SPDX-License-Identifier: Apache-2.0
"""Checkpoints, build folders, board packages of others: no link followed, nothing extra taken."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path

import pytest
from board_chains import tiny

from fpga_builds import cli
from fpga_builds.rtl_index import load_rtl
from fpga_builds.runner import execute
from fpga_builds.state import StepRecord, load_record
from fpga_builds.steps.train import CHECKPOINT_FILES, SHIPPED, keep_checkpoint
from fpga_builds.storage import write_json
from hls.board import load_board
from models.errors import CheckError, ConfigError


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A checkpoint as it is received, with what has no business in it."""
    folder = tmp_path / "received"
    shutil.copytree(SHIPPED / "fullycon_w4a4", folder)
    (folder / "state.safetensors").write_bytes(b"x")
    (folder / "id_rsa").write_text("key")
    (folder / "notes").mkdir()
    return folder


def test_only_the_files_of_a_checkpoint_are_kept(checkpoint: Path, tmp_path: Path) -> None:
    body = keep_checkpoint(checkpoint, tmp_path / "kept")
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == ["log.csv", "metrics.json", "recipe.json", "weights.safetensors"]
    assert body["points"]


@pytest.mark.parametrize("name", CHECKPOINT_FILES)
def test_a_link_in_a_checkpoint_is_not_published(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("do not publish")
    (checkpoint / name).unlink(missing_ok=True)
    (checkpoint / name).symlink_to(secret)
    with pytest.raises(ConfigError, match=f"received/{name}: a symbolic link"):
        keep_checkpoint(checkpoint, tmp_path / "kept")
    handler = signal.getsignal(signal.SIGTERM)
    words = ["export", "fullycon_w4a4", "--checkpoint", str(checkpoint)]
    try:
        code = execute(cli.app, [*words, "--out", str(tmp_path / "out"), "--quiet"])
    finally:
        signal.signal(signal.SIGTERM, handler)
    assert code == 2
    if name != "recipe.json":  # that one is asked for earlier: the folder then has no recipe
        assert f"{name}: a symbolic link" in capsys.readouterr().err
    out = tmp_path / "out"
    assert not any(b"publish" in p.read_bytes() for p in out.rglob("*") if p.is_file())


def test_links_by_other_names_are_left_behind(checkpoint: Path, tmp_path: Path) -> None:
    (checkpoint / "secret").symlink_to("/etc/passwd")
    keep_checkpoint(checkpoint, tmp_path / "kept")
    assert not (tmp_path / "kept" / "secret").exists()


def record(folder: Path) -> StepRecord:
    (folder / "rtl").mkdir(parents=True)
    (folder / "rtl" / "top.sv").write_text("module top; endmodule\n")
    made = StepRecord("hdl", folder, "key", {}, {"rtl": "rtl"})
    made.save()
    return made


def test_a_record_that_leads_out_of_its_folder_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "40-hdl"
    record(folder)
    assert load_record(folder) is not None
    body = json.loads((folder / "state.json").read_text())
    body["files"]["rtl"] = {"path": "../40-hdl/rtl", "sha256": body["files"]["rtl"]["sha256"]}
    write_json(folder / "state.json", body)
    assert load_record(folder) is None


def test_a_record_with_links_in_it_is_none(tmp_path: Path) -> None:
    folder = tmp_path / "40-hdl"
    made = record(folder)
    (folder / "rtl" / "secret.sv").symlink_to("/etc/passwd")
    made.save()  # as whoever sent it would: with the hash that it has
    assert load_record(folder) is None


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"sources": ["../secret.sv"]}, ConfigError, "must be a plain name below"),
        ({"sources": ["/etc/passwd"]}, ConfigError, "must be a plain name below"),
        ({"sources": ["rtl/a.sv; shell touch x"]}, ConfigError, "must be a plain name below"),
        ({"data_files": ["rtl/link"]}, ConfigError, "a symbolic link"),
        ({"top_name": "top; shell touch x"}, CheckError, "is no name of a module"),
        ({"extra": 1}, CheckError, "no list of RTL"),
    ],
)
def test_an_index_of_rtl_names_files_in_its_folder(
    tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    (tmp_path / "rtl").mkdir()
    (tmp_path / "rtl" / "link").symlink_to("/etc/passwd")
    body = {"top_name": "top", "sources": ["rtl/top.sv"], "data_files": []}
    write_json(tmp_path / "rtl.json", body)
    assert load_rtl(tmp_path / "rtl.json").top_name == "top"
    write_json(tmp_path / "rtl.json", {**body, **change})
    with pytest.raises(error, match=message):
        load_rtl(tmp_path / "rtl.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lpf": "../../secret"}, "must be a plain name below"),
        ({"sources": ["/etc/passwd"]}, "must be a plain name below"),
        ({"data_files": ["rtl/link.dat"]}, "a symbolic link"),
        ({"top_name": "x; shell y"}, "no board package .*names no top"),
        ({"sources": None}, "no board package"),
        ({"build_hash": "zz"}, "no board package"),
        ({"input": {}}, "no board package"),
        ({"board": "a; b"}, "board 'a; b' is unknown"),
    ],
)
def test_a_board_package_names_files_in_its_folder(
    tmp_path: Path, change: dict, message: str
) -> None:
    package = tiny(tmp_path / "tiny").write(tmp_path / "package")
    (package.folder / "rtl" / "link.dat").symlink_to("/etc/passwd")
    assert load_board(package.folder) == package
    write_json(package.info, {**package.body, **change})
    with pytest.raises(ConfigError, match=message):
        load_board(package.folder)

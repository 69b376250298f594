# SPDX-License-Identifier: Apache-2.0
"""Files are there whole or not at all."""

from __future__ import annotations

import errno
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from fpga_builds import storage
from models import files
from models.errors import ConfigError, StorageError


def test_write_atomic_replaces(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.txt"
    files.write_atomic(path, "one")
    files.write_atomic(path, b"two")
    assert path.read_text() == "two"
    assert [item.name for item in path.parent.iterdir()] == ["a.txt"]


def test_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = files.write_atomic(tmp_path / "a.txt", "old")

    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(StorageError, match=r"a.txt: could not be written \(no space left\)") as e:
        files.write_atomic(path, "new")
    assert "resumes" in e.value.hint
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["a.txt"]


def test_a_limit_on_file_size_is_a_storage_error(tmp_path: Path) -> None:
    path = files.write_atomic(tmp_path / "a.txt", "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(StorageError, match="could not be written"):
            files.write_atomic(path, "x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"


def test_guard_lets_other_errors_pass(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), files.storage_guard(tmp_path):
        (tmp_path / "none").read_text()


def test_json_refuses_nan_and_damaged_files_read_as_none(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        storage.write_json(tmp_path / "a.json", {"x": float("nan")})
    path = tmp_path / "b.json"
    path.write_text('{"half": ')
    assert storage.read_json(path) is None
    assert storage.read_json(tmp_path / "none.json") is None


def test_hashes_see_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    seen = {storage.hash_path(tmp_path / "f"), storage.hash_path(tmp_path / "missing")}
    (tmp_path / "f" / "a").write_text("1")
    seen.add(storage.hash_path(tmp_path / "f"))
    (tmp_path / "f" / "a").rename(tmp_path / "f" / "b")
    seen.add(storage.hash_path(tmp_path / "f"))
    (tmp_path / "f" / "b").write_text("2")
    seen.add(storage.hash_path(tmp_path / "f"))
    assert len(seen) == 5
    assert storage.hash_json({"a": 1, "b": 2}) == storage.hash_json({"b": 2, "a": 1})


def test_replace_folder(tmp_path: Path) -> None:
    for name in ("place", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "who").write_text(name)
    storage.replace_folder(tmp_path / "new", tmp_path / "place")
    assert (tmp_path / "place" / "who").read_text() == "new"
    assert [item.name for item in tmp_path.iterdir()] == ["place"]


def test_one_process_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from fpga_builds.storage import exclusive\n"
        "with exclusive(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(ConfigError, match="another phyfold"), storage.exclusive(tmp_path):
            pass
        other.kill()
    with storage.exclusive(tmp_path):
        assert json.loads("1") == 1

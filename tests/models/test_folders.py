# SPDX-License-Identifier: Apache-2.0
"""Names in lists that came with a folder stay in that folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from models.errors import ConfigError, StorageError
from models.folders import foreign, member, renewed_folder

LIST = Path("board.json")


@pytest.mark.parametrize(
    "name",
    [
        *("/etc/passwd", "../x.sv", "rtl/../../x.sv", "rtl/..", ".", "", "-f", "a b.sv", "a\n.sv"),
        *("rtl/;x", "rtl\\x", None, 3, ["a"], "~/x", "$HOME"),
    ],
)
def test_names_that_leave_the_folder(name: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"board\.json"):
        member(tmp_path, name, LIST)


def test_links_are_refused_and_plain_names_taken(tmp_path: Path) -> None:
    (tmp_path / "rtl").mkdir()
    assert member(tmp_path, "rtl/phy_pkg.sv", LIST) == tmp_path / "rtl" / "phy_pkg.sv"
    (tmp_path / "rtl" / "a.sv").symlink_to("/etc/passwd")
    (tmp_path / "other").symlink_to(tmp_path / "rtl")
    for name in ("rtl/a.sv", "other/b.sv"):
        with pytest.raises(ConfigError, match="a symbolic link"):
            member(tmp_path, name, LIST)


def test_a_folder_of_another_user_is_begun_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    (folder / "library.so").write_text("")
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    assert "belongs to user" in foreign(folder)
    assert renewed_folder(folder)
    assert not (folder / "library.so").exists()


def test_a_folder_that_others_made_is_begun_anew(tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    assert not renewed_folder(folder)
    (folder / "file").write_text("")
    assert not renewed_folder(folder)
    assert (folder / "file").exists()
    folder.chmod(0o777)
    assert renewed_folder(folder)
    assert not (folder / "file").exists()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").write_text("")
    folder.rmdir()
    folder.symlink_to(elsewhere)
    assert renewed_folder(folder)
    assert not folder.is_symlink()
    assert (elsewhere / "file").exists()
    with pytest.raises(StorageError, match="cannot be written"):
        renewed_folder(elsewhere / "file" / "below")

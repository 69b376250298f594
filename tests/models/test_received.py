# SPDX-License-Identifier: Apache-2.0
"""What a received folder names lies in it, and no link in it is followed."""

from __future__ import annotations

from pathlib import Path

import pytest

from models.errors import ConfigError
from models.received import (
    file_name,
    identifier,
    inside,
    odd_character,
    plain,
    refuse_links,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a file, a folder, and links that lead out of it."""
    place = tmp_path / "received"
    (place / "sub").mkdir(parents=True)
    (place / "a.json").write_text("{}")
    (place / "sub" / "b.txt").write_text("b")
    (tmp_path / "secret").write_text("secret")
    (place / "link").symlink_to(tmp_path / "secret")
    (place / "up").symlink_to(tmp_path)
    (place / "broken").symlink_to(tmp_path / "absent")
    return place


@pytest.mark.parametrize("name", ["a.json", "sub/b.txt", "new", "sub"])
def test_what_lies_inside_is_found(folder: Path, name: str) -> None:
    assert inside(folder, name) == folder / name
    assert plain(folder, [name])


@pytest.mark.parametrize(
    "name",
    ["", "/etc/passwd", "../secret", "sub/../../secret", ".", "sub/", "a\0b", "a b", "a;b", "$(x)",
     "-rf", "a\n", "\u0391", 7, None, ["a.json"]],
)  # fmt: skip
def test_what_does_not_is_refused(folder: Path, name: object) -> None:
    with pytest.raises(ConfigError, match="must be a plain name below"):
        inside(folder, name)
    assert not plain(folder, [name])


@pytest.mark.parametrize("name", ["link", "up/secret", "broken"])
def test_links_are_not_followed(folder: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="a symbolic link"):
        inside(folder, name)
    with pytest.raises(ConfigError, match=f"received/{Path(name).parts[0]}: a symbolic link"):
        refuse_links(folder, ["a.json", name])
    assert not plain(folder, [name])


def test_links_deep_in_a_folder_are_seen(folder: Path) -> None:
    assert plain(folder, ["sub"])
    (folder / "sub" / "deep").mkdir()
    (folder / "sub" / "deep" / "link").symlink_to("/etc")
    assert not plain(folder, ["sub"])


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").symlink_to(folder)
    assert inside(tmp_path / "mine", "a.json").read_text() == "{}"


def test_identifiers_are_matched_whole() -> None:
    assert identifier("net_top", "x") == "net_top"
    for name in ("net top", "net;", "net\n", "1net", "", "-net", "é", 3, None, "n" * 201):
        with pytest.raises(ConfigError, match=r"x: .* is no name"):
            identifier(name, "x")


@pytest.mark.parametrize("name", ["top.sv", "phy_pkg.sv", "a-b+c.dat"])
def test_file_names_are_taken(name: str) -> None:
    assert file_name(name, "x") == name
    assert odd_character(f"/tmp/{name}") is None


@pytest.mark.parametrize(
    "name", ["a b.sv", "a;b.sv", "a\n.sv", "[exec x].sv", "$x.sv", "`x`", "a\0"]
)
def test_file_names_that_scripts_would_read_are_not(name: str) -> None:
    with pytest.raises(ConfigError, match="scripts of tools take"):
        file_name(name, "x")
    assert odd_character(f"/tmp/{name}") is not None

# SPDX-License-Identifier: Apache-2.0
"""Folders received from others: what they name lies in them, and no link in them is followed.

A link in a received folder may lead to any file of the reader's machine; followed, its content
would end in what is built and published. A path that the user names may be a link: it is the
user's. Imports nothing heavy: every package may use it.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from models.errors import ConfigError
from models.folders import IDENTIFIER, member

BUILD_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
PART = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.+-]*")
"""A part of a path: nothing that a script of a tool would read as anything but a name."""
IN_SCRIPTS = re.compile(r"[\s\x00-\x1f\x7f;$`&|<>(){}*?#!'\"\\\[\]]")
"""What scripts of tools (Tcl, shell, Yosys) read as more than a part of a name."""


def inside(folder: Path, name: object) -> Path:
    """The place of ``name``, a path relative to a received folder, see `models.folders.member`.

    Raises:
        ConfigError: it is no such path, leads out of the folder, or a part of it is a link.
    """
    return member(folder, name, folder)


def identifier(name: object, source: str) -> str:
    """A name that goes into scripts of tools and into RTL: letters, digits and _, whole.

    Raises:
        ConfigError: ``source`` gives another.
    """
    if isinstance(name, str) and len(name) <= 200 and IDENTIFIER.fullmatch(name):
        return name
    raise ConfigError(
        f"{source}: {name!r} is no name: letters, digits and _, no digit in front",
        hint="make the folder again",
    )


def file_name(name: str, source: str) -> str:
    """The name of a file, without folders, that goes into scripts of tools.

    Raises:
        ConfigError: ``source`` has one that is not of letters, digits and _.+-.
    """
    if PART.fullmatch(name):
        return name
    raise ConfigError(
        f"{source}: a file {name!r}: scripts of tools take letters, digits and _.+- in names",
        hint="rename the file",
    )


def odd_character(path: object) -> str | None:
    """The first character of a path that no script of a tool may meet, or None."""
    found = IN_SCRIPTS.search(str(path))
    return found[0] if found is not None else None


def control_character(text: str, allowed: str = "") -> str | None:
    """The first character that no name has: a control, or half of one (undecodable bytes)."""
    odd = (c for c in text if c not in allowed and unicodedata.category(c) in ("Cc", "Cs"))
    return next(odd, None)


def refuse_links(folder: Path, names: Iterable[str]) -> None:
    """Raise ConfigError if one of the files ``names`` in ``folder`` is a link."""
    for name in names:
        inside(folder, name)


def plain(folder: Path, names: Iterable[object]) -> bool:
    """True if all of ``names`` lie in ``folder`` and neither they nor what is below are links."""
    try:
        places = [inside(folder, name) for name in names]
    except ConfigError:
        return False
    return not any(_has_link(place) for place in places)


def _has_link(place: Path) -> bool:
    return any(
        Path(root, name).is_symlink()
        for root, folders, files in os.walk(place)
        for name in (*folders, *files)
    )

# SPDX-License-Identifier: Apache-2.0
"""Whom a folder belongs to, and which names may be looked up in it.

What lies in a folder that others can write is not taken for the user's own work; a list of names
that came with a folder names files of that folder and no others. Imports nothing heavy.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from models.errors import ConfigError, StorageError

OTHERS_WRITE = 0o022
OTHERS_ANY = 0o077
WORLD_WRITE = 0o002
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PLAIN_PATH = re.compile(r"[A-Za-z0-9_.+/-]+")
USUAL_SCRATCH = (Path("/tmp"), Path("/var/tmp"))  # noqa: S108 (made by mkdtemp, as its default)
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")


def foreign(path: Path, *, forbidden: int = OTHERS_WRITE, links: bool = False) -> str:
    """Why ``path`` is not taken for the user's own; empty if it is.

    forbidden: bits of the mode that must not be set. links: a symbolic link is followed.
    Raises OSError if there is no such file.
    """
    info = path.stat() if links else path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return "it is a symbolic link"
    if info.st_uid != os.getuid():
        return f"it belongs to user {info.st_uid}, this is user {os.getuid()}"
    mode = stat.S_IMODE(info.st_mode)
    if mode & forbidden:
        return f"others may write or enter it (mode {mode:04o}, must not have {forbidden:04o})"
    return ""


def own_folder(path: Path) -> Path:
    """The folder at ``path``, made if it is missing: the user's own, writable by nobody else.

    One that only a group can write is closed to it. A symbolic link is followed: who sets one in a
    place that the user chose is the user.

    Raises:
        StorageError: it belongs to somebody else, everybody can write it, or it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        problem = foreign(path, forbidden=WORLD_WRITE, links=True)
        if not problem and foreign(path, links=True):
            path.chmod(stat.S_IMODE(path.stat().st_mode) & ~OTHERS_WRITE)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({error.strerror})",
            hint="set PHYFOLD_CACHE_DIR to a folder of your own",
        ) from error
    if problem:
        raise StorageError(
            f"{path}: {problem}; what phyfold runs must lie in a folder of your own",
            hint=f"chown and chmod 700 {path} if all in it is yours, or set PHYFOLD_CACHE_DIR to "
            "another folder",
        )
    return path


def renewed_folder(path: Path, *, forbidden: int = OTHERS_WRITE) -> bool:
    """Make the folder at ``path`` the user's own; True if something foreign had to go first.

    For folders whose content can be made again: what is there and not the user's own is removed.

    Raises:
        StorageError: it cannot be removed or made.
    """
    problem = ""
    try:
        if os.path.lexists(path):
            problem = foreign(path, forbidden=forbidden) or ("" if path.is_dir() else "a file")
        if problem:
            if path.is_symlink() or not path.is_dir():
                path.unlink()
            else:
                shutil.rmtree(path)
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~forbidden)
    except OSError as error:
        raise StorageError(
            f"{path}: cannot be written ({problem or error.strerror}); what phyfold runs must lie "
            "in a folder of your own",
            hint=f"remove {path}, or choose another --out",
        ) from error
    return bool(problem)


@contextlib.contextmanager
def plain_scratch() -> Iterator[Path]:
    """A temporary folder whose path is only letters, digits and ``_ . + - /``; removed at the end.

    For programs that read more into a path, like spaces and quotes. It lies in the folder of
    temporary files; where that has another name, in a usual one of the system.

    Raises:
        StorageError: none of them can be written.
    """
    usual = Path(tempfile.gettempdir())
    places = [place for place in (usual, *USUAL_SCRATCH) if PLAIN_PATH.fullmatch(str(place))]
    scratch = None
    for place in places:
        with contextlib.suppress(OSError):
            scratch = Path(tempfile.mkdtemp(prefix="phyfold-", dir=place))
            break
    if scratch is None:
        raise StorageError(
            f"no folder for temporary files: {usual} must be writable, with a path of letters, "
            "digits and _ . + - / only",
            hint="set TMPDIR to such a folder",
        )
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def member(folder: Path, name: object, listed_in: Path) -> Path:
    """The file ``name`` of ``folder``, which ``listed_in`` lists.

    name: relative, of plain parts (letters, digits, ``_ . + -``), none of them ``..``, none of
    them a symbolic link.

    Raises:
        ConfigError: it names anything else.
    """
    hint = f"a list that came with a folder names files in that folder: make {folder} again"
    parts = name.split("/") if isinstance(name, str) else []
    if not parts or not all(PLAIN_NAME.fullmatch(part) for part in parts):
        raise ConfigError(
            f"{listed_in}: {name!r} must be a plain name below {folder}, not absolute, without "
            "'..' and without special characters",
            hint=hint,
        )
    path = folder
    for part in parts:
        path /= part
        if path.is_symlink():
            raise ConfigError(
                f"{path}: a symbolic link; {listed_in.name} may name files of its own folder only",
                hint=hint,
            )
    return path

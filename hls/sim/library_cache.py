# SPDX-License-Identifier: Apache-2.0
"""Which simulation libraries may be loaded: those that this user's own builds made.

Loading a library runs it. A build's folder may come from anywhere, or be damaged, and whoever hands
it over could hand over any record in it too. So the record lies elsewhere: `cache_dir` holds, for
every library built, the SHA-256 of its content and the key of what it was built from. A library
that is not recorded counts as absent, and is built again.
"""

from __future__ import annotations

import atexit
import ctypes
import hashlib
import logging
import os
import shutil
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

from models.errors import StorageError, ToolError
from models.files import write_atomic
from models.folders import OTHERS_ANY, OTHERS_WRITE, foreign, own_folder, renewed_folder

log = logging.getLogger(__name__)

RECORDS = "libraries"
KEY_DIGITS = 16
_said: set[str] = set()


def say_once(message: str) -> None:
    """A warning, the first time that this process has it."""
    if message not in _said:
        _said.add(message)
        log.warning("%s", message)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record_library(library: Path, key: str) -> None:
    """Remember that this user built ``library`` from what ``key`` stands for.

    Raises:
        StorageError: the file system does not keep it the user's own.
    """
    library.chmod(stat.S_IMODE(library.stat().st_mode) & ~OTHERS_WRITE)
    problem = _problem(library)
    if problem:
        raise StorageError(
            f"{library}: {problem}, and the file system does not let that be changed; what phyfold "
            "runs must be your own",
            hint="choose an --out on a file system that keeps owner and mode",
        )
    name = f"{file_digest(library)}.{_short(key)}"
    write_atomic(_records() / name, f"{library.resolve()}\n")


def is_recorded(library: Path, key: str) -> bool:
    """True if ``library`` is what this user built from what ``key`` stands for."""
    if _problem(library):
        return False
    return (_records() / f"{file_digest(library)}.{_short(key)}").is_file()


def trusted_digest(library: Path) -> str:
    """SHA-256 of a library that this user built.

    Raises:
        ToolError: it is not one.
    """
    try:
        problem = _problem(library)
        digest = "" if problem else file_digest(library)
    except OSError as error:
        raise ToolError(
            f"{library} cannot be read ({error.strerror})", hint="build it again"
        ) from error
    if not problem and not next(_records().glob(f"{digest}.*"), None):
        problem = "no build of yours made it, or it was damaged or changed since"
    if problem:
        raise ToolError(
            f"{library} is no simulation library of ours and is not loaded: {problem}",
            hint="delete it and run the same command again: it is built anew",
        )
    return digest


def load_library(library: Path, digest: str = "") -> ctypes.CDLL:
    """Load a library, after a look at its content.

    digest: what its SHA-256 must be; by default one that is recorded.

    Raises:
        ToolError: it is not that library, or cannot be loaded.
    """
    if not digest:
        trusted_digest(library)
    elif not library.is_file() or _problem(library) or file_digest(library) != digest:
        raise ToolError(
            f"{library} has changed since the simulation began and is not loaded",
            hint="run the same command again: it is built anew",
        )
    try:
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise ToolError(
            f"{library} cannot be loaded ({error})", hint="delete its folder and build again"
        ) from error


def copy_library(library: Path, target: Path) -> None:
    """Copy a recorded library; ``target`` gets a file of its own, also while the old one runs."""
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    shutil.copyfile(library, part)
    part.chmod(0o700)
    part.replace(target)


def cache_dir() -> Path:
    """Folder for what all designs share: PHYFOLD_CACHE_DIR, else phyfold in the user's cache.

    It is the user's own. Where the home folder cannot be written it is one below the folder of
    temporary files.

    Raises:
        StorageError: the folder belongs to somebody else, or everybody can write it.
    """
    override = os.environ.get("PHYFOLD_CACHE_DIR")
    if override:
        return own_folder(Path(override))
    base = os.environ.get("XDG_CACHE_HOME")
    try:
        folder = (Path(base) if base else Path.home() / ".cache") / "phyfold"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    except (OSError, RuntimeError):  # RuntimeError: there is no home
        return _temporary_cache()
    return own_folder(folder)


def _temporary_cache() -> Path:
    """The user's folder below that of temporary files; a fresh one if that name is taken."""
    path = Path(tempfile.gettempdir()) / f"phyfold-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        problem = foreign(path) or ("" if path.is_dir() else "it is no folder")
        if not problem and foreign(path, forbidden=OTHERS_ANY):
            path.chmod(0o700)  # made by an earlier version: readable by others, never writable
    except OSError as error:
        problem = error.strerror or str(error)
    if not problem:
        return path
    fresh = _process_cache()
    say_once(
        f"{path} is not used as a cache: {problem}. Simulators of this run go to {fresh} and are "
        "removed at its end; set PHYFOLD_CACHE_DIR to keep them"
    )
    return fresh


@lru_cache(maxsize=1)
def _process_cache() -> Path:
    try:
        fresh = Path(tempfile.mkdtemp(prefix="phyfold-"))
    except OSError as error:
        raise StorageError(
            f"{tempfile.gettempdir()}: cannot be written ({error.strerror})",
            hint="set PHYFOLD_CACHE_DIR to a folder of your own",
        ) from error
    atexit.register(_drop, fresh)
    return fresh


def _drop(folder: Path) -> None:
    """Remove a folder of this process but for logs, which a message may have named."""
    logs = set(folder.glob("*.log"))
    if not logs:
        shutil.rmtree(folder, ignore_errors=True)
        return
    for path in set(folder.iterdir()) - logs:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _records() -> Path:
    """The folder of records; one that others could write to says nothing and is begun anew."""
    folder = cache_dir() / RECORDS
    if renewed_folder(folder):
        say_once(f"{folder} was open to others: its records are dropped, libraries are built again")
    if foreign(folder, forbidden=OTHERS_ANY):
        folder.chmod(0o700)
    return folder


def _short(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:KEY_DIGITS]


def _problem(library: Path) -> str:
    """Why a library is not loaded, whatever it holds; empty if nothing speaks against it."""
    problem = foreign(library)
    return problem or ("" if library.is_file() else "it is no file")

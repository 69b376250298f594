# SPDX-License-Identifier: Apache-2.0
"""Errors of the operating system in words, and what is looked at before any work begins.

A module that knows what it was doing says so itself. What nobody named ends here: one line with the
path and the system's reason, not a traceback. ``PHYFOLD_TRACEBACK=1`` shows the traceback instead.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fpga_builds.terminal import visible
from models.errors import ConfigError, PhyfoldError, StorageError, SystemTroubleError
from models.files import STORAGE_ERRNOS
from models.received import control_character

TRACEBACK = "PHYFOLD_TRACEBACK"
OF_PATHS = frozenset(
    (
        *(errno.ENAMETOOLONG, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR),
        *(errno.ELOOP, errno.EEXIST, errno.EILSEQ),
    )
)
"""Only a path of the user's leads to these, wherever they are met."""
FULL = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN))
"""The system has no more files, memory or processes for us."""


@contextlib.contextmanager
def explained(what: str = "a file") -> Iterator[None]:
    """Turns errors of the operating system into what the user can be told, see `system_error`."""
    try:
        yield
    except (OSError, MemoryError) as error:
        known = None if os.environ.get(TRACEBACK) else system_error(error, what)
        if known is None:
            raise
        raise known from error


def system_error(error: OSError | MemoryError, what: str = "a file") -> PhyfoldError | None:
    """One line for an error that nobody expected; None if nothing is known but that it happened.

    what: was used, where the error names no path.
    """
    if isinstance(error, MemoryError):
        return SystemTroubleError(
            f"not enough memory ({str(error) or 'none left'})",
            hint="fewer --jobs take less of it",
        )
    reason = error.strerror or str(error)
    place = shortened(visible(os.fsdecode(error.filename))) if _is_path(error.filename) else ""
    if error.errno in FULL:
        return SystemTroubleError(
            f"{place or 'the system'}: {reason}",
            hint="fewer --jobs take less; `ulimit -a` shows this shell's limits",
        )
    if error.errno in OF_PATHS and place:
        return ConfigError(f"{place}: {reason}", hint="give another path")
    if error.errno in STORAGE_ERRNOS:
        return StorageError(
            f"{place or what}: {reason}",
            hint="free some space or choose another --out, then run the same command: it resumes",
        )
    if not place:
        return None
    return SystemTroubleError(
        f"{place}: {reason}", hint=f"{TRACEBACK}=1 shows where phyfold met this"
    )


def _is_path(name: object) -> bool:
    return isinstance(name, str | bytes) and bool(name)


def check_words(words: Sequence[str]) -> None:
    """Refuse words that can be no name of a file, or that could not be written out again."""
    for word in words:
        if what := _oddity(word):
            raise ConfigError(
                f"{shortened(word)!r}: {what} in a word of the command line",
                hint="rename the file or folder that it stands for",
            )


def check_surroundings(environment: Mapping[str, str] = os.environ) -> None:
    """Refuse what no command can work with: a folder that is gone, or has no name in UTF-8.

    Raises:
        ConfigError: the working folder or a path in the environment is one.
    """
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise ConfigError(
            "the current folder does not exist any more: somebody removed it",
            hint="change into another folder (cd) and call phyfold again",
        ) from error
    if what := _oddity(here):
        raise ConfigError(
            f"{shortened(here)!r}: {what} in the name of the current folder",
            hint="rename it, or call phyfold in another",
        )
    cache = "XDG_CACHE_HOME" if environment.get("XDG_CACHE_HOME") else "HOME"
    names = [name for name in environment if name.startswith("PHYFOLD_")]
    names += ["TMPDIR", *([] if environment.get("PHYFOLD_CACHE_DIR") else [cache])]
    for name in names:
        value = environment.get(name, "")
        if what := _oddity(value):
            raise ConfigError(
                f"{name}={shortened(value)!r}: {what} in the environment",
                hint="set PHYFOLD_CACHE_DIR to another folder" if name == cache
                else f"set {name} to another path",
            )  # fmt: skip


def _oddity(text: str) -> str:
    """What makes a text no name of a file; empty if nothing does."""
    odd = control_character(text)
    if odd is None:
        return ""
    undecodable = "\ud800" <= odd <= "\udfff"
    return "bytes that are no UTF-8" if undecodable else f"the control character {odd!r}"


def shortened(text: str, most: int = 200) -> str:
    """The text, its middle left out where it is long."""
    return text if len(text) <= most else f"{text[: most // 2]}...{text[-most // 4 :]}"

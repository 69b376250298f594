# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all. Imports nothing heavy: every package may use it."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from models.errors import PhyfoldError, StorageError

STORAGE_ERRNOS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO}
)
HINT = "free some space or choose another --out, then run the same command: it resumes"


def storage_error(path: Path, error: OSError) -> StorageError:
    """The error that a user sees when ``path`` could not be written."""
    reason = "no space left" if error.errno == errno.ENOSPC else (error.strerror or str(error))
    return StorageError(
        f"{path}: could not be written ({reason}); what was there before is untouched", HINT
    )


@contextlib.contextmanager
def storage_guard(path: Path) -> Iterator[None]:
    """Turns a failing write below ``path`` into a `StorageError`; other errors pass."""
    try:
        yield
    except OSError as error:
        if error.errno not in STORAGE_ERRNOS:
            raise
        raise storage_error(Path(error.filename or path), error) from error


def keep_log(error: PhyfoldError, log: Path, kept: Path) -> None:
    """Copy a log out of a folder that is removed; ``error`` names the copy from then on."""
    try:
        shutil.copyfile(log, kept)
    except OSError:
        return
    error.message = error.message.replace(str(log), str(kept))
    error.hint = error.hint.replace(str(log), str(kept))


def write_atomic(path: Path, data: str | bytes) -> Path:
    """Write a file so that a kill or a full disk leaves the old one or the new one.

    Raises:
        StorageError: it could not be written; the old file is untouched.
    """
    body = data.encode() if isinstance(data, str) else data
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise storage_error(path, error) from error
    return path

# SPDX-License-Identifier: Apache-2.0
"""Files that are there whole or not at all, and hashes of what they hold."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fpga_builds.ownership import claim
from models.errors import ConfigError
from models.files import storage_guard, write_atomic
from models.limits import parse_json, read_text


def write_json(path: Path, body: Any) -> Path:
    """`write_atomic` of indented JSON; NaN and infinity are refused."""
    return write_atomic(path, json.dumps(body, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any | None:
    """The JSON of a file, or None if it is missing or damaged (as after a power cut)."""
    try:
        return parse_json(read_text(path))
    except (OSError, ValueError):
        return None


def replace_folder(new: Path, place: Path) -> None:
    """Put folder ``new`` at ``place``; what was there is removed only once ``new`` stands."""
    old = place.with_name(place.name + ".old")
    with storage_guard(place):
        shutil.rmtree(old, ignore_errors=True)
        if place.exists():
            place.rename(old)
        new.rename(place)
        shutil.rmtree(old, ignore_errors=True)


def hash_path(path: Path) -> str:
    """SHA-256 of a file, or of the names and contents below a folder."""
    digest = hashlib.sha256()
    if path.is_file():
        digest.update(path.read_bytes())
        return digest.hexdigest()
    if not path.is_dir():
        return "missing"
    for item in sorted(p for p in path.rglob("*") if p.is_file()):
        digest.update(os.fsencode(item.relative_to(path)) + b"\0")
        digest.update(hashlib.sha256(item.read_bytes()).digest())
    return digest.hexdigest()


def hash_json(body: Any) -> str:
    """SHA-256 of plain data, independent of key order."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, default=str).encode()).hexdigest()


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Holds a build's folder; a second phyfold in the same one is refused.

    Raises:
        ConfigError: another process works there, or it is somebody else's (`claim`).
    """
    claim(folder)
    with storage_guard(folder):
        handle = (folder / ".lock").open("a")
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConfigError(
                f"{folder}: another phyfold is at work in this folder",
                hint="wait for it, or choose another folder with --out",
            ) from error
        yield

# SPDX-License-Identifier: Apache-2.0
"""Records that are believed only whole, and only for what they belong to.

A sealed record is a JSON object with two fields more: ``belongs_to``, the key of all that its
content follows from, and ``sha256``, the hash of content and key together. A record whose hash is
wrong (a flipped bit, an edit) or that lies in another record's place is as if it were not there;
one warning says so. The seal finds accidents. It is no signature: who writes a record on purpose
can seal it too.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from models.files import write_atomic

log = logging.getLogger(__name__)

KEY, HASH = "belongs_to", "sha256"
_told: set[Path] = set()


def file_hash(path: Path) -> str:
    """SHA-256 of a file; "missing" if there is none."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return "missing"


def seal(body: Mapping[str, Any], belongs_to: str) -> dict[str, Any]:
    """``body`` with its two fields; plain JSON data without NaN."""
    plain = {**body, KEY: belongs_to}
    return {**plain, HASH: _digest(plain)}


def unseal(record: object, belongs_to: str | None = None) -> dict[str, Any] | None:
    """What was sealed; None if it was altered, or belongs to something else.

    belongs_to: None asks only whether the record is whole.
    """
    if not isinstance(record, dict) or belongs_to not in (None, record.get(KEY)):
        return None
    plain = {name: value for name, value in record.items() if name != HASH}
    if record.get(HASH) != _digest(plain):
        return None
    return {name: value for name, value in plain.items() if name != KEY}


def write_sealed(path: Path, body: Mapping[str, Any], belongs_to: str) -> Path:
    """Write ``body`` sealed, whole or not at all."""
    text = json.dumps(seal(body, belongs_to), indent=1, allow_nan=False)
    _told.discard(path)
    return write_atomic(path, text + "\n")


def read_sealed(path: Path, belongs_to: str | None = None) -> dict[str, Any] | None:
    """The content of a sealed file; None if it is missing, damaged or of something else."""
    try:
        text = path.read_bytes()
    except OSError:
        return None
    try:
        body = unseal(json.loads(text), belongs_to)
    except (ValueError, RecursionError):
        body = None
    if body is None:
        tell_unusable(path)
    return body


def seal_files(path: Path, body: Mapping[str, Any], belongs_to: str, files: Iterable[Path]) -> Path:
    """As `write_sealed`, for a record that is good only with files beside it as they are now."""
    hashes = {file.relative_to(path.parent).as_posix(): file_hash(file) for file in files}
    return write_sealed(path, {"record": dict(body), "files": hashes}, belongs_to)


def read_with_files(path: Path, belongs_to: str) -> dict[str, Any] | None:
    """The content of a file of `seal_files`, if it and all its files are as they were."""
    body = read_sealed(path, belongs_to)
    if body is None:
        return None
    for name, digest in body["files"].items():
        if file_hash(path.parent / name) != digest:
            tell_unusable(path.parent / name)
            return None
    record: dict[str, Any] = body["record"]
    return record


def tell_unusable(path: Path) -> None:
    """Warn, once for each file, that a record is not used."""
    if path not in _told:
        _told.add(path)
        log.warning("%s is damaged, edited or of something else: it is not used", path)


def _digest(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()

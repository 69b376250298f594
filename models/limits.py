# SPDX-License-Identifier: Apache-2.0
"""Files of others are read up to a stated size, and no array is made larger than its file says.

A few bytes can claim any size: the header of an array names its shape, an archive unpacks to a
thousand times itself. So the claim is compared, before any memory is taken for it, with the limit
and with what is really there. Imports nothing heavy: every package may use it.
"""

from __future__ import annotations

import codecs
import errno
import json
import math
import os
import stat
import tomllib
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from models.errors import LimitError

MIB, GIB = 1 << 20, 1 << 30
MODEL_BYTES = 2 * GIB - 1
"""An ONNX file with its external data: what protobuf can write in one piece."""
ARRAY_BYTES = 2 * GIB
"""All arrays taken from one .npz, .npy or .mat file, unpacked; COST2100's largest has 1.6 GB."""
PARAMETER_BYTES = GIB // 2
"""The integer arrays of an accelerator."""
TENSOR_BYTES = 2 * GIB
"""A safetensors file. Its header can claim no more than the file has: the library checks that."""
TEXT_BYTES = 64 * MIB
"""A JSON or TOML file."""

OTHER_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
"""Byte order marks of texts that are not UTF-8; the first two begin like the others."""

UNREADABLE = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error)
"""What reading an array raises for a file that is missing, truncated or of another kind."""


def read_bytes(path: Path, limit: int) -> bytes:
    """The content of a plain file of at most ``limit`` bytes.

    Raises:
        LimitError: it is larger, or no plain file (a device, a pipe).
        OSError: it cannot be read.
    """
    _check_plain(path, limit)
    return path.read_bytes()


def read_text(path: Path, limit: int = TEXT_BYTES) -> str:
    """The UTF-8 text of a plain file, as `read_bytes`; ValueError where it is none.

    A byte order mark in front, which editors of Windows write, is no part of the text.
    """
    data = read_bytes(path, limit)
    for mark, name in OTHER_MARKS:
        if data.startswith(mark):
            raise ValueError(f"the text is {name}, must be UTF-8: save it so in the editor")
    return data.decode("utf-8-sig")


def parse_json(text: str) -> Any:
    """`json.loads`, with ValueError for brackets nested deeper than Python can follow."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def parse_toml(text: str) -> dict[str, Any]:
    """`tomllib.loads`, with ValueError for brackets nested deeper than Python can follow."""
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error


def load_array(path: Path, limit: int = ARRAY_BYTES) -> npt.NDArray[Any]:
    """The array of a .npy file; nothing is unpickled.

    Raises:
        LimitError: it claims more than ``limit`` bytes.
        OSError, ValueError, EOFError: missing, truncated, of another kind, or with Python objects.
    """
    size = _check_plain(path, None)
    with path.open("rb") as file:
        _check_claim(str(path), _claimed(file, size), limit)
        file.seek(0)
        array: npt.NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
    return array


def load_arrays(
    path: Path, names: Iterable[str] | None = None, limit: int = ARRAY_BYTES
) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a .npz file by name, all or those of ``names``; nothing is unpickled.

    Raises:
        LimitError: they claim more than ``limit`` bytes, together or unpacked.
        OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error: see `UNREADABLE`.
    """
    _check_plain(path, None)
    with zipfile.ZipFile(path) as archive:
        there = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
        wanted = list(there) if names is None else list(names)
        total = 0
        for name in wanted:
            total += _member_claim(archive, there[name])
            _check_claim(str(path), total, limit)
        return {name: _member(archive, there[name]) for name in wanted}


def check_claim(what: str, shape: Iterable[int], item_bytes: int, limit: int = ARRAY_BYTES) -> None:
    """Raise LimitError if an array of this shape takes more than ``limit`` bytes."""
    _check_claim(what, math.prod(int(n) for n in shape) * item_bytes, limit)


def _check_claim(what: str, claimed: int, limit: int) -> None:
    if claimed > limit:
        raise LimitError(
            f"{what}: says that it holds {claimed:,} bytes; at most {limit:,} are read",
            hint="no file of this kind is that large: take it from where it was made",
        )


def _check_plain(path: Path, limit: int | None) -> int:
    """Size of a plain file [byte]; looked at before it is opened, as opening a pipe waits."""
    status = path.stat()
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise LimitError(f"{path}: no plain file (a device or a pipe)", hint="give a plain file")
    if limit is not None and status.st_size > limit:
        raise LimitError(
            f"{path}: has {status.st_size:,} bytes; at most {limit:,} are read",
            hint="no file of this kind is that large: take it from where it was made",
        )
    return status.st_size


def _claimed(file: IO[bytes], size: int) -> int:
    """Bytes that the header of a .npy file of ``size`` bytes asks for; ValueError if damaged."""
    version = np.lib.format.read_magic(file)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise ValueError(f"an array file of version {version}; 1.0 and 2.0 are read")
    shape, _order, dtype = readers[version](file)
    if any(n < 0 for n in shape):
        raise ValueError(f"an array of shape {shape}")
    if dtype.hasobject:
        raise ValueError("an array of Python objects, which are not read")
    claimed = math.prod(int(n) for n in shape) * dtype.itemsize
    # A claim above every limit is told as such; a smaller one has to be in the file.
    if file.tell() + claimed > size and claimed <= ARRAY_BYTES:
        raise ValueError(f"truncated: {claimed:,} bytes of data announced, the file has {size:,}")
    return claimed


def _member_claim(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    if info.flag_bits & 1 or info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename}: encrypted, or packed by an unknown method")
    with archive.open(info) as member:
        return _claimed(member, info.file_size)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    with archive.open(info) as member:
        array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array

# SPDX-License-Identifier: Apache-2.0
"""Whose a folder is: results are only written, and replaced, where phyfold made them.

A step's result replaces the folder of that step, and what lay in it is gone. ``--out`` can name any
folder of the user's, so a folder is claimed before anything is written to it: one that is new or
empty, or holds nothing by a name of ours, gets a mark. A folder from before there were marks is
known by the records in it. Anything else by a name of ours is somebody's, and stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from models.errors import ConfigError
from models.files import storage_guard
from models.limits import parse_json, read_text

MARK = ".phyfold"
TEXT = "Results of phyfold: its folders here are replaced when what they follow from changes.\n"
STEP_FOLDER = re.compile(r"[0-9]{2}-[a-z0-9._-]+")
FIRST_WRITE = re.compile(r"config\.json\.[0-9]+\.part")
CACHES = frozenset(
    ("amd", "baselines", "bitstream", "fifo_sizing", "netlist", "simulate", "train", "verilator")
)
TRAINING = ("training", "training-quick")
TRAINED = frozenset(("recipe.json", "state.safetensors"))
REPORT = ("report.json", "report.md", "report.html", "plots", "waveform", "waveform.fst")


def claim(folder: Path) -> None:
    """Make ``folder`` one of results: create and mark it, or see that it is one.

    Raises:
        ConfigError: something in it is not ours and would be replaced; nothing was changed.
        StorageError: it cannot be made.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder}: is a file, results go into a folder", hint=_WAY_OUT)
    with storage_guard(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name in _foreign(folder):
            raise ConfigError(
                f"{folder}: holds {name!r}, which phyfold did not make and would replace",
                hint=_WAY_OUT,
            )
        if not (folder / MARK).is_file():
            (folder / MARK).write_text(TEXT)


_WAY_OUT = "choose another folder with --out; nothing was changed here"


def _foreign(folder: Path) -> Iterator[str]:
    """Names of what is not ours though it has a name of ours."""
    names = sorted(path.name for path in folder.iterdir())
    steps = [name for name in names if STEP_FOLDER.fullmatch(name)]
    yield from (name for name in steps if not _is_step(folder / name))
    if steps or (folder / MARK).is_file() or _keys(folder / "report.json", "schema", "metrics"):
        return
    for name in names:
        inner = {item.name for item in _items(folder / name)}
        fine = {"cache": inner <= CACHES, **dict.fromkeys(REPORT, False)}
        fine |= dict.fromkeys(TRAINING, not inner or bool(inner & TRAINED))
        if not fine.get(name, True):
            yield name


def _is_step(place: Path) -> bool:
    """True for a step's folder, however far the step came before it was ended."""
    if place.is_symlink() or not place.is_dir():
        return False
    if _keys(place / "state.json", "schema", "step", "key"):
        return True
    if _keys(place / "config.json", "name", "network", "folding", "simulate"):
        return True
    # Ended within its first write: only the part of a file is there, or nothing.
    return all(FIRST_WRITE.fullmatch(item.name) for item in _items(place))


def _items(place: Path) -> list[Path]:
    return list(place.iterdir()) if place.is_dir() else [place]


def _keys(path: Path, *keys: str) -> bool:
    """True if a file is a JSON object with these keys."""
    try:
        body: Any = parse_json(read_text(path))
    except (OSError, ValueError):
        return False
    return isinstance(body, dict) and set(keys) <= set(body)

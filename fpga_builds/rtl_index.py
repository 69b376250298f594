# SPDX-License-Identifier: Apache-2.0
"""The RTL that the step hdl left, as ``rtl.json`` lists it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fpga_builds.storage import read_json
from models.errors import CheckError
from models.folders import IDENTIFIER, member


@dataclass(frozen=True)
class RtlFiles:
    """The RTL of a finished step: what the simulator is given."""

    top_name: str
    sources: tuple[Path, ...]
    data_files: tuple[Path, ...]


def load_rtl(index: Path) -> RtlFiles:
    """The RTL that ``rtl.json`` lists: files of its own folder.

    Raises:
        CheckError: it is damaged.
        ConfigError: it names a file elsewhere.
    """
    body = read_json(index)
    if not isinstance(body, dict):
        raise CheckError(f"{index}: not readable", hint="run `phyfold run` again")
    try:
        if set(body) != {"top_name", "sources", "data_files"}:
            raise KeyError(", ".join(sorted(body)))
        top, root = str(body["top_name"]), index.parent
        sources, data = (
            tuple(member(root, name, index) for name in body[key])
            for key in ("sources", "data_files")
        )
    except (KeyError, TypeError) as error:
        raise CheckError(
            f"{index}: no list of RTL ({error!r})", hint="run `phyfold run` again"
        ) from error
    if not IDENTIFIER.fullmatch(top):
        raise CheckError(f"{index}: top_name {top!r} is no name of a module")
    return RtlFiles(top, sources, data)

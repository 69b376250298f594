# SPDX-License-Identifier: Apache-2.0
"""The RTL that the step hdl left, as ``rtl.json`` lists it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fpga_builds.storage import read_json
from models.errors import CheckError


@dataclass(frozen=True)
class RtlFiles:
    """The RTL of a finished step: what the simulator is given."""

    top_name: str
    sources: tuple[Path, ...]
    data_files: tuple[Path, ...]


def load_rtl(index: Path) -> RtlFiles:
    """The RTL that ``rtl.json`` lists.

    Raises:
        CheckError: it cannot be read.
    """
    body = read_json(index)
    if not isinstance(body, dict):
        raise CheckError(f"{index}: not readable", hint="run `phyfold run` again")
    root = index.parent
    return RtlFiles(
        body["top_name"],
        tuple(root / path for path in body["sources"]),
        tuple(root / path for path in body["data_files"]),
    )

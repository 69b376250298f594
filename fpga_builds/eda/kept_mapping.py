# SPDX-License-Identifier: Apache-2.0
"""Where a synthesis that was broken off goes on: at its mapped cells.

On ECP5 parts the mapped design goes through a file anyway, between the two runs of Yosys. So that
file is kept until the netlist stands, and a later call goes on with it to the same netlist.

Nothing earlier is kept. Yosys can write the design between any two commands (``write_rtlil``), but
what it reads is ordered otherwise and named otherwise, and its mapping follows order and names:
``fullycon_w4a4`` gone on with before ``map_ffram`` on a ZU7EV got 860 LUT2 more and 427 LUT6 less.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from models.files import storage_guard
from models.sealed import read_with_files, seal_files

RECORD = "mapped-record.json"


class KeptMapping:
    """The mapped cells of one synthesis.

    Args:
        place: folder for them alone.
        key: of all that they follow from.
    """

    def __init__(self, place: Path, key: str) -> None:
        self._place, self._key = place, key
        self._folder = place / key[:16]
        self.kept = read_with_files(self._folder / RECORD, key) is not None
        """Whether there are any."""

    def __str__(self) -> str:
        """What there is to go on from, in words."""
        return f"the mapped cells of the synthesis in {self._folder}" if self.kept else ""

    def keep(self, mapped: Path) -> None:
        """Keep a copy of the file ``mapped``, in place of that of another design."""
        with storage_guard(self._place):
            shutil.rmtree(self._place, ignore_errors=True)
            self._folder.mkdir(parents=True)
            copy = Path(shutil.copyfile(mapped, self._folder / mapped.name))
        seal_files(self._folder / RECORD, {}, self._key, [copy])
        self.kept = True

    def bring(self, mapped: Path) -> None:
        """Copy what is kept to ``mapped``."""
        with storage_guard(mapped):
            shutil.copyfile(self._folder / mapped.name, mapped)

    def clear(self) -> None:
        """Nothing is needed any more."""
        self.kept = False
        shutil.rmtree(self._place, ignore_errors=True)

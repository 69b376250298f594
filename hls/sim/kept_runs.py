# SPDX-License-Identifier: Apache-2.0
"""What the trials of a search gave, kept, so that a search that was broken off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from models.sealed import read_sealed, write_sealed

Result = TypeVar("Result")
"""What a trial gave, as plain data."""
RUNS = "runs"


class KeptRuns:
    """Results of trials by what was tried; in a file, if there is one.

    Args:
        path: of the file, None: they are kept in memory alone.
        key: of all that the results follow from, besides what `get` is asked for.
        told: in words, what the search does.
    """

    def __init__(
        self,
        path: Path | None = None,
        key: str = "",
        told: Callable[[str], None] = lambda _what: None,
    ) -> None:
        self._path, self._key, self._told = path, key, told
        body = None if path is None else read_sealed(path, key)
        self._results: dict[str, Any] = dict(body[RUNS]) if body else {}
        self.builds = 0
        """Simulators that the search has built, or found built."""

    def __str__(self) -> str:
        """What there is to go on from."""
        counts = {"compiled simulators": self.builds, "trials": len(self._results)}
        said = ", ".join(f"{what}: {count}" for what, count in counts.items() if count)
        return f"of the FIFO search {said}" if said else ""

    def building(self, what: str) -> None:
        """A simulator is built now."""
        self._told(f"builds the simulator {what}")

    def get(self, question: list[Any], trial: Callable[[], Result]) -> Result:
        """The result for ``question`` (plain data): the kept one, else that of ``trial``."""
        name = json.dumps(question)
        if name not in self._results:
            self._told(f"trial {len(self._results) + 1}")
            self._results[name] = trial()
            if self._path is not None:
                write_sealed(self._path, {RUNS: self._results}, self._key)
        found: Result = self._results[name]
        return found

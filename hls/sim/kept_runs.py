# SPDX-License-Identifier: Apache-2.0
"""What the simulations of a search gave, kept, so that a search that was broken off goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models.sealed import read_sealed, write_sealed

Result = dict[str, Any] | None
"""What a simulation gave, as plain data; None: the accelerator stands still."""
RUNS = "runs"


class KeptRuns:
    """Results of simulations by what was simulated; in a file, if there is one.

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
        self._results: dict[str, Result] = dict(body[RUNS]) if body else {}
        self.builds = 0
        """Simulators that the search has built, or found built."""

    def __str__(self) -> str:
        """What there is to go on from."""
        simulations = f", simulations: {len(self._results)}" if self._results else ""
        said = f"compiled simulators of the FIFO search: {self.builds}{simulations}"
        return said if self.builds else ""

    def building(self, what: str) -> None:
        """A simulator is built now."""
        self._told(f"builds the simulator {what}")

    def get(self, question: list[Any], simulate: Callable[[], Result]) -> Result:
        """The result for ``question`` (plain data): the kept one, else that of ``simulate``."""
        name = json.dumps(question)
        if name not in self._results:
            self._told(f"simulation {len(self._results) + 1}")
            self._results[name] = simulate()
            if self._path is not None:
                write_sealed(self._path, {RUNS: self._results}, self._key)
        return self._results[name]

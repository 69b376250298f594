# SPDX-License-Identifier: Apache-2.0
"""`phyfold` with every file of the project that a step opens written down.

python audited_run.py LOG WORDS...     one JSON list [step, path] a line in LOG
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from fpga_builds.cli import app
from fpga_builds.flow import Flow
from fpga_builds.program_text import PACKAGES, ROOT
from fpga_builds.runner import execute

CACHED = ".cpython-"


def source_of(path: Path) -> Path:
    """The source of a compiled module; any other file is itself."""
    if path.parent.name != "__pycache__" or CACHED not in path.name:
        return path
    return path.parent.parent / f"{path.name.split(CACHED)[0]}.py"


def main() -> int:
    """Run the command with the hook."""
    log, *words = sys.argv[1:]
    seen: set[tuple[str, str]] = set()
    steps = [""]
    homes = tuple(str(ROOT / package) + "/" for package in PACKAGES)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        path = arguments[0] if event == "open" else None
        name = os.fspath(path) if isinstance(path, str | os.PathLike) else ""
        if steps[-1] and str(name).startswith(homes):
            seen.add((steps[-1], str(source_of(Path(str(name))))))

    work = Flow._work

    def watched(self: Flow, step: Any, *rest: Any) -> Any:
        steps.append(step.run.__module__)
        try:
            return work(self, step, *rest)
        finally:
            steps.pop()

    Flow._work = watched  # type: ignore[method-assign]
    sys.addaudithook(hook)
    code = execute(app, words)
    Path(log).write_text("".join(json.dumps(item) + "\n" for item in sorted(seen)))
    return code


if __name__ == "__main__":
    raise SystemExit(main())

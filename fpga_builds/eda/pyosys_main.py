# SPDX-License-Identifier: Apache-2.0
"""``python pyosys_main.py SCRIPT``: run the commands of a file in native Yosys, one per line.

Runs in a process of its own, since an error of Yosys ends the process, and imports nothing of
phyfold.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(script: str) -> None:
    """Run every line of ``script``; ends the process with code 1 at the first error."""
    from pyosys import libyosys

    design = libyosys.Design()
    for line in Path(script).read_text(encoding="utf-8").splitlines():
        libyosys.run_pass(line, design)
        libyosys.log_flush()


if __name__ == "__main__":
    main(sys.argv[1])

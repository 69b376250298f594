# SPDX-License-Identifier: Apache-2.0
"""``python pyosys_main.py SCRIPT LINK``: run a file's commands in native Yosys, one per line.

Runs in a process of its own, since an error of Yosys ends the process, and imports nothing of
phyfold. LINK leads to the folder of the package ``pyosys``: Yosys and the shell that it calls take
quotes and dollars in the package's own path for more than a path.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(script: str, link: str) -> None:
    """Run every line of ``script``; ends the process with code 1 at the first error."""
    import pyosys  # noqa: F401 (says where its files lie)

    for name, path in (("_pyosys_share_dirname", "share/"), ("_pyosys_abc", "yosys-abc")):
        if hasattr(sys, name):  # read when libyosys is loaded
            setattr(sys, name, f"{link}/{path}")
    from pyosys import libyosys

    design = libyosys.Design()
    for line in Path(script).read_text(encoding="utf-8").splitlines():
        libyosys.run_pass(line, design)
        libyosys.log_flush()


if __name__ == "__main__":
    main(*sys.argv[1:])

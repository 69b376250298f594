# SPDX-License-Identifier: Apache-2.0
"""A shared library that leaves a trace when it is loaded: what must never happen to it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hls.sim import tools


def canary(library: Path, trace: Path) -> Path:
    """Compile a library whose constructor writes ``trace``; returns ``library``."""
    source = library.with_suffix(".c")
    source.write_text(
        "#include <stdio.h>\n"
        "__attribute__((constructor)) static void sing(void) {\n"
        f'  FILE *f = fopen("{trace}", "w"); if (f) {{ fputs("loaded", f); fclose(f); }}\n'
        "}\n"
    )
    compiler = tools.find_tool("g++")
    subprocess.run(
        [compiler, "-x", "c", "-shared", "-fPIC", "-o", library, source],
        check=True,
        capture_output=True,
    )
    source.unlink()
    return library

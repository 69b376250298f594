# SPDX-License-Identifier: Apache-2.0
"""Versions of what a result was made with."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
from collections.abc import Iterable

from models.errors import ToolMissingError

TIMEOUT_S = 15.0


def package_version(name: str) -> str | None:
    """Version of an installed Python distribution, without its build tag; None if missing."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def package_versions(names: Iterable[str]) -> dict[str, str | None]:
    """Versions of several distributions."""
    return {name: package_version(name) for name in names}


def tool_versions(packages: Iterable[str], *, compiler: bool = False) -> dict[str, str | None]:
    """Python, phyfold, the distributions named and, where it matters, the C++ compiler."""
    versions: dict[str, str | None] = {
        "python": platform.python_version(),
        "phyfold": package_version("phyfold"),
        **package_versions(packages),
    }
    if compiler:
        from hls.sim.tools import find_tool

        try:
            versions["g++"] = program_version(str(find_tool("g++")))
        except ToolMissingError:
            versions["g++"] = None
    return versions


def program_version(path: str) -> str:
    """The number in what ``path --version`` prints; empty if there is none."""
    try:
        done = subprocess.run(
            [path, "--version"],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    text = done.stdout or done.stderr
    version = re.search(r"v?(\d+(?:\.\d+)+)", text)
    return version.group(1) if version else ""

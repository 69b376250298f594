# SPDX-License-Identifier: Apache-2.0
"""Versions of what a result was made with."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Iterable


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
        from hls.sim import tools

        versions["g++"] = tools.tool_versions().get("g++")
    return versions

# SPDX-License-Identifier: Apache-2.0
"""The program text that a result follows from, found through imports, not listed by hand.

The text of a module is its file, every module of this project that it imports, directly or not,
inside functions too, and the resources that these modules name: a file (``harness.cpp``) or a
folder (``rtl``) of program text whose name is a string in the module and that lies beside or above
it; a data file (``data/x.npz``) if its folders are named too.
An import under ``if TYPE_CHECKING`` is left out: it changes no result. A module that is named in a
string (code for another process, a registry of FINN) counts as imported.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKAGES = ("models", "quant", "hls", "fpga_builds")
ROOT = Path(__file__).parent.parent
TEXT_SUFFIXES = frozenset({".py", ".sv", ".svh", ".v", ".cpp", ".h", ".j2", ".vlt"})
"""Of program text."""
LONGEST_PATH = 200
"""A longer string is no name of a resource."""
NAMED_MODULE = re.compile(rf"\b(?:{'|'.join(PACKAGES)})(?:\.\w+)+")


@dataclass(frozen=True)
class _Parsed:
    """What a file of Python says: dotted names it may import, and its strings."""

    imports: tuple[str, ...]
    words: frozenset[str]


@dataclass(frozen=True)
class _Resource:
    """A file that a module may read; ``folders``: names of those between the two."""

    path: Path
    folders: frozenset[str]

    def named_by(self, words: frozenset[str]) -> bool:
        """Whether a module with these strings names it."""
        name = self.path.name
        if self.path.suffix in TEXT_SUFFIXES:
            named = name in words or name.removesuffix(".j2") in words
            return named or not words.isdisjoint(self.folders)
        return name in words and words.issuperset(self.folders)


class ProgramText:
    """The project's files below ``root`` and how they hang together."""

    def __init__(self, root: Path = ROOT) -> None:
        self.root = root
        self._files: dict[str, frozenset[Path]] = {}
        self._hashes: dict[Path, str] = {}
        self._parsed: dict[Path, _Parsed] = {}
        self._listed: dict[Path, tuple[_Resource, ...]] = {}
        self._modules: dict[str, Path | None] = {}

    def of(self, module: str) -> Mapping[str, str]:
        """SHA-256 of every file that what ``module`` computes follows from, by relative path.

        Code without a file (typed at a prompt) has another hash in every process: what it computed
        is never taken for up to date.
        """
        found = sorted(self.files(module))
        if not found:
            return {module: f"without a file, process {os.getpid()} at {time.time_ns()}"}
        return {self._shown(path): self._hash(path) for path in found}

    def without(self, path: Path) -> ProgramText:
        """The same files, as read so far, but ``path``, which is read again."""
        other = ProgramText(self.root)
        other._parsed = {place: value for place, value in self._parsed.items() if place != path}
        other._hashes = {place: value for place, value in self._hashes.items() if place != path}
        other._listed, other._modules = self._listed, self._modules
        return other

    def files(self, module: str) -> frozenset[Path]:
        """The files themselves; none for a module that is in no file."""
        if module not in self._files:
            self._files[module] = frozenset(self._reach(self._start(module)))
        return self._files[module]

    def module_file(self, dotted: str) -> Path | None:
        """The file of a module or package of this project; None for anything else."""
        if dotted not in self._modules:
            path = self.root.joinpath(*dotted.split("."))
            own = dotted.split(".", maxsplit=1)[0] in PACKAGES
            places = (path.with_suffix(".py"), path / "__init__.py") if own else ()
            self._modules[dotted] = next((place for place in places if place.is_file()), None)
        return self._modules[dotted]

    def _start(self, module: str) -> list[Path]:
        """Files of a module of this project and of its packages, or of somebody else's module."""
        if self.module_file(module) is not None:
            return list(self._with_packages(module))
        loaded = getattr(sys.modules.get(module), "__file__", None)
        return [Path(loaded)] if loaded is not None else []

    def _reach(self, start: Iterable[Path]) -> set[Path]:
        seen: set[Path] = set()
        pending = list(start)
        while pending:
            path = pending.pop()
            if path in seen:
                continue
            seen.add(path)
            if path.suffix == ".py":
                pending += self._imported(path)
                pending += self._named(path)
        return seen

    def _imported(self, path: Path) -> Iterator[Path]:
        """Files of the modules that a file imports, and of the packages that these lie in."""
        for dotted in self._parse(path).imports:
            yield from self._with_packages(dotted)

    def _with_packages(self, dotted: str) -> Iterator[Path]:
        parts = dotted.split(".")
        names = (".".join(parts[:length]) for length in range(1, len(parts) + 1))
        yield from (file for file in map(self.module_file, names) if file is not None)

    def _named(self, path: Path) -> Iterator[Path]:
        """Resources that a file of this project names."""
        words = self._parse(path).words
        folder = path.parent
        while folder != self.root and folder.is_relative_to(self.root):
            for item in self._resources(folder):
                if item.named_by(words):
                    yield item.path
            folder = folder.parent

    def _resources(self, folder: Path) -> tuple[_Resource, ...]:
        """Files in ``folder`` and below it, without packages and caches."""
        if folder not in self._listed:
            files = (path for path in _files(folder) if path.name != "__init__.py")
            self._listed[folder] = tuple(
                _Resource(path, frozenset(path.relative_to(folder).parts[:-1])) for path in files
            )
        return self._listed[folder]

    def _parse(self, path: Path) -> _Parsed:
        if path not in self._parsed:
            package = self._package(path)
            self._parsed[path] = _parse(path.read_text(encoding="utf-8"), package)
        return self._parsed[path]

    def _package(self, path: Path) -> str:
        """The package that relative imports of a file start from."""
        inside = path.is_relative_to(self.root)
        return ".".join(path.relative_to(self.root).parent.parts) if inside else ""

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = hashlib.sha256(path.read_bytes()).hexdigest()
        return self._hashes[path]

    def _shown(self, path: Path) -> str:
        inside = path.is_relative_to(self.root)
        return path.relative_to(self.root).as_posix() if inside else path.name


@lru_cache(maxsize=1)
def program_text() -> ProgramText:
    """The text of the running program, read once a process."""
    return ProgramText()


def _files(folder: Path) -> Iterator[Path]:
    """Files in ``folder`` and below it, but in packages and caches."""
    for item in sorted(folder.iterdir()):
        if item.is_file():
            yield item
        elif item.is_dir() and item.name != "__pycache__" and not (item / "__init__.py").is_file():
            yield from _files(item)


def _parse(text: str, package: str) -> _Parsed:
    imports: list[str] = []
    words: set[str] = set()
    for found in _imports_and_strings(ast.parse(text)):
        if isinstance(found, ast.Import):
            imports += [alias.name for alias in found.names]
        elif isinstance(found, ast.ImportFrom):
            imports += _from(found, package)
        else:
            imports += NAMED_MODULE.findall(found)
            words.update(found.split("/") if len(found) <= LONGEST_PATH else ())
    return _Parsed(tuple(dict.fromkeys(imports)), frozenset(words))


def _imports_and_strings(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom | str]:
    """What counts in a file, without docstrings and what is imported for types alone.

    One pass without the generality of `ast.walk`: this runs at every command.
    """
    pending: list[object] = [tree]
    while pending:
        node = pending.pop()
        if isinstance(node, list):
            pending += node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.Constant):
            if isinstance(node.value, str):
                yield node.value
        elif isinstance(node, ast.AST) and not isinstance(node, ast.Name):
            pending += _parts(node)


def _parts(node: ast.AST) -> list[object]:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return []  # a docstring
    if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
        return list(node.orelse)
    return list(vars(node).values())


def _from(node: ast.ImportFrom, package: str) -> list[str]:
    """``from a import b``: b may be a module of package a."""
    base = node.module or ""
    if node.level:
        parts = package.split(".")
        base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
    return [base, *(f"{base}.{alias.name}" for alias in node.names)]

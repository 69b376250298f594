# SPDX-License-Identifier: Apache-2.0
"""Free text in Markdown: names, descriptions and messages of others are shown, never obeyed.

A report is read on web pages that make links, pictures and HTML of what they find in it, and one
pipe shifts all columns of a table. So every text is escaped but what the program itself writes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from markupsafe import Markup

from fpga_builds.terminal import visible

SPECIAL = re.compile(r"[\\`*<>\[\]|&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
LINK = re.compile(r":(?=//)|(?<=\bwww)\.|(?<=\bmailto):", re.IGNORECASE)
START = re.compile(r"#|[-+=](?=[-+=\s]|$)")
NUMBERED = re.compile(r"(\d+)([.)])(?=\s|$)")
MISSING = "-"
"""What stands for a missing number in a cell of a table; readable as it is."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]+")


def markdown_text(text: str) -> str:
    """Text as it stands, on one line, wherever in a Markdown file it is put."""
    line = " ".join(visible(" ".join(text.split())).split())
    if line == MISSING:
        return line
    line = LINK.sub(lambda match: "\\" + match[0], SPECIAL.sub(lambda match: "\\" + match[0], line))
    line = NUMBERED.sub(r"\1\\\2", line) if NUMBERED.match(line) else line
    return "\\" + line if START.match(line) else line


def markdown_code(name: str) -> str:
    """A name in the type of programs; one that would end it early is escaped instead."""
    return f"`{name}`" if PLAIN_NAME.fullmatch(name) else markdown_text(name)


def markdown_row(cells: Sequence[str]) -> str:
    """A line of a Markdown table; the cells are Markdown already."""
    return "| " + " | ".join(cells) + " |"


def escaped(value: object) -> object:
    """What a template of Markdown prints of a value: text is escaped unless it is `as_markdown`."""
    return (
        markdown_text(value) if isinstance(value, str) and not hasattr(value, "__html__") else value
    )


def as_markdown(text: str) -> Markup:
    """Text of the program's own, which is Markdown."""
    return Markup(text)  # noqa: S704 (a mark that this text is written by the program)

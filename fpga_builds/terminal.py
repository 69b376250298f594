# SPDX-License-Identifier: Apache-2.0
"""Text on a terminal is shown as it is: names and messages of others are no commands to it.

A folder may be called ``o[/red]``, a node of a network may have an escape sequence in its name. So
nothing here understands rich's markup, style is given beside the text (`styled`), and characters
that a terminal would obey are shown as their escapes.
"""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

Part = str | tuple[str, str]
"""Text, or (text, style)."""


def visible(text: str) -> str:
    r"""The text with what cannot be seen written out (``\x1b``), but for line ends and tabs."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" else ascii(c)[1:-1] for c in text)


def styled(*parts: Part) -> Text:
    """Pieces of text, some of them with a style; none is read as markup."""
    pairs = (part if isinstance(part, tuple) else (part, "") for part in parts)
    return Text.assemble(*((visible(text), style) for text, style in pairs))


class Terminal(Console):
    """A console that shows every text as it is."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"highlight": False, "markup": False, "emoji": False, **options})

    def on_broken_pipe(self) -> None:
        """Whoever read the output has ended: `fpga_builds.runner` ends quietly too."""
        raise BrokenPipeError

    def render_str(self, text: str, **options: Any) -> Text:
        """What rich makes of each text that it is given, in tables too."""
        return super().render_str(visible(text), **options)

# SPDX-License-Identifier: Apache-2.0
"""Command line words made regular before typer sees them: lists of numbers after one option."""

from __future__ import annotations

import re
from collections.abc import Sequence

from models.errors import ConfigError

LIST_OPTIONS = ("--snr-db",)
_NUMBERS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?(,[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?)*,?")


def spread_lists(words: Sequence[str]) -> list[str]:
    """``--snr-db 8 9,10`` and ``--snr-db=8,9`` as ``--snr-db 8 --snr-db 9 --snr-db 10``.

    Only words that are numbers belong to the list, so a build's name may follow it.
    """
    result: list[str] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        name, _, attached = word.partition("=")
        if word == "--" or name not in LIST_OPTIONS:
            result.append(word)
            if word == "--":
                return [*result, *words[index:]]
            continue
        values = [attached] if attached else []
        while index < len(words) and _NUMBERS.fullmatch(words[index]):
            values.append(words[index])
            index += 1
        numbers = [number for value in values for number in value.split(",") if number]
        if not numbers:  # typer reports the missing or malformed value
            result.append(word)
        for number in numbers:
            result += [name, number]
    return result


def refuse_unused(why: str, **options: object) -> None:
    """Refuse options that were given and would be ignored; None means not given.

    Raises:
        ConfigError: names them and why.
    """
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is not None]
    if given:
        verb = "means" if len(given) == 1 else "mean"
        raise ConfigError(f"{' and '.join(given)} {verb} nothing here: {why}", hint="leave it out")


def frame_range(text: str) -> range:
    """``A:B`` (A included, B not) or ``A`` as a range of frame numbers.

    Raises:
        ValueError: it is neither.
    """
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    if match is None:
        raise ValueError(f"{text!r}: must be a frame number, or FIRST:LAST+1 as in 0:4")
    first = int(match.group(1))
    end = int(match.group(2)) if match.group(2) else first + 1
    if end <= first:
        raise ValueError(f"{text!r}: the second number must be larger than the first")
    return range(first, end)

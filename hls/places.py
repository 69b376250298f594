# SPDX-License-Identifier: Apache-2.0
"""Where the items of a protobuf field are, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

NEAR = tuple(sign * step for step in range(1, 9) for sign in (1, -1))


class Places:
    """Where the items of a repeated field are, by name. Places are checked at every look-up."""

    def __init__(self, names: Callable[[Any], Iterable[str]], *, appended: bool) -> None:
        """appended: new items are put behind the others."""
        self.names, self.appended = names, appended
        self.at: dict[str, int] = {}
        self.known = 0
        self.last: Any = None

    def copy(self) -> Places:
        """Places of a copy of the graph."""
        twin = Places(self.names, appended=self.appended)
        twin.at, twin.known, twin.last = dict(self.at), self.known, self.last
        return twin

    def seen(self, items: Sequence[Any], name: str) -> Any:
        """The item of that name if it is where it was, or near; None says nothing."""
        place = self.at.get(name)
        if place is None:
            return None
        count = len(items)
        if place < count and name in self.names(items[place]):
            return items[place]
        for step in NEAR:
            if 0 <= place + step < count and name in self.names(items[place + step]):
                self.at[name] = place + step
                return items[place + step]
        return None

    def find(self, items: Sequence[Any], name: str) -> Any:
        """The item of that name, or None."""
        item = self.seen(items, name)
        if item is None and name in self.at:
            self.known = 0  # it went further than `NEAR`, or is gone: learn all anew
        if item is None and self._learn(items):
            place = self.at.get(name)
            item = None if place is None else items[place]
        return item

    def _learn(self, items: Sequence[Any]) -> bool:
        """Note where items are, only new ones if they were appended; False if none is new."""
        kept = self.appended and 0 < self.known <= len(items)
        if kept and tuple(self.names(items[self.known - 1])) == self.last:
            if self.known == len(items):
                return False
            new = [(n, i) for i in range(self.known, len(items)) for n in self.names(items[i])]
            self.at.update(new)
        else:
            self.at = {n: i for i, entry in enumerate(items) for n in self.names(entry)}
        self.known = len(items)
        self.last = tuple(self.names(items[-1])) if len(items) else None
        return True

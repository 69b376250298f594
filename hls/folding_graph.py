# SPDX-License-Identifier: Apache-2.0
"""Folding of graphs of images: forks and joins, windows, pools, upsampling.

Every layer has foldings that meet the target interval. Activations and duplicates take as many
elements a beat as the layer before them gives. For the others the sum of all costs is lowered by
changing one layer after another until no change helps: own cost, and that of the width converters
on every stream. Deterministic; a local optimum.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache

from hls.costs import Cost, kind_cost
from hls.devices import Device
from hls.folding import (
    MATRIX,
    Fold,
    choices,
    cycles,
    fold_layer,
    lanes,
    width_chain,
    without_converters,
)
from hls.ir import CHANNEL_KINDS, Accelerator, Layer
from hls.ports import input_ports, output_ports
from models.errors import CompileError

SPARE = 2
"""Foldings with up to this many times the fewest multipliers are looked at."""
SWEEPS = 8
Score = tuple[int, int, int]
"""(streams that are too slow, converters beyond one a stream, LUT equivalents)."""


@dataclass(frozen=True)
class _Link:
    """A stream from layer ``before`` to layer ``after`` (positions)."""

    before: int
    after: int
    port: int
    elements: int
    bits: int


def solve_graph(acc: Accelerator, target_cycles: int, part: Device) -> dict[str, Fold]:
    """A small folding that takes at most ``target_cycles`` per frame, by layer source.

    Raises:
        CompileError: a stream between two layers cannot be that fast; layers can.
    """
    solver = _Solver(acc, target_cycles, part)
    chosen = solver.search()
    solver.check(chosen)
    return {la.source: chosen[i] for i, la in enumerate(solver.layers)}


class _Solver:
    def __init__(self, acc: Accelerator, target: int, part: Device) -> None:
        self.target, self.part = target, part
        self.layers = without_converters(acc)
        self.links = _links(self.layers)
        self.inputs: dict[int, list[_Link]] = {i: [] for i in range(len(self.layers))}
        self.outputs: dict[int, list[_Link]] = {i: [] for i in range(len(self.layers))}
        for link in self.links:
            self.inputs[link.after].append(link)
            self.outputs[link.before].append(link)
        self.followers = {
            i
            for i, la in enumerate(self.layers)
            if la.kind in (*CHANNEL_KINDS, "duplicate") and self.inputs[i]
        }
        self.options = {
            i: self._options(i, la, acc)
            for i, la in enumerate(self.layers)
            if i not in self.followers
        }
        self.own_weight = cache(self._own_weight)
        self.link_score = cache(self._link_score)

    def _options(self, index: int, layer: Layer, acc: Accelerator) -> list[Fold]:
        if layer.kind == "duplicate":  # right behind the input: one pixel's channels, or a part
            channels = acc.input.shape[-1]
            return [Fold(d) for d in range(1, channels + 1) if channels % d == 0]
        legal = [f for f in choices(layer) if cycles(layer, f) <= self.target]
        if layer.kind not in MATRIX:
            return legal
        fewest = min(lanes(layer, f) for f in legal)
        near = [f for f in legal if lanes(layer, f) <= SPARE * fewest]
        return sorted(near, key=lambda f: (lanes(layer, f), f.pe))

    def search(self) -> dict[int, Fold]:
        """From the fewest multipliers on, layer by layer to the least total."""
        chosen = {i: options[0] for i, options in self.options.items()}
        for i in range(len(self.layers)):
            if i in self.followers:
                chosen[i] = Fold(chosen[self.inputs[i][0].before].pe)
        for _ in range(SWEEPS):
            changed = False
            for i, options in self.options.items():
                best = self._change(chosen, i, options)
                changed = changed or best != chosen[i]
                chosen |= self._with_followers(i, best)
            if not changed:
                break
        return chosen

    def _change(self, chosen: dict[int, Fold], index: int, options: list[Fold]) -> Fold:
        """The folding of one layer for the least total; the present one if no other is better.

        What the layer and its followers do not touch is the same for every choice.
        """
        best = chosen[index]
        touched = self._with_followers(index, best)
        links = {link for i in touched for link in (*self.inputs[i], *self.outputs[i])}
        least = self._score(touched, links, chosen)
        for fold in options:
            trial = self._with_followers(index, fold)
            score = self._score(trial, links, ChainMap(trial, chosen))
            if score < least:
                best, least = fold, score
        return best

    def _with_followers(self, index: int, fold: Fold) -> dict[int, Fold]:
        """The layer, and those behind it that take the width of what comes in."""
        result = {index: fold}
        pending = [index]
        while pending:
            for link in self.outputs[pending.pop()]:
                if link.after in self.followers and self.inputs[link.after][0] is link:
                    result[link.after] = Fold(fold.pe)
                    pending.append(link.after)
        return result

    def _score(
        self, layers: Mapping[int, Fold], links: Iterable[_Link], chosen: Mapping[int, Fold]
    ) -> Score:
        """Sum over ``layers`` and ``links``."""
        slow, extra = 0, 0
        weight = sum(self.own_weight(i, fold) for i, fold in layers.items())
        for link in links:
            score = self.link_score(link, chosen[link.before], chosen[link.after])
            slow, extra, weight = slow + score[0], extra + score[1], weight + score[2]
        return slow, extra, weight

    def check(self, chosen: Mapping[int, Fold]) -> None:
        """Raise a `CompileError` for the first stream that is too slow."""
        for link in self.links:
            if self.link_score(link, chosen[link.before], chosen[link.after])[0]:
                before, after = self.layers[link.before], self.layers[link.after]
                raise CompileError(
                    f"no stream width joins {before.source} and {after.source} at {self.target} "
                    "cycles a frame",
                    hint="ask for a somewhat higher or lower rate",
                )

    def _own_weight(self, index: int, fold: Fold) -> int:
        layer = self.layers[index]
        return self._weight(kind_cost(layer.kind, fold_layer(layer, fold).params, self.part))

    def _link_score(self, link: _Link, before: Fold, after: Fold) -> Score:
        layer = self.layers[link.after]
        take = after.simd if layer.kind in MATRIX else after.pe
        chain = width_chain(before.pe, take or 1)
        slow = any(link.elements // min(a, b) > self.target for a, b in chain)
        cost = Cost()
        for a, b in chain:
            params = {"in_elems": a, "out_elems": b, "elem_bits": link.bits}
            cost += kind_cost("dwc", params, self.part)
        return int(slow), max(len(chain) - 1, 0), self._weight(cost)

    def _weight(self, cost: Cost) -> int:
        part = self.part
        memory = cost.bram18 * part.lut / part.bram18
        return round(cost.lut + cost.ff / 2 + memory)


def _links(layers: list[Layer]) -> list[_Link]:
    """Streams between layers, with the elements of a frame on each."""
    made: dict[str, tuple[int, int]] = {}
    links = []
    for i, layer in enumerate(layers):
        ports = input_ports(layer)
        for port, tensor in enumerate(layer.inputs):
            if tensor not in made:
                continue
            before, out = made[tensor]
            given = output_ports(layers[before])[out]
            elements = given.total or ports[port].total or 0
            links.append(_Link(before, i, port, elements, given.bits))
        made.update({name: (i, out) for out, name in enumerate(layer.outputs)})
    return links

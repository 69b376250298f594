# SPDX-License-Identifier: Apache-2.0
"""Folding of graphs: layer by layer, each with the streams that lead to it.

In topological order every layer gets the folding that meets the target at the least cost, its
width converters included. A window is chosen together with the matrix layer behind it, so that it
gives as many elements a beat as that one takes wherever this is cheapest. A duplicate has the width
of the layer before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hls.costs import Cost, kind_cost
from hls.devices import Device
from hls.folds import (
    Fold,
    choices,
    cycles,
    fold_layer,
    width_chain,
    without_converters,
)
from hls.ir import MATRIX_KINDS, Accelerator, Layer
from hls.ports import input_ports, output_ports
from models.errors import CompileError


def weight(cost: Cost, part: Device) -> int:
    """One number for a cost: LUTs, with registers and block RAM at the device's exchange rate."""
    return round(cost.lut + cost.ff / 2 + cost.bram18 * part.lut / part.bram18)


def chain_weight(chain: Sequence[tuple[int, int]], bits: int, part: Device) -> int:
    """Weight of width converters for elements of ``bits`` bits."""
    cost = Cost()
    for a, b in chain:
        cost += kind_cost("dwc", {"in_elems": a, "out_elems": b, "elem_bits": bits}, part)
    return weight(cost, part)


def too_slow(layer: Layer, target: int) -> CompileError:
    """The error for a layer that no folding makes fast enough."""
    return CompileError(
        f"{layer.source}: no folding takes {target} cycles a frame; the fastest takes "
        f"{min(cycles(layer, f) for f in choices(layer))}",
        hint="ask for fewer frames per second or a faster clock",
    )


def solve_graph(acc: Accelerator, target_cycles: int, part: Device) -> dict[str, Fold]:
    """A folding by `Layer.source` that takes at most ``target_cycles`` per frame.

    Raises:
        CompileError: a layer is too slow even when fully parallel, or no stream width joins two.
    """
    return _GraphFolding(acc, target_cycles, part).run()


class _GraphFolding:
    def __init__(self, acc: Accelerator, target: int, part: Device) -> None:
        self.layers = without_converters(acc)
        self.target, self.part = target, part
        self.users = {name: la for la in self.layers for name in la.inputs}
        self.width: dict[str, int] = {}
        """Elements per beat that a producer gives, by stream."""
        self.bits: dict[str, int] = {}
        self.folding: dict[str, Fold] = {}

    def run(self) -> dict[str, Fold]:
        for layer in self.layers:
            if layer.source in self.folding:
                self._gives(layer)
                continue
            user = self.users.get(layer.outputs[0])
            if layer.kind == "window" and user is not None and user.kind in MATRIX_KINDS:
                pair = self._best([layer, user])
                self.folding[user.source] = pair[1]
                self.folding[layer.source] = pair[0]
            else:
                (self.folding[layer.source],) = self._best([layer])
            self._gives(layer)
        return {layer.source: self.folding[layer.source] for layer in self.layers}

    def _gives(self, layer: Layer) -> None:
        folded = fold_layer(layer, self.folding[layer.source])
        for name, port in zip(folded.outputs, output_ports(folded), strict=True):
            self.width[name], self.bits[name] = port.elems, port.bits

    def _options(self, layer: Layer) -> list[Fold]:
        if layer.kind == "duplicate":
            return [Fold(self.width.get(layer.inputs[0], layer.params["elems"]))]
        legal = [f for f in choices(layer) if cycles(layer, f) <= self.target]
        if not legal:
            raise too_slow(layer, self.target)
        return legal

    def _best(self, layers: list[Layer]) -> tuple[Fold, ...]:
        """The cheapest foldings of one layer, or of a window and the matrix layer behind it."""
        best = min(self._ways(layers), key=lambda way: way[0], default=None)
        if best is None:
            raise CompileError(
                f"no stream width leads to {layers[0].source} at {self.target} cycles a frame",
                hint="ask for a somewhat higher or lower rate",
            )
        return best[1]

    def _ways(self, layers: list[Layer]) -> Iterator[tuple[int, tuple[Fold, ...]]]:
        first = [
            (own + link, fold, folded)
            for fold, folded, own in self._priced(layers[0])
            if (link := self._links(layers[0], folded)) is not None
        ]
        if len(layers) == 1:
            yield from ((price, (fold,)) for price, fold, _ in first)
            return
        second = [(own, fold, folded) for fold, folded, own in self._priced(layers[1])]
        for price, fold, folded in first:
            give = output_ports(folded)[0]
            for own, user_fold, user in second:
                take = input_ports(user)[0]
                link = self._link(give.elems, take.elems, give.total or 0, give.bits)
                if link is not None:
                    yield price + own + link, (fold, user_fold)

    def _priced(self, layer: Layer) -> Iterator[tuple[Fold, Layer, int]]:
        for fold in self._options(layer):
            folded = fold_layer(layer, fold)
            yield fold, folded, weight(kind_cost(layer.kind, folded.params, self.part), self.part)

    def _links(self, layer: Layer, folded: Layer) -> int | None:
        """Weight of the converters in front of a layer; None if one is too slow."""
        total = 0
        for name, port in zip(layer.inputs, input_ports(folded), strict=True):
            if name not in self.width:
                continue
            link = self._link(self.width[name], port.elems, port.total or 0, self.bits[name])
            if link is None:
                return None
            total += link
        return total

    def _link(self, give: int, take: int, elements: int, bits: int) -> int | None:
        chain = width_chain(give, take)
        if any(elements // min(a, b) > self.target for a, b in chain):
            return None
        return chain_weight(chain, bits, self.part)

# SPDX-License-Identifier: Apache-2.0
"""Folding: how many rows (PE) and columns (SIMD) of each layer are computed per cycle.

A matrix layer takes (mat_h / pe) * (mat_w / simd) cycles a frame with pe * simd multipliers. For a
target interval every layer gets the fewest multipliers that meet it; among equally small choices
the streams decide: equal widths need no converter, integer ratios one, others two. Of a layer that
has no multipliers PE is the number of elements a beat. Folding files are FINN's:
{"<node>": {"PE": 4, "SIMD": 10}, ...}. `hls.folding_graph` chooses for graphs of images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from math import gcd

from hls.costs import Cost, accelerator_cost, kind_cost
from hls.devices import Device
from hls.extract import connect
from hls.ir import CHANNEL_KINDS, IMAGE_KINDS, Accelerator, Layer
from hls.ports import input_ports, output_ports, vectors_of
from hls.sparsity import divisors
from models.errors import CompileError

MATRIX = ("mvau", "mvau_sparse")


@dataclass(frozen=True)
class Fold:
    """PE and, for a matrix layer, SIMD."""

    pe: int
    simd: int | None = None


Folding = Mapping[str, Fold]
"""By FINN node name (`Layer.source`)."""


def lanes(layer: Layer, fold: Fold) -> int:
    """Multipliers of a matrix layer."""
    p = layer.params
    simd = fold.simd or 1
    if layer.kind == "mvau_sparse":
        return fold.pe * (simd // p["block"]) * p["nnz"]
    return fold.pe * simd


def cycles(layer: Layer, fold: Fold) -> int:
    """Cycles per frame; 0 for a duplicate, whose streams are those of the layers around it."""
    p = layer.params
    if layer.kind in MATRIX:
        return vectors_of(p) * (p["mat_w"] // (fold.simd or 1)) * (p["mat_h"] // fold.pe)
    if layer.kind in CHANNEL_KINDS:
        return vectors_of(p) * (p["channels"] // fold.pe)
    folded = replace(layer, params={**p, width_param(layer): fold.pe})
    return max(port.beats or 0 for port in (*input_ports(folded), *output_ports(folded)))


def width_param(layer: Layer) -> str:
    """The parameter that PE sets."""
    return {"window": "simd", "duplicate": "elems"}.get(layer.kind, "pe")


def divided(layer: Layer) -> tuple[str, int]:
    """(name, value) of what PE has to divide."""
    p = layer.params
    if layer.kind in MATRIX:
        return "mat_h", p["mat_h"]
    if layer.kind in ("concat", "split"):
        return "the channels of both sides, which share", gcd(p["channels_a"], p["channels_b"])
    if layer.kind == "duplicate":
        return "elems", p["elems"]
    return "channels", p["channels"]


def choices(layer: Layer) -> list[Fold]:
    """Every legal folding of a layer; of a duplicate the one that it has."""
    p = layer.params
    if layer.kind == "duplicate":
        return [Fold(p["elems"])]
    if layer.kind not in MATRIX:
        return [Fold(d) for d in divisors(divided(layer)[1])]
    step = p.get("block", 1)
    simds = [d for d in divisors(p["mat_w"]) if d % step == 0]
    return [Fold(pe, simd) for pe in divisors(p["mat_h"]) for simd in simds]


def legal_folds(layer: Layer, target_cycles: int | None = None) -> list[Fold]:
    """Foldings within a target; without one, the slowest alone."""
    if target_cycles is None:
        return choices(layer)[:1]
    return [f for f in choices(layer) if cycles(layer, f) <= target_cycles]


def given_folds(folding: Folding) -> Callable[[Layer], list[Fold]]:
    """The one folding that a file gives a layer; none where it is not legal for it."""

    def folds(layer: Layer) -> list[Fold]:
        fold = folding.get(layer.source)
        return [fold] if fold is not None and fold in choices(layer) else []

    return folds


def apply_folding(acc: Accelerator, folding: Folding) -> Accelerator:
    """``acc`` with other PE and SIMD, and width converters where streams differ.

    Converters that ``acc`` already has are dropped first.
    """
    layers: list[Layer] = []
    producers: dict[str, Layer] = {}
    count = 0
    for layer in without_converters(acc):
        folded = fold_layer(layer, folding[layer.source])
        inputs = []
        for port, tensor in zip(input_ports(folded), folded.inputs, strict=True):
            before, current = producers.get(tensor), tensor
            if before is not None:
                out = output_ports(before)[before.outputs.index(tensor)]
                for a, b in width_chain(out.elems, port.elems):
                    params = {"in_elems": a, "out_elems": b, "elem_bits": out.bits}
                    name, after = f"dwc{count}", f"{tensor}_dwc{count}"
                    layers.append(Layer(name, "dwc", name, (current,), (after,), params))
                    current, count = after, count + 1
            inputs.append(current)
        layers.append(replace(folded, inputs=tuple(inputs)))
        producers.update(dict.fromkeys(folded.outputs, folded))
    return connect(acc.name, layers, (acc.input, acc.output), acc.clock_mhz, acc.meta)


def without_converters(acc: Accelerator) -> list[Layer]:
    """The layers that are no width converters, joined directly."""
    source: dict[str, str] = {}
    layers = []
    for layer in acc.layers:
        inputs = tuple(source.get(name, name) for name in layer.inputs)
        if layer.kind == "dwc":
            source[layer.outputs[0]] = inputs[0]
        else:
            layers.append(replace(layer, inputs=inputs))
    return layers


def _bits(layers: list[Layer]) -> int:
    p = next(la for la in reversed(layers) if la.kind != "dwc").params
    return p["acc_bits"] if "acc_bits" in p else p["out_bits"]


def fold_layer(layer: Layer, fold: Fold) -> Layer:
    """The layer with that folding, checked."""
    check_fold(layer, fold)
    params = {**layer.params, width_param(layer): fold.pe}
    if layer.kind in MATRIX:
        params["simd"] = fold.simd or 1
    return replace(layer, params=params)


def width_chain(producer: int, consumer: int) -> list[tuple[int, int]]:
    """Width converters (in, out) from one number of elements a beat to another."""
    if producer == consumer:
        return []
    if producer % consumer == 0 or consumer % producer == 0:
        return [(producer, consumer)]
    middle = gcd(producer, consumer)
    return [(producer, middle), (middle, consumer)]


def check_fold(layer: Layer, fold: Fold) -> None:
    """Raise a `CompileError` with the legal choices if PE or SIMD does not divide."""
    p, name = layer.params, layer.source
    rows, value = divided(layer)
    if fold.pe < 1 or (layer.kind != "duplicate" and value % fold.pe):
        raise CompileError(
            f"{name}: PE={fold.pe} must divide {rows}={value}; choices: {divisors(value)}"
        )
    if layer.kind not in MATRIX:
        if fold.simd is not None:
            raise CompileError(f"{name}: SIMD={fold.simd} given, but this layer has PE only")
        return
    step, simd = p.get("block", 1), fold.simd
    legal = [d for d in divisors(p["mat_w"]) if d % step == 0]
    if simd is None:
        raise CompileError(f"{name}: SIMD is missing; choices: {legal}")
    if simd not in legal:
        rule = f"must divide mat_w={p['mat_w']}"
        rule += f" and be a multiple of the block {step}" if step > 1 else ""
        raise CompileError(f"{name}: SIMD={simd} {rule}; choices: {legal}")


def solve_cycles(acc: Accelerator, target_cycles: int, part: Device) -> dict[str, Fold]:
    """The smallest folding that takes at most ``target_cycles`` per frame.

    Raises:
        CompileError: not even the full parallel design is fast enough.
    """
    layers = [la for la in acc.layers if la.kind != "dwc"]
    _check_reachable(layers, target_cycles)
    if is_graph(acc):
        from hls.folding_graph import solve_graph

        return solve_graph(acc, target_cycles, part)
    best: dict[Fold, tuple[tuple[int, int], list[Fold]]] = {}
    for position, layer in enumerate(layers):
        options = _smallest(layer, target_cycles)
        previous = layers[position - 1] if position else None
        best = _extend(best, previous, layer, options, target=target_cycles, part=part)
    score, path = min(best.values(), key=lambda item: item[0])
    del score
    return {layer.source: fold for layer, fold in zip(layers, path, strict=True)}


def is_graph(acc: Accelerator) -> bool:
    """True if it is more than a chain of dense layers: `hls.folding_graph` folds it."""
    return any(la.kind in IMAGE_KINDS or vectors_of(la.params) > 1 for la in acc.layers)


def _check_reachable(layers: list[Layer], target: int) -> None:
    """Raise a `CompileError` for the slowest layer if no folding makes it fast enough."""
    fastest = {la.source: min(cycles(la, f) for f in choices(la)) for la in layers}
    slowest = max(fastest, key=lambda name: fastest[name])
    if fastest[slowest] > target:
        raise CompileError(
            f"{slowest}: no folding takes {target} cycles a frame; the fastest takes "
            f"{fastest[slowest]}",
            hint=f"allow {fastest[slowest]} cycles a frame or more: in a build.toml "
            f"`folding.cycles = {fastest[slowest]}` (or folding.fps, at a faster clock); a QONNX "
            "file is named there as network.model",
        )


def _smallest(layer: Layer, target: int) -> list[Fold]:
    """Foldings within the target; of a matrix layer those with the fewest multipliers."""
    legal = [f for f in choices(layer) if cycles(layer, f) <= target]
    if layer.kind not in MATRIX:
        return legal
    fewest = min(lanes(layer, f) for f in legal)
    return [f for f in legal if lanes(layer, f) == fewest]


def _extend(
    best: dict[Fold, tuple[tuple[int, int], list[Fold]]],
    previous: Layer | None,
    layer: Layer,
    options: list[Fold],
    *,
    target: int,
    part: Device,
) -> dict[Fold, tuple[tuple[int, int], list[Fold]]]:
    """One step of dynamic programming: the best way to each option of ``layer``."""
    result: dict[Fold, tuple[tuple[int, int], list[Fold]]] = {}
    for fold in options:
        own = _weight(kind_cost(layer.kind, fold_layer(layer, fold).params, part), part)
        if previous is None:
            result[fold] = ((0, own), [fold])
            continue
        ways = []
        for before, (score, path) in best.items():
            link = _link(previous, before, layer, fold, target=target, part=part)
            if link is not None:
                ways.append(((score[0] + link[0], score[1] + own + link[1]), [*path, fold]))
        if ways:
            result[fold] = min(ways, key=lambda item: item[0])
    if not result:
        raise CompileError(
            f"no stream width joins {previous and previous.source} and {layer.source} at {target} "
            "cycles a frame",
            hint="ask for a somewhat higher or lower rate",
        )
    return result


def _link(
    before: Layer, fold_before: Fold, layer: Layer, fold: Fold, *, target: int, part: Device
) -> tuple[int, int] | None:
    """(converters beyond one, LUTs) between two layers; None if too slow, or not wanted.

    An activation takes as many elements as the layer before it gives: no converter between them.
    """
    width_in = fold_before.pe
    width_out = fold.simd if layer.kind in MATRIX else fold.pe
    if layer.kind not in MATRIX and width_out != width_in:
        return None
    chain = width_chain(width_in, width_out or 1)
    elements = layer.params["mat_w" if layer.kind in MATRIX else "channels"]
    if any(elements // min(a, b) > target for a, b in chain):
        return None
    bits = _bits([before])
    cost = Cost()
    for a, b in chain:
        cost += kind_cost("dwc", {"in_elems": a, "out_elems": b, "elem_bits": bits}, part)
    return max(len(chain) - 1, 0), _weight(cost, part)


def _weight(cost: Cost, part: Device) -> int:
    return round(cost.lut + cost.ff / 2 + cost.bram18 * part.lut / part.bram18)


def reachable_cycles(acc: Accelerator) -> list[int]:
    """Every interval that some layer can be folded to, ascending, from the fastest design on."""
    folded = [la for la in acc.layers if la.kind != "dwc"]
    slow = [la for la in folded if la.kind in (*MATRIX, "window")]
    fastest = max(min(cycles(la, f) for f in choices(la)) for la in folded)
    values = {cycles(la, f) for la in slow for f in choices(la)}
    return sorted(v for v in values if v >= fastest)


def solve_device(
    acc: Accelerator,
    part: Device,
    fraction: float,
    assign: Callable[[Accelerator], Accelerator] = lambda folded: folded,
) -> int:
    """Fewest cycles per frame for which the estimate fits ``fraction`` of the device.

    assign: what is done to a folded accelerator before it is estimated, see `hls.multipliers`.
    """

    def fits(target: int) -> bool:
        cost = accelerator_cost(assign(apply_folding(acc, solve(target))), part)
        return cost.fits(part, fraction)

    solve = lru_cache(maxsize=None)(lambda target: solve_cycles(acc, target, part))
    targets = reachable_cycles(acc)
    if not fits(targets[-1]):
        need = accelerator_cost(assign(apply_folding(acc, solve(targets[-1]))), part)
        raise CompileError(
            f"the slowest design needs {need.lut} LUT and {need.bram18} BRAM18: more than "
            f"{fraction:.0%} of {part.name} ({part.lut} LUT, {part.bram18} BRAM18)",
            hint="choose a larger device, fewer bits or a smaller network",
        )
    return _first(targets, fits)


def solve_latency(
    acc: Accelerator, target_cycles: int, part: Device, latency: Callable[[Accelerator], int]
) -> int:
    """Most cycles per frame for which the modelled latency is at most ``target_cycles``.

    Of a graph of images the targets are bisected, as if its latency grew with every one of them.

    Args:
        acc: the accelerator, folded in any way.
        target_cycles: latency allowed [cycle].
        part: device whose costs decide between equally fast foldings.
        latency: cycle model of an accelerator, first beat in to last beat out.
    """
    targets = reachable_cycles(acc)[::-1]

    def holds(target: int) -> bool:
        return latency(apply_folding(acc, solve_cycles(acc, target, part))) <= target_cycles

    if is_graph(acc):
        if holds(targets[-1]):
            return _first(targets, holds)
    else:
        for target in targets:
            if holds(target):
                return target
    fastest = latency(apply_folding(acc, solve_cycles(acc, targets[-1], part)))
    raise CompileError(
        f"no folding has a latency of {target_cycles} cycles; the fastest design takes {fastest}",
        hint="allow more latency or a faster clock",
    )


def _first(targets: list[int], holds: Callable[[int], bool]) -> int:
    """First target for which ``holds``, which is true from some target on."""
    low, high = 0, len(targets) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(targets[middle]) else (middle + 1, high)
    return targets[low]

# SPDX-License-Identifier: Apache-2.0
"""Folding: how many rows (PE) and columns (SIMD) of each layer are computed per cycle.

A matrix layer takes (mat_h / pe) * (mat_w / simd) cycles a frame with pe * simd multipliers. For a
target interval every layer gets the fewest multipliers that meet it; among equally small choices
the streams decide: equal widths need no converter, integer ratios one, others two. Folding files
are FINN's: {"<node>": {"PE": 4, "SIMD": 10}, ...}.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from hls.costs import accelerator_cost, kind_cost
from hls.devices import Device
from hls.folds import (
    Fold,
    Folding,
    apply_folding,
    check_fold,
    choices,
    cycles,
    fold_layer,
    given_folds,
    lanes,
    legal_folds,
    width_chain,
    without_converters,
)
from hls.graph_folding import chain_weight, solve_graph, too_slow, weight
from hls.ir import IMAGE_KINDS, MATRIX_KINDS, Accelerator, Layer
from hls.ports import output_ports, vectors_of
from models.errors import CompileError

__all__ = [
    "Fold",
    "Folding",
    "apply_folding",
    "check_fold",
    "check_folding",
    "choices",
    "cycles",
    "fold_layer",
    "folding_json",
    "given_folds",
    "lanes",
    "legal_folds",
    "reachable_cycles",
    "read_folding",
    "solve_cycles",
    "solve_device",
    "solve_latency",
    "width_chain",
]


def solve_cycles(acc: Accelerator, target_cycles: int, part: Device) -> dict[str, Fold]:
    """The smallest folding that takes at most ``target_cycles`` per frame.

    A chain of dense layers and activations is solved as a whole, anything else layer by layer
    (`hls.graph_folding`).

    Raises:
        CompileError: not even the full parallel design is fast enough.
    """
    layers = without_converters(acc)
    if not _is_dense_chain(layers):
        return solve_graph(acc, target_cycles, part)
    best: dict[Fold, tuple[tuple[int, int], list[Fold]]] = {}
    for position, layer in enumerate(layers):
        options = _smallest(layer, target_cycles)
        previous = layers[position - 1] if position else None
        best = _extend(best, previous, layer, options, target=target_cycles, part=part)
    score, path = min(best.values(), key=lambda item: item[0])
    del score
    return {layer.source: fold for layer, fold in zip(layers, path, strict=True)}


def _is_dense_chain(layers: list[Layer]) -> bool:
    return all(la.kind not in IMAGE_KINDS and vectors_of(la.params) == 1 for la in layers)


def _smallest(layer: Layer, target: int) -> list[Fold]:
    """Foldings within the target; of a matrix layer those with the fewest multipliers."""
    legal = [f for f in choices(layer) if cycles(layer, f) <= target]
    if not legal:
        raise too_slow(layer, target)
    if layer.kind not in MATRIX_KINDS:
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
        own = weight(kind_cost(layer.kind, fold_layer(layer, fold).params, part), part)
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
    width_in = fold_before.pe or 1
    width_out = fold.simd if layer.kind in MATRIX_KINDS else fold.pe
    if layer.kind not in MATRIX_KINDS and width_out != width_in:
        return None
    chain = width_chain(width_in, width_out or 1)
    elements = layer.params["mat_w" if layer.kind in MATRIX_KINDS else "channels"]
    if any(elements // min(a, b) > target for a, b in chain):
        return None
    bits = output_ports(before)[0].bits
    return max(len(chain) - 1, 0), chain_weight(chain, bits, part)


def reachable_cycles(acc: Accelerator) -> list[int]:
    """Every interval that some layer can be folded to, ascending, from the fastest design on."""
    layers = without_converters(acc)
    values = {la.name: {cycles(la, f) for f in choices(la)} for la in layers}
    if _is_dense_chain(layers):
        values = {la.name: values[la.name] for la in layers if la.kind in MATRIX_KINDS}
    fastest = max(min(v) for v in values.values())
    return sorted(v for v in set().union(*values.values()) if v >= fastest)


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

    A graph is bisected, as if latency and cycles per frame always grew together.

    Args:
        acc: the accelerator, folded in any way.
        target_cycles: latency allowed [cycle].
        part: device whose costs decide between equally fast foldings.
        latency: cycle model of an accelerator, first beat in to last beat out.
    """
    targets = reachable_cycles(acc)[::-1]

    def holds(target: int) -> bool:
        return latency(apply_folding(acc, solve_cycles(acc, target, part))) <= target_cycles

    if _is_dense_chain(without_converters(acc)):
        for target in targets:
            if holds(target):
                return target
    elif holds(targets[-1]):
        return _first(targets, holds)
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


def read_folding(path: Path) -> dict[str, Fold]:
    """Read a hand-written folding file; `check_folding` compares it with an accelerator."""
    try:
        body = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CompileError(f"{path}: not a readable folding file ({error})") from error
    if not isinstance(body, dict):
        raise CompileError(f"{path}: a folding file is a JSON object of nodes")
    return {name: _entry(path, name, body[name]) for name in body if name != "Defaults"}


def check_folding(path: Path, folding: Folding, acc: Accelerator) -> None:
    """Raise a `CompileError` if a file's folding does not fit the layers of ``acc``."""
    layers = {la.source: la for la in acc.layers if la.kind != "dwc"}
    unknown = sorted(set(folding) - set(layers))
    if unknown:
        raise CompileError(f"{path}: unknown node {unknown[0]!r}; nodes: {', '.join(layers)}")
    missing = [name for name in layers if name not in folding]
    if missing:
        raise CompileError(f"{path}: node {missing[0]!r} is missing; nodes: {', '.join(layers)}")
    for name, layer in layers.items():
        check_fold(layer, folding[name])


def _entry(path: Path, name: str, entry: object) -> Fold:
    if not isinstance(entry, dict) or not entry or set(entry) - {"PE", "SIMD"}:
        raise CompileError(
            f"{path}: {name}: {entry!r} must be {{'PE': n, 'SIMD': m}}, or one of them"
        )
    for key, value in entry.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise CompileError(f"{path}: {name}: {key}={value!r} must be an integer")
    return Fold(entry.get("PE"), entry.get("SIMD"))


def folding_json(folding: Folding) -> str:
    """The text of a folding file."""
    body = {name: f.attributes for name, f in folding.items()}
    return json.dumps({"Defaults": {}, **body}, indent=1) + "\n"

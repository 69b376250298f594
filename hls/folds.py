# SPDX-License-Identifier: Apache-2.0
"""The foldings that a layer may have, and an accelerator with other foldings.

A `Fold` is what FINN calls PE and SIMD. A matrix layer has both. Any other layer has one of them,
its elements per beat: SIMD (window, upsample, concat, split) or PE (the rest), as FINN's own have.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import gcd

from hls.extract import connect
from hls.ir import MATRIX_KINDS, Accelerator, Layer
from hls.ports import input_ports, output_ports, vectors_of
from hls.sparsity import divisors
from models.errors import CompileError

SIMD_KINDS = ("window", "upsample", "concat", "split")
"""Layers whose elements per beat FINN calls SIMD."""


@dataclass(frozen=True)
class Fold:
    """PE and SIMD; None where a layer has no such attribute."""

    pe: int | None = None
    simd: int | None = None

    @property
    def attributes(self) -> dict[str, int]:
        """Attributes of the FINN node, as in a folding file."""
        named = {"PE": self.pe, "SIMD": self.simd}
        return {name: value for name, value in named.items() if value is not None}


Folding = Mapping[str, Fold]
"""By FINN node name (`Layer.source`)."""


def lanes(layer: Layer, fold: Fold) -> int:
    """Multipliers of a matrix layer."""
    p = layer.params
    pe, simd = fold.pe or 1, fold.simd or 1
    if layer.kind == "mvau_sparse":
        return pe * (simd // p["block"]) * p["nnz"]
    return pe * simd


def cycles(layer: Layer, fold: Fold) -> int:
    """Cycles per frame; 0 for a duplicate, whose parameters do not tell the frame."""
    p = layer.params
    if layer.kind in MATRIX_KINDS:
        return p["mat_w"] // (fold.simd or 1) * (p["mat_h"] // (fold.pe or 1)) * vectors_of(p)
    folded = replace(layer, params={**p, _lane_param(layer): fold.pe or fold.simd or 1})
    return max(port.beats or 0 for port in (*input_ports(folded), *output_ports(folded)))


def choices(layer: Layer) -> list[Fold]:
    """Every legal folding of a layer; a duplicate's is that of the layer before it."""
    p = layer.params
    if layer.kind in SIMD_KINDS:
        return [Fold(simd=d) for d in divisors(_folded_size(layer))]
    if layer.kind == "duplicate":
        return [Fold(p["elems"])]
    if layer.kind not in MATRIX_KINDS:
        return [Fold(d) for d in divisors(_folded_size(layer))]
    step = p.get("block", 1)
    simds = [d for d in divisors(p["mat_w"]) if d % step == 0]
    return [Fold(pe, simd) for pe in divisors(p["mat_h"]) for simd in simds]


def _folded_size(layer: Layer) -> int:
    """What the elements per beat of a layer must divide."""
    p = layer.params
    if layer.kind in ("concat", "split"):
        return gcd(p["channels_a"], p["channels_b"])
    return p["channels"]


def _lane_param(layer: Layer) -> str:
    """The parameter that holds the elements per beat of a layer with one folding attribute."""
    return {"window": "simd", "duplicate": "elems"}.get(layer.kind, "pe")


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


def fold_layer(layer: Layer, fold: Fold) -> Layer:
    """The layer with that folding, checked."""
    check_fold(layer, fold)
    if layer.kind in MATRIX_KINDS:
        params = {**layer.params, "pe": fold.pe or 1, "simd": fold.simd or 1}
    else:
        params = {**layer.params, _lane_param(layer): fold.pe or fold.simd or 1}
    return replace(layer, params=params)


def check_fold(layer: Layer, fold: Fold) -> None:
    """Raise a `CompileError` with the legal choices if PE or SIMD does not divide."""
    p, name = layer.params, layer.source
    if layer.kind not in MATRIX_KINDS:
        _check_lanes(layer, fold)
        return
    if fold.pe is None:
        raise CompileError(f"{name}: PE is missing; choices: {divisors(p['mat_h'])}")
    if fold.pe < 1 or p["mat_h"] % fold.pe:
        raise CompileError(
            f"{name}: PE={fold.pe} must divide mat_h={p['mat_h']}; choices: {divisors(p['mat_h'])}"
        )
    step, simd = p.get("block", 1), fold.simd
    legal = [d for d in divisors(p["mat_w"]) if d % step == 0]
    if simd is None:
        raise CompileError(f"{name}: SIMD is missing; choices: {legal}")
    if simd not in legal:
        rule = f"must divide mat_w={p['mat_w']}"
        rule += f" and be a multiple of the block {step}" if step > 1 else ""
        raise CompileError(f"{name}: SIMD={simd} {rule}; choices: {legal}")


def _check_lanes(layer: Layer, fold: Fold) -> None:
    wanted, other = ("SIMD", "PE") if layer.kind in SIMD_KINDS else ("PE", "SIMD")
    given = fold.attributes
    if other in given:
        raise CompileError(
            f"{layer.source}: {other}={given[other]} given, but this layer has {wanted} only"
        )
    if wanted not in given:
        raise CompileError(f"{layer.source}: {wanted} is missing")
    value = given[wanted]
    if layer.kind == "duplicate":
        if value < 1:
            raise CompileError(f"{layer.source}: {wanted}={value} must be at least 1")
        return
    size = _folded_size(layer)
    if value < 1 or size % value:
        raise CompileError(
            f"{layer.source}: {wanted}={value} must divide channels={size}; "
            f"choices: {divisors(size)}"
        )


def width_chain(producer: int, consumer: int) -> list[tuple[int, int]]:
    """Width converters (in, out) from one number of elements a beat to another."""
    if producer == consumer:
        return []
    if producer % consumer == 0 or consumer % producer == 0:
        return [(producer, consumer)]
    middle = gcd(producer, consumer)
    return [(producer, middle), (middle, consumer)]


def without_converters(acc: Accelerator) -> list[Layer]:
    """The layers but for width converters; the streams round a converter become one."""
    alias: dict[str, str] = {}
    layers = []
    for layer in acc.layers:
        inputs = tuple(alias.get(name, name) for name in layer.inputs)
        if layer.kind == "dwc":
            alias[layer.outputs[0]] = inputs[0]
        else:
            layers.append(replace(layer, inputs=inputs))
    return layers


def apply_folding(acc: Accelerator, folding: Folding) -> Accelerator:
    """``acc`` with other PE and SIMD, and width converters where streams differ.

    Converters that ``acc`` already has are dropped first. FIFO depths are not kept: streams change.
    """
    layers: list[Layer] = []
    width: dict[str, int] = {}
    bits: dict[str, int] = {}
    count = 0
    for plain in without_converters(acc):
        folded = fold_layer(plain, folding[plain.source])
        inputs = []
        for name, port in zip(folded.inputs, input_ports(folded), strict=True):
            tensor = name
            for a, b in width_chain(width.get(name, port.elems), port.elems):
                params = {"in_elems": a, "out_elems": b, "elem_bits": bits[name]}
                label = f"dwc{count}"
                layers.append(Layer(label, "dwc", label, (tensor,), (f"{name}.{label}",), params))
                tensor, count = f"{name}.{label}", count + 1
            inputs.append(tensor)
        layers.append(replace(folded, inputs=tuple(inputs)))
        for name, port in zip(folded.outputs, output_ports(folded), strict=True):
            width[name], bits[name] = port.elems, port.bits
    return connect(acc.name, layers, (acc.input, acc.output), acc.clock_mhz, acc.meta)

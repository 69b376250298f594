# SPDX-License-Identifier: Apache-2.0
"""A chain of our FINN nodes -> `hls.ir.Accelerator`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hls.ir import Accelerator, Border, IntFormat, Layer, Stream
from models.errors import CompileError

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

INPUT_STREAM, OUTPUT_STREAM = "input", "output"


def extract(
    model: ModelWrapper,
    name: str,
    borders: tuple[Border, Border],
    clock_mhz: float,
    meta: Mapping[str, Any],
) -> Accelerator:
    """The accelerator of a model whose nodes are all ours.

    Args:
        model: chain of *_phy nodes; folding as their PE and SIMD say.
        name: name of the accelerator, of its top module too.
        borders: input and output border.
        clock_mhz: clock that rates are quoted for [MHz].
        meta: kept in the accelerator; plain JSON values.
    """
    from qonnx.custom_op.registry import getCustomOp

    layers = []
    for node in model.graph.node:
        op = getCustomOp(node)
        if getattr(op, "ir_kind", None) is None:
            raise CompileError(
                f"{node.op_type} node {node.name!r} has no RTL kernel",
                hint="specialize all layers before they are extracted",
            )
        layers.append(_layer(op, model, node.name))
    return connect(name, layers, borders, clock_mhz, meta)


def _layer(op: Any, model: ModelWrapper, name: str) -> Layer:
    arrays = {k: np.ascontiguousarray(v) for k, v in op.ir_arrays(model).items()}
    params = {k: int(v) for k, v in op.ir_params().items()}
    return Layer(name, op.ir_kind, op.onnx_node.name, (), (), params, arrays)


def connect(
    name: str,
    layers: list[Layer],
    borders: tuple[Border, Border],
    clock_mhz: float,
    meta: Mapping[str, Any],
) -> Accelerator:
    """Join layers, in order, by streams of the widths that they have."""
    first, last = borders
    elements = int(np.prod(first.shape))
    streams = [_stream(INPUT_STREAM, None, layers[0], elements, first.fmt)]
    fmt = first.fmt
    for index, layer in enumerate(layers):
        fmt = output_format(layer, fmt)
        elements = outputs_of(layer, elements)
        after = layers[index + 1] if index + 1 < len(layers) else None
        label = OUTPUT_STREAM if after is None else f"{layer.name}_{after.name}"
        streams.append(_stream(label, layer, after, elements, fmt))
    joined = tuple(
        replace(layer, inputs=(streams[i].name,), outputs=(streams[i + 1].name,))
        for i, layer in enumerate(layers)
    )
    first, last = replace(first, stream=INPUT_STREAM), replace(last, stream=OUTPUT_STREAM)
    if last.fmt != fmt:
        last = replace(last, fmt=fmt)
    return Accelerator(name, joined, tuple(streams), first, last, clock_mhz, dict(meta))


def input_elements(layer: Layer) -> int:
    """Elements per beat that a layer takes."""
    p = layer.params
    if layer.kind in ("mvau", "mvau_sparse"):
        return p["simd"]
    return p["in_elems"] if layer.kind == "dwc" else p["pe"]


def output_elements(layer: Layer) -> int:
    """Elements per beat that a layer gives."""
    return layer.params["out_elems"] if layer.kind == "dwc" else layer.params["pe"]


def outputs_of(layer: Layer, inputs: int) -> int:
    """Elements per frame that a layer gives for ``inputs`` elements; checks that these fit."""
    p = layer.params
    wanted = {"mvau": "mat_w", "mvau_sparse": "mat_w"}.get(layer.kind, "channels")
    if layer.kind != "dwc" and p[wanted] != inputs:
        raise CompileError(f"{layer.name}: takes {p[wanted]} elements, {inputs} arrive")
    return p["mat_h"] if layer.kind in ("mvau", "mvau_sparse") else inputs


def output_format(layer: Layer, fmt: IntFormat) -> IntFormat:
    """Format of what a layer gives; ``fmt`` is the format of what arrives."""
    p = layer.params
    if layer.kind in ("mvau", "mvau_sparse"):
        return IntFormat(p["acc_bits"], signed=True)
    return fmt if layer.kind == "dwc" else IntFormat(p["out_bits"], bool(p["out_signed"]))


def _stream(
    name: str, before: Layer | None, after: Layer | None, elements: int, fmt: IntFormat
) -> Stream:
    sides = [output_elements(before)] if before is not None else []
    sides += [input_elements(after)] if after is not None else []
    if len(set(sides)) != 1:
        raise CompileError(
            f"stream {name}: {before and before.name} gives {sides[0]} elements a beat, "
            f"{after and after.name} takes {sides[-1]}",
            hint="a width converter is missing",
        )
    return Stream(
        name,
        before.name if before is not None else None,
        after.name if after is not None else None,
        fmt,
        sides[0],
        elements // sides[0],
    )


def single_layer(op: Any, model: ModelWrapper, clock_mhz: float) -> Accelerator:
    """One FINN node as an accelerator of its own."""
    layer = _layer(op, model, op.onnx_node.name)
    x, y = op.get_input_datatype(0), op.get_output_datatype()
    elements = int(np.prod(op.get_normal_input_shape(0)))
    outputs = int(np.prod(op.get_normal_output_shape(0)))
    borders = tuple(
        Border("", (n,), IntFormat(t.bitwidth(), bool(t.signed())), (1.0,), (0.0,), "codes")
        for n, t in ((elements, x), (outputs, y))
    )
    return connect(op.onnx_node.name, [layer], (borders[0], borders[1]), clock_mhz, {})

# SPDX-License-Identifier: Apache-2.0
"""A graph of our FINN nodes -> `hls.ir.Accelerator`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from hls.ir import Accelerator, Border, IntFormat, Layer, Stream
from hls.ports import frame_outputs, input_ports, output_ports
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
        model: *_phy nodes in topological order, each tensor with one consumer; folding as their
            PE and SIMD say.
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
    node = op.onnx_node
    arrays = {k: np.ascontiguousarray(v) for k, v in op.ir_arrays(model).items()}
    params = {k: int(v) for k, v in op.ir_params().items()}
    streamed = tuple(t for t in node.input if model.get_initializer(t) is None)
    return Layer(name, op.ir_kind, node.name, streamed, tuple(node.output), params, arrays)


def connect(
    name: str,
    layers: Sequence[Layer],
    borders: tuple[Border, Border],
    clock_mhz: float,
    meta: Mapping[str, Any],
) -> Accelerator:
    """Join layers, in topological order, by streams of the widths that they have.

    layers: their ``inputs`` and ``outputs`` name the tensors between them, in any way; layers that
        name none are a chain. Streams are called <producer>_<consumer>, ``input`` and ``output``.

    Raises:
        CompileError: a tensor with several consumers, several inputs or outputs of the whole,
            formats or widths that do not fit.
    """
    first, last = borders
    wired = list(layers) if any(la.inputs for la in layers) else _chained(layers)
    links = _links(name, wired)
    totals = {tensor: int(np.prod(first.shape)) for tensor, ends in links.items() if not ends[0]}
    formats = dict.fromkeys(totals, first.fmt)
    for layer in wired:
        given = frame_outputs(layer, tuple(totals[t] for t in layer.inputs))
        totals.update(zip(layer.outputs, given, strict=True))
        fmts = output_formats(layer, tuple(formats[t] for t in layer.inputs))
        formats.update(zip(layer.outputs, fmts, strict=True))
    labels = _labels(links)
    streams = [
        _stream(labels[tensor], tensor, ends, totals[tensor], formats[tensor])
        for tensor, ends in links.items()
    ]
    joined = tuple(
        replace(
            layer,
            inputs=tuple(labels[t] for t in layer.inputs),
            outputs=tuple(labels[t] for t in layer.outputs),
        )
        for layer in wired
    )
    fmt = next(s.fmt for s in streams if s.consumer is None)
    first, last = replace(first, stream=INPUT_STREAM), replace(last, stream=OUTPUT_STREAM)
    if last.fmt != fmt:
        last = replace(last, fmt=fmt)
    return Accelerator(name, joined, tuple(streams), first, last, clock_mhz, dict(meta))


_Ends = tuple[Layer | None, Layer | None]


def _chained(layers: Sequence[Layer]) -> list[Layer]:
    return [
        replace(layer, inputs=(f"{i}",), outputs=(f"{i + 1}",)) for i, layer in enumerate(layers)
    ]


def _links(name: str, layers: Sequence[Layer]) -> dict[str, _Ends]:
    """(producer, consumer) of every tensor: the input first, then in the order of producers."""
    producer: dict[str, Layer] = {}
    consumer: dict[str, Layer] = {}
    for layer in layers:
        for tensor in layer.inputs:
            if tensor in consumer:
                raise CompileError(
                    f"tensor {tensor}: goes to {consumer[tensor].name} and to {layer.name}",
                    hint="a stream has one consumer: insert a DuplicateStreams_phy",
                )
            consumer[tensor] = layer
        for tensor in layer.outputs:
            if tensor in consumer or tensor in producer:
                raise CompileError(f"{layer.name}: its output {tensor} is used before it is made")
            producer[tensor] = layer
    inputs = [t for t in consumer if t not in producer]
    outputs = [t for t in producer if t not in consumer]
    for role, found in (("input", inputs), ("output", outputs)):
        if len(found) != 1:
            raise CompileError(f"accelerator {name}: has {len(found)} {role}s {found}, not one")
    return {t: (producer.get(t), consumer.get(t)) for t in (*inputs, *producer)}


def _labels(links: Mapping[str, _Ends]) -> dict[str, str]:
    """Stream names by tensor; two streams between the same two layers are numbered."""
    labels: dict[str, str] = {}
    for tensor, (before, after) in links.items():
        if before is None or after is None:
            label = INPUT_STREAM if before is None else OUTPUT_STREAM
        else:
            label = f"{before.name}_{after.name}"
            if label in labels.values():
                label = f"{label}_{before.outputs.index(tensor)}"
        labels[tensor] = label
    return labels


def output_formats(layer: Layer, inputs: tuple[IntFormat, ...]) -> tuple[IntFormat, ...]:
    """Format of what a layer gives at each output, for the formats of what arrives."""
    if len(set(inputs)) > 1:
        raise CompileError(
            f"{layer.name}: joins {' and '.join(map(str, inputs))}",
            hint="both inputs of an add or a concat need one quantizer",
        )
    return tuple(
        inputs[0] if port.signed is None else IntFormat(port.bits, port.signed)
        for port in output_ports(layer)
    )


def _stream(name: str, tensor: str, ends: _Ends, elements: int, fmt: IntFormat) -> Stream:
    before, after = ends
    sides = []
    if before is not None:
        sides.append(output_ports(before)[before.outputs.index(tensor)].elems)
    if after is not None:
        sides.append(input_ports(after)[after.inputs.index(tensor)].elems)
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

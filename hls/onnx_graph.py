# SPDX-License-Identifier: Apache-2.0
"""The structure of a received graph, checked before anything is computed from it.

After `check_graph` a graph has one input and one output, every tensor comes from one place, the
nodes stand in the order in which they can be computed, and each has the inputs and attributes that
its operator needs. So what reads the graph later may rely on all that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from models.errors import CompileError

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

STANDARD = ("", "ai.onnx")
OLDEST_OPSET = 7
"""Before it, operators broadcast by attributes."""
QONNX_INPUTS = {"Quant": 4, "IntQuant": 4, "BipolarQuant": 2}
FLAGS = ("signed", "narrow")
"""Attributes of a Quant node that have to be there, each 0 or 1."""
AXES = {2: "[1, n]", 3: "[1, t, n]", 4: "[1, channels, height, width]"}
"""Frames that an accelerator takes, by the number of axes."""
SHOWN = 6
"""Nodes of a cycle that a message names."""


def check_graph(model: ModelProto, path: Path) -> None:
    """Check the structure of a model and put its nodes in order.

    What its outputs do not need is dropped, and so are shapes stated for tensors within: they are
    inferred anew.

    Raises:
        CompileError: it is none that can be computed; the message names node or tensor.
    """
    graph = model.graph
    version = _opset(model, path)
    for index, node in enumerate(graph.node):
        _check_node(node, version, f"{path}: {node.op_type} node {node.name or index!r}")
    _check_names(graph, path)
    nodes = [graph.node[i] for i in _ordered(graph, path)]
    outputs = {item.name for item in graph.output}
    needed = _needed(nodes, outputs)
    del graph.node[:]
    graph.node.extend(needed)
    read = {name for node in needed for name in _read(node)} | outputs
    kept = [item for item in graph.initializer if item.name in read]
    if len(kept) < len(graph.initializer):
        del graph.initializer[:]
        graph.initializer.extend(kept)
    _check_borders(graph, path)
    del graph.value_info[:]


def named_node(node: NodeProto) -> str:
    """How a message names a node; one without a name by the tensor that it gives."""
    if node.name:
        return f"{node.op_type} node {node.name!r}"
    return f"{node.op_type} node that gives {next(iter(node.output), '')!r}"


# Operators


def _opset(model: ModelProto, path: Path) -> int:
    """Version of the standard operators."""
    from onnx import defs

    newest = int(defs.onnx_opset_version())
    found = [item.version for item in model.opset_import if item.domain in STANDARD]
    if len(found) != 1 or not OLDEST_OPSET <= found[0] <= newest:
        what = f"opset {found[0]}" if len(found) == 1 else f"{len(found)} opsets {found}"
        raise CompileError(
            f"{path}: {what} of the standard operators: one of {OLDEST_OPSET} to {newest} is read",
            hint="export the network with opset 13 to 18",
        )
    return int(found[0])


def _check_node(node: NodeProto, version: int, what: str) -> None:
    """Inputs, outputs and attributes of one node against the definition of its operator."""
    from onnx import defs

    if not node.op_type or not any(node.output):
        raise CompileError(
            f"{what}: {'has no operator' if not node.op_type else 'gives no tensor'}",
            hint="export the network again",
        )
    names = Counter(item.name for item in node.attribute)
    if twice := [name for name, count in names.items() if count > 1]:
        raise CompileError(f"{what}: attribute {twice[0]!r} is there twice", hint=_AGAIN)
    if node.domain not in STANDARD:
        wanted = QONNX_INPUTS.get(node.op_type)
        if wanted is not None:
            _check_inputs(node, wanted, wanted, what)
            _check_quantizer(node, what)
        return
    try:
        schema = defs.get_schema(node.op_type, version, "")
    except defs.SchemaError:
        return  # told by `check_operators`
    required = sum(i.option == defs.OpSchema.FormalParameterOption.Single for i in schema.inputs)
    _check_inputs(node, max(schema.min_input, required), schema.max_input, what)
    for name, rule in schema.attributes.items():
        found = next((item for item in node.attribute if item.name == name), None)
        if found is None and rule.required:
            raise CompileError(f"{what}: its attribute {name!r} is missing", hint=_AGAIN)
        if found is not None and found.type != int(rule.type.value):
            raise CompileError(
                f"{what}: attribute {name!r} is {_kind(found)}, must be {rule.type.name}",
                hint=_AGAIN,
            )


def _check_quantizer(node: NodeProto, what: str) -> None:
    """Attributes of QONNX' quantizers, for which ONNX has no definition."""
    given = {item.name: item for item in node.attribute}
    for name in FLAGS if node.op_type != "BipolarQuant" else ():
        if name not in given or not given[name].HasField("i") or given[name].i not in (0, 1):
            found = _value(given[name]) if name in given else "missing"
            raise CompileError(f"{what}: attribute {name!r} is {found}, must be 0 or 1", hint=_Q)
    mode = given.get("rounding_mode")
    if mode is not None and not mode.HasField("s"):
        raise CompileError(
            f"{what}: attribute 'rounding_mode' is {_value(mode)}, must be a text", hint=_Q
        )


def _value(item: AttributeProto) -> str:
    """A number or text as a message shows it, else its kind."""
    for field in ("i", "f", "s"):
        if item.HasField(field):
            return repr(getattr(item, field))
    return _kind(item)


_Q = "export the network as QONNX again (Brevitas: export_qonnx)"
_AGAIN = "the file is no valid ONNX: export the network again"


def _kind(item: AttributeProto) -> str:
    from onnx import AttributeProto as Attribute

    known = item.type in Attribute.AttributeType.values()
    return str(Attribute.AttributeType.Name(item.type)) if known else f"of type {item.type}"


def _check_inputs(node: NodeProto, least: int, most: int, what: str) -> None:
    """Number of inputs; the first ``least`` of them have names."""
    count = len(node.input)
    missing = [i for i, name in enumerate(node.input[:least]) if not name]
    if least <= count <= most and not missing:
        return
    rule = str(least) if least == most else f"{least} to {most}"
    found = f"input {missing[0]} is left out" if least <= count <= most else f"{count} inputs"
    raise CompileError(f"{what}: {found}; {node.op_type} takes {rule}", hint=_AGAIN)


# Names


def _check_names(graph: GraphProto, path: Path) -> None:
    """Every tensor comes from one place, and all that is read comes from somewhere."""
    constants = [item.name for item in graph.initializer]
    if twice := [name for name, count in Counter(constants).items() if count > 1]:
        raise CompileError(f"{path}: two constants are named {twice[0]!r}", hint=_AGAIN)
    given: dict[str, str] = {item.name: "the graph's input" for item in graph.input}
    given |= dict.fromkeys(constants, "a constant")
    for node in graph.node:
        for name in filter(None, node.output):
            if name in given:
                raise CompileError(
                    f"{path}: tensor {name!r} comes from two places: {given[name]} and "
                    f"{named_node(node)}",
                    hint="give every tensor a name of its own",
                )
            given[name] = named_node(node)
    for node in graph.node:
        for name in _read(node):
            if name not in given:
                raise CompileError(
                    f"{path}: {named_node(node)}: its input {name!r} is given by no node, and is "
                    "neither the graph's input nor a constant",
                    hint=_AGAIN,
                )
    for item in graph.output:
        if item.name not in given:
            raise CompileError(f"{path}: no node gives the output {item.name!r}", hint=_AGAIN)


def _read(node: NodeProto) -> Iterator[str]:
    """Tensors of the graph that a node reads, those within its own graphs included."""
    yield from filter(None, node.input)
    for item in node.attribute:
        for inner in (*([item.g] if item.HasField("g") else []), *item.graphs):
            own = {i.name for i in (*inner.input, *inner.initializer)}
            own.update(name for n in inner.node for name in n.output)
            yield from (name for n in inner.node for name in _read(n) if name not in own)


def _check_borders(graph: GraphProto, path: Path) -> None:
    """One input that is read, of a known number of floats, and one output."""
    constants = {item.name for item in graph.initializer}
    read = {name for node in graph.node for name in _read(node)}
    read |= {item.name for item in graph.output}
    inputs = [item for item in graph.input if item.name not in constants]
    used = [item for item in inputs if item.name in read]
    if len(used) != 1:
        names = ", ".join(repr(item.name) for item in used or inputs)
        what = f"{len(used)} inputs ({names})" if used else f"no input that is read ({names})"
        way_out = "join them in one tensor that the host fills, or make one of them a constant"
        raise CompileError(
            f"{path}: the network has {what}: one input is supported",
            hint=way_out if used else _AGAIN,
        )
    for item in inputs:
        if item is not used[0]:
            graph.input.remove(item)
    if not graph.node:
        raise CompileError(
            f"{path}: no node gives the output {graph.output[0].name!r}: it is the input itself",
            hint="there is nothing to map",
        )
    if len(graph.output) != 1:
        names = ", ".join(repr(item.name) for item in graph.output)
        raise CompileError(
            f"{path}: the model has {len(graph.output)} outputs ({names}): one is supported",
            hint="export the network with a single output tensor",
        )
    _check_input(used[0], path)


def _check_input(item: ValueInfoProto, path: Path) -> None:
    from onnx import TensorProto

    kind = item.type.tensor_type.elem_type
    what = f"{path}: input {item.name!r}"
    if kind != TensorProto.FLOAT:
        known = kind in TensorProto.DataType.values()
        raise CompileError(
            f"{what} holds {TensorProto.DataType.Name(kind) if known else kind}, must hold FLOAT",
            hint="export the network in float32: its first quantizer makes integers",
        )
    dims = [d.dim_param or d.dim_value for d in item.type.tensor_type.shape.dim]
    frame = dims[1:]
    if len(dims) not in AXES or not all(isinstance(d, int) and d > 0 for d in frame):
        raise CompileError(
            f"{what} has the shape {dims}: the batch and then fixed sizes, "
            f"{', '.join(AXES.values())}, can be compiled",
            hint="export the network with a batch axis in front and fixed sizes behind it",
        )


# Order


def _ordered(graph: GraphProto, path: Path) -> list[int]:
    """Numbers of the nodes, each behind those that it reads from; as they stand if that is so."""
    source = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    before = [{source[n] for n in _read(node) if n in source} for node in graph.node]
    users: list[list[int]] = [[] for _ in before]
    for index, sources in enumerate(before):
        for other in sources:
            users[other].append(index)
    if all(other < index for index, sources in enumerate(before) for other in sources):
        return list(range(len(before)))
    waiting = [len(sources) for sources in before]
    ready = [index for index, count in enumerate(waiting) if not count][::-1]
    order: list[int] = []
    while ready:
        order.append(ready.pop())
        for user in users[order[-1]]:
            waiting[user] -= 1
            if not waiting[user]:
                ready.append(user)
    if len(order) < len(before):
        raise _cycle(graph, before, set(order), path)
    return order


def _needed(nodes: list[NodeProto], outputs: set[str]) -> list[NodeProto]:
    """Those of ordered nodes that the outputs follow from."""
    wanted, kept = set(outputs), []
    for node in reversed(nodes):
        if wanted.intersection(node.output):
            wanted.update(_read(node))
            kept.append(node)
    return kept[::-1]


def _cycle(graph: GraphProto, before: list[set[int]], done: set[int], path: Path) -> CompileError:
    """The error that names the nodes of a cycle, walked against the data."""
    walked: list[int] = []
    index = next(i for i in range(len(before)) if i not in done)
    while index not in walked:
        walked.append(index)
        index = min(i for i in before[index] if i not in done)
    ring = walked[walked.index(index) :][::-1]
    names = " -> ".join(named_node(graph.node[i]) for i in ring[:SHOWN])
    more = f" -> {len(ring) - SHOWN} more" if len(ring) > SHOWN else ""
    return CompileError(
        f"{path}: the nodes {names}{more} form a cycle: each reads what another one gives",
        hint="a recurrent network is not compiled: export one step of it, and let the host keep "
        "the state",
    )

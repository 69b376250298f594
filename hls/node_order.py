# SPDX-License-Identifier: Apache-2.0
"""The order in which nodes have to run, as qonnx' SortGraph has it."""

from __future__ import annotations

from onnx import GraphProto

from models.errors import CompileError


def sorted_places(graph: GraphProto) -> list[int]:
    """Places of the nodes in topological order, those of one depth as they were.

    Nodes that take nothing that is computed or given are left out.

    Raises:
        CompileError: the graph has a cycle.
    """
    nodes = list(graph.node)
    producer = {name: i for i, node in reversed([*enumerate(nodes)]) for name in node.output}
    given = {item.name for item in (*graph.initializer, *graph.input)}
    needs: dict[int, set[int]] = {}
    for index, node in enumerate(nodes):
        before = {producer[name] for name in node.input if name in producer}
        if before or any(name in given for name in node.input):
            needs[index] = before
    return _by_depth(needs)


def _by_depth(needs: dict[int, set[int]]) -> list[int]:
    """Items behind all that they need, those of one depth in their own order."""
    missing = {item: len(before) for item, before in needs.items()}
    users: dict[int, list[int]] = {}
    for item, before in needs.items():
        for need in before:
            users.setdefault(need, []).append(item)
    layer = [item for item, count in missing.items() if not count]
    layer += [need for need in users if need not in needs]
    order: list[int] = []
    while layer:
        order += sorted(layer)
        following = []
        for item in layer:
            for user in users.get(item, ()):
                missing[user] -= 1
                if not missing[user]:
                    following.append(user)
        layer = following
    if len(order) < len(needs):
        raise CompileError(
            "the graph has a cycle: nodes need what they give",
            hint="export the network again, as a chain of layers from input to output",
        )
    return order

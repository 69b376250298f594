# SPDX-License-Identifier: Apache-2.0
"""Joining layers: chains, forks and joins, and what does not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rtl_chains
from rtl_graphs import (
    U4,
    Node,
    add,
    channels,
    duplicate,
    from_spec,
    graph,
    line,
    pool,
    residual,
    small_network,
    window,
)

from hls import reference
from hls.extract import connect
from hls.ir import Accelerator, IntFormat
from hls.ports import frame_outputs, input_ports, output_ports
from models.errors import CompileError

S4 = IntFormat(4, signed=True)
FORK: list[Node] = [("fork", duplicate(1, U4), ["x"], ["a", "b"])]


def test_streams_of_a_graph_are_named_by_their_ends() -> None:
    acc = residual()
    assert [s.name for s in acc.streams] == [
        *("input", "fork_win_c", "fork_sum", "win_c_fc_c", "fc_c_act_c", "act_c_sum", "output")
    ]
    assert acc.layer("sum").inputs == ("act_c_sum", "fork_sum")
    assert acc.layer("fork").outputs == ("fork_win_c", "fork_sum")
    assert acc.stream("win_c_fc_c").beats_per_frame == 36 * 36
    assert acc.output.fmt == IntFormat(5, signed=False)


def test_two_streams_between_two_layers_are_numbered() -> None:
    acc = graph(U4, (4, 2), [*FORK, ("sum", add(4, 2, 1, U4), ["a", "b"], ["y"])])
    assert acc.layer("sum").inputs == ("fork_sum", "fork_sum_1")


def test_layers_without_names_are_a_chain() -> None:
    acc = line(U4, (4, 4, 2), window((4, 4, 2), 1, U4), pool((4, 4, 18), (2, 2), 1, U4))
    bare = [replace(la, inputs=(), outputs=()) for la in acc.layers]
    again = connect(acc.name, bare, (acc.input, acc.output), acc.clock_mhz, acc.meta)
    assert again == acc


def test_a_saved_graph_loads(tmp_path: Path) -> None:
    acc = small_network()
    acc.save(tmp_path)
    loaded = Accelerator.load(tmp_path)
    assert loaded.streams == acc.streams
    assert [la.inputs for la in loaded.layers] == [la.inputs for la in acc.layers]
    codes = rtl_chains.frames(acc, 4)
    np.testing.assert_array_equal(reference.run(loaded, codes), reference.run(acc, codes))


def test_ports_say_what_the_reference_does() -> None:
    acc = small_network()
    trace = reference.trace(acc, rtl_chains.frames(acc, 4))
    for layer in acc.layers:
        totals = tuple(trace[name].shape[1] for name in layer.inputs)
        given = tuple(trace[name].shape[1] for name in layer.outputs)
        assert frame_outputs(layer, totals) == given
        for port, name in zip(
            (*input_ports(layer), *output_ports(layer)),
            (*layer.inputs, *layer.outputs),
            strict=True,
        ):
            stream = acc.stream(name)
            assert stream.fmt.allowed(trace[name])
            assert (port.bits, port.elems) == (stream.fmt.bits, stream.elems_per_beat)
            assert port.beats in (None, stream.beats_per_frame)


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        pytest.param(
            [
                ("one", pool((2, 2, 2), (2, 2), 1, U4), ["x"], ["a"]),
                ("two", pool((2, 2, 2), (2, 2), 1, U4), ["x"], ["y"]),
            ],
            "tensor x: goes to one and to two",
            id="two consumers",
        ),
        pytest.param(
            [("sum", add(4, 2, 1, U4), ["x", "z"], ["y"])],
            r"has 2 inputs \['x', 'z'\], not one",
            id="two inputs",
        ),
        pytest.param(FORK, r"has 2 outputs \['a', 'b'\], not one", id="two outputs"),
        pytest.param(
            [
                ("sum", add(4, 2, 1, U4), ["a", "b"], ["y"]),
                *FORK,
            ],
            "fork: its output a is used before it is made",
            id="wrong order",
        ),
        pytest.param(
            [
                *FORK,
                ("fc", from_spec(rtl_chains.mvau((2, 2), 1, 1, U4, S4), 4), ["a"], ["c"]),
                ("cat", channels("concat", 4, (2, 2), 1, U4), ["c", "b"], ["y"]),
            ],
            "cat: joins INT9 and UINT4",
            id="two formats",
        ),
        pytest.param(
            [*FORK, ("sum", add(4, 2, 2, U4), ["a", "b"], ["y"])],
            "stream fork_sum: fork gives 1 elements a beat, sum takes 2",
            id="two widths",
        ),
        pytest.param(
            [*FORK, ("sum", add(3, 2, 1, U4), ["a", "b"], ["y"])],
            "sum: takes 6 elements, 8 arrive",
            id="two sizes",
        ),
    ],
)
def test_what_does_not_fit_is_refused(nodes: list[Node], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        graph(U4, (4, 2), nodes)

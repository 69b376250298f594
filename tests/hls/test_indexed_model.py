# SPDX-License-Identifier: Apache-2.0
"""Look-ups that do not walk the graph: the answers are qonnx' own, whatever was edited."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.general import GiveReadableTensorNames, SortGraph
from qonnx.transformation.infer_shapes import InferShapes

from hls.compile_options import CompileOptions
from hls.compiler import compile_model
from hls.indexed_model import IndexedModel
from hls.passes.streamline import integer_activations_step, integer_weights_step
from hls.passes.tidy import tidy
from hls.reference import run
from models.errors import CompileError


def chain(mlp: ModuleType, depth: int, path: Path | None = None) -> Any:
    b, rng = mlp.GraphBuilder(), np.random.default_rng(depth)
    x = b.quant("x", 1.0, 4, signed=True)
    for _ in range(depth):
        w = b.quant(b.const(rng.integers(-7, 8, (4, 4))), 1.0, 4, signed=True)
        x = b.quant(b.op("Relu", [b.op("MatMul", [x, w])]), 8.0, 4, signed=False)
    return b.model(4, 4, x, path)


def sums(mlp: ModuleType, depth: int, path: Path | None = None) -> Any:
    """x + x, again and again, and a quantizer."""
    b = mlp.GraphBuilder()
    x = b.quant("x", 1.0, 2, signed=True)
    for _ in range(depth):
        x = b.op("Add", [x, x])
    x = b.quant(x, 2.0 ** (depth - 1), 4, signed=True)
    w = b.quant(b.const(np.eye(4)), 1.0, 4, signed=True)
    return b.model(4, 4, b.op("MatMul", [x, w]), path)


def residual(mlp: ModuleType, depth: int, path: Path | None = None) -> Any:
    """x + relu(dense(x)) and a quantizer, again and again."""
    b, rng = mlp.GraphBuilder(), np.random.default_rng(depth)
    x = b.quant("x", 0.25, 4, signed=False)
    for _ in range(depth):
        w = b.quant(b.const(rng.integers(-7, 8, (4, 4))), 1.0, 4, signed=True)
        y = b.quant(b.op("Relu", [b.op("MatMul", [x, w])]), 0.25, 4, signed=False)
        x = b.quant(b.op("Add", [x, y]), 0.25, 4, signed=False)
    return b.model(4, 4, x, path)


def stairs(mlp: ModuleType, depth: int, path: Path | None = None) -> Any:
    """All layers' outputs, one Concat behind another: each waits for its second input."""
    b, rng = mlp.GraphBuilder(), np.random.default_rng(depth)
    x = total = b.quant("x", 0.25, 4, signed=False)
    for _ in range(depth):
        w = b.quant(b.const(rng.integers(-7, 8, (4, 4))), 1.0, 4, signed=True)
        x = b.quant(b.op("Relu", [b.op("MatMul", [x, w])]), 0.25, 4, signed=False)
        total = b.op("Concat", [total, x], axis=1)
    w = b.quant(b.const(np.ones((4 * depth + 4, 4))), 1.0, 4, signed=True)
    return b.model(4, 4, b.op("MatMul", [total, w]), path)


def check(fast: IndexedModel, names: list[str]) -> None:
    slow = ModelWrapper(fast.model, fix_missing_initializer_valueinfo=False)
    for name in names:
        assert fast.find_producer(name) == slow.find_producer(name), name
        assert fast.find_consumers(name) == slow.find_consumers(name), name
        assert fast.get_tensor_valueinfo(name) == slow.get_tensor_valueinfo(name), name
        np.testing.assert_equal(fast.get_initializer(name), slow.get_initializer(name))
        if slow.get_tensor_valueinfo(name) or slow.get_initializer(name) is not None:
            assert fast.get_tensor_shape(name) == slow.get_tensor_shape(name), name
            assert fast.get_tensor_datatype(name) == slow.get_tensor_datatype(name), name


def test_answers_are_those_of_qonnx_after_any_edit(mlp: ModuleType) -> None:
    model = IndexedModel(chain(mlp, 5)).transform(InferShapes())
    assert isinstance(model, IndexedModel)
    rng = np.random.default_rng(1)
    names = [*model.get_all_tensor_names(), *(i.name for i in model.graph.initializer), "none"]
    for step in range(60):
        check(model, [names[i] for i in rng.integers(0, len(names), 8)])
        nodes, kind = model.graph.node, step % 6
        place = int(rng.integers(0, len(nodes)))
        if kind == 0:
            new = helper.make_node("Relu", [nodes[place].output[0]], [f"new{step}"], f"n{step}")
            nodes.insert(int(rng.integers(0, len(nodes))), new)
            names.append(f"new{step}")
        elif kind == 1:
            model.graph.node.remove(nodes[place])
        elif kind == 2:
            model.set_initializer(f"fresh{step}", np.ones(step + 1, np.float32))
            names.append(f"fresh{step}")
        elif kind == 3:
            model.set_tensor_datatype(names[place], DataType["INT5"])
        elif kind == 4:
            for name in names[::-1][:12]:
                if model.get_tensor_valueinfo(name) is not None:
                    model.set_tensor_shape(name, [1, step])
        else:
            model.graph.value_info.remove(model.graph.value_info[0])
    check(model, names)


def test_tracked_users_stay_those_of_the_graph(
    mlp: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The passes that edit a tracked graph tell it all that they do."""
    tracked = IndexedModel.find_consumers

    def asked(self: IndexedModel, name: str) -> Any:
        found = tracked(self, name)
        assert found == [n for n in self.graph.node for i in n.input if i == name]
        return found

    monkeypatch.setattr(IndexedModel, "find_consumers", asked)
    for build in (chain, sums, residual, stairs):
        model = integer_weights_step(tidy(IndexedModel(build(mlp, 4))))
        integer_activations_step(model)


def test_sorting_and_naming_are_those_of_qonnx(mlp: ModuleType) -> None:
    rng = np.random.default_rng(2)
    for depth in (1, 3, 6):
        proto = chain(mlp, depth)
        nodes = [proto.graph.node[i] for i in rng.permutation(len(proto.graph.node))]
        del proto.graph.node[:]
        proto.graph.node.extend(nodes)
        slow = ModelWrapper(proto, make_deepcopy=True)
        fast = IndexedModel(slow.model).transform(SortGraph()).transform(GiveReadableTensorNames())
        slow = slow.transform(SortGraph()).transform(GiveReadableTensorNames())
        assert list(fast.graph.node) == list(slow.graph.node)
        assert [i.name for i in fast.graph.value_info] == [i.name for i in slow.graph.value_info]


def test_a_cycle_is_named(mlp: ModuleType) -> None:
    model = IndexedModel(chain(mlp, 2))
    first, last = model.graph.node[0], model.graph.node[-1]
    first.input[0] = last.output[0]
    with pytest.raises(CompileError, match="cycle"):
        model.sort()
    assert not model.is_constant(last.output[0])


def calls(work: Callable[[], Any]) -> int:
    """Python functions called: the same every time, unlike seconds."""
    count = 0

    def note(frame: FrameType, event: str, arg: Any) -> None:
        nonlocal count
        count += event == "call"

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return count


def front_end(model: Any) -> None:
    integer_activations_step(integer_weights_step(tidy(IndexedModel(model))))


@pytest.mark.parametrize("build", [chain, sums, residual, stairs])
def test_work_of_the_passes_by_depth(
    build: Callable[[ModuleType, int], Any], mlp: ModuleType
) -> None:
    """Twice the depth, about twice the calls."""
    front_end(build(mlp, 2))  # imports
    short, long = (calls(lambda d=depth: front_end(build(mlp, d))) for depth in (12, 24))
    assert long / short < 2.0**1.1


def test_nested_sums_compile(mlp: ModuleType, tmp_path: Path) -> None:
    """2^40 ways lead through the graph; each code counts 2^40 times."""
    sums(mlp, 40, tmp_path / "net.onnx")
    acc = compile_model(tmp_path / "net.onnx", tmp_path / "out", CompileOptions())
    codes = np.array([[-2, -1, 0, 1]])
    np.testing.assert_array_equal(run(acc, codes), 2 * codes)


def test_sums_too_wide_for_float64_are_named(mlp: ModuleType, tmp_path: Path) -> None:
    sums(mlp, 60, tmp_path / "net.onnx")
    with pytest.raises(CompileError, match=r"Add node '.*': its sums need 54 bits and a sign"):
        compile_model(tmp_path / "net.onnx", tmp_path / "out", CompileOptions())

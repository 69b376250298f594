# SPDX-License-Identifier: Apache-2.0
"""Files that are no graph that can be computed: told when they are read, by node and tensor."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper
from onnx_mutants import mutant

from hls.compiler import compile_model
from hls.onnx_file import read_model
from models.errors import CompileError, LimitError

Builder = Any
SEEDS = 180
LAYERS = ("fc", "win", "act", "cat", "pool", "up", "add", "dup")
"""The compiler's own names of layers begin so."""


def network(mlp: ModuleType) -> ModelProto:
    """6 -> 5 -> 4 with every kind of parameter."""
    b = mlp.GraphBuilder()
    rng = np.random.default_rng(0)

    def weights(n: int, m: int) -> str:
        return b.quant(b.const(rng.integers(-7, 8, (n, m)) * 0.25, "w"), 0.25, 4, signed=True)

    x = b.op("MatMul", [b.quant("x", 0.25, 4, signed=True), weights(6, 5)])
    stats = [b.const(v, "bn") for v in (np.ones(5), np.zeros(5), np.zeros(5), np.ones(5))]
    x = b.op("Clip", [b.op("BatchNormalization", [x, *stats]), b.const(-2.0), b.const(2.0)])
    x = b.op("Mul", [x, b.const(0.5)])
    x = b.quant(b.op("Relu", [x]), 0.5, 3, signed=False)
    return b.model(6, 4, b.op("Gemm", [x, weights(5, 4), b.const(np.arange(4) * 0.1)]))


def node(model: ModelProto, op_type: str) -> Any:
    return next(n for n in model.graph.node if n.op_type == op_type)


def cycle(model: ModelProto) -> None:
    node(model, "MatMul").input[0] = node(model, "Relu").output[0]


def dangling(model: ModelProto) -> None:
    node(model, "Relu").input[0] = "nowhere"


def two_sources(model: ModelProto) -> None:
    node(model, "Clip").output[0] = node(model, "Relu").output[0]


def two_inputs(model: ModelProto) -> None:
    info = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 5])
    model.graph.input.append(info)
    model.graph.node.append(helper.make_node("Add", [node(model, "Mul").output[0], "y"], ["sum"]))
    node(model, "Relu").input[0] = "sum"


def two_outputs(model: ModelProto) -> None:
    model.graph.output.add().name = node(model, "Relu").output[0]


def unread_input(model: ModelProto) -> None:
    node(model, "Quant").input[0] = next(n for n in model.graph.initializer).name


def input_as_output(model: ModelProto) -> None:
    model.graph.output[0].name = "x"


def left_out_input(model: ModelProto) -> None:
    del node(model, "MatMul").input[1]


def too_many_inputs(model: ModelProto) -> None:
    node(model, "Relu").input.append("x")


def missing_attribute(model: ModelProto) -> None:
    made = helper.make_node("Concat", [node(model, "Mul").output[0]] * 2, ["both"], name="join")
    model.graph.node.append(made)
    node(model, "Relu").input[0] = "both"


def wrong_attribute(model: ModelProto) -> None:
    node(model, "Gemm").attribute.append(helper.make_attribute("transB", "yes"))


def flag(model: ModelProto) -> None:
    item = next(a for a in node(model, "Quant").attribute if a.name == "narrow")
    item.CopyFrom(helper.make_attribute("narrow", "HALF_UP"))


def flag_left_out(model: ModelProto) -> None:
    attributes = node(model, "Quant").attribute
    attributes.remove(next(a for a in attributes if a.name == "signed"))


def old_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 5


def future_opset(model: ModelProto) -> None:
    model.opset_import[0].version = 999


def double_input(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE


def no_batch(model: ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[0]


def open_size(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "n"


def no_shape(model: ModelProto) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def stale_output(model: ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 9


def wrong_annotation(model: ModelProto) -> None:
    note = model.graph.quantization_annotation.add()
    note.tensor_name = next(i.name for i in model.graph.initializer if i.name.startswith("w"))
    entry = note.quant_parameter_tensor_names.add()
    entry.key, entry.value = "finn_datatype", "INT4"


def cut_tensor(model: ModelProto) -> None:
    item = next(i for i in model.graph.initializer if i.name.startswith("w"))
    item.raw_data = item.raw_data[:10]


CASES = [
    (cycle, "Clip node .*-> .* form a cycle", "one step of it"),
    (dangling, "Relu node .*input 'nowhere' is given by no node", "no valid ONNX"),
    (two_sources, "tensor 'relu_.*' comes from two places: Clip node .*Relu node", "of its own"),
    (two_inputs, r"2 inputs \('x', 'y'\): one input is supported", "join them in one tensor"),
    (two_outputs, r"2 outputs \('gemm_.*', 'relu_.*'\)", "single output"),
    (unread_input, r"no input that is read \('x'\)", "no valid ONNX"),
    (input_as_output, "output 'x': it is the input itself", "nothing to map"),
    (left_out_input, "MatMul node .*: 1 inputs; MatMul takes 2", "no valid ONNX"),
    (too_many_inputs, "Relu node .*: 2 inputs; Relu takes 1", "no valid ONNX"),
    (missing_attribute, "Concat node 'join': its attribute 'axis' is missing", "no valid ONNX"),
    (wrong_attribute, "Gemm node .*'transB' is STRING, must be INT", "no valid ONNX"),
    (flag, "Quant node .*'narrow' is b'HALF_UP', must be 0 or 1", "QONNX again"),
    (flag_left_out, "Quant node .*'signed' is missing, must be 0 or 1", "QONNX again"),
    (old_opset, "opset 5 of the standard operators", "opset 13 to 18"),
    (future_opset, "opset 999 of the standard operators", "opset 13 to 18"),
    (double_input, "input 'x' holds DOUBLE, must hold FLOAT", "float32"),
    (no_batch, r"input 'x' has the shape \[6\]", "batch axis in front"),
    (open_size, r"input 'x' has the shape \[1, 'n'\]", "fixed sizes"),
    (no_shape, r"input 'x' has the shape \[\]", "batch axis"),
    (stale_output, r"output 'gemm_.*' is declared .*\[1, 9\], the network gives \[1, 4\]", "again"),
    (wrong_annotation, "tensor 'w_.*' is annotated as INT4, which does not hold", "other values"),
    (cut_tensor, r"tensor 'w_.*' of shape \[6, 5\] cannot be read", "damaged"),
]


@pytest.mark.parametrize(
    ("change", "message", "way_out"), CASES, ids=lambda v: getattr(v, "__name__", "")
)
def test_message(
    mlp: ModuleType,
    tmp_path: Path,
    change: Callable[[ModelProto], None],
    message: str,
    way_out: str,
) -> None:
    model = network(mlp)
    change(model)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match=message) as caught:
        compile_model(path, tmp_path / "out")
    assert way_out in caught.value.hint


def test_nodes_in_any_order_unused_ones_and_constant_nodes_are_read(
    mlp: ModuleType, tmp_path: Path
) -> None:
    path, expected = tmp_path / "net.onnx", network(mlp)
    onnx.save(expected, str(path))
    first = compile_model(path, tmp_path / "first")
    model = network(mlp)
    stored = model.graph.initializer[0]
    value = helper.make_node("Constant", [], [stored.name], name="value", value=stored)
    nodes = [*reversed(model.graph.node), value]
    nodes.append(helper.make_node("LSTM", ["x", "x", "x"], ["unused"], name="unused"))
    model.graph.initializer.remove(stored)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, str(path))
    assert [n.op_type for n in read_model(path).graph.node].count("Constant") == 0
    second = compile_model(path, tmp_path / "second")
    for a, b in zip(first.layers, second.layers, strict=True):
        assert a.params == b.params
        assert a.arrays.keys() == b.arrays.keys()
        for name, array in a.arrays.items():
            np.testing.assert_array_equal(array, b.arrays[name])


# Whatever is wrong


def bases(mlp: ModuleType, cnn: ModuleType) -> list[ModelProto]:
    """Vectors; a flattened image with a sum; images with a pool, a fork, a join, upsampling."""
    b = mlp.GraphBuilder()
    rng = np.random.default_rng(0)

    def dense(x: str, n: int, m: int) -> str:
        w = b.quant(b.const(rng.integers(-7, 8, (n, m)) * 0.25, "w"), 0.25, 4, signed=True)
        return b.op("MatMul", [x, w])

    x = b.op("Flatten", [b.quant("x", 0.25, 4, signed=True)], axis=1)
    x = b.quant(dense(x, 12, 5), 0.5, 4, signed=True)
    y = b.quant(dense(x, 5, 5), 0.5, 4, signed=True)
    summed = b.model((2, 3, 2), 4, dense(b.op("Add", [x, y]), 5, 4))
    i = cnn.ImageBuilder()
    x = i.relu(i.pool(i.conv(i.quant("x", 0.25, 4, signed=True), (2, 3)), (2, 2)))
    y, z = (i.relu(i.conv(x, (3, 2), (1, 1))) for _ in range(2))
    x = i.upsample(i.op("Concat", [y, z], axis=1), (2, 2))
    return [network(mlp), summed, i.model((2, 4, 4), (2, 4, 4), i.conv(x, (4, 2), (1, 1)))]


def known_names(model: ModelProto) -> set[str]:
    graph = model.graph
    names = {n.name for n in graph.node} | {i.name for i in graph.initializer}
    names |= {name for n in graph.node for name in (*n.input, *n.output)}
    return (names | {i.name for i in (*graph.input, *graph.output)}) - {""}


def test_changed_networks_compile_bit_exactly_or_are_refused_by_name(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path
) -> None:
    """Never another exception, and never a mismatch: what compiles is checked on golden frames."""
    valid, path = bases(mlp, cnn), tmp_path / "net.onnx"
    refused = 0
    for seed in range(SEEDS):
        model, changes = mutant(valid[seed % len(valid)], np.random.default_rng(seed))
        path.write_bytes(model.SerializeToString())
        try:
            compile_model(path, tmp_path / "out")
        except (CompileError, LimitError) as error:
            refused += 1
            text, whole = error.message, "opset" in changes
            named = any(repr(name) in text for name in known_names(model))
            layer = text.startswith(LAYERS)
            assert named or layer or whole, f"seed {seed}, {changes}: {text}"
            assert "does not take this network" not in text, f"seed {seed}, {changes}: {text}"
            assert "\n" not in text
    assert SEEDS // 2 < refused < SEEDS

# SPDX-License-Identifier: Apache-2.0
"""Small valid networks, changed in ways in which files of others are wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import GraphProto, ModelProto, TensorProto, helper, numpy_helper

Rng = np.random.Generator
OPERATORS = (
    *("MatMul", "Gemm", "Conv", "Add", "Sub", "Mul", "Div", "Relu", "Clip", "Identity", "Flatten"),
    *("Reshape", "Squeeze", "Unsqueeze", "BatchNormalization", "MaxPool", "AveragePool"),
    *("GlobalAveragePool", "Resize", "Concat", "Transpose", "Shape", "Sigmoid", "Softmax", "LSTM"),
    *("Quant", "BipolarQuant", "Dropout", "Cast", "If", "Nonsense", ""),
)
VALUES = (np.nan, np.inf, -np.inf, 0.0, -1.0, 0.5, 3.0, 1e30, -1e30, 1e-40, 255.0, 2.0**31)
TYPES = (np.int64, np.int8, np.float16, np.float64, np.bool_, np.uint8)
ANNOTATIONS = ("INT4", "UINT8", "BIPOLAR", "FLOAT32", "INT2", "SCALEDINT<8>", "FIXED<8,3>")


def _pick(rng: Rng, items):
    return items[int(rng.integers(len(items)))]


def _names(graph: GraphProto) -> list[str]:
    made = [name for node in graph.node for name in node.output]
    return [*made, *(i.name for i in graph.initializer), *(i.name for i in graph.input), "nowhere"]


def drop_input(graph: GraphProto, rng: Rng) -> None:
    node = _pick(rng, graph.node)
    if node.input:
        place = int(rng.integers(len(node.input)))
        if rng.random() < 0.5:
            del node.input[place]
        else:
            node.input[place] = ""


def add_input(graph: GraphProto, rng: Rng) -> None:
    _pick(rng, graph.node).input.append(_pick(rng, _names(graph)))


def other_input(graph: GraphProto, rng: Rng) -> None:
    """Cycles, wrong shapes, activations in the place of weights."""
    node = _pick(rng, graph.node)
    if node.input:
        node.input[int(rng.integers(len(node.input)))] = _pick(rng, _names(graph))


def swap_inputs(graph: GraphProto, rng: Rng) -> None:
    node = _pick(rng, graph.node)
    node.input[:] = list(node.input)[::-1]


def other_operator(graph: GraphProto, rng: Rng) -> None:
    node = _pick(rng, graph.node)
    node.op_type = _pick(rng, OPERATORS)
    if rng.random() < 0.5:
        node.domain = _pick(rng, ("", "qonnx.custom_op.general", "onnx.brevitas", "ai.onnx"))


def other_output(graph: GraphProto, rng: Rng) -> None:
    """Names that stand twice, or for nothing."""
    node = _pick(rng, graph.node)
    node.output[0] = _pick(rng, [*_names(graph), ""])


def other_name(graph: GraphProto, rng: Rng) -> None:
    _pick(rng, graph.node).name = _pick(rng, ["", _pick(rng, graph.node).name, "a/b", "x" * 300])


def drop_node(graph: GraphProto, rng: Rng) -> None:
    del graph.node[int(rng.integers(len(graph.node)))]


def double_node(graph: GraphProto, rng: Rng) -> None:
    node = _pick(rng, graph.node)
    graph.node.add().CopyFrom(node)
    if rng.random() < 0.7:
        graph.node[-1].output[0] = "second"
        if rng.random() < 0.5:
            graph.output[0].name = "second"


def shuffle_nodes(graph: GraphProto, rng: Rng) -> None:
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(nodes[i] for i in rng.permutation(len(nodes)))


def other_values(graph: GraphProto, rng: Rng) -> None:
    """NaN, infinity, zero, the wrong sign, or far too large, in one place or everywhere."""
    item = _pick(rng, graph.initializer)
    value = numpy_helper.to_array(item).copy()
    if value.dtype.kind == "f" and value.size:
        flat = value.reshape(-1)
        flat[slice(None) if rng.random() < 0.3 else int(rng.integers(value.size))] = _pick(
            rng, VALUES
        )
        item.CopyFrom(numpy_helper.from_array(flat.reshape(value.shape), item.name))


def other_shape(graph: GraphProto, rng: Rng) -> None:
    item = _pick(rng, graph.initializer)
    value = numpy_helper.to_array(item)
    shapes: tuple[Callable[[], np.ndarray], ...] = (
        lambda: value.T,
        lambda: value.reshape(-1),
        lambda: value[np.newaxis],
        lambda: value.reshape((1,) * 5 + value.shape),
        lambda: value[:0] if value.ndim else value.reshape(1)[:0],
        lambda: np.concatenate([value, value]) if value.ndim else np.stack([value, value]),
        lambda: value.reshape(-1)[:1],
        lambda: value[..., :-1] if value.ndim else value,
    )
    item.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(_pick(rng, shapes)()), item.name))


def other_type(graph: GraphProto, rng: Rng) -> None:
    item = _pick(rng, graph.initializer)
    value = np.nan_to_num(numpy_helper.to_array(item).astype(np.float64), posinf=9, neginf=-9)
    if rng.random() < 0.1:
        text = helper.make_tensor(item.name, TensorProto.STRING, [1], [b"text"])
        item.CopyFrom(text)
    else:
        cast = np.clip(value, 0, 100).astype(_pick(rng, TYPES))
        item.CopyFrom(numpy_helper.from_array(cast, item.name))


def damaged_tensor(graph: GraphProto, rng: Rng) -> None:
    item = _pick(rng, graph.initializer)
    if rng.random() < 0.5:
        item.raw_data = item.raw_data[: len(item.raw_data) // 2]
    else:
        item.dims.append(int(_pick(rng, [-1, 0, 7])))


def other_attribute(graph: GraphProto, rng: Rng) -> None:
    node = _pick(rng, [n for n in graph.node if n.attribute] or graph.node)
    if not node.attribute:
        return
    item = _pick(rng, node.attribute)
    action = int(rng.integers(4))
    if action == 0:
        node.attribute.remove(item)
        return
    name, values = item.name, (-1, 0, 7, 1 << 40, 0.5, "HALF_UP", "nonsense", [1], [2, 2], [1] * 4)
    new = helper.make_attribute(name, _pick(rng, values))
    if action == 1:
        node.attribute.add().CopyFrom(new)
    else:
        item.CopyFrom(new)


def other_border(graph: GraphProto, rng: Rng) -> None:
    """Shapes and types of input and output; further ones."""
    action = int(rng.integers(5))
    item = graph.input[0] if rng.random() < 0.6 else graph.output[0]
    dims = item.type.tensor_type.shape.dim
    if action == 0 and dims:
        _pick(rng, dims).dim_value = int(_pick(rng, [-1, 0, 2, 4, 7]))
    elif action == 1:
        item.type.tensor_type.ClearField("shape")
    elif action == 2:
        dims.add().dim_value = 3
    elif action == 3:
        item.type.tensor_type.elem_type = int(_pick(rng, [0, 6, 7, 8, 10, 11, 99]))
    else:
        more = helper.make_tensor_value_info(_pick(rng, _names(graph)), TensorProto.FLOAT, [1, 4])
        (graph.input if rng.random() < 0.5 else graph.output).append(more)


def other_end(graph: GraphProto, rng: Rng) -> None:
    graph.output[0].name = _pick(rng, _names(graph))


def annotation(graph: GraphProto, rng: Rng) -> None:
    note = graph.quantization_annotation.add()
    note.tensor_name = _pick(rng, _names(graph))
    entry = note.quant_parameter_tensor_names.add()
    entry.key, entry.value = "finn_datatype", _pick(rng, ANNOTATIONS)


def stale_shape(graph: GraphProto, rng: Rng) -> None:
    info = helper.make_tensor_value_info(_pick(rng, _names(graph)), TensorProto.FLOAT, [1, 3, 5])
    graph.value_info.append(info)


MUTATIONS = (
    *(drop_input, add_input, other_input, swap_inputs, other_operator, other_output, other_name),
    *(drop_node, double_node, shuffle_nodes, other_values, other_shape, other_type),
    *(damaged_tensor, other_attribute, other_border, other_end, annotation, stale_shape),
)


def mutant(model: ModelProto, rng: Rng) -> tuple[ModelProto, list[str]]:
    """A copy with one to three changes, and their names."""
    changed = ModelProto()
    changed.CopyFrom(model)
    done = []
    for _ in range(int(rng.integers(1, 4))):
        if not changed.graph.node or not changed.graph.initializer:
            break
        change = _pick(rng, MUTATIONS)
        change(changed.graph, rng)
        done.append(change.__name__)
    if rng.random() < 0.05:
        changed.opset_import[0].version = int(_pick(rng, [0, 1, 6, 9, 13, 30, 999]))
        done.append("opset")
    return changed, done

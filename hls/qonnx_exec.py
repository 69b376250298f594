# SPDX-License-Identifier: Apache-2.0
"""Fast batched execution of QONNX and FINN-ONNX graphs in numpy.

qonnx' own ``execute_onnx`` runs one frame at a time (about 50 frames/s on a detector). Here the
first axis is the batch. Every float operation is the single-precision operation that QONNX
defines; a product of two integer-annotated tensors is computed in float64 and so exact below 2^53,
or in float32 where that is as exact.
A standard operator that is not in the table below is run by onnxruntime.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.indexed_model import IndexedModel
from hls.onnx_file import read_model
from hls.passes.graph import attribute, custom
from hls.qonnx_images import IMAGE_KERNELS
from hls.qonnx_ort import Inputs, Kernel, run_onnxruntime
from hls.qonnx_shapes import SHAPE_KERNELS

log = logging.getLogger(__name__)

Array = npt.NDArray[Any]
FLOAT_EXACT = 1 << 24
"""Integers up to here are exact in float32."""
MAX_BATCH = 4096
MAX_ELEMENTS = 1 << 24
"""Elements of the largest tensor of a batch of images."""


def load_model(model: Path | str | ModelWrapper) -> ModelWrapper:
    """A ModelWrapper from a path; qonnx sees nothing that `hls.onnx_file` has not checked.

    A network of another batch size than 1, or one that asks for shapes, becomes that of one frame.
    """
    if isinstance(model, ModelWrapper):
        return model
    wrapper = IndexedModel(read_model(Path(model)))
    batch = wrapper.get_tensor_shape(wrapper.graph.input[0].name)[0]
    if batch != 1 or any(node.op_type == "Shape" for node in wrapper.graph.node):
        from hls.passes.one_frame import one_frame

        return one_frame(wrapper)
    return wrapper


def run_qonnx(
    model: Path | str | ModelWrapper, x: npt.ArrayLike, batch: int | None = None
) -> Array:
    """Output of the model for inputs x [n, ...]; returns [n, ...] float32.

    Args:
        model: a QONNX or FINN-ONNX model of batch size 1, or the path of a QONNX file.
        x: inputs, the first axis is the batch.
        batch: frames computed at once; bounds the memory. None: as many as `batch_size` says.
    """
    wrapper = load_model(model)
    output = wrapper.graph.output[0].name
    return run_tensors(wrapper, x, [output], batch)[output]


def run_tensors(
    model: ModelWrapper, x: npt.ArrayLike, names: list[str], batch: int | None = None
) -> dict[str, Array]:
    """The tensors ``names`` for inputs x [n, ...], computed in batches."""
    data = _fitted(model, np.asarray(x, dtype=np.float32))
    constants = _constants(model)
    batch = batch or batch_size(model, constants, data)
    parts: dict[str, list[Array]] = {name: [] for name in names}
    for start in range(0, max(len(data), 1), batch):
        tensors = _run_batch(model, constants, data[start : start + batch], names)
        for name in names:
            parts[name].append(tensors[name])
    return {name: np.concatenate(chunks) for name, chunks in parts.items()}


def _fitted(model: ModelWrapper, x: Array) -> Array:
    """Frames [n, ...] in the shape that the model takes, where they have its number of elements."""
    frame = model.get_tensor_shape(model.graph.input[0].name)[1:]
    same = x.shape[1:] == tuple(frame) or math.prod(x.shape[1:]) != math.prod(frame)
    return x if same else x.reshape(len(x), *frame)


def batch_size(model: ModelWrapper, constants: dict[str, Array], data: Array) -> int:
    """Frames whose largest tensor stays below 64 MiB; vectors are small, all frames fit.

    Of images the size of every tensor is found by executing one frame.
    """
    if data.ndim < 4 or len(data) < 2:
        return MAX_BATCH
    largest = 1
    for values in _tensors(model, constants, data[:1], set()):
        largest = max(largest, *(v.size for v in values.values()))
    return max(1, min(MAX_BATCH, MAX_ELEMENTS // largest))


def _constants(model: ModelWrapper) -> dict[str, Array]:
    """Initializers, and everything computed from them alone (quantized weights)."""
    known: dict[str, Array] = {
        i.name: onnx.numpy_helper.to_array(i) for i in model.graph.initializer
    }
    for node in model.graph.node:
        if all(name in known or not name for name in node.input):
            known[node.output[0]] = run_constant(model, node, aligned(node, known))
    return known


def _run_batch(
    model: ModelWrapper, constants: dict[str, Array], x: Array, keep: list[str]
) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    for values in _tensors(model, constants, x, set(keep)):
        tensors.update({name: v for name, v in values.items() if name in keep})
    return tensors


def _tensors(
    model: ModelWrapper, constants: dict[str, Array], x: Array, keep: set[str]
) -> Iterator[dict[str, Array]]:
    """What each node gives, node by node; a tensor is dropped behind its last user."""
    last: dict[str, int] = {}
    for index, node in enumerate(model.graph.node):
        last.update(dict.fromkeys(node.input, index))
    tensors = {**constants, model.graph.input[0].name: x}
    yield {name: tensors[name] for name in (*keep, model.graph.input[0].name) if name in tensors}
    for index, node in enumerate(model.graph.node):
        if node.output[0] in constants:
            continue
        result = run_node(model, node, aligned(node, tensors))
        outputs = node.output if _stem(node.op_type) == "DuplicateStreams" else node.output[:1]
        given = dict.fromkeys(outputs, result)
        tensors.update(given)
        yield given
        for name in node.input:
            if last[name] == index and name not in constants:
                tensors.pop(name, None)


def aligned(node: NodeProto, tensors: Mapping[str, Array]) -> Inputs:
    """What `run_node` takes: one entry for each name in ``node.input``, None for an empty name."""
    return [tensors[name] if name else None for name in node.input]


def run_node(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """One node on a batch; ``inputs`` as `aligned` gives them, an optional one left out is None."""
    kernel = KERNELS.get(node.op_type) or KERNELS.get(_stem(node.op_type))
    if kernel is not None:
        return kernel(model, node, inputs)
    if node.domain in ("", "ai.onnx"):
        return run_onnxruntime(model, node, inputs)
    context = {n: v for n, v in zip(node.input, inputs, strict=True) if n}
    custom(node).execute_node(context, model.graph)
    result: Array = np.asarray(context[node.output[0]])
    return result


def run_constant(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """One node on constants: their first axis is no batch."""
    if node.domain in ("", "ai.onnx"):
        return run_onnxruntime(model, node, inputs)
    return run_node(model, node, inputs)


def count_thresholds(x: Array, thresholds: Array) -> Array:
    """#{k: x >= T[c, k]} for x [n, channels] and T [channels or 1, steps], as int64."""
    flat = x.reshape(-1, x.shape[-1])
    table = np.broadcast_to(thresholds, (flat.shape[1], thresholds.shape[1]))
    counts = np.empty(flat.shape, dtype=np.int64)
    for c in range(flat.shape[1]):
        row = np.sort(table[c])
        counts[:, c] = np.searchsorted(row, flat[:, c], side="right")
    return counts.reshape(x.shape)


def _stem(op_type: str) -> str:
    """MVAU of MVAU_rtl, MVAU_phy and so on."""
    for suffix in ("_rtl", "_hls", "_phy"):
        op_type = op_type.removesuffix(suffix)
    return op_type


def _is_integer(model: ModelWrapper, name: str) -> bool:
    return bool(model.get_tensor_datatype(name).is_integer())


def integer_matmul(x: Array, w: Array) -> Array:
    """Exact x w of integers held as floats; float32 where that holds the result, else float64."""
    peak = np.abs(x).max(initial=0) * np.abs(w).astype(np.float64).sum(axis=0).max(initial=0)
    if peak <= FLOAT_EXACT:
        return _vectors_times(x.astype(np.float32, copy=False), w.astype(np.float32, copy=False))
    y = _vectors_times(x.astype(np.float64, copy=False), w.astype(np.float64, copy=False))
    small = y.size == 0 or np.abs(y).max() <= FLOAT_EXACT
    result: Array = y.astype(np.float32) if small else y
    return result


def _vectors_times(x: Array, w: Array) -> Array:
    """x w in one product; numpy's makes one of every row of an image, each shared by all cores."""
    if w.ndim != 2 or x.ndim < 3:
        few: Array = np.matmul(x, w)
        return few
    product: Array = x.reshape(-1, x.shape[-1]) @ w
    return product.reshape(*x.shape[:-1], w.shape[1])


def _matmul(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    x, w = inputs
    if _is_integer(model, node.input[0]) and _is_integer(model, node.input[1]):
        return integer_matmul(x, w)
    if w.ndim != 2 or x.ndim < 3:
        product: Array = np.matmul(x, w)
        return product
    # Float sums depend on the shape of the product: that of a frame, whatever the batch.
    result = np.empty((*x.shape[:-1], w.shape[1]), np.result_type(x, w))
    for frame, values in zip(x, result, strict=True):
        values[...] = _vectors_times(frame[None], w)[0]
    return result


def _gemm(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    a = inputs[0].T if attribute(node, "transA", 0) else inputs[0]
    b = inputs[1].T if attribute(node, "transB", 0) else inputs[1]
    y = np.float32(attribute(node, "alpha", 1.0)) * np.matmul(a, b)
    if len(inputs) > 2 and inputs[2] is not None:
        y = y + np.float32(attribute(node, "beta", 1.0)) * inputs[2]
    result: Array = y
    return result


def _mvau(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    acc = integer_matmul(inputs[0], inputs[1])
    if attribute(node, "noActivation", 0):
        return acc
    return _levels(node, acc, inputs[2], attribute(node, "ActVal", 0))


def _thresholding(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    return _levels(node, inputs[0], inputs[1], attribute(node, "ActVal", 0))


def _levels(node: NodeProto, x: Array, thresholds: Array, bias: int) -> Array:
    count = count_thresholds(x, thresholds)
    if attribute(node, "outputDataType", b"") == b"BIPOLAR":
        return (2 * count - 1).astype(np.float32)
    return (count + bias).astype(np.float32)


def _multithreshold(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    count = count_thresholds(inputs[0], inputs[1]).astype(np.float32)
    scale = np.float32(attribute(node, "out_scale", 1.0))
    return scale * count + np.float32(attribute(node, "out_bias", 0.0))


def _clip(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """min(max(x, low), high): with low above high it is high everywhere, as ONNX says."""
    y: Array = inputs[0]
    low, high = (
        attribute(node, name) if len(inputs) <= place or inputs[place] is None else inputs[place]
        for place, name in ((1, "min"), (2, "max"))
    )
    y = y if low is None else np.maximum(y, np.float32(low))
    return y if high is None else np.minimum(y, np.float32(high))


def _first(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    first: Array = inputs[0]
    return first


KERNELS: dict[str, Kernel] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Add": lambda m, n, v: v[0] + v[1],
    "Sub": lambda m, n, v: v[0] - v[1],
    "Mul": lambda m, n, v: v[0] * v[1],
    "Div": lambda m, n, v: v[0] / v[1],
    "Relu": lambda m, n, v: np.maximum(v[0], v[0].dtype.type(0)),
    "Clip": _clip,
    "Identity": _first,
    "Dropout": _first,
    "MVAU": _mvau,
    "SparseMVAU": _mvau,
    "Thresholding": _thresholding,
    "MultiThreshold": _multithreshold,
    "StreamingDataWidthConverter": _first,
    "StreamingFIFO": _first,
    **SHAPE_KERNELS,
    **IMAGE_KERNELS,
}

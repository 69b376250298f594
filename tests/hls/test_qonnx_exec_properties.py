# SPDX-License-Identifier: Apache-2.0
"""Random graphs of every supported operator: the batched executor against qonnx' own, by frame.

Products and sums are exact here: what enters them lies on a grid of powers of two. So all has to be
equal, in batches of 1, 7 and 1,000. Where float sums round, the order of the sum matters, and the
bound (n + 1) u sum |x w| is asked for.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

from hls.passes.check_model import SUPPORTED
from hls.qonnx_exec import run_qonnx

QONNX = "qonnx.custom_op.general"
MODES = ("ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
VECTORS = (
    *("Quant", "IntQuant", "BipolarQuant", "MatMul", "Gemm", "Add", "Sub", "Mul", "Div", "Relu"),
    *("Clip", "BatchNormalization", "Identity", "Dropout", "Flatten", "Reshape", "Squeeze"),
    *("Unsqueeze", "Concat", "MultiThreshold", "join"),
)
IMAGES = (
    *("Quant", "Conv", "AveragePool", "MaxPool", "GlobalAveragePool", "Resize", "Concat", "Add"),
    *("Relu", "Clip", "BatchNormalization", "join", "Flatten"),
)
BATCHES = (1, 7, 1000)


def one_by_one(model: ModelWrapper, x: np.ndarray) -> np.ndarray:
    """qonnx' execution of every frame."""
    entry, output = model.graph.input[0].name, model.graph.output[0].name
    found = [execute_onnx(model, {entry: row[None]})[output] for row in x]
    return np.stack(found).reshape(len(x), -1)


def require_equal(model: ModelWrapper, shape: tuple[int, ...], seed: int) -> None:
    """All batches, of 1,000 frames some."""
    shaped = model.transform(InferShapes())
    rng = np.random.default_rng(seed)
    x = (rng.integers(-60, 61, (BATCHES[-1], *shape)) / 16).astype(np.float32)
    some = np.array([0, 1, 2, 3, 4, 5, 6, 500, 999])
    expected = one_by_one(shaped, x[some])
    for frames in BATCHES:
        found = run_qonnx(model, x[:frames]).reshape(frames, -1)
        kept = some < frames
        np.testing.assert_array_equal(found[some[kept]], expected[kept], err_msg=f"{frames} frames")


class Graph:
    """Grows operator by operator. ``grid``: values are small multiples of a power of two."""

    def __init__(self, b: Any, data: st.DataObject, shape: tuple[int, ...]) -> None:
        self.b, self.draw, self.shape = b, data.draw, shape
        self.rng = np.random.default_rng(self.draw(st.integers(0, 10_000)))
        self.x, self.grid = "x", False
        self.used: set[str] = set()

    def integers(self, values: list[int]) -> str:
        name = self.b.name("i")
        self.b.constants.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    def channels(self) -> tuple[int, ...]:
        """Shape of a constant with one number a channel, or of one number for all."""
        one = (self.shape[0], *[1] * (len(self.shape) - 1))
        return self.draw(st.sampled_from([(), (1,), one, (1, *one)]))

    def numbers(self, low: float, high: float) -> np.ndarray:
        return self.rng.uniform(low, high, self.channels())

    def on_grid(self) -> None:
        if not self.grid:
            self.quant("Quant", 2.0**-3)

    def quant(self, op: str = "Quant", scale: float | None = None) -> None:
        scale = scale or self.draw(st.sampled_from([0.25, 0.1, 0.37]))
        bits, signed = self.draw(st.integers(2, 6)), self.draw(st.booleans())
        zero = self.draw(st.sampled_from([0.0, 0.0, 2.0]))
        b = self.b
        inputs = [self.x, b.const(scale), b.const(zero), b.const(float(bits))]
        narrow, mode = int(self.draw(st.booleans())), self.draw(st.sampled_from(MODES))
        facts = {"signed": int(signed), "narrow": narrow, "rounding_mode": mode}
        self.x = b.op(op, inputs, QONNX, **facts)
        self.grid = scale in (0.25, 0.125)

    def weights(self, shape: tuple[int, ...]) -> str:
        codes = self.rng.integers(-3, 4, shape) * 0.25
        return self.b.quant(self.b.const(codes), 0.25, 4, signed=True)

    def grow(self, op: str) -> None:
        self.used.add(op)
        getattr(self, f"_{op.lower()}")(op)

    def _quant(self, op: str) -> None:
        self.quant(op)

    _intquant = _quant

    def _bipolarquant(self, op: str) -> None:
        self.x = self.b.op(op, [self.x, self.b.const(0.5)], QONNX)
        self.grid = True

    def _matmul(self, op: str) -> None:
        self.on_grid()
        outputs = self.draw(st.integers(1, 6))
        self.x = self.b.op(op, [self.x, self.weights((self.shape[-1], outputs))])
        self.shape, self.grid = (*self.shape[:-1], outputs), False

    def _gemm(self, op: str) -> None:
        self.on_grid()
        outputs, trans = self.draw(st.integers(1, 6)), self.draw(st.integers(0, 1))
        size = (outputs, self.shape[0]) if trans else (self.shape[0], outputs)
        inputs = [self.x, self.weights(size)]
        bias = self.draw(st.sampled_from(["none", "empty", "vector"]))
        if bias == "empty":
            inputs.append("")
        elif bias == "vector":
            inputs.append(self.b.const(self.rng.integers(-9, 9, outputs) / 8))
        factors = {"alpha": self.draw(st.sampled_from([1.0, 0.5])), "beta": 2.0}
        self.x = self.b.op(op, inputs, transB=trans, **factors)
        self.shape, self.grid = (outputs,), False

    def _conv(self, op: str) -> None:
        self.on_grid()
        inputs, height, width = self.shape
        outputs, k_h, k_w = (self.draw(st.integers(1, 3)) for _ in range(3))
        pads = [self.draw(st.integers(0, k - 1)) for k in (k_h, k_w, k_h, k_w)]
        height, width = height + pads[0] + pads[2] - k_h + 1, width + pads[1] + pads[3] - k_w + 1
        if min(height, width) < 1:
            return
        args = [self.x, self.weights((outputs, inputs, k_h, k_w))]
        if self.draw(st.booleans()):
            args.append(self.b.const(self.rng.integers(-9, 9, outputs) / 8))
        self.x = self.b.op(op, args, kernel_shape=(k_h, k_w), pads=pads)
        self.shape, self.grid = (outputs, height, width), False

    def _pool(self, op: str) -> None:
        self.on_grid()
        channels, height, width = self.shape
        kernel = [2 if size % 2 == 0 else 1 for size in (height, width)]
        self.x = self.b.op(op, [self.x], kernel_shape=kernel, strides=kernel)
        self.shape = (channels, height // kernel[0], width // kernel[1])

    _averagepool = _maxpool = _pool

    def _globalaveragepool(self, op: str) -> None:
        self.on_grid()
        self.x = self.b.op(op, [self.x])
        self.shape, self.grid = (self.shape[0], 1, 1), False

    def _resize(self, op: str) -> None:
        channels, height, width = self.shape
        down, across = self.draw(st.integers(1, 2)), self.draw(st.integers(1, 2))
        target = (channels, height * down, width * across)
        facts = {"mode": "nearest", "nearest_mode": "floor"}
        facts["coordinate_transformation_mode"] = "asymmetric"
        if self.draw(st.booleans()):
            inputs = [self.x, "", "", self.integers([1, *target])]
        else:
            inputs = [self.x, "", self.b.const([1, 1, down, across])]
        self.x, self.shape = self.b.op(op, inputs, **facts), target

    def _elementwise(self, op: str) -> None:
        low = 0.3 if op == "Div" else -2.0
        self.x = self.b.op(op, [self.x, self.b.const(self.numbers(low, 2.0))])
        self.grid = False

    _add = _sub = _mul = _div = _elementwise

    def _relu(self, op: str) -> None:
        self.x = self.b.op(op, [self.x])

    _identity = _dropout = _relu

    def _clip(self, op: str) -> None:
        low, high = self.draw(st.sampled_from([(-1.0, 2.0), (None, 1.0), (0.5, None), (3.0, 1.0)]))
        limits = ["" if v is None else self.b.const(v) for v in (low, high)]
        self.x = self.b.op(op, [self.x, *(limits if high is not None else limits[:1])])

    def _batchnormalization(self, op: str) -> None:
        c = self.shape[0]
        stats = [self.rng.normal(0, 1, (3, c)), self.rng.uniform(0.3, 2, (1, c))]
        self.x = self.b.op(op, [self.x, *map(self.b.const, np.concatenate(stats))], epsilon=1e-3)
        self.grid = False

    def _flatten(self, op: str) -> None:
        axis = self.draw(st.sampled_from([1, 0, 1 - len(self.shape) - 1]))
        self.x = self.b.op(op, [self.x], axis=axis)
        self.shape = (int(np.prod(self.shape)),)

    def _reshape(self, op: str) -> None:
        size = int(np.prod(self.shape))
        target = self.draw(st.sampled_from([[1, size], [1, -1], [0, -1], [-1, size]]))
        self.x, self.shape = self.b.op(op, [self.x, self.integers(target)]), (size,)

    def _squeeze(self, op: str) -> None:
        self.x = self.b.op("Unsqueeze", [self.x, self.integers([-1])])
        self.x = self.b.op(op, [self.x, self.integers([self.draw(st.sampled_from([2, -1]))])])

    def _unsqueeze(self, op: str) -> None:
        axis = self.draw(st.sampled_from([0, 1]))
        self.x = self.b.op(op, [self.x, self.integers([axis])])
        self.x = self.b.op("Squeeze", [self.x, self.integers([1])])

    def _concat(self, op: str) -> None:
        axis = self.draw(st.sampled_from([1, -len(self.shape)]))
        other = self.b.op("Relu", [self.x])
        self.x = self.b.op(op, [self.x, other], axis=axis)
        self.shape = (2 * self.shape[0], *self.shape[1:])

    def _join(self, _op: str) -> None:
        self.x = self.b.op("Add", [self.x, self.b.op("Relu", [self.x])])
        self.grid = False

    def _multithreshold(self, op: str) -> None:
        table = np.sort(self.rng.integers(-20, 20, (self.shape[0], 5)) / 8, axis=1)
        facts = {"out_dtype": "INT4", "out_scale": 0.5, "out_bias": -1.0, "data_layout": "NC"}
        self.x = self.b.op(op, [self.x, self.b.const(table)], QONNX, **facts)
        self.grid = True


COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.function_scoped_fixture]}


@settings(max_examples=120, **COMMON)
@given(data=st.data())
def test_vectors_are_executed_as_qonnx_does(mlp: ModuleType, data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 6)),)
    graph = Graph(mlp.GraphBuilder(), data, shape)
    for op in data.draw(st.lists(st.sampled_from(VECTORS), min_size=1, max_size=6)):
        graph.grow(op)
        if graph.shape[0] > 24:
            break
    graph.grow("Identity")
    model = ModelWrapper(graph.b.model(shape, graph.shape, graph.x))
    require_equal(model, shape, data.draw(st.integers(0, 100)))


@settings(max_examples=80, **COMMON)
@given(data=st.data())
def test_images_are_executed_as_qonnx_does(mlp: ModuleType, data: st.DataObject) -> None:
    shape = (data.draw(st.integers(1, 2)), *(data.draw(st.integers(1, 5)) for _ in range(2)))
    graph = Graph(mlp.GraphBuilder(), data, shape)
    for op in data.draw(st.lists(st.sampled_from(IMAGES), min_size=1, max_size=4)):
        if len(graph.shape) == 3:
            graph.grow(op)
    graph.grow("Identity")
    model = ModelWrapper(graph.b.model(shape, graph.shape, graph.x))
    require_equal(model, shape, data.draw(st.integers(0, 100)))


def test_every_supported_operator_is_drawn() -> None:
    assert set(SUPPORTED) - {*VECTORS, *IMAGES} == {"Upsample"}  # below: of opset 9


def test_upsample_of_opset_nine(mlp: ModuleType) -> None:
    b = mlp.GraphBuilder()
    out = b.op("Upsample", ["x", b.const([1.0, 1.0, 2.0, 3.0])], mode="nearest")
    proto = b.model((2, 3, 2), (2, 6, 6), out)
    proto.opset_import[0].version = 9
    require_equal(ModelWrapper(proto), (2, 3, 2), 0)


@pytest.mark.parametrize("reduce", ["ReduceSum", "ReduceMax"])
@pytest.mark.parametrize("stride", [1, 2])
def test_windows_and_reductions(mlp: ModuleType, reduce: str, stride: int) -> None:
    b = mlp.GraphBuilder()
    facts = {"kernel_size": [2, 2], "stride": [stride, stride], "pad_amount": [0, 0, 0, 0]}
    windows = b.op("Im2Col", ["x"], QONNX, input_shape="(1, 4, 4, 3)", **facts)
    size = (4 - 2) // stride + 1
    names = []
    for values in ([1, size, size, 4, 3], [3]):
        names.append(b.name("i"))
        b.constants.append(numpy_helper.from_array(np.array(values, np.int64), names[-1]))
    tiles = b.op("Reshape", [windows, names[0]])
    out = b.op(reduce, [tiles, names[1]], keepdims=0)
    model = ModelWrapper(b.model((4, 4, 3), (size, size, 3), out))
    from qonnx.core.datatype import DataType

    model.set_tensor_datatype("x", DataType["FLOAT32"])
    require_equal(model, (4, 4, 3), 0)


@settings(max_examples=20, **COMMON)
@given(data=st.data())
def test_sums_that_round_stay_within_the_bound(mlp: ModuleType, data: st.DataObject) -> None:
    n, m = data.draw(st.integers(2, 300)), data.draw(st.integers(1, 20))
    rng = np.random.default_rng(data.draw(st.integers(0, 10_000)))
    w, bias = (rng.normal(0, 1, size).astype(np.float32) for size in ((n, m), m))
    b = mlp.GraphBuilder()
    if data.draw(st.booleans()):
        out = b.op("Gemm", ["x", b.const(w), b.const(bias)])
    else:
        out = b.op("Add", [b.op("MatMul", ["x", b.const(w)]), b.const(bias)])
    model = ModelWrapper(b.model(n, m, out))
    x = rng.normal(0, 1, (50, n)).astype(np.float32)
    size = np.abs(x.astype(np.float64)) @ np.abs(w) + np.abs(bias)
    exact = x.astype(np.float64) @ w + bias
    for found in (run_qonnx(model, x), one_by_one(model.transform(InferShapes()), x[:5])):
        bound = (n + 1) * 2.0**-24 * size[: len(found)]
        assert (np.abs(found - exact[: len(found)]) <= bound).all()


@pytest.mark.parametrize("limits", [(None, 1.0), (-1.0, None), (None, None), (3.0, 1.0)])
def test_a_clip_keeps_the_limit_that_it_has(
    mlp: ModuleType, limits: tuple[float | None, float | None]
) -> None:
    b = mlp.GraphBuilder()
    names = ["" if v is None else b.const(v) for v in limits]
    model = ModelWrapper(b.model(5, 5, b.op("Clip", ["x", *names])))
    require_equal(model, (5,), 0)
    low, high = limits
    x = np.array([[-9, -1, 0, 2, 9]], np.float32)
    expected = np.minimum(np.maximum(x, -np.inf if low is None else low), high or np.inf)
    np.testing.assert_array_equal(run_qonnx(model, x), expected)

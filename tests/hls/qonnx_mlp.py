# SPDX-License-Identifier: Apache-2.0
"""QONNX multilayer perceptrons written by hand, for the compiler's tests."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

QONNX = "qonnx.custom_op.general"


@dataclass
class GraphBuilder:
    """Collects nodes and constants; every method returns the name of the tensor it made."""

    nodes: list = field(default_factory=list)
    constants: list = field(default_factory=list)
    count: int = 0

    def name(self, base: str) -> str:
        self.count += 1
        return f"{base}_{self.count}"

    def const(self, value, base: str = "c") -> str:
        name = self.name(base)
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def op(self, op_type: str, inputs: list[str], domain: str = "", **attrs) -> str:
        out = self.name(op_type.lower())
        node = helper.make_node(op_type, inputs, [out], name=f"{op_type}_{self.count}", **attrs)
        node.domain = domain
        self.nodes.append(node)
        return out

    def quant(self, x, scale, bits, *, signed, narrow=0, zero=0.0, mode="ROUND") -> str:
        inputs = [x, self.const(scale), self.const(zero), self.const(float(bits))]
        return self.op(
            "Quant", inputs, QONNX, signed=int(signed), narrow=int(narrow), rounding_mode=mode
        )

    def model(self, inputs, outputs, last: str, path: Path | None = None):
        """inputs, outputs: elements of a vector, or the shape of one frame."""
        shapes = [[1, *np.atleast_1d(size).tolist()] for size in (inputs, outputs)]
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shapes[0])],
            [helper.make_tensor_value_info(last, TensorProto.FLOAT, shapes[1])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(QONNX, 2)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
        if path is not None:
            onnx.save(model, str(path))
        return model


def power_of_two_mlp(
    path: Path,
    sizes: tuple[int, ...] = (12, 20, 16, 8),
    weight_bits: int = 4,
    act_bits: int = 4,
    seed: int = 0,
) -> Path:
    """FullyCon in small: Gemm, bias on the accumulator's grid, ReLU, power-of-two scales."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder()
    in_scale = 2.0**-5
    x = b.quant("x", in_scale, 8, signed=True)
    for index, (n, m) in enumerate(itertools.pairwise(sizes)):
        top = max(1, 2 ** (weight_bits - 1) - 1)
        w_scale = 2.0 ** -(weight_bits + 1)
        weights = rng.integers(-top, top + 1, (m, n)) * w_scale
        w = b.quant(b.const(weights, "w"), w_scale, weight_bits, signed=True, narrow=True)
        grid = w_scale * in_scale
        bias = rng.integers(-40, 40, m) * grid
        x = b.op("Gemm", [x, w, b.const(bias, "bias")], transB=1)
        if index < len(sizes) - 2:
            x = b.op("Relu", [x])
            in_scale = 2.0 ** -(act_bits - 2)
            x = b.quant(x, in_scale, act_bits, signed=False)
    b.model(sizes[0], sizes[-1], x, path)
    return path


def foreign_mlp(path: Path, sizes: tuple[int, ...] = (10, 18, 14, 6), seed: int = 3) -> Path:
    """Not ours: 3-bit weights with one arbitrary scale a channel, BatchNorm, signed activations."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder()
    x = b.quant("x", 0.037, 6, signed=True)
    for index, (n, m) in enumerate(itertools.pairwise(sizes)):
        w_scale = rng.uniform(0.05, 0.3, (1, m)).astype(np.float32)
        weights = rng.integers(-4, 4, (n, m)) * w_scale
        w = b.quant(b.const(weights, "w"), w_scale, 3, signed=True)
        x = b.op("MatMul", [x, w])
        x = b.op("Add", [x, b.const(rng.normal(0, 0.3, m), "bias")])
        if index < len(sizes) - 2:
            gamma = rng.uniform(0.5, 1.5, m) * rng.choice([-1, 1], m)
            stats = [gamma, rng.normal(0, 0.2, m), rng.normal(0, 0.2, m), rng.uniform(0.3, 2, m)]
            x = b.op("BatchNormalization", [x, *[b.const(s, "bn") for s in stats]], epsilon=1e-5)
            if index == 0:
                x = b.op("Relu", [x])
                x = b.quant(x, 0.113, 4, signed=False)
            else:
                x = b.quant(x, 0.171, 3, signed=True)
    b.model(sizes[0], sizes[-1], x, path)
    return path


def exotic_mlp(path: Path, seed: int = 1) -> Path:
    """One of everything: bipolar, offset and narrow activations, Clip, Sub, Div, rounding modes."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder()
    x = b.quant("x", 0.25, 5, signed=True, narrow=True)

    def dense(x: str, n: int, m: int, bits: int = 3, op: str = "Quant") -> str:
        top = 2 ** (bits - 1) - 1
        raw = b.const(rng.integers(-top, top + 1, (n, m)) * 0.5)
        inputs = [raw, b.const(0.5), b.const(0.0), b.const(float(bits))]
        w = b.op(op, inputs, QONNX, signed=1, narrow=1, rounding_mode="ROUND")
        return b.op("MatMul", [x, w])

    x = dense(x, 9, 12)
    x = b.op("BipolarQuant", [x, b.const(0.5)], QONNX)
    x = dense(x, 12, 10, op="IntQuant")
    x = b.op("Sub", [x, b.quant(b.const(rng.normal(0, 1, 10)), 0.25, 4, signed=True)])
    x = b.op("Clip", [x, b.const(-1.0), b.const(1.5)])
    x = b.quant(x, 0.25, 4, signed=True, narrow=True, mode="HALF_UP")
    binary = b.op("BipolarQuant", [b.const(rng.normal(0, 1, (10, 8))), b.const(0.25)], QONNX)
    x = b.op("MatMul", [x, binary])
    x = b.op("Div", [x, b.const(rng.choice([0.5, -2.0], 8))])
    x = b.quant(x, 0.5, 3, signed=False, zero=2.0, mode="FLOOR")
    x = b.op("Identity", [dense(x, 8, 6, bits=2)])
    x = b.quant(b.op("Relu", [x]), 0.5, 1, signed=False)
    x = dense(x, 6, 4, bits=4)
    x = b.quant(x, 0.5, 6, signed=True)
    b.model(9, 4, x, path)
    return path


def balanced_mlp(
    path: Path,
    sizes: tuple[int, ...] = (16, 24, 24, 4),
    block: int = 8,
    nnz: int = 2,
    seed: int = 0,
) -> Path:
    """Power-of-two scales; in every row, every ``block`` inputs keep ``nnz`` weights."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder()
    x = b.quant("x", 2.0**-4, 6, signed=True)
    for index, (n, m) in enumerate(itertools.pairwise(sizes)):
        codes = rng.integers(1, 8, (m, n)) * rng.choice([-1, 1], (m, n))
        keep = np.argsort(rng.random((m, n // block, block)), axis=2) < nnz
        weights = codes * keep.reshape(m, n) * 0.125
        w = b.quant(b.const(weights, "w"), 0.125, 4, signed=True, narrow=True)
        x = b.op("Gemm", [x, w, b.const(rng.integers(-20, 20, m) * 2.0**-5, "bias")], transB=1)
        if index < len(sizes) - 2:
            x = b.quant(b.op("Relu", [x]), 0.25, 4, signed=False)
    b.model(sizes[0], sizes[-1], x, path)
    return path

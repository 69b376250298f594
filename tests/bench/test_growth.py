# SPDX-License-Identifier: Apache-2.0
"""How compile time grows: exponents of CPU time in depth, joins, weights and levels, one run.

The exponent of a series is log(t_last / t_first) / log(size_last / size_first).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from math import log
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hls.compile_options import CompileOptions
from hls.compiler import compile_model

DOMAIN = "qonnx.custom_op.general"


class Network:
    """Nodes and constants of a QONNX network; every method gives the name of what it made."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.rng = np.random.default_rng(0)

    def const(self, value: object) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def op(self, kind: str, inputs: list[str], domain: str = "", **facts: object) -> str:
        name = f"t{len(self.nodes)}"
        node = helper.make_node(kind, inputs, [name], f"{kind}_{name}", domain=domain, **facts)
        self.nodes.append(node)
        return name

    def quant(self, x: str, scale: float, bits: int, signed: int = 1) -> str:
        inputs = [x, self.const(scale), self.const(0.0), self.const(bits)]
        return self.op("Quant", inputs, DOMAIN, signed=signed, narrow=0, rounding_mode="ROUND")

    def dense(self, x: str, inputs: int, outputs: int) -> str:
        weights = self.const(self.rng.integers(-7, 8, (inputs, outputs)) / 8)
        return self.op("MatMul", [x, self.quant(weights, 0.125, 4)])

    def save(self, path: Path, inputs: int, outputs: int, last: str) -> Path:
        ends = [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
            for name, size in (("x", inputs), (last, outputs))
        ]
        graph = helper.make_graph(self.nodes, "net", ends[:1], ends[1:], self.constants)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(DOMAIN, 2)]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), str(path))
        return path


def chain(path: Path, depth: int) -> Path:
    """``depth`` dense layers of 16 x 16, each with ReLU and quantizer, and one more."""
    net = Network()
    x = net.quant("x", 0.125, 4)
    for _ in range(depth):
        x = net.quant(net.op("Relu", [net.dense(x, 16, 16)]), 0.25, 4, signed=0)
    return net.save(path, 16, 16, net.dense(x, 16, 16))


def nested_sums(path: Path, depth: int) -> Path:
    """x + x of 2-bit codes, ``depth`` times."""
    net = Network()
    x = net.quant("x", 1.0, 2)
    for _ in range(depth):
        x = net.op("Add", [x, x])
    return net.save(path, 4, 4, net.dense(net.quant(x, 2.0 ** (depth - 1), 4), 4, 4))


def residual(path: Path, depth: int) -> Path:
    """``depth`` times x + relu(dense(x)), and a quantizer of the same scale."""
    net = Network()
    x = net.quant("x", 0.25, 4, signed=0)
    for _ in range(depth):
        y = net.quant(net.op("Relu", [net.dense(x, 8, 8)]), 0.25, 4, signed=0)
        x = net.quant(net.op("Add", [x, y]), 0.25, 4, signed=0)
    return net.save(path, 8, 4, net.dense(x, 8, 4))


def square(path: Path, weights: int) -> Path:
    """One layer of so many weights, and a small one."""
    size = round(weights**0.5)
    net = Network()
    x = net.quant("x", 0.125, 4)
    x = net.quant(net.op("Relu", [net.dense(x, size, size)]), 0.25, 4, signed=0)
    return net.save(path, size, 4, net.dense(x, size, 4))


def levels(path: Path, count: int) -> Path:
    """Four activations of ``count`` levels, of a scale that is no power of two."""
    net = Network()
    x = net.dense(net.quant("x", 2.0**-15, 16), 64, 4)
    x = net.quant(x, 10.0 / count, count.bit_length() - 1)
    return net.save(path, 64, 4, net.dense(x, 4, 4))


SERIES = {
    "depth": (chain, (32, 64, 128), 1.2),
    "nested sums": (nested_sums, (8, 16, 32), 1.2),
    "residuals": (residual, (16, 32, 64), 1.2),
    "weights": (square, (512**2, 1024**2, 2048**2), 1.1),
    "levels": (levels, (2**12, 2**14, 2**16), 1.1),
}


def cpu_s(path: Path, out: Path) -> float:
    """CPU time of one compilation [s]."""
    start = time.process_time()
    compile_model(path, out, CompileOptions())
    return time.process_time() - start


@pytest.mark.parametrize("name", SERIES)
def test_exponent(name: str, tmp_path: Path) -> None:
    build: Callable[[Path, int], Path]
    build, sizes, limit = SERIES[name]
    cpu_s(build(tmp_path / "first.onnx", sizes[0]), tmp_path / "first")  # imports
    times = [cpu_s(build(tmp_path / f"{n}.onnx", n), tmp_path / str(n)) for n in sizes]
    exponent = log(times[-1] / times[0]) / log(sizes[-1] / sizes[0])
    columns = "   ".join(f"{n:,}: {t:.2f} s" for n, t in zip(sizes, times, strict=True))
    sys.stdout.write(f"\n{name:12} {columns}   exponent {exponent:.2f}, at most {limit}\n")
    assert exponent <= limit

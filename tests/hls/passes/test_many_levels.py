# SPDX-License-Identifier: Apache-2.0
"""Quantizers of up to 16 bits: work and memory linear in the levels, every level exact."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from hls.compile_options import CompileOptions
from hls.compiler import compile_model
from hls.float32_limits import FloatLimits
from hls.ir import Accelerator
from hls.passes.monotone import MonotoneMap
from hls.passes.quantizer import ROUNDINGS, Quantizer
from hls.passes.spans import Spans
from hls.passes.thresholds import AccRange, smallest_accumulators
from hls.reference import half_even_shift, run
from hls.requant import find_requant, slope_interval
from models.errors import CompileError

IN, HIDDEN, OUT = 6, 4, 3
PEAK_BYTES = 64 * 2**20


def network(mlp: ModuleType, path: Path, **facts) -> Path:
    """One hidden layer; facts: bits, w_bits, scale, signed, mode, affine (scales, bias, ReLU)."""
    bits, w_bits = facts.get("bits", 16), facts.get("w_bits", 16)
    rng, b = np.random.default_rng(8), mlp.GraphBuilder()

    def weights(inputs: int, outputs: int) -> str:
        top = 2 ** (w_bits - 1) - 1
        step = 2.0 ** (1 - w_bits) * (
            rng.uniform(0.5, 1, (1, outputs)) if facts.get("affine") else np.ones(1)
        )
        step = step.astype(np.float32)
        values = rng.integers(-top, top + 1, (inputs, outputs)) * step
        return b.quant(b.const(values), step, w_bits, signed=True)

    x = b.quant("x", 2.0**-15, facts.get("in_bits", 16), signed=True)
    x = b.op("MatMul", [x, weights(IN, HIDDEN)])
    if facts.get("affine"):
        x = b.op("Add", [x, b.const(rng.normal(0, 0.1, HIDDEN))])
        x = b.op("Mul", [x, b.const([1.5, -0.75, 0.3, 2.0])])
        x = b.op("Relu", [x])
    signed, mode = facts.get("signed", True), facts.get("mode", "ROUND")
    x = b.quant(x, facts.get("scale", 2.0**-13), bits, signed=signed, mode=mode)
    if not facts.get("last"):
        x = b.op("MatMul", [x, weights(HIDDEN, OUT)])
    b.model(IN, HIDDEN if facts.get("last") else OUT, x, path)
    return path


CASES = {
    "power_of_two": {},
    "fourteen_bits": {"bits": 14, "w_bits": 12, "in_bits": 14, "scale": 2.0**-11},
    "unsigned_relu": {"signed": False, "affine": True, "scale": 2.0**-14},
    "floor_decimal": {"mode": "FLOOR", "scale": 0.00013},
    "ceil_batch_norm": {"mode": "CEIL", "affine": True, "scale": 0.0001, "signed": False},
    "at_the_output": {"last": True, "scale": 0.0003},
}


def test_memory_is_linear_in_the_levels(mlp: ModuleType, tmp_path: Path) -> None:
    """Of 13 bits: tables of 8,191 steps x 4 channels have 256 KiB, one of steps x steps 512 MiB."""
    path = network(mlp, tmp_path / "net.onnx", bits=13, w_bits=8, in_bits=13, scale=2.0**-10)
    compile_model(path, tmp_path / "first", CompileOptions())  # with all imports
    tracemalloc.start()
    try:
        compile_model(path, tmp_path / "out", CompileOptions())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < PEAK_BYTES


def test_spans_are_joined_in_less_than_twice_their_memory() -> None:
    rows = 50_000
    count, none = np.arange(rows), np.zeros(rows, np.int64)
    parts = [Spans.of(count % 4, count // 4 + i * rows, count, none, none) for i in (1, 0)]
    size = 2 * parts[0].table.nbytes
    tracemalloc.start()
    try:
        joined = Spans.joined(parts)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert joined.table.nbytes == size
    assert (np.diff(joined.column("channel") * 4 * rows + joined.column("step")) > 0).all()
    assert peak < 2 * size


@pytest.mark.parametrize("case", CASES)
def test_every_code_is_exact(case: str, mlp: ModuleType, tmp_path: Path) -> None:
    path = network(mlp, tmp_path / "net.onnx", **CASES[case])
    acc = compile_model(path, tmp_path / "out", CompileOptions())
    codes = np.random.default_rng(3).integers(acc.input.lowest, acc.input.fmt.max + 1, (40, IN))
    limits = FloatLimits.load(tmp_path / "out")
    for stage in limits.stages:
        places = stage.spans[:, 0] * 2**16 + stage.spans[:, 1]
        assert (np.diff(places) > 0).all()
    expected = exact_codes(path, acc, codes, **CASES[case])
    hidden = next(la for la in acc.layers if la.kind in ("requant", "thresholding"))
    got = run(acc, codes) if CASES[case].get("last") else stream(acc, codes, hidden.outputs[0])
    np.testing.assert_array_equal(got, expected)


def stream(acc: Accelerator, codes: np.ndarray, name: str) -> np.ndarray:
    from hls.reference import trace

    return trace(acc, codes)[name]


def exact_codes(path: Path, acc: Accelerator, codes: np.ndarray, **facts) -> np.ndarray:
    """The hidden quantizer's codes, from the file's float32 numbers as rationals."""
    import onnx

    graph = onnx.load(path).graph
    held = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    made = {n.output[0]: n for n in graph.node}
    product = next(n for n in graph.node if n.op_type == "MatMul")
    quant = made[product.input[1]]
    steps = np.broadcast_to(held[quant.input[1]].reshape(-1), HIDDEN)
    levels = np.rint(held[quant.input[0]] / steps).astype(np.int64)
    chain = [n for n in graph.node if n.op_type in ("Add", "Mul")]
    last = [n for n in graph.node if n.op_type == "Quant"][2]
    scale = Fraction(float(held[last.input[1]]))
    bits, signed = facts.get("bits", 16), facts.get("signed", True)
    low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    rounding = {"ROUND": round, "FLOOR": np.floor, "CEIL": np.ceil}[facts.get("mode", "ROUND")]
    result = np.zeros((len(codes), HIDDEN), np.int64)
    for f, c in np.ndindex(result.shape):
        total = sum(int(codes[f, i]) * int(levels[i, c]) for i in range(IN))
        value = total * Fraction(2) ** -15 * Fraction(float(steps[c]))
        for node in chain:
            number = Fraction(float(held[node.input[1]][c]))
            value = value + number if node.op_type == "Add" else value * number
        value = max(value, Fraction(0)) if chain else value
        level = value / scale
        if rounding is not round:
            whole = level.numerator // level.denominator
            level = whole + (rounding is np.ceil and level != whole)
        else:
            level = round(level)
        result[f, c] = min(max(level, low), high)
    return result


@pytest.mark.parametrize("where", ["input", "weights", "activation", "output"])
def test_wider_quantizers_are_named_with_the_limit(
    where: str, mlp: ModuleType, tmp_path: Path
) -> None:
    facts = {
        "input": {"in_bits": 17},
        "weights": {"w_bits": 24},
        "activation": {"bits": 17},
        "output": {"bits": 20, "last": True},
    }[where]
    path = network(mlp, tmp_path / "net.onnx", **facts)
    bits = max(facts.values())
    with pytest.raises(
        CompileError, match=rf"Quant node '.*', .* of tensor '.*': bit width {bits} must be 1 to 16"
    ):
        compile_model(path, tmp_path / "out", CompileOptions())


@pytest.mark.parametrize("mode", ROUNDINGS)
@pytest.mark.parametrize("scale", [2.0**-13, 0.00013])
def test_thresholds_of_65535_levels(mode: str, scale: float) -> None:
    """Each is the first accumulator that is beyond the level's bound: asked of a few hundred."""
    q = Quantizer(np.float32(scale), 0, -(2**15), 2**15 - 1, mode, bipolar=False, node="q")
    chain = MonotoneMap.identity(2).times([2.0**-30, 3e-10]).plus([0.0, 0.123])
    chain = chain.clip(None, Fraction(3, 2))
    acc = AccRange(-(2**36), 2**36)
    table = smallest_accumulators(chain, q, acc)
    assert table.shape == (2, 2**16 - 1)
    rng = np.random.default_rng(0)
    for k in [0, 1, 2**15 - 1, 2**15, 2**16 - 2, *rng.integers(0, 2**16 - 1, 150).tolist()]:
        bound, strict = q.bound(q.low + 1 + k)
        bound *= Fraction(float(q.scale))
        for c in range(2):
            t = int(table[c, k])

            def beyond(at: int, c: int = c, strict: bool = strict, bound: Fraction = bound) -> bool:
                return chain.value(c, at) > bound if strict else chain.value(c, at) >= bound

            assert t == acc.low or not beyond(t - 1)
            assert t == acc.high + 1 or beyond(t)


def test_arithmetic_for_65535_levels_is_found_and_right() -> None:
    """A scale of 2^-22 needs a shift above 20; all thresholds and their neighbours are tried."""
    levels = np.arange(-(2**15) + 1, 2**15)
    table = ((2 * levels - 1) * 2**21 + (levels % 2))[None, :]
    found = find_requant(table, -(2**15), -(2**38), 2**38)
    assert found is not None
    assert found.shift == 22
    for offset, passed in ((0, levels), (-1, levels - 1)):
        y = half_even_shift((table[0] + offset) * found.mul[0] + found.add[0], found.shift)
        np.testing.assert_array_equal(y, passed)


def naive_slopes(row: np.ndarray, low: int, high: int) -> tuple[float, float]:
    """Every pair of thresholds."""
    best, least = 0.0, np.inf
    for k, t in enumerate(row):
        for m, u in enumerate(row):
            run_ = max(t, low) - min(u - 1, high)
            if t <= high and u > low and run_:
                ratio = (k - m) / run_
                best = max(best, ratio) if run_ > 0 else best
                least = min(least, ratio) if run_ < 0 else least
    return best, least


def test_slopes_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(5)
    for number in range(300):
        low, high = int(rng.integers(-60, 0)), int(rng.integers(1, 60))
        row = rng.integers(low - 2, high + 3, int(rng.integers(1, 14)))
        if number % 2:
            row = np.ceil(np.arange(len(row)) * rng.uniform(0.1, 9) + rng.uniform(-50, 20))
        row = np.clip(np.sort(row), low, high + 1).astype(np.int64)
        found = slope_interval(row[None, :], low, high)[0]
        assert tuple(found) == naive_slopes(row, low, high)

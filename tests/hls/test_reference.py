# SPDX-License-Identifier: Apache-2.0
"""The integer reference against plain Python integers."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_chains import frames
from rtl_graphs import small_network

from hls import reference
from hls.extract import connect
from hls.ir import Accelerator, Border, IntFormat, Layer
from models.errors import CompileError


def layer(kind: str, arrays: dict[str, np.ndarray], **params: int) -> Layer:
    return Layer("one", kind, "node", ("input",), ("output",), params, arrays)


@settings(max_examples=60, deadline=None)
@given(
    bits=st.sampled_from([2, 8, 20, 31]),
    seed=st.integers(0, 1000),
    kind=st.sampled_from(["mvau", "mvau_sparse"]),
)
def test_products_are_exact_at_every_width(bits: int, seed: int, kind: str) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (3, 5))
    w = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (4, 5))
    y = reference.run_layer(layer(kind, {"weights": w}), x)
    for n in range(3):
        for row in range(4):
            assert y[n, row] == sum(int(a) * int(b) for a, b in zip(w[row], x[n], strict=True))


def test_extreme_products_do_not_round() -> None:
    """2^53 and more: float64 would lose the last bit."""
    x, w = np.array([[2**30, 1]]), np.array([[2**25, 1]])
    assert reference.exact_matmul(x, w)[0, 0] == 2**55 + 1


def test_thresholding_counts_reached_thresholds() -> None:
    la = layer("thresholding", {"thresholds": np.array([[-2, 0, 0], [5, 6, 7]])}, out_bias=-1)
    y = reference.run_layer(la, np.array([[-3, 4], [-2, 5], [0, 99]]))
    np.testing.assert_array_equal(y, [[-1, -1], [0, 0], [2, 2]])


@settings(max_examples=100, deadline=None)
@given(
    x=st.integers(-5000, 5000),
    mul=st.integers(-100, 100),
    add=st.integers(-9999, 9999),
    shift=st.integers(0, 12),
)
def test_requant_rounds_half_to_even(x: int, mul: int, add: int, shift: int) -> None:
    arrays = {"mul": np.array([mul]), "add": np.array([add])}
    la = layer("requant", arrays, shift=shift, out_min=-50, out_max=50)
    expected = min(max(round(Fraction(x * mul + add, 2**shift)), -50), 50)
    assert reference.run_layer(la, np.array([[x]]))[0, 0] == expected


def accelerator() -> Accelerator:
    params = {
        **{"mat_w": 2, "mat_h": 1, "pe": 1, "simd": 1, "in_bits": 3, "in_signed": 1},
        **{"weight_bits": 3, "weight_signed": 1, "acc_bits": 7},
    }
    fc = Layer("fc0", "mvau", "n", (), (), params, {"weights": np.array([[2, -1]])})
    sides = [
        Border("", (n,), IntFormat(b, signed=True), (1.0,), (0.0,), "codes")
        for n, b in ((2, 3), (1, 7))
    ]
    return connect("a", [fc], (sides[0], sides[1]), 100.0, {})


def test_trace_has_every_stream() -> None:
    streams = reference.trace(accelerator(), np.array([[1, 3], [-4, 0]]))
    assert set(streams) == {"input", "output"}
    np.testing.assert_array_equal(streams["output"], [[-1], [-8]])


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (np.zeros((2, 3), int), r"shape \(2, 3\): accelerator a takes \[n, 2\]"),
        (np.full((1, 2), 4), "INT3 holds -4 to 3"),
        (np.zeros((1, 2)), "float64: integers are needed"),
    ],
)
def test_wrong_codes_are_refused(codes: np.ndarray, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        reference.run(accelerator(), codes)


def test_no_frames_give_no_outputs() -> None:
    assert reference.run(accelerator(), np.zeros((0, 2), int)).shape == (0, 1)


def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    acc = small_network()
    codes = frames(acc, 7)
    whole = reference.run(acc, codes)
    for elements in (1, 10_000):
        monkeypatch.setattr(reference, "BATCH_ELEMENTS", elements)
        np.testing.assert_array_equal(reference.run(acc, codes), whole)
    np.testing.assert_array_equal(reference.trace(acc, codes)["output"], whole)


@settings(max_examples=30, deadline=None)
@given(vectors=st.integers(1, 5), seed=st.integers(0, 99))
def test_vectors_are_computed_one_by_one(vectors: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = rng.integers(-8, 8, (2, vectors * 3))
    la = layer("mvau", {"weights": rng.integers(-8, 8, (4, 3))}, vectors=vectors)
    one = layer("mvau", dict(la.arrays))
    got = reference.run_layer(la, x).reshape(2, vectors, 4)
    for v in range(vectors):
        np.testing.assert_array_equal(got[:, v], reference.run_layer(one, x[:, 3 * v : 3 * v + 3]))

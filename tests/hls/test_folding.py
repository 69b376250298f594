# SPDX-License-Identifier: Apache-2.0
"""Folding: minimal multipliers, streams that fit, files that are checked."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rtl_chains import frames
from rtl_graphs import U4, channels, duplicate, small_network, upsample, window

from hls import reference
from hls.costs import accelerator_cost
from hls.cycles import accelerator_cycles
from hls.devices import device
from hls.extract import connect
from hls.folding import (
    Fold,
    apply_folding,
    choices,
    cycles,
    lanes,
    reachable_cycles,
    solve_cycles,
    solve_device,
    solve_latency,
    width_chain,
)
from hls.folding_file import check_folding, folding_json, read_folding
from hls.ir import Accelerator, Border, IntFormat, Layer
from hls.sparsity import divisors
from models.errors import CompileError

PART = device("LFE5U-85F")


def dense(name: str, mat_w: int, mat_h: int, rng: np.random.Generator) -> Layer:
    params = {
        **{"mat_w": mat_w, "mat_h": mat_h, "pe": 1, "simd": 1, "in_bits": 4, "in_signed": 0},
        **{"weight_bits": 4, "weight_signed": 1, "acc_bits": 16},
    }
    weights = rng.integers(-7, 8, (mat_h, mat_w))
    return Layer(name, "mvau", f"{name}_node", (), (), params, {"weights": weights})


def act(name: str, channels: int, rng: np.random.Generator) -> Layer:
    params = {
        **{"channels": channels, "pe": 1, "in_bits": 16, "in_signed": 1, "out_bits": 4},
        **{"out_signed": 0, "steps": 15, "out_bias": 0},
    }
    table = np.sort(rng.integers(-200, 200, (channels, 15)), axis=1)
    return Layer(name, "thresholding", f"{name}_node", (), (), params, {"thresholds": table})


def network(sizes: tuple[int, ...], seed: int = 0) -> Accelerator:
    """An unfolded accelerator of dense layers and activations."""
    rng = np.random.default_rng(seed)
    layers = []
    for index, (w, h) in enumerate(itertools.pairwise(sizes)):
        layers += [dense(f"fc{index}", w, h, rng), act(f"act{index}", h, rng)]
    fmt = IntFormat(4, signed=False)
    borders = tuple(Border("", (n,), fmt, (1.0,), (0.0,), "codes") for n in (sizes[0], sizes[-1]))
    return connect("net", layers, (borders[0], borders[1]), 100.0, {})


sizes = st.lists(st.sampled_from([4, 6, 9, 10, 12, 15, 16]), min_size=2, max_size=4).map(tuple)


@settings(max_examples=60, deadline=None)
@given(shape=sizes, data=st.data())
def test_solution_meets_the_target_with_the_fewest_multipliers(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    acc = network(shape)
    target = data.draw(st.sampled_from(reachable_cycles(acc)))
    try:
        folding = solve_cycles(acc, target, PART)
    except CompileError as error:  # widths whose only common one is too narrow for the target
        if "no stream width joins" not in str(error):
            raise
        return
    folded = apply_folding(acc, folding)
    assert accelerator_cycles(folded).ii_cycles <= target
    for layer in folded.layers:
        if layer.kind != "mvau":
            continue
        p = layer.params
        legal = [lanes(layer, f) for f in choices(layer) if cycles(layer, f) <= target]
        assert p["pe"] * p["simd"] == min(legal)
    codes = np.random.default_rng(1).integers(0, 16, (20, shape[0]))
    np.testing.assert_array_equal(reference.run(folded, codes), reference.run(acc, codes))


def test_fullycon_needs_no_second_converter() -> None:
    acc = network((60, 300, 300, 300, 300, 300, 30))
    folded = apply_folding(acc, solve_cycles(acc, 400, PART))
    converters = [la for la in folded.layers if la.kind == "dwc"]
    assert len(converters) <= 5
    macs = [18_000, 90_000, 90_000, 90_000, 90_000, 9_000]
    used = [la.params["pe"] * la.params["simd"] for la in folded.layers if la.kind == "mvau"]
    for mac, lane in zip(macs, used, strict=True):
        assert lane <= np.ceil(mac / 400) * 1.1


def test_impossible_target_names_the_layer_and_the_fastest() -> None:
    acc = network((60, 300, 4))
    with pytest.raises(CompileError, match=r"fc0_node: no folding takes 0 cycles.*fastest takes 1"):
        solve_cycles(acc, 0, PART)


def test_budget_is_used_but_not_exceeded() -> None:
    acc = network((60, 300, 300, 30))
    folded = apply_folding(acc, solve_cycles(acc, solve_device(acc, PART, 0.5), PART))
    assert accelerator_cost(folded, PART).fits(PART, 0.5)
    interval = accelerator_cycles(folded).ii_cycles
    faster = [t for t in reachable_cycles(acc) if t < interval]
    bigger = apply_folding(acc, solve_cycles(acc, faster[-1], PART))
    assert not accelerator_cost(bigger, PART).fits(PART, 0.5)


def test_budget_too_small_says_what_is_needed() -> None:
    acc = network((60, 300, 300, 30))
    with pytest.raises(CompileError, match=r"slowest design needs \d+ LUT"):
        solve_device(acc, PART, 0.001)


def test_latency_target_is_met() -> None:
    acc = network((16, 12, 12, 4))

    def latency(candidate: Accelerator) -> int:
        return accelerator_cycles(candidate).latency_cycles

    folded = apply_folding(acc, solve_cycles(acc, solve_latency(acc, 150, PART, latency), PART))
    assert 80 < latency(folded) <= 150
    with pytest.raises(CompileError, match="no folding has a latency of 3 cycles"):
        solve_latency(acc, 3, PART, latency)


@given(a=st.integers(1, 60), b=st.integers(1, 60))
def test_width_chain_joins_by_integer_ratios(a: int, b: int) -> None:
    chain = width_chain(a, b)
    ends = [a, *[out for _, out in chain]]
    assert ends[-1] == b
    for x, y in chain:
        assert x % y == 0 or y % x == 0
    assert len(chain) == (0 if a == b else 1 if a % b == 0 or b % a == 0 else 2)


def test_file_round_trip(tmp_path: Path) -> None:
    acc = network((12, 10, 6))
    folding = solve_cycles(acc, 30, PART)
    path = tmp_path / "folding.json"
    path.write_text(folding_json(folding))
    again = read_folding(path)
    check_folding(path, again, acc)
    assert again == folding


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fc0_node": {"PE": 7, "SIMD": 1}}, r"fc0_node: PE=7 must divide mat_h=10; choices: \[1"),
        ({"fc0_node": {"PE": 1, "SIMD": 5}}, r"SIMD=5 must divide mat_w=12; choices: \[1, 2, 3"),
        ({"fc0_node": {"PE": 0, "SIMD": 1}}, r"PE=0 must divide"),
        ({"fc0_node": {"PE": 1}}, r"fc0_node: SIMD is missing"),
        ({"act0_node": {"PE": 1, "SIMD": 2}}, r"act0_node: SIMD=2 given, but"),
        ({"fc0_node": {"PE": "a", "SIMD": 1}}, r"PE='a' must be an integer"),
        ({"fc0_node": {"Pe": 1}}, r"must be {'PE': n"),
        ({"fc9_node": {"PE": 1}}, r"unknown node 'fc9_node'; nodes: fc0_node"),
    ],
)
def test_wrong_file_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    acc = network((12, 10, 6))
    body = {**json.loads(folding_json(solve_cycles(acc, 30, PART))), **change}
    path = tmp_path / "folding.json"
    path.write_text(json.dumps(body))
    with pytest.raises(CompileError, match=message):
        check_folding(path, read_folding(path), acc)


def test_incomplete_or_broken_file_is_refused(tmp_path: Path) -> None:
    acc = network((12, 10, 6))
    path = tmp_path / "folding.json"
    path.write_text("{}")
    with pytest.raises(CompileError, match="node 'fc0_node' is missing"):
        check_folding(path, read_folding(path), acc)
    path.write_text("[1")
    with pytest.raises(CompileError, match="not a readable folding file"):
        check_folding(path, read_folding(path), acc)


def test_sparse_layer_folds_in_whole_blocks() -> None:
    layer = Layer("s", "mvau_sparse", "s", (), (), {"mat_w": 12, "mat_h": 4, "block": 4, "nnz": 1})
    assert {f.simd for f in choices(layer)} == {4, 12}
    assert lanes(layer, Fold(2, 12)) == 6
    assert cycles(layer, Fold(2, 4)) == 6


@pytest.mark.parametrize("target", [324, 700, 1500, 5000])
def test_a_graph_meets_the_target_and_computes_the_same(target: int) -> None:
    acc = small_network()
    folded = apply_folding(acc, solve_cycles(acc, target, PART))
    assert accelerator_cycles(folded).ii_cycles <= target
    codes = frames(acc, 4)
    np.testing.assert_array_equal(reference.run(folded, codes), reference.run(acc, codes))
    for layer in folded.layers:
        if layer.kind == "mvau":
            legal = [lanes(layer, f) for f in choices(layer) if cycles(layer, f) <= target]
            assert layer.params["pe"] * layer.params["simd"] <= 2 * min(legal)
        if layer.kind == "window":
            (user,) = [la for la in folded.layers if layer.outputs[0] in la.inputs]
            assert user.kind in ("mvau", "dwc")


def test_a_window_follows_its_matrix_layer() -> None:
    acc = small_network()
    folded = apply_folding(acc, solve_cycles(acc, 1500, PART))
    width = {la.name: la.params["simd"] for la in folded.layers if "simd" in la.params}
    pairs = [("win_first", "fc_first"), ("win_res", "fc_res"), ("win_last", "fc_last")]
    assert sum(width[w] == width[f] for w, f in pairs) >= 2


def test_folding_again_replaces_converters() -> None:
    acc = small_network()
    once = apply_folding(acc, solve_cycles(acc, 700, PART))
    slow = solve_cycles(once, 1500, PART)
    assert apply_folding(once, slow) == apply_folding(acc, slow)
    assert any(la.kind == "dwc" for la in once.layers)


def test_a_graph_that_cannot_be_fast_enough() -> None:
    acc = small_network()
    fastest = reachable_cycles(acc)[0]
    assert fastest == 6 * 6 * 9
    assert accelerator_cycles(apply_folding(acc, solve_cycles(acc, fastest, PART))).ii_cycles == 324
    with pytest.raises(CompileError, match=r"win_first: no folding takes 323 cycles.*takes 324"):
        solve_cycles(acc, fastest - 1, PART)


def test_latency_of_a_graph_is_met() -> None:
    acc = small_network()

    def latency(candidate: Accelerator) -> int:
        return accelerator_cycles(candidate).latency_cycles

    target = solve_latency(acc, 1600, PART, latency)
    assert 700 < latency(apply_folding(acc, solve_cycles(acc, target, PART))) <= 1600
    with pytest.raises(CompileError, match="no folding has a latency of 300 cycles"):
        solve_latency(acc, 300, PART, latency)


def test_foldings_of_image_layers() -> None:
    image = window((4, 4, 6), 1, U4)
    assert [f.pe for f in choices(image)] == [1, 2, 3, 6]
    assert cycles(image, Fold(3)) == 16 * 9 * 2
    grown = upsample((2, 2, 4), (2, 3), 1, U4)
    assert cycles(grown, Fold(2)) == 4 * 6 * 2
    parts = channels("concat", 5, (6, 4), 1, U4)
    assert [f.pe for f in choices(parts)] == [1, 2]
    assert cycles(parts, Fold(2)) == 5 * 5
    assert choices(duplicate(3, U4)) == [Fold(3)]


@given(n=st.integers(1, 400))
def test_divisors(n: int) -> None:
    assert divisors(n) == [d for d in range(1, n + 1) if n % d == 0]

# SPDX-License-Identifier: Apache-2.0
"""The beats of the model are those of the RTL: every frame, with FIFOs that are too shallow too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rtl_chains import frames
from rtl_graphs import U4, crnet_block, dwc, line, regrouped, residual, unequal
from sim_chains import Dense, chain

from hls.beat_kernels import left_behind
from hls.beat_times import beat_times, branches, steady_interval
from hls.cycles import accelerator_cycles
from hls.devices import device
from hls.fifo_depths import safe_depths
from hls.folding import apply_folding, choices, solve_cycles
from hls.image_cycles import window_needs
from hls.ir import Accelerator
from hls.ports import window_size
from hls.sim.engine import Simulator
from hls.sim.verilate import Variant, build
from hls.stitch import write_rtl
from models.errors import CompileError

FRAMES = 6


def random_folding(acc: Accelerator, seed: int) -> Accelerator:
    """Any legal PE and SIMD."""
    rng = np.random.default_rng(seed)
    folding = {la.source: choices(la)[rng.integers(len(choices(la)))] for la in acc.layers}
    return apply_folding(acc, folding)


def odd_fifos(acc: Accelerator, seed: int) -> Accelerator:
    """Some FIFOs anywhere; in branches from just too few places to plenty."""
    rng = np.random.default_rng(seed)
    anywhere = {s.name: int(rng.choice([0, 0, 1, 2, 5, 70])) for s in acc.streams}
    safe = safe_depths(acc)
    inside = {n: max(2, int(safe.get(n, 0) + rng.integers(0, 12))) for n in branches(acc)}
    return acc.with_fifo_depths({**anywhere, **inside})


def crnet(places: int) -> Accelerator:
    """A CRNet block of 700 cycles a frame, its deep FIFOs ``places`` short of what they hold."""
    acc = crnet_block(5, 2, ((3,), (5,)))
    acc = apply_folding(acc, solve_cycles(acc, 700, device("LFE5U-85F")))
    depths = safe_depths(acc)
    return acc.with_fifo_depths({n: max(2, d - places) for n, d in depths.items() if d > 2})


CASES: Mapping[str, Accelerator] = {
    "CRNet block": crnet(10),
    "two beside one": odd_fifos(random_folding(unequal(5, 2, ((3, 3), (1,)), "add"), 8), 4),
    "any FIFOs": odd_fifos(random_folding(unequal(4, 4, ((3,), (3, 5)), "concat"), 4), 1),
    "split": odd_fifos(random_folding(regrouped(6, 4), 3), 2),
}


@pytest.mark.verilator
@pytest.mark.parametrize("name", CASES)
def test_every_beat_is_where_the_rtl_has_it(name: str, tmp_path: Path) -> None:
    acc = CASES[name]
    model = beat_times(acc, FRAMES)
    variant = Variant.PROBE if name == "any FIFOs" else Variant.FAST
    binary = build(write_rtl(acc, tmp_path), acc, tmp_path / "sim", variant=variant, jobs=1)
    with Simulator(binary) as simulator:
        result = simulator.run(frames(acc, FRAMES), segment_frames=FRAMES)
    zero, source = result.in_first[0], acc.stream(acc.input.stream)
    np.testing.assert_array_equal(result.out_last - zero, model.ends)
    last_in = model.left[source.name] if not source.fifo_depth else model.entered[source.name]
    last_in = last_in[source.beats_per_frame - 1 :: source.beats_per_frame]
    np.testing.assert_array_equal(result.in_last - zero, last_in)
    assert result.latency_cycles == accelerator_cycles(acc).latency_cycles == model.ends[0]
    for stream, counts in result.streams.items():
        if acc.stream(stream).fifo_depth:
            assert counts.high_water == model.most(stream), stream


def test_back_pressure_between_branches_is_part_of_the_latency() -> None:
    latencies = [accelerator_cycles(crnet(places)).latency_cycles for places in (0, 8, 10)]
    assert latencies == [932, 1027, 1284]


@pytest.mark.verilator
def test_depths_of_the_model_are_safe_in_the_rtl(tmp_path: Path) -> None:
    wires = random_folding(unequal(5, 2, ((3, 3), ()), "add"), 2)
    assert not len(beat_times(wires).ends)
    depths = safe_depths(wires)
    assert set(depths) == branches(wires)
    acc = wires.with_fifo_depths(depths)
    binary = build(write_rtl(acc, tmp_path), acc, tmp_path / "sim", jobs=1)
    with Simulator(binary) as simulator:
        result = simulator.run(frames(acc, 12), segment_frames=12)
    assert result.ii_cycles is not None
    assert result.ii_cycles <= accelerator_cycles(acc).ii_cycles


@example(seed=0, size=4, join="add")  # wires let frames pass, but slowly
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), size=st.integers(2, 5), join=st.sampled_from(["add", "concat"]))
def test_any_fork_gets_depths_that_let_all_frames_pass(seed: int, size: int, join: str) -> None:
    kernels = np.random.default_rng(seed).choice([1, 3, 5], 3).tolist()
    acc = random_folding(unequal(size, 2, (tuple(kernels[:2]), tuple(kernels[2:])), join), seed)
    sized = acc.with_fifo_depths(safe_depths(acc))
    steady = steady_interval(sized, 4)
    assert steady is not None
    assert steady.proven
    assert steady.ii_cycles <= accelerator_cycles(sized).ii_cycles


def test_chains_keep_their_depths() -> None:
    acc = chain(12, [Dense(24, 4, 3), Dense(16, 2, 4)])
    assert safe_depths(acc) == {}
    assert safe_depths(residual().with_fifo_depths({"fork_sum": 200})) == {}


def test_frames_at_a_pace_come_at_that_pace() -> None:
    acc = chain(12, [Dense(24, 4, 3), Dense(16, 2, 4)])
    times = beat_times(acc, 5, pace_cycles=400)
    np.testing.assert_array_equal(np.diff(times.ends), 400)
    entered = times.entered[acc.input.stream].reshape(5, -1)
    np.testing.assert_array_equal(entered[:, 0], 400 * np.arange(5))


def test_a_slow_interval_is_not_proven_to_be_the_bound() -> None:
    acc = chain(12, [Dense(24, 4, 3), Dense(16, 2, 4)])
    first = acc.layers[0].outputs[0]
    slow = acc.with_fifo_depths({first: 1})  # every other cycle a beat
    assert steady_interval(slow, 4) == steady_interval(acc, 4)
    fast = chain(4, [Dense(8, 1, 4), Dense(8, 8, 1)])
    beats = fast.stream(fast.layers[0].outputs[0]).beats_per_frame
    held = steady_interval(fast.with_fifo_depths({fast.layers[0].outputs[0]: 1}), 4)
    assert held is not None
    assert held.proven
    assert held.ii_cycles == 2 * beats


def test_converters_of_equal_widths_are_wires() -> None:
    one, two = line(U4, (6,), dwc(U4, 1, 1)), line(U4, (6,), dwc(U4, 1, 1), dwc(U4, 1, 1))
    np.testing.assert_array_equal(beat_times(one, 2).ends, [5, 11])
    np.testing.assert_array_equal(beat_times(two, 2).ends, [5, 11])


@settings(max_examples=60, deadline=None)
@given(
    size=st.tuples(st.integers(1, 7), st.integers(1, 7)),
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    data=st.data(),
)
def test_a_window_frees_every_pixel_once_and_none_too_early(
    size: tuple[int, int], kernel: tuple[int, int], data: st.DataObject
) -> None:
    keys = ("height", "width", "kernel_h", "kernel_w")
    sides = ("pad_top", "pad_bottom", "pad_left", "pad_right")
    params = dict(zip(keys, (*size, *kernel), strict=True))
    params |= {s: data.draw(st.integers(0, kernel[i // 2] - 1)) for i, s in enumerate(sides)}
    out_h, out_w = window_size(params)
    if out_h < 1 or out_w < 1:
        return
    freed = np.cumsum(left_behind(params))
    assert freed[-1] == size[0] * size[1]
    assert (freed[:-1] <= window_needs(params)[:-1]).all()


def test_an_accelerator_that_no_fifo_helps_is_named() -> None:
    acc = residual()
    fork = acc.layers[0]
    lost = replace(fork, outputs=(fork.outputs[0], "nowhere"))
    missing = replace(acc.stream(fork.outputs[1]), name="nowhere", consumer=None)
    broken = replace(acc, layers=(lost, *acc.layers[1:]), streams=(*acc.streams, missing))
    with pytest.raises(CompileError, match="residual: stands still, however deep its FIFOs are"):
        accelerator_cycles(broken)

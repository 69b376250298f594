# SPDX-License-Identifier: Apache-2.0
"""The engine on the toy accelerator: values, cycles, disturbance, shards, faults."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sim_chains import Dense, chain

from hls import reference
from hls.cycles import accelerator_cycles
from hls.sim.engine import Disturbance, SimResult, Simulator, simulate
from hls.sim.fifo_sizing import random_codes
from hls.sim.verilate import SimBinary, Variant, build
from hls.stitch import write_rtl
from models.errors import CheckError, ConfigError, ToolError

pytestmark = pytest.mark.verilator

BEATS, HOLD = 4, 2
II = BEATS * (HOLD + 2)
"""The first stage takes a beat, waits HOLD cycles, hands it on: HOLD + 2 cycles a beat."""


def test_values_ii_and_latency(toy, toy_binary: SimBinary) -> None:
    codes = toy.codes(100)
    result = simulate(toy_binary, codes)
    np.testing.assert_array_equal(result.outputs, toy.expected(codes))
    assert result.ii_cycles == II
    # beat k is taken in cycle k (HOLD + 2), handed on HOLD + 1 later, delivered one after that
    assert result.latency_cycles == (BEATS - 1) * (HOLD + 2) + HOLD + 2
    np.testing.assert_array_equal(result.in_first[:64], np.arange(64) * II)
    np.testing.assert_array_equal(result.out_last - result.in_first, result.latency_cycles)
    np.testing.assert_array_equal(result.out_last - result.out_first, II - HOLD - 2)


def test_nothing_depends_on_the_number_of_shards(toy, toy_binary: SimBinary) -> None:
    codes = toy.codes(200)
    disturbance = Disturbance(seed=3, gap_probability=0.3, stall_probability=0.2, max_run=9)
    one, two = (simulate(toy_binary, codes, disturbance=disturbance, shards=n) for n in (1, 2))
    for name in ("outputs", "in_first", "in_last", "out_first", "out_last"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert (one.ii_cycles, one.latency_cycles, one.cycles) == (
        two.ii_cycles,
        two.latency_cycles,
        two.cycles,
    )


@pytest.mark.parametrize(("gap", "stall"), [(0.5, 0.0), (0.0, 0.5), (0.6, 0.6)])
def test_disturbance_changes_cycles_and_no_value(
    toy, toy_binary: SimBinary, gap: float, stall: float
) -> None:
    codes = toy.codes(150)
    disturbance = Disturbance(seed=5, gap_probability=gap, stall_probability=stall, max_run=20)
    result = simulate(toy_binary, codes, disturbance=disturbance)
    np.testing.assert_array_equal(result.outputs, toy.expected(codes))
    assert result.ii_cycles is not None
    assert result.ii_cycles > II * 1.05
    again = simulate(toy_binary, codes, disturbance=disturbance)
    np.testing.assert_array_equal(again.out_last, result.out_last)
    other = simulate(toy_binary, codes, disturbance=Disturbance(6, gap, stall, max_run=20))
    assert np.any(other.out_last != result.out_last)


def test_a_simulator_takes_batch_after_batch(toy, toy_binary: SimBinary) -> None:
    seen: list[tuple[int, int]] = []
    codes = toy.codes(90)
    with Simulator(toy_binary) as simulator:
        parts = [
            simulator.run(part, progress=lambda done, total: seen.append((done, total)))
            for part in (codes[:40], codes[40:])
        ]
    outputs = np.concatenate([part.outputs for part in parts])
    np.testing.assert_array_equal(outputs, toy.expected(codes))
    assert seen[-1] == (50, 50)
    assert (40, 40) in seen


def test_single_frame_has_no_ii(toy, toy_binary: SimBinary) -> None:
    result: SimResult = simulate(toy_binary, toy.codes(1))
    assert result.ii_cycles is None
    assert result.sim_cycles_per_s > 0


@pytest.mark.parametrize(
    ("fault", "error", "match"),
    [
        (2, CheckError, "m_axis_tdata changed before the beat was taken"),
        (3, CheckError, "surplus output beat"),
    ],
    ids=["unstable", "surplus"],
)
def test_broken_designs_are_caught(
    toy_files: Callable, tmp_path: Path, fault: int, error: type[Exception], match: str
) -> None:
    broken = toy_files(fault)
    binary = build(broken.files, broken.accelerator, tmp_path)
    disturbance = Disturbance(1, stall_probability=0.5, max_run=4) if fault == 2 else None
    with pytest.raises(error, match=match):
        simulate(binary, broken.codes(3), disturbance=disturbance, watchdog_cycles=500)


@pytest.fixture(scope="module")
def probe_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("probe")


def test_the_probe_variant_counts_every_stream(toy, probe_dir: Path) -> None:
    binary = build(toy.files, toy.accelerator, probe_dir, variant=Variant.PROBE)
    codes = toy.codes(70)
    result = simulate(binary, codes)
    np.testing.assert_array_equal(result.outputs, toy.expected(codes))
    assert list(result.streams) == ["in", "mid", "out"]
    assert {count.beats for count in result.streams.values()} == {70 * BEATS}
    # a new beat waits while the first stage holds the one before; nothing waits after that
    assert result.streams["in"].stall_cycles == 70 * BEATS * (HOLD + 1) - 2 * (HOLD + 1)
    assert result.streams["mid"].stall_cycles == 0
    assert result.streams["out"].stall_cycles == 0
    assert result.streams["mid"].starve_cycles > 70 * BEATS * HOLD
    assert result.streams["mid"].high_water == 0
    slow = simulate(binary, codes, disturbance=Disturbance(1, stall_probability=0.9, max_run=9))
    assert slow.streams["mid"].stall_cycles > 70
    assert slow.streams["out"].stall_cycles > 70


@pytest.mark.parametrize("variant", [Variant.PROBE, Variant.FAST])
def test_a_deadlock_names_the_stream(
    toy_files: Callable, probe_dir: Path, variant: Variant
) -> None:
    broken = toy_files(1)
    binary = build(broken.files, broken.accelerator, probe_dir, variant=variant)
    with pytest.raises(CheckError) as caught:
        simulate(binary, broken.codes(5), watchdog_cycles=300)
    assert "deadlock: no beat moved at its borders for 300 cycles" in caught.value.message
    assert "2 frames in, 2 out" in caught.value.message
    assert "stuck at stream in: first takes nothing" in caught.value.message
    assert "mid: valid=0 ready=1" in caught.value.message


def test_missing_memory_file_is_an_error(toy, toy_binary: SimBinary, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"does not start: .*toy_table\.dat"):
        simulate(replace(toy_binary, data_dir=tmp_path), toy.codes(1))


@pytest.mark.parametrize(
    ("codes", "match"),
    [
        (np.full((2, 12), 64), r"input codes from 64 to 64 do not fit INT7"),
        (np.zeros((2, 11), dtype=int), r"input codes of shape \(2, 11\): must be \(n, \(12,\)\)"),
        (np.zeros((0, 12), dtype=int), "with n >= 1"),
        (np.zeros((2, 12)), "input codes of type float64: must be integers"),
    ],
    ids=["range", "shape", "empty", "float"],
)
def test_wrong_codes_are_refused(toy_binary: SimBinary, codes: np.ndarray, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        simulate(toy_binary, codes)


def test_wrong_disturbance_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"gap_probability=1\.0: must be in \[0, 1\)"):
        Disturbance(seed=1, gap_probability=1.0)
    with pytest.raises(ConfigError, match="max_run=0"):
        Disturbance(seed=1, max_run=0)


def test_a_stitched_chain_keeps_to_reference_and_cycle_model(tmp_path: Path) -> None:
    accelerator = chain(12, [Dense(24, 4, 3), Dense(16, 2, 4), Dense(6, 3, 8)], seed=3)
    binary = build(write_rtl(accelerator, tmp_path), accelerator, tmp_path / "sim")
    codes = random_codes(accelerator, 200, 2)
    expected = reference.run(accelerator, codes)
    model = accelerator_cycles(accelerator)
    result = simulate(binary, codes)
    np.testing.assert_array_equal(result.outputs, expected)
    assert result.ii_cycles == model.ii_cycles
    assert result.latency_cycles == model.latency_cycles
    # a frame waits for those before it, never the other way round
    assert np.all(result.out_last - result.in_first >= model.latency_cycles)
    for gap, stall in ((0.2, 0.0), (0.0, 0.2), (0.3, 0.3)):
        disturbance = Disturbance(7, gap, stall, max_run=60)
        disturbed = simulate(binary, codes, disturbance=disturbance)
        np.testing.assert_array_equal(disturbed.outputs, expected)

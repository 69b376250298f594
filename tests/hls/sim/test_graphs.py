# SPDX-License-Identifier: Apache-2.0
"""A convolutional network with forks and joins: folded, sized, and simulated against the models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl_chains import frames
from rtl_graphs import U4, convolution, graph, small_network

from hls import reference
from hls.beat_times import beat_times
from hls.cycles import accelerator_cycles, layer_cycles
from hls.devices import device
from hls.folding import apply_folding, solve_cycles
from hls.ir import Accelerator
from hls.sim.engine import Disturbance, Simulator
from hls.sim.fifo_sizing import FifoSizing, size_fifos
from hls.sim.locate import locate
from hls.sim.verilate import build
from hls.stitch import write_rtl
from models.errors import CheckError

pytestmark = pytest.mark.verilator

TARGET = 700
FRAMES = 24


@pytest.fixture(scope="module")
def unfolded() -> Accelerator:
    """The network, one multiplier a layer."""
    return small_network()


@pytest.fixture(scope="module")
def wired(unfolded: Accelerator) -> Accelerator:
    """Folded for TARGET cycles a frame, without FIFOs."""
    return apply_folding(unfolded, solve_cycles(unfolded, TARGET, device("LFE5U-85F")))


@pytest.fixture(scope="module")
def sized(wired: Accelerator, tmp_path_factory: pytest.TempPathFactory) -> FifoSizing:
    """The FIFO depths that simulation finds."""
    return size_fifos(wired, tmp_path_factory.mktemp("sizing"))


def test_folding_changes_no_value(unfolded: Accelerator, wired: Accelerator) -> None:
    codes = frames(unfolded, 12)
    expected = reference.trace(unfolded, codes)
    np.testing.assert_array_equal(reference.run(wired, codes), expected["output"])
    assert len(np.unique(expected["output"])) > 20
    assert {layer.kind for layer in wired.layers} >= {"window", "dwc", "concat", "add", "pool"}


def test_without_fifos_it_stands_still(wired: Accelerator, tmp_path: Path) -> None:
    binary = build(write_rtl(wired, tmp_path), wired, tmp_path / "sim", jobs=1)
    with Simulator(binary, explain=False) as simulator, pytest.raises(CheckError, match="deadlock"):
        simulator.run(frames(wired, 4))


def test_the_network_keeps_bits_interval_and_latency(
    wired: Accelerator, sized: FifoSizing, tmp_path: Path
) -> None:
    acc = wired.with_fifo_depths(sized.depths)
    model = accelerator_cycles(acc)
    slowest = max(
        layer_cycles(la, acc.stream(la.inputs[0]).beats_per_frame).ii for la in acc.layers
    )
    assert model.ii_cycles == slowest <= TARGET
    codes = frames(acc, FRAMES)
    expected = reference.run(acc, codes)
    rtl = write_rtl(acc, tmp_path)
    with Simulator(build(rtl, acc, tmp_path / "sim", jobs=1)) as simulator:
        free = simulator.run(codes, segment_frames=FRAMES)
        np.testing.assert_array_equal(free.outputs, expected)
        assert free.ii_cycles is not None
        assert slowest <= free.ii_cycles <= 1.02 * slowest
        assert free.latency_cycles == model.latency_cycles
        np.testing.assert_array_equal(
            free.out_last - free.in_first[0], beat_times(acc, FRAMES).ends
        )
        held = simulator.run(codes, disturbance=Disturbance(3, 0.3, 0.3, 20), segment_frames=12)
        np.testing.assert_array_equal(held.outputs, expected)


def test_few_streams_need_a_fifo(wired: Accelerator, sized: FifoSizing) -> None:
    deep = {name for name, depth in sized.depths.items() if depth > 4}
    assert "fork_sum" in deep
    assert len(deep) <= 3
    assert sized.wires_ii_cycles is None
    assert sized.ii_cycles <= 1.001 * accelerator_cycles(wired).ii_cycles


def test_a_wrong_kernel_is_located(wired: Accelerator, sized: FifoSizing, tmp_path: Path) -> None:
    acc = wired.with_fifo_depths(sized.depths)
    rtl = write_rtl(acc, tmp_path)
    source = tmp_path / "rtl" / "phy_add.sv"
    text = source.read_text()
    assert text.count("OutBits'(a) + OutBits'(b)") == 1
    source.write_text(text.replace("OutBits'(a) + OutBits'(b)", "OutBits'(a) ^ OutBits'(b)"))
    found = locate(rtl, acc, frames(acc, 4), 1, tmp_path / "locate")
    assert found is not None
    assert found.layer == "sum"


@pytest.mark.parametrize(("size", "channels", "target"), [(2, 16, 2304), (4, 16, 1200)])
def test_small_images_do_not_starve(size: int, channels: int, target: int, tmp_path: Path) -> None:
    """Windows on few wide pixels: three convolutions, no FIFO, the interval of the slowest."""
    image = (size, size, channels)
    names = [("a", "x", "p"), ("b", "p", "q"), ("c", "q", "y")]
    nodes = [
        node
        for seed, (name, before, after) in enumerate(names)
        for node in convolution(name, image, channels, U4, (before, after), seed=seed)
    ]
    acc = graph(U4, image, nodes, name="wide")
    acc = apply_folding(acc, solve_cycles(acc, target, device("LFE5U-85F")))
    slowest = max(
        layer_cycles(la, acc.stream(la.inputs[0]).beats_per_frame).ii for la in acc.layers
    )
    assert 0.9 * target < slowest <= target
    codes = frames(acc, 20)
    binary = build(write_rtl(acc, tmp_path), acc, tmp_path / "sim", jobs=1)
    with Simulator(binary) as simulator:
        result = simulator.run(codes, segment_frames=20)
    np.testing.assert_array_equal(result.outputs, reference.run(acc, codes))
    assert result.ii_cycles is not None
    assert result.ii_cycles <= 1.05 * slowest

# SPDX-License-Identifier: Apache-2.0
"""FIFO depths: a design that needs a known one, and stitched accelerators that need none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rtl_graphs import residual, small_network
from sim_chains import Dense, chain

import hls.sim.fifo_sizing as sizing
from hls.beat_times import beat_times, branches
from hls.cycles import AcceleratorCycles, accelerator_cycles
from hls.folding import Fold, apply_folding
from hls.ir import Accelerator, Border, IntFormat, Layer, Stream
from hls.sim import verilate
from hls.sim.engine import simulate
from hls.sim.fifo_sizing import FifoSizing, random_codes, size_fifos
from hls.sim.kept_runs import KeptRuns
from hls.sim.verilate import Variant, build
from hls.stitch import write_rtl
from models.errors import CheckError

pytestmark = pytest.mark.verilator

BEATS = 16
FMT = IntFormat(8, signed=True)
KERNELS = Path(sizing.__file__).parents[1] / "rtl"


@dataclass(frozen=True)
class Files:
    """What a stitcher would hand over."""

    top_name: str
    sources: tuple[Path, ...]
    data_files: tuple[Path, ...] = ()


def _bursty() -> Accelerator:
    params = {"in_elems": 1, "out_elems": 1, "elem_bits": 8}
    ends = (("in", None, "burst"), ("mid", "burst", "steady"), ("out", "steady", None))
    borders = [Border(n, (BEATS,), FMT, (1.0,), (0.0,), "codes") for n in ("in", "out")]
    return Accelerator(
        "bursty",
        (
            Layer("burst", "dwc", "", ("in",), ("mid",), params),
            Layer("steady", "dwc", "", ("mid",), ("out",), params),
        ),
        tuple(Stream(n, p, c, FMT, 1, BEATS) for n, p, c in ends),
        *borders,
        clock_mhz=100.0,
    )


def _write(accelerator: Accelerator, folder: Path) -> Files:
    depth = accelerator.stream("mid").fifo_depth
    folder.mkdir(parents=True, exist_ok=True)
    top = folder / "bursty_top.sv"
    define = f"`define MID_DEPTH {depth}\n" if depth else ""
    top.write_text(define + (Path(__file__).parent / "rtl" / "bursty_top.sv").read_text())
    return Files("bursty_top", (KERNELS / "phy_pkg.sv", KERNELS / "phy_fifo.sv", top))


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, FifoSizing]:
    """Folder and result of a search."""
    folder = tmp_path_factory.mktemp("searched")
    return folder, size_fifos(_bursty(), folder, write_rtl=_write, max_depth=40)


def test_the_smallest_depth_that_keeps_the_throughput(
    searched: tuple[Path, FifoSizing], tmp_path: Path
) -> None:
    accelerator, (_folder, found) = _bursty(), searched
    assert found.ideal_ii_cycles == 2 * BEATS
    assert found.ii_cycles == 2 * BEATS
    # through wires the burst goes at the pace of `steady`, and the rest comes on top
    assert found.wires_ii_cycles is not None
    assert found.wires_ii_cycles >= 3 * BEATS - 1
    depth = found.depths["mid"]
    assert BEATS // 2 - 2 <= depth <= BEATS // 2 + 1
    # one less, built in and not as a limit, loses throughput
    short = accelerator.with_fifo_depths({"mid": depth - 1})
    binary = build(_write(short, tmp_path / "short"), short, tmp_path / "short")
    result = simulate(binary, random_codes(short, 30, 1))
    assert result.ii_cycles is not None
    assert result.ii_cycles > 2 * BEATS * 1.001


def test_a_search_that_was_interrupted_goes_on_from_its_simulations(
    searched: tuple[Path, FifoSizing], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Interrupted in its first simulation, later in its third, later in its sixth."""
    folder, whole = searched
    real, left, ran, told = sizing.Simulator.run, [1], [0], list[str]()

    def run(self: sizing.Simulator, *args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        ran[0] += 1
        return real(self, *args, **options)

    def search(key: str) -> FifoSizing | str:
        kept = KeptRuns(tmp_path / f"{key}.json", key, told.append)
        try:
            return size_fifos(_bursty(), folder, write_rtl=_write, max_depth=40, kept=kept)
        except KeyboardInterrupt:
            return str(kept)

    monkeypatch.setattr(sizing.Simulator, "run", run)
    assert search("a") == "of the FIFO search compiled simulators: 1"
    assert told == ["builds the simulator without FIFOs", "trial 1"]
    left[0] = 3
    assert search("a") == "of the FIFO search compiled simulators: 2, trials: 2"
    left[0] = 4
    assert search("a") == "of the FIFO search compiled simulators: 2, trials: 5"
    assert told[-1] == "trial 6"
    assert search("a") == whole
    assert ran[0] == whole.simulations  # each of them once
    search("b")
    assert ran[0] == 2 * whole.simulations


def test_high_water_is_the_fill_of_the_fifo(tmp_path: Path) -> None:
    deep = _bursty().with_fifo_depths({"mid": 40})
    binary = build(_write(deep, tmp_path), deep, tmp_path, variant=Variant.PROBE)
    codes = random_codes(deep, 20, 1)
    result = simulate(binary, codes)
    np.testing.assert_array_equal(result.outputs, codes)
    assert BEATS // 2 - 1 <= result.streams["mid"].high_water <= BEATS // 2 + 1
    assert result.streams["mid"].beats == 20 * BEATS


def test_depths_that_do_not_keep_their_promise_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing._Search, "_lower", lambda _: ({"mid": 1}, 2.0 * BEATS))
    with pytest.raises(CheckError, match=r"bursty: FIFO depths \{'mid': 1\} give II"):
        size_fifos(_bursty(), tmp_path, write_rtl=_write)


def test_our_kernels_need_no_fifo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accelerator = chain(12, [Dense(24, 4, 3), Dense(16, 2, 4), Dense(6, 3, 8)])
    with monkeypatch.context() as patch:
        patch.setattr(sizing, "build", None)  # proven, without any library
        found = size_fifos(accelerator, tmp_path)
    assert set(found.depths.values()) == {0}
    assert found.simulations == 0
    assert found.ii_cycles == found.ideal_ii_cycles == 48
    measured = size_fifos(accelerator, tmp_path, write_rtl=write_rtl)
    assert (measured.depths, measured.ii_cycles) == (found.depths, found.ii_cycles)
    assert measured.simulations == 1
    # the search itself comes to the same, with every FIFO there and its limit at 0
    low = AcceleratorCycles(ii_cycles=1, latency_cycles=1000, bottleneck="none")
    monkeypatch.setattr(sizing, "accelerator_cycles", lambda _: low)
    searched = size_fifos(accelerator, tmp_path, write_rtl=write_rtl, max_depth=30)
    assert searched.depths == found.depths
    assert searched.ii_cycles == 48
    assert searched.simulations > 5


def test_branches_lie_between_forks_and_joins() -> None:
    inside = branches(small_network())
    assert {"fork_sum", "fork_win_res", "act_res_sum", "fire_fc_one", "act_three_cat"} <= inside
    assert not {"input", "output", "win_first_fc_first", "up_win_last"} & inside
    assert branches(chain(12, [Dense(24, 4, 3), Dense(16, 2, 4)])) == set()


def test_a_branch_that_holds_back_the_other_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[Path] = []
    build_library = verilate._build_library

    def counted(plan: verilate.BuildPlan, folder: Path, jobs: int) -> None:
        built.append(folder)
        build_library(plan, folder, jobs)

    monkeypatch.setattr(verilate, "_build_library", counted)
    folds = {"fork": Fold(2), "win_c": Fold(2), "fc_c": Fold(2, 2), "act_c": Fold(2)}
    accelerator = apply_folding(residual(), {**folds, "sum": Fold(2)})
    ideal = accelerator_cycles(accelerator).ii_cycles
    assert ideal == 6 * 6 * 18 * 2
    wires = build(write_rtl(accelerator, tmp_path / "w"), accelerator, tmp_path / "w" / "sim")
    codes = random_codes(accelerator, 12, 1)
    with pytest.raises(CheckError, match="deadlock"):
        simulate(wires, codes)
    assert not len(beat_times(accelerator).ends)
    built.clear()
    libraries = tmp_path / "libraries"
    found = size_fifos(accelerator, tmp_path / "sizing", libraries=libraries)
    sized = accelerator.with_fifo_depths(found.depths)
    binary = build(write_rtl(sized, tmp_path / "sized"), sized, libraries)
    assert [binary.library.parent] == [folder.resolve() for folder in built]
    assert found.wires_ii_cycles is None
    assert found.ii_cycles == found.ideal_ii_cycles == ideal
    depth = found.depths["fork_sum"]
    assert {name for name, deep in found.depths.items() if deep} == {"fork_sum"}
    # a row of pixels and two more, two beats each, have to wait for the first sum
    assert 2 * (6 + 2) <= depth <= 3 * (6 + 2)
    # two thirds of it, built in, are too few
    short = accelerator.with_fifo_depths({"fork_sum": depth * 2 // 3})
    assert not len(beat_times(short).ends)
    binary = build(write_rtl(short, tmp_path / "s"), short, tmp_path / "s" / "sim")
    with pytest.raises(CheckError, match="deadlock"):
        simulate(binary, codes)

# SPDX-License-Identifier: Apache-2.0
"""Lines by time where no bar is drawn, silence where nothing may be said, what an end leaves."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fpga_builds.eda.kept_mapping import KeptMapping
from fpga_builds.flow import StepContext
from fpga_builds.progress import LINE_EVERY_S, POLL_S, Interrupted, Reporter
from fpga_builds.steps import hdl
from fpga_builds.steps import synth as step_synth
from fpga_builds.steps.train import training_bar
from hls.ir import Accelerator
from hls.sim import fifo_sizing
from hls.sim.fifo_sizing import FifoSizing
from hls.sim.kept_runs import KeptRuns
from quant.checkpoint import load_tensors
from quant.recipe import NetworkConfig, QuantConfig, Recipe, TrainConfig
from quant.train import TrainOptions, train_recipe
from quant.training_run import kept_of

STEPS, WEIGHTS = 40, "weights.safetensors"
RECIPE = Recipe(
    name="tiny",
    network=NetworkConfig(inputs=8, width=24, depth=2, bits=4),
    quant=QuantConfig(weight_bits=4, act_bits=4),
    train=TrainConfig(steps=STEPS, batch=16, warmup_steps=5, precision="float32"),
)


class Clock:
    """Time that passes when it is told to."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def passes(self, seconds: float, reporter: Reporter) -> None:
        """As the thread of a reporter sees it: a beat every second."""
        for _ in range(int(seconds)):
            self.now_s += POLL_S
            reporter.beat()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock, and no thread that looks at it by itself."""
    monkeypatch.setattr(threading.Thread, "start", lambda _thread: None)
    monkeypatch.setattr(threading.Thread, "join", lambda _thread: None)
    return Clock()


def test_silent_work_gives_a_line_at_least_every_ten_seconds(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(clock=clock)
    with reporter.work("hdl"):
        clock.passes(20, reporter)
        with reporter.bar("synthesis") as bar:
            clock.passes(5, reporter)
            bar(23, 40)
            bar.doing("map_luts")
            clock.passes(65, reporter)
        clock.passes(10, reporter)
    clock.passes(30, reporter)
    lines = capsys.readouterr().err.splitlines()
    assert LINE_EVERY_S + POLL_S <= 10
    assert lines[:3] == ["  hdl: 9 s", "  hdl: 18 s", "  synthesis: 23 of 40, map_luts, 7 s"]
    assert lines[-2] == "  synthesis: 23 of 40, map_luts, 1 min 10 s"
    assert lines[-1] == "  hdl: 1 min 39 s"
    assert len(lines) == 11


def test_a_line_of_somebody_else_puts_the_next_one_off(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(clock=clock)
    with reporter.bar("frames"):
        clock.passes(8, reporter)
        reporter.line("something")
        clock.passes(8, reporter)
        assert capsys.readouterr().err == "something\n"
        clock.passes(1, reporter)
        assert capsys.readouterr().err == "  frames: 17 s\n"


def test_news_of_a_busy_program_gives_lines_by_time_too(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    reporter = Reporter(clock=clock)
    with reporter.bar("frames", 100) as bar:
        for done in range(100):
            clock.now_s += 0.5
            bar(done, 100)
    assert capsys.readouterr().err.splitlines()[0] == "  frames: 17 of 100, 9 s"


def test_the_thread_beats_while_work_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fpga_builds.progress.POLL_S", 0.0)
    reporter, beaten = Reporter(), threading.Event()
    monkeypatch.setattr(reporter, "beat", beaten.set)
    with reporter.work("outer"), reporter.bar("silent"):
        assert beaten.wait(60)
        assert [thread.name for thread in threading.enumerate()].count("progress") == 1
    assert "progress" not in [thread.name for thread in threading.enumerate()]


def test_quiet_work_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    reporter = Reporter(quiet=True, clock=clock)
    with reporter.work("hdl"), reporter.bar("frames") as bar:
        bar(1, 2)
        bar.doing("this")
        clock.passes(100, reporter)
    assert capsys.readouterr() == ("", "")


def test_an_end_that_leaves_nothing_says_so(tmp_path: Path) -> None:
    reporter = Reporter(quiet=True)
    with pytest.raises(Interrupted) as caught, reporter.interruptible(tmp_path):
        raise KeyboardInterrupt
    assert caught.value.hint == "nothing is kept yet; the same command begins anew"


def _train(folder: Path, end_at: int | None = None) -> str:
    """Train, ten seconds of the clock a step; returns what an end behind step ``end_at`` says.

    Step 0 is the calibration of the quantizers.
    """
    clock, reporter = Clock(), Reporter(quiet=True)

    def on_step(step: int, _loss: float) -> None:
        clock.now_s += 10.0 if step else 0.0
        if step == end_at:
            raise KeyboardInterrupt

    options = TrainOptions(
        *("cpu", 1, 7), clock=clock, on_step=on_step, doing=lambda _what: on_step(0, 0.0)
    )
    try:
        with (
            reporter.interruptible(folder.parent),
            training_bar(reporter, RECIPE, folder, STEPS),
        ):
            train_recipe(RECIPE, folder, options)
            raise KeyboardInterrupt
    except Interrupted as end:
        return end.hint


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nobody interrupted."""
    folder = tmp_path_factory.mktemp("whole") / "training"
    assert _train(folder).startswith(f"kept: the trained network in {folder}.")
    return folder


@pytest.mark.parametrize(("end_at", "kept"), [(1, 0), (3, 0), (4, 3), (9, 6), (23, 21), (40, 39)])
def test_training_keeps_what_it_says_and_goes_on_with_the_same_bits(
    tmp_path: Path, whole: Path, end_at: int, kept: int
) -> None:
    folder = tmp_path / "training"
    said = f"kept: the training state at step {kept} of {STEPS} in {folder}."
    assert _train(folder, end_at) == f"{said} The same command goes on from there"
    assert int(load_tensors(folder / "state.safetensors", RECIPE)["step"]) == kept
    _train(folder)
    assert (folder / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()
    assert _log(folder) == _log(whole)


def test_an_end_during_calibration_says_that_nothing_is_kept(tmp_path: Path, whole: Path) -> None:
    folder = tmp_path / "training"
    assert _train(folder, 0) == "nothing is kept yet; the same command begins anew"
    assert not (folder / "state.safetensors").exists()
    _train(folder)
    assert (folder / WEIGHTS).read_bytes() == (whole / WEIGHTS).read_bytes()


def test_what_another_recipe_left_is_not_kept(tmp_path: Path, whole: Path) -> None:
    other = RECIPE.model_copy(update={"name": "other"})
    assert kept_of(whole, RECIPE, STEPS)
    assert kept_of(whole, other, STEPS) == ""
    _train(tmp_path / "training", 9)
    assert kept_of(tmp_path / "training", other, STEPS) == ""
    (tmp_path / "training" / "state.safetensors").write_bytes(b"half a file")
    assert kept_of(tmp_path / "training", RECIPE, STEPS) == ""


def _log(folder: Path) -> list[list[str]]:
    """The learning curve without its last column, the seconds."""
    rows = (folder / "log.csv").read_text().splitlines()
    return [row.split(",")[:-1] for row in rows]


def _context(folder: Path) -> StepContext:
    """What the steps hdl and synth ask for where they keep things."""
    (folder / "compiled").write_text("a design")
    names = SimpleNamespace(
        cache=folder, input=folder.joinpath, made_by="program", reporter=Reporter(quiet=True)
    )
    return cast(StepContext, names)


def test_an_interrupted_hdl_step_tells_its_trials_and_goes_on_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[int] = []
    end_at: list[int] = [2]

    def search(*_: object, kept: KeptRuns, **_folders: object) -> FifoSizing:
        kept.builds += 1
        for number in range(3):
            if number in end_at:
                raise KeyboardInterrupt
            kept.get([number], lambda number=number: _ran(ran, number))
        return FifoSizing({}, 1.0, 1.0, None, 3)

    monkeypatch.setattr(fifo_sizing, "size_fifos", search)
    context = _context(tmp_path)
    accelerator: Any = SimpleNamespace(with_fifo_depths=lambda _depths: "sized")
    with pytest.raises(Interrupted) as caught, context.reporter.interruptible(tmp_path):
        hdl._size_fifos(context, cast(Accelerator, accelerator))
    assert "kept: of the FIFO search compiled simulators: 1, trials: 2." in caught.value.hint
    end_at.clear()
    assert hdl._size_fifos(context, accelerator)[0] == "sized"
    assert ran == [0, 1, 2]


def _ran(numbers: list[int], number: int) -> dict[str, float]:
    numbers.append(number)
    return {"ii_cycles": 1.0}


def test_an_interrupted_synth_step_tells_its_mapped_cells(tmp_path: Path) -> None:
    context = _context(tmp_path)
    keep = step_synth.keep_of(context, "synth-part")
    mapping = KeptMapping(keep.folder, "key")
    keep.told(mapping)
    for said in ("nothing is kept yet", "kept: the mapped cells of the synthesis in "):
        with pytest.raises(Interrupted) as caught, context.reporter.interruptible(tmp_path):
            raise KeyboardInterrupt
        assert caught.value.hint.startswith(said)
        mapping.keep(tmp_path / "compiled")

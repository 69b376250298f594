# SPDX-License-Identifier: Apache-2.0
"""The flow runner: what runs, what is skipped, what survives a failure."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fpga_builds.config import BuildConfig, parse_build
from fpga_builds.flow import Flow, Step, StepContext, StepOutput
from fpga_builds.metrics import Metric
from fpga_builds.progress import Interrupted, Reporter
from fpga_builds.state import State, load_record
from fpga_builds.storage import read_json
from models.errors import CheckError, CompileError, ConfigError, StorageError

CONFIG = parse_build({"name": "demo", "network": {"checkpoint": "x"}}, "test")
Work = Callable[[StepContext], StepOutput]


class Counter:
    """Two steps that count how often they run: first writes a.txt, second copies it in capitals."""

    def __init__(self) -> None:
        self.ran: list[str] = []

    def first(self, context: StepContext) -> StepOutput:
        """Writes the number of frames."""
        self.ran.append("first")
        logging.getLogger("fpga_builds.demo").info("a word for the log")
        (context.folder / "a.txt").write_text(f"frames {context.config.simulate.frames}")
        metric = Metric("size", 3, "byte", "lower", "estimate", "demo")
        return StepOutput({"a": "a.txt"}, (metric,), {"fact": 1})

    def second(self, context: StepContext) -> StepOutput:
        """Reads what the first wrote."""
        self.ran.append("second")
        text = context.input("a").read_text()
        (context.folder / "b").mkdir()
        (context.folder / "b" / "b.txt").write_text(text.upper())
        return StepOutput({"b": "b"})

    def steps(self, first: Work | None = None, second: Work | None = None) -> tuple[Step, ...]:
        """The two steps, with other work if given."""
        return (
            Step(
                "first", 1, "makes a", (), ("a",), lambda c: c.simulate.frames, first or self.first
            ),
            Step("second", 2, "makes b", ("a",), ("b",), lambda _c: 0, second or self.second),
        )

    def run(self, out: Path, config: BuildConfig = CONFIG, until: str = "second") -> State:
        """One run of the flow; `ran` is emptied before."""
        self.ran.clear()
        return Flow(self.steps(), config, out).run(until)


def test_each_step_leaves_config_log_metrics_and_state(tmp_path: Path) -> None:
    state = Counter().run(tmp_path)
    folder = tmp_path / "01-first"
    assert (folder / "a.txt").read_text() == "frames 20000"
    assert "a word for the log" in (folder / "step.log").read_text()
    assert parse_build(read_json(folder / "config.json"), "x") == CONFIG
    assert read_json(folder / "metrics.json")[0]["name"] == "size"
    assert read_json(folder / "state.json")["versions"]["python"]
    assert (state.file("b") / "b.txt").read_text() == "FRAMES 20000"
    assert state.metrics.value("size") == 3
    assert state.records["first"].info == {"fact": 1}


def test_a_flow_that_goes_on_looks_at_no_step_twice(tmp_path: Path) -> None:
    counter = Counter()
    flow = Flow(counter.steps(), CONFIG, tmp_path)
    seen: list[str] = []
    real = flow.run_step
    flow.run_step = lambda step, state: (seen.append(step.name), real(step, state))[1]  # type: ignore[method-assign]
    state = flow.run("second", done=flow.run("first"))
    assert seen == counter.ran == ["first", "second"]
    assert set(state.records) == {"first", "second"}


def test_unchanged_steps_are_skipped(tmp_path: Path) -> None:
    counter = Counter()
    counter.run(tmp_path)
    before = (tmp_path / "01-first" / "state.json").stat().st_mtime_ns
    state = counter.run(tmp_path)
    assert counter.ran == []
    assert state.metrics.value("size") == 3
    assert (tmp_path / "01-first" / "state.json").stat().st_mtime_ns == before


def test_a_changed_setting_runs_what_depends_on_it(tmp_path: Path) -> None:
    counter = Counter()
    counter.run(tmp_path)
    counter.run(tmp_path, CONFIG.updated("simulate", frames=7))
    assert counter.ran == ["first", "second"]
    counter.run(tmp_path, CONFIG.updated("simulate", frames=7, seed=9))
    assert counter.ran == []


def test_until_stops_there(tmp_path: Path) -> None:
    counter = Counter()
    counter.run(tmp_path, until="first")
    assert counter.ran == ["first"]


def test_only_what_is_needed_runs(tmp_path: Path) -> None:
    counter = Counter()

    def third(context: StepContext) -> StepOutput:
        counter.ran.append("third")
        (context.folder / "c").write_text(context.input("a").read_text())
        return StepOutput({"c": "c"})

    steps = (*counter.steps(), Step("third", 3, "makes c", ("a",), ("c",), lambda _c: 0, third))
    flow = Flow(steps, CONFIG, tmp_path)
    state = flow.run("third")
    assert counter.ran == ["first", "third"]
    assert set(state.records) == {"first", "third"}
    flow.run("second", "third")
    assert counter.ran == ["first", "third", "second"]


def test_a_step_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="demo: has no step fourth; steps: first, second"):
        Flow(Counter().steps(), CONFIG, tmp_path).run("second", "fourth")


@pytest.mark.parametrize("damage", ["delete", "alter", "no-state", "half-state"])
def test_a_damaged_result_is_not_taken(tmp_path: Path, damage: str) -> None:
    counter = Counter()
    counter.run(tmp_path)
    folder = tmp_path / "01-first"
    if damage == "delete":
        (folder / "a.txt").unlink()
    elif damage == "alter":
        (folder / "a.txt").write_text("frames 20001")
    elif damage == "no-state":
        (folder / "state.json").unlink()
    else:
        text = (folder / "state.json").read_text()
        (folder / "state.json").write_text(text[: len(text) // 2])
    assert load_record(folder) is None
    counter.run(tmp_path)
    assert counter.ran == ["first"]  # the same a.txt comes out, so the second step stands


def test_a_failing_step_keeps_the_last_good_result_and_names_its_log(tmp_path: Path) -> None:
    counter = Counter()
    counter.run(tmp_path)

    def broken(context: StepContext) -> StepOutput:
        (context.folder / "a.txt").write_text("half")
        raise CompileError("no way", hint="try another")

    flow = Flow(counter.steps(first=broken), CONFIG.updated("simulate", frames=1), tmp_path)
    with pytest.raises(CompileError, match="no way") as caught:
        flow.run("second")
    assert "try another; log: " in caught.value.hint
    assert (tmp_path / "01-first" / "a.txt").read_text() == "frames 20000"
    counter.run(tmp_path)
    assert counter.ran == []


def test_full_disk_is_a_storage_error_and_loses_nothing(tmp_path: Path) -> None:
    code = f"""
import resource, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_flow import CONFIG, Counter, Flow, StepOutput
from models.errors import StorageError
out = Path(sys.argv[1])
counter = Counter()
counter.run(out)
def big(context):
    (context.folder / "a.txt").write_text("x" * 100_000)
    return StepOutput({{"a": "a.txt"}})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    Flow(counter.steps(first=big), CONFIG.updated("simulate", frames=1), out).run("second")
except StorageError as error:
    print("StorageError", error.message)
counter.run(out)
print(counter.ran)
"""
    command = [sys.executable, "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert first.startswith("StorageError")
    assert "could not be written" in first
    assert second == "[]"
    assert StorageError.exit_code == 1


def test_a_kill_leaves_no_result_and_the_next_run_starts_that_step_again(tmp_path: Path) -> None:
    code = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from pathlib import Path
from test_flow import CONFIG, Counter, Flow
def dies(context):
    (context.folder / "b").mkdir()
    os.kill(os.getpid(), 9)
counter = Counter()
Flow(counter.steps(second=dies), CONFIG, Path(sys.argv[1])).run("second")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "02-second").exists()
    counter = Counter()
    counter.run(tmp_path)
    assert counter.ran == ["second"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["01-first", "02-second"]


def test_a_step_that_forgets_its_output_fails(tmp_path: Path) -> None:
    steps = Counter().steps(first=lambda _context: StepOutput({}))
    with pytest.raises(CheckError, match="step first ended without its output 'a'"):
        Flow(steps, CONFIG, tmp_path).run("second")
    assert not (tmp_path / "01-first").exists()


def test_external_files_and_program_text_count(tmp_path: Path) -> None:
    source = tmp_path / "source.txt"
    source.write_text("1")
    step = Step(
        "s", 1, "", (), (), lambda _c: 0, lambda _c: StepOutput({}), external=lambda _c: (source,)
    )
    before = step.depends(CONFIG, State())
    source.write_text("2")
    after = step.depends(CONFIG, State())
    assert [name for name in before if before[name] != after[name]] == [
        f"file {tmp_path.name}/source.txt"
    ]


def test_present_reads_what_is_there(tmp_path: Path) -> None:
    counter = Counter()
    counter.run(tmp_path, until="first")
    state, left_out = Flow(
        counter.steps(), CONFIG.updated("simulate", frames=1), tmp_path
    ).present()
    assert list(state.records) == ["first"]
    assert left_out == {}
    with pytest.raises(ConfigError, match="no step has written 'b' yet"):
        state.file("b")


def test_steps_that_do_not_apply_are_left_out(tmp_path: Path) -> None:
    step = Step(
        "s", 1, "", (), (), lambda _c: 0, lambda _c: StepOutput({}), applies=lambda _c: False
    )
    assert Flow((step,), CONFIG, tmp_path).steps == ()
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_ctrl_c_says_what_is_kept(tmp_path: Path) -> None:
    reporter = Reporter(quiet=True)

    def interrupted(context: StepContext) -> StepOutput:
        context.reporter.kept = "3 of 6 chunks"
        raise KeyboardInterrupt

    flow = Flow(Counter().steps(second=interrupted), CONFIG, tmp_path, reporter=reporter)
    with (
        pytest.raises(Interrupted, match="interrupted") as caught,
        reporter.interruptible(tmp_path),
    ):
        flow.run("second")
    assert caught.value.exit_code == 130
    assert f"kept: finished steps in {tmp_path}: 01-first; 3 of 6 chunks." in caught.value.hint
    assert (tmp_path / "01-first" / "state.json").is_file()

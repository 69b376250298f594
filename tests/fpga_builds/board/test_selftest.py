# SPDX-License-Identifier: Apache-2.0
"""`phyfold board PORT selftest` ends with 0 only if all frames were compared and none was wrong."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from board_chains import STATUS
from command_line import run

from fpga_builds import progress
from fpga_builds.board import session
from fpga_builds.board.protocol import Status
from fpga_builds.board.selftest import Result, judge
from fpga_builds.progress import Reporter

Board = Callable[[Status], None]
GOOD = STATUS
FAILED = replace(GOOD, test_passed=False, mismatches=4, first_mismatch=3)
STOPPED = replace(GOOD, test_passed=False, test_stuck=True, compared_frames=5)
RUNNING = replace(GOOD, test_done=False, test_passed=False, compared_frames=0)

CONTRADICTIONS = {
    "0 of 0": replace(GOOD, test_frames=0, compared_frames=0),
    "passed, 7 wrong": replace(GOOD, mismatches=7, first_mismatch=0),
    "passed, 7 wrong, none first": replace(GOOD, mismatches=7),
    "passed, first wrong": replace(GOOD, first_mismatch=3),
    "passed, 0 of 64": replace(GOOD, compared_frames=0),
    "passed, 63 of 64": replace(GOOD, compared_frames=63),
    "65 of 64": replace(GOOD, compared_frames=65),
    "passed and stopped": replace(GOOD, test_stuck=True),
    "failed, none wrong": replace(GOOD, test_passed=False),
    "failed, 65 of 64 wrong": replace(FAILED, mismatches=65),
    "failed, frame 64 wrong": replace(FAILED, first_mismatch=64),
    "failed, 10 of 64": replace(FAILED, compared_frames=10),
    "stopped, 6 of 5 wrong": replace(STOPPED, mismatches=6, first_mismatch=0),
    "running, 0 of 0": replace(RUNNING, test_frames=0),
}


class _Link:
    """A board that says one thing."""

    def __init__(self, status: Status) -> None:
        self.status = status
        self.counts = session.BoardLink(None, "fake").counts  # type: ignore[arg-type]

    def info(self) -> Status:
        return self.status

    selftest = info


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> Board:
    """Makes every port a board with this status."""

    def put(status: Status) -> None:
        @contextmanager
        def connected(*_: Any) -> Iterator[_Link]:
            yield _Link(status)

        monkeypatch.setattr(session, "connected", connected)

    return put


def test_a_test_that_passed(says: Board, capsys: pytest.CaptureFixture[str]) -> None:
    says(GOOD)
    code, out, err = run(capsys, "board", "/dev/fake", "selftest")
    assert (code, err) == (0, "")
    assert "passed: 64 of 64 frames, 0 wrong" in out


@pytest.mark.parametrize("status", CONTRADICTIONS.values(), ids=CONTRADICTIONS.keys())
@pytest.mark.parametrize("action", ["selftest", "info"])
def test_contradictions_are_errors(
    status: Status, action: str, says: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    assert judge(status).result is Result.CONTRADICTORY
    says(status)
    code, out, err = run(capsys, "board", "/dev/fake", action)
    assert code == 1
    assert "passed" not in out
    assert "the board contradicts itself on its self-test: it says" in err
    assert f"{status.compared_frames} of {status.test_frames} frames compared" in err
    assert f"{status.mismatches} wrong" in err


def test_a_test_that_did_not_finish(says: Board, capsys: pytest.CaptureFixture[str]) -> None:
    says(RUNNING)
    code, out, err = run(capsys, "board", "/dev/fake", "selftest")
    assert code == 1
    assert "running: 0 of 64 frames" in out
    assert "did not finish: it has compared 0 of 64 frames" in err
    assert run(capsys, "board", "/dev/fake", "info")[0] == 0  # it may run, then


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (FAILED, "4 of 64 frames are wrong, first frame 3"),
        (STOPPED, "the accelerator stopped after 5 of 64 frames"),
    ],
    ids=["wrong", "stopped"],
)
@pytest.mark.parametrize("action", ["selftest", "info"])
def test_a_test_that_failed(
    status: Status, message: str, action: str, says: Board, capsys: pytest.CaptureFixture[str]
) -> None:
    says(status)
    code, out, _ = run(capsys, "board", "/dev/fake", action, "--json")
    assert code == 1
    body = json.loads(out)
    assert body["test_result"] == "failed"
    assert message in body["error"]["message"]


def test_a_board_that_is_slow_to_answer_is_waited_for_with_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = threading.Event()

    @contextmanager
    def connected(*_: Any) -> Iterator[_Link]:
        assert answers.wait(10)
        yield _Link(GOOD)

    def line(reporter: Reporter, text: str) -> None:
        reporter.console.print(text)
        answers.set()

    monkeypatch.setattr(session, "connected", connected)
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    monkeypatch.setattr(progress, "POLL_S", 0.01)
    monkeypatch.setattr(Reporter, "line", line)
    code, _out, err = run(capsys, "board", "/dev/fake", "selftest")
    assert code == 0
    assert "the board at /dev/fake: 0 s" in err

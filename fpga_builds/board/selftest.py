# SPDX-License-Identifier: Apache-2.0
"""What a board's word on its self-test is worth: passed, failed, not finished, or a contradiction.

A test has passed only if it ran to its end, compared every frame that it has, at least one, and
found none wrong. The numbers and the flags of one status block have to agree.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any

from fpga_builds.board.protocol import OTHER_VERSION, LinkError, Status
from models.errors import CheckError


class Result(enum.StrEnum):
    """How a self-test ended."""

    PASSED = "passed"
    FAILED = "failed"
    RUNNING = "running"
    CONTRADICTORY = "contradictory"


@dataclass(frozen=True)
class SelfTest:
    """A self-test as the board reports it.

    Attributes:
        result: of it.
        text: what is wrong with it; empty if it passed.
    """

    result: Result
    text: str = ""


def judge(status: Status) -> SelfTest:
    """The result that a status block gives."""
    counted = f"{status.compared_frames} of {status.test_frames} frames"
    first, contradiction = status.first_mismatch, _contradiction(status)
    if contradiction:
        said = "passed" if status.test_passed else "failed"
        flags = f"{said if status.test_done else 'running'}{', stopped' * status.test_stuck}"
        return SelfTest(
            Result.CONTRADICTORY,
            f"it says {flags}, {counted} compared, {status.mismatches} wrong, first wrong frame "
            f"{'none' if first is None else first}: {contradiction}",
        )
    if not status.test_done:
        return SelfTest(Result.RUNNING, f"it has compared {counted}")
    if status.test_passed:
        return SelfTest(Result.PASSED)
    if status.test_stuck:
        return SelfTest(Result.FAILED, f"the accelerator stopped after {counted}")
    return SelfTest(
        Result.FAILED,
        f"{status.mismatches} of {status.compared_frames} frames are wrong, first frame "
        f"{status.first_mismatch}",
    )


def _contradiction(status: Status) -> str:
    """What in a status block cannot be true together; empty if all can."""
    if status.test_frames < 1:
        return "a self-test has at least one frame"
    if not status.test_done:
        return ""  # its counters move
    compared, wrong, first = status.compared_frames, status.mismatches, status.first_mismatch
    rules = (
        (compared > status.test_frames, "it compared more frames than it has"),
        (wrong > compared, "more frames are wrong than were compared"),
        ((wrong > 0) != (first is not None), "there is a first wrong frame if any is wrong"),
        (first is not None and first >= compared, "the first wrong frame was not compared"),
        (status.test_passed and wrong > 0, "a test that passed has no wrong frame"),
        (status.test_passed and status.test_stuck, "a test that passed did not stop"),
        (
            compared < status.test_frames and not status.test_stuck,
            "a test is finished when all frames are compared",
        ),
        (
            not (status.test_passed or status.test_stuck or wrong),
            "a test that failed has a wrong frame, or stopped",
        ),
    )
    return next((text for broken, text in rules if broken), "")


def require(body: dict[str, Any], *, finished: bool) -> None:
    """Raise unless the board's self-test passed.

    body: of `fpga_builds.board.session.status_of`. finished: one that still runs is an error too.

    Raises:
        CheckError: it failed, or did not finish.
        LinkError: what the board says contradicts itself.
    """
    result, text = Result(body["test_result"]), body["test_text"]
    if result is Result.CONTRADICTORY:
        raise LinkError(
            f"{body['port']}: the board contradicts itself on its self-test: {text}",
            hint=OTHER_VERSION,
        )
    if result is Result.FAILED:
        raise CheckError(
            f"self-test on the board failed: {text}",
            hint="golden frames, weights and RTL are in the bitstream: make it again; if a fresh "
            "one fails too, lower its clock",
        )
    if result is Result.RUNNING and finished:
        raise CheckError(
            f"self-test on the board did not finish: {text}",
            hint="reset the board, or program it again",
        )

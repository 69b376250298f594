# SPDX-License-Identifier: Apache-2.0
"""Lists of numbers after one option."""

from __future__ import annotations

import pytest

from fpga_builds.arguments import frame_range, spread_lists


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("simulate B --snr-db 8 9 --frames 10", "simulate B --snr-db 8 --snr-db 9 --frames 10"),
        ("simulate --snr-db 8 9.5 B", "simulate --snr-db 8 --snr-db 9.5 B"),
        ("--snr-db 8,9,10", "--snr-db 8 --snr-db 9 --snr-db 10"),
        ("--snr-db=8,9 10", "--snr-db 8 --snr-db 9 --snr-db 10"),
        ("--snr-db -3 1e1", "--snr-db -3 --snr-db 1e1"),
        ("--snr-db 8 --snr-db 9", "--snr-db 8 --snr-db 9"),
        ("--snr-db", "--snr-db"),
        ("--snr-db loud", "--snr-db loud"),
        ("--frames 1 2", "--frames 1 2"),
        ("-- --snr-db 1 2", "-- --snr-db 1 2"),
    ],
)
def test_spread_lists(words: str, expected: str) -> None:
    assert spread_lists(words.split()) == expected.split()


def test_frame_range() -> None:
    assert frame_range("3:7") == range(3, 7)
    assert frame_range("5") == range(5, 6)


@pytest.mark.parametrize("text", ["", "a", "4:4", "7:3", "-1:2", "1:2:3"])
def test_wrong_frame_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        frame_range(text)

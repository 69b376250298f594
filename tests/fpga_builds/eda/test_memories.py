# SPDX-License-Identifier: Apache-2.0
"""Memory files are looked at before synthesis: Yosys takes short and damaged ones silently."""

from __future__ import annotations

from pathlib import Path

import pytest
from rtl_chains import chain, dwc, mvau, requant, sparse, thresholding

from fpga_builds.eda.memories import check_memories, memory_shapes
from hls.ir import IntFormat
from hls.stitch import RtlPackage, write_rtl
from models.errors import CheckError, CompileError

S8, U4, U2 = IntFormat(8, signed=True), IntFormat(4, signed=False), IntFormat(2, signed=False)


@pytest.fixture
def rtl(tmp_path: Path) -> RtlPackage:
    """A top with every kind of layer that has memories."""
    first = mvau((8, 12), 4, 3, S8, IntFormat(4, signed=True))
    second = sparse((8, 8), 2, 4, (4, 1), U4, IntFormat(2, signed=True))
    layers = [
        first,
        requant(8, 4, first.fmt, (6, 13, 9), U4),
        second,
        dwc(second.fmt, 2, 4),
        thresholding(8, 4, second.fmt, 3, U2),
    ]
    return write_rtl(chain(S8, 3, 12, layers), tmp_path)


def _check(rtl: RtlPackage) -> None:
    check_memories(rtl.sources, [path for path in rtl.data_files if path.exists()])


def test_every_file_of_every_kind_is_known(rtl: RtlPackage) -> None:
    _check(rtl)
    shapes = memory_shapes(rtl.sources[-1].read_text())
    assert set(shapes) == {path.name for path in rtl.data_files}
    assert shapes["l0_weights.dat"] == (8, 48)
    assert shapes["l2_weights.dat"] == (8, 8)
    assert shapes["l4_thresholds_s01_p0003.dat"][0] == 4


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(lambda lines: lines[:3], "has 3 words", id="truncated"),
        pytest.param(lambda lines: [*lines, lines[0]], "has 9 words", id="too long"),
        pytest.param(lambda _lines: [], "has 0 words", id="empty"),
        pytest.param(lambda lines: [lines[0], lines[1][:-1], *lines[2:]], "line 2: ", id="cut"),
        pytest.param(lambda lines: ["0" + line for line in lines], "digits; the", id="wider"),
        pytest.param(lambda lines: ["zz" + lines[0][2:], *lines[1:]], "line 1: 'zz", id="no hex"),
        pytest.param(lambda lines: ["xx" + lines[0][2:], *lines[1:]], "line 1: 'xx", id="x"),
    ],
)
def test_a_damaged_file_is_named(rtl: RtlPackage, damage: object, message: str) -> None:
    path = next(path for path in rtl.data_files if path.name == "l0_weights.dat")
    lines = damage(path.read_text().split())  # type: ignore[operator]
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(CheckError, match=rf"l0_weights\.dat.*{message}") as caught:
        _check(rtl)
    assert "phyfold compile" in caught.value.hint


def test_bytes_that_are_no_text_are_refused(rtl: RtlPackage) -> None:
    rtl.data_files[0].write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CheckError, match="is no text"):
        _check(rtl)


def test_a_missing_file_is_named(rtl: RtlPackage) -> None:
    rtl.data_files[0].unlink()
    with pytest.raises(CheckError, match=r"l0_weights\.dat is missing: the RTL reads it"):
        _check(rtl)


def test_a_file_of_another_block_is_checked_for_its_words_alone(tmp_path: Path) -> None:
    path = tmp_path / "golden.dat"
    path.write_text("0f\na0\n")
    check_memories([], [path])
    path.write_text("0f\na\n")
    with pytest.raises(CheckError, match="line 2: 'a' is no word of 2 hexadecimal digits"):
        check_memories([], [path])


def test_a_kind_without_a_known_shape_is_refused() -> None:
    with pytest.raises(CompileError, match="phy_new: shape of its memory files unknown"):
        memory_shapes('phy_new #(\n .Depth(4), .File("a.dat")\n) u_a (')

# SPDX-License-Identifier: Apache-2.0
"""The PLL's settings: within the data sheet's limits, equal to another calculator's frequencies."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from hls.board.pll import FEEDBACK_DIVIDER, find_pll
from models.errors import ConfigError

CASES = [(25, 100), (25, 125), (25, 62.5), (25, 120), (25, 133.33), (100, 100), (100, 90), (12, 48)]


@pytest.mark.parametrize(("source", "wanted"), CASES, ids=[f"{a} to {b}" for a, b in CASES])
def test_settings_are_within_the_limits(source: float, wanted: float) -> None:
    pll = find_pll(source, wanted)
    assert abs(pll.output_mhz - Fraction(wanted)) <= Fraction(wanted) / 10_000
    assert 10 <= pll.pfd_mhz <= 400
    assert 400 <= pll.vco_mhz <= 800
    assert pll.pfd_mhz == Fraction(source) / pll.clki_div
    assert pll.vco_mhz == pll.pfd_mhz * pll.clkfb_div * pll.clkop_div
    assert Fraction(25, 8) <= pll.feedback_mhz <= 400
    assert pll.clkfb_div in FEEDBACK_DIVIDER
    for divider in (pll.clki_div, pll.clkop_div, pll.clkos_div or 1):
        assert 1 <= divider <= 128


def test_the_usual_clocks_need_one_output() -> None:
    pll = find_pll(25, 100)
    assert (pll.clki_div, pll.clkfb_div, pll.clkop_div, pll.clkos_div) == (1, 4, 6, 0)
    assert pll.output_hz == 100_000_000
    assert find_pll(25, 120).clkos_div == 5
    assert find_pll(25, 133.33).output_hz == 133_333_333


@pytest.mark.parametrize(
    ("source", "wanted", "message"),
    [
        (25, 500, r"500 MHz: the PLL makes 3.125 to 400 MHz"),
        (25, 1, r"1 MHz: the PLL makes 3.125"),
        (4, 100, r"4 MHz into a PLL: must be 8 to 400 MHz"),
    ],
)
def test_frequencies_out_of_range(source: float, wanted: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        find_pll(source, wanted)


def test_an_impossible_frequency_names_its_neighbours() -> None:
    with pytest.raises(ConfigError, match="97 MHz cannot be made of 25 MHz") as caught:
        find_pll(25, 97)
    near = [float(word) for word in re.findall(r"[\d.]+", caught.value.hint)]
    assert near == [96.875, 97.5]
    for mhz in near:
        assert float(find_pll(25, mhz).output_mhz) == pytest.approx(mhz, rel=1e-4)


@pytest.mark.yosys
@pytest.mark.parametrize(("source", "wanted"), [(25, 100), (25, 120), (100, 90)])
def test_trellis_calculates_the_same_frequency(
    source: float, wanted: float, tmp_path: Path
) -> None:
    program = shutil.which("yowasp-ecppll", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("yowasp-ecppll is not installed")
    pll = find_pll(source, wanted)
    options = ["--highres"] if pll.clkos_div else []
    run = subprocess.run(
        [program, "-i", str(source), "-o", str(wanted), "-f", "pll.v", *options],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    text = run.stdout + run.stderr
    said = re.findall(r"clkout[01] frequency: ([\d.]+) MHz", text)
    assert said, text
    assert float(said[-1]) == pytest.approx(float(pll.output_mhz), rel=1e-5)
    module = (tmp_path / "pll.v").read_text()
    settings = dict(re.findall(r"\.(CLK\w+_DIV)\((\d+)\)", module))
    theirs = Fraction(source) / int(settings["CLKI_DIV"]) * int(settings["CLKFB_DIV"])
    if not pll.clkos_div:
        assert theirs == pll.output_mhz
    for name in re.findall(r"\.(\w+)\(", (tmp_path / "pll.v").read_text()):
        if name in ("CLKI", "CLKFB", "CLKOP", "LOCK", "FEEDBK_PATH", "CLKOP_CPHASE"):
            assert name in _template()


def _template() -> str:
    from hls.stitch import KERNELS

    return (KERNELS / "templates" / "board_top.sv.j2").read_text()

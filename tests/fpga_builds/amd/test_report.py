# SPDX-License-Identifier: Apache-2.0
"""AMD's reports, whole, truncated and missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fpga_builds.amd.report import read_resources, vitis_timing, zynq_timing
from models.errors import ToolError

SUMMARY = """\
------------------------------------------------------------------------------------------------
| Design Timing Summary
| ---------------------
------------------------------------------------------------------------------------------------

    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)      THS(ns)
    -------      -------  ---------------------  -------------------      -------      -------
{row}

"""
INFO = """\
   Name:      DATA_CLK
   Index:     0
   Type:      DATA
   Frequency: 187.5 MHz

   Name:      KERNEL_CLK
   Index:     1
   Type:      KERNEL
   Frequency: 500 MHz
"""
TABLE = """\
<RptDoc><section title="1."><table>
<tablerow><tableheader contents="x"/></tablerow>
<tablerow><tablecell contents="Instance"/><tablecell contents="Module"/>
 <tablecell contents="Total LUTs"/><tablecell contents="FFs"/><tablecell contents="RAMB36"/>
 <tablecell contents="RAMB18"/><tablecell contents="URAM"/><tablecell contents="DSP Blocks"/>
</tablerow>
<tablerow><tablecell contents="top_wrapper"/><tablecell contents="(top)"/>
 <tablecell contents="5000"/><tablecell contents="7000"/><tablecell contents="3"/>
 <tablecell contents="5"/><tablecell contents="1"/><tablecell contents="12"/></tablerow>
<tablerow><tablecell contents="    P1_MVAU_phy_0"/><tablecell contents="fc0"/>
 <tablecell contents="900"/><tablecell contents="400"/><tablecell contents="1"/>
 <tablecell contents="0"/><tablecell contents="0"/><tablecell contents="8"/></tablerow>
</table></section></RptDoc>
"""


@pytest.mark.parametrize(
    ("row", "met", "fmax_mhz"),
    [
        (
            "      2.000        0.000                      0                31513        0.023",
            True,
            125,
        ),
        (
            "     -2.500      -90.100                     31                31513        0.023",
            False,
            80,
        ),
    ],
)
def test_slack_to_clock(tmp_path: Path, row: str, met: bool, fmax_mhz: float) -> None:
    report = tmp_path / "timing.rpt"
    report.write_text(SUMMARY.format(row=row))
    timing = zynq_timing(report, 100)
    assert timing.met is met
    assert timing.fmax_mhz == pytest.approx(fmax_mhz)
    assert timing.clock_mhz == 100


@pytest.mark.parametrize(
    "text", ["", SUMMARY.format(row=""), SUMMARY.format(row="  NA  NA  0  0  NA")]
)
def test_timing_report_without_a_slack(tmp_path: Path, text: str) -> None:
    report = tmp_path / "timing.rpt"
    with pytest.raises(ToolError, match="left no timing report"):
        zynq_timing(report, 100)
    report.write_text(text)
    with pytest.raises(ToolError, match="no worst slack in this timing report"):
        zynq_timing(report, 100)


def test_clock_of_a_kernel(tmp_path: Path) -> None:
    info = tmp_path / "a.xclbin.info"
    info.write_text(INFO)
    assert vitis_timing(info, 200).met is False
    assert vitis_timing(info, 187.5).clock_mhz == 187.5
    for nothing in (None, tmp_path / "no"):
        timing = vitis_timing(nothing, 200)
        assert (timing.met, timing.clock_mhz) == (None, None)
        assert "a.xclbin.info" in timing.why


def test_resources(tmp_path: Path) -> None:
    report = tmp_path / "util.xml"
    report.write_text(TABLE)
    totals, rows = read_resources(report, {"P1_MVAU_phy_0": "fc0", "P1_other": "act0"})
    assert totals == {"lut": 5000, "ff": 7000, "bram18": 11, "dsp": 12, "uram": 1}
    assert rows == [{"name": "fc0", "lut": 900, "ff": 400, "bram18": 2, "dsp": 8, "uram": 0}]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no readable utilization report"),
        (TABLE[:400], "no readable utilization report"),
        (TABLE.replace("(top)", "top"), "no row"),
    ],
)
def test_damaged_resource_report(tmp_path: Path, text: str | None, message: str) -> None:
    report = tmp_path / "util.xml"
    if text is not None:
        report.write_text(text)
    with pytest.raises(ToolError, match=message):
        read_resources(report, {})

# SPDX-License-Identifier: Apache-2.0
"""An Alveo board: kernels, linking script and clock, with stand-ins for Vivado and Vitis."""

from __future__ import annotations

import pytest

BOARD = "U250"


def test_alveo_build(build_once) -> None:
    body, job, calls = build_once(BOARD)
    tools = [call["tool"] for call in calls if call["tool"] != "kernelinfo"]
    assert tools == ["vivado", "vitis_hls", "vitis_hls", *["vivado"] * 6, "v++", "vivado"]
    link = next(call for call in calls if call["tool"] == "v++")
    words = link["argv"]
    assert words[words.index("--platform") + 1] == "xilinx_u250_gen3x16_xdma_4_1_202210_1"
    assert words[words.index("--kernel_frequency") + 1] == "150"
    accelerator = "StreamingDataflowPartition_1"
    assert f"sc=idma_0.m_axis_0:{accelerator}.s_axis_0" in link["text"]
    assert f"sc={accelerator}.m_axis_0:odma_0.s_axis_0" in link["text"]
    assert sum(word.endswith(".xo") for word in words) == 3
    assert "-part xcu250-figd2104-2L-e" in calls[0]["text"]
    assert (body["tool"], body["part"]) == ("vivado", "xcu250-figd2104-2L-e")
    assert (job.folder / body["bitstream"]).suffix == ".xclbin"
    assert (body["clock_mhz"], body["timing_met"], body["fmax_mhz"]) == (150, True, None)
    assert "margin" in body["why_not_measured"]
    assert body["throughput_per_s"] == pytest.approx(150e6 / body["ii_cycles"])
    assert [row["name"] for row in body["layers"]][1:3] == ["fc0", "act0"]
    settings = (job.folder / "deploy" / "driver" / "settings.json").read_text()
    assert '"platform": "alveo"' in settings

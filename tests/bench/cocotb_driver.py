# SPDX-License-Identifier: Apache-2.0
"""The cocotb side of the simulator benchmark: the same frames through the same ports.

Runs inside the simulator. Arguments come in the environment: PHYFOLD_BENCH_IN and _OUT name .npy
files of beats [n, bytes]; cycles and CPU time [s] go to the file PHYFOLD_BENCH_TIME.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge

CLOCK_NS = 10


async def _drive(dut: Any, beats: list[int]) -> None:
    dut.s_axis_tvalid.value = 1
    for beat in beats:
        dut.s_axis_tdata.value = beat
        while True:
            await ReadOnly()
            taken = dut.s_axis_tready.value == 1
            await RisingEdge(dut.ap_clk)
            if taken:
                break
    dut.s_axis_tvalid.value = 0


@cocotb.test()
async def run_batch(dut: Any) -> None:
    """Push all beats, collect all answers, as fast as cocotb's usual style allows."""
    beats = np.load(os.environ["PHYFOLD_BENCH_IN"])
    out = np.load(os.environ["PHYFOLD_BENCH_OUT"])
    dut.ap_rst_n.value = 0
    dut.s_axis_tvalid.value = 0
    dut.m_axis_tready.value = 0
    cocotb.start_soon(Clock(dut.ap_clk, CLOCK_NS, unit="ns").start())
    for _ in range(8):
        await RisingEdge(dut.ap_clk)
    dut.ap_rst_n.value = 1
    dut.m_axis_tready.value = 1
    words = [int.from_bytes(row.tobytes(), "little") for row in beats]
    started = time.process_time()
    cocotb.start_soon(_drive(dut, words))
    cycles = taken = 0
    while taken < len(out):
        await RisingEdge(dut.ap_clk)
        cycles += 1
        await ReadOnly()
        if dut.m_axis_tvalid.value == 1:
            word = dut.m_axis_tdata.value.to_unsigned()
            out[taken] = np.frombuffer(word.to_bytes(out.shape[1], "little"), dtype=np.uint8)
            taken += 1
    seconds = time.process_time() - started
    np.save(os.environ["PHYFOLD_BENCH_OUT"], out)
    times = {"cycles": cycles, "seconds": seconds}
    Path(os.environ["PHYFOLD_BENCH_TIME"]).write_text(json.dumps(times))

# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the stream glue; `test_streams.py` builds ``streams_tb.sv`` and runs them."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, ReadOnly, RisingEdge, SimTimeoutError, with_timeout

UNITS = ("spill", "shallow", "deep", "limited")
ROOM = {"spill": 2, "shallow": 5, "deep": 70, "limited": 8}
LATENCY = {"spill": 1, "shallow": 1, "deep": 2, "limited": 1}
BEATS = 400


class Unit:
    """One device, by the prefix of its ports: a driver, a monitor and the rules of a stream."""

    def __init__(self, dut: Any, name: str, seed: int) -> None:
        self.dut = dut
        self.name = name
        self.random = random.Random(seed)
        self.sent: list[int] = []
        self.got: list[int] = []
        self.first_in = self.first_out = self.last_out = -1
        self.most = 0

    def port(self, port: str) -> Any:
        """A port of this device."""
        return getattr(self.dut, f"{self.name}_{port}")

    async def drive(self, count: int, gap: float) -> None:
        """Send random beats, each after a gap with that probability per cycle."""
        for _ in range(count):
            self.port("s_tvalid").value = 0
            while self.random.random() < gap:
                await RisingEdge(self.dut.ap_clk)
            beat = self.random.getrandbits(16)
            self.port("s_tdata").value = beat
            self.port("s_tvalid").value = 1
            self.sent.append(beat)
            while True:
                await ReadOnly()
                taken = self.port("s_tready").value == 1
                await RisingEdge(self.dut.ap_clk)
                if taken:
                    break
        self.port("s_tvalid").value = 0

    async def collect(self, count: int, stall: float) -> None:
        """Take beats and check that an offered one stays as it is."""
        held = None
        cycle = 0
        while len(self.got) < count:
            ready = self.random.random() >= stall
            self.port("m_tready").value = ready
            await ReadOnly()
            if self.port("s_tvalid").value == 1 and self.first_in < 0:
                self.first_in = cycle
            valid = self.port("m_tvalid").value == 1
            beat = int(self.port("m_tdata").value) if valid else None
            assert held is None or beat == held, f"{self.name}: an offered beat changed"
            held = beat if not ready else None
            if valid and ready:
                self.got.append(beat or 0)
                self.last_out = cycle
                self.first_out = cycle if self.first_out < 0 else self.first_out
            self.most = max(self.most, len(self.sent) - len(self.got))
            await RisingEdge(self.dut.ap_clk)
            cycle += 1
        self.port("m_tready").value = 0


async def start(dut: Any) -> None:
    """Clock and reset."""
    cocotb.start_soon(Clock(dut.ap_clk, 10, unit="ns").start())
    dut.ap_rst_n.value = 0
    for name in UNITS:
        getattr(dut, f"{name}_s_tvalid").value = 0
        getattr(dut, f"{name}_m_tready").value = 0
    for _ in range(4):
        await RisingEdge(dut.ap_clk)
    dut.ap_rst_n.value = 1
    await RisingEdge(dut.ap_clk)


async def run(dut: Any, units: list[Unit], count: int, gap: float, stall: float) -> None:
    """All units at once; then each must have given what it got, and hold no more."""
    tasks = []
    for unit in units:
        tasks.append(cocotb.start_soon(unit.drive(count, gap)))
        tasks.append(cocotb.start_soon(unit.collect(count, stall)))
    await with_timeout(Combine(*tasks), 200 * count * 10, "ns")
    for _ in range(5):
        await RisingEdge(dut.ap_clk)
    for unit in units:
        assert unit.got == unit.sent, unit.name
        assert unit.port("m_tvalid").value == 0, unit.name


@cocotb.test()
async def full_speed(dut: Any) -> None:
    """One beat per cycle, and the latency of the header."""
    await start(dut)
    units = [Unit(dut, name, 1) for name in UNITS]
    await run(dut, units, BEATS, 0.0, 0.0)
    for unit in units:
        assert unit.first_out - unit.first_in == LATENCY[unit.name], unit.name
        assert unit.last_out - unit.first_out == BEATS - 1, unit.name


@cocotb.test()
async def gaps_and_back_pressure(dut: Any) -> None:
    """Order and contents under random disturbances; deep ones fill up."""
    await start(dut)
    for seed, (gap, stall) in enumerate(((0.5, 0.0), (0.0, 0.7), (0.3, 0.3), (0.8, 0.8))):
        await run(dut, [Unit(dut, name, seed) for name in UNITS], BEATS, gap, stall)


@cocotb.test()
async def room(dut: Any) -> None:
    """As many places as promised: without a taker, exactly that many beats go in."""
    await start(dut)
    units = [Unit(dut, name, 3) for name in UNITS]
    drivers = [cocotb.start_soon(unit.drive(100, 0.0)) for unit in units]
    for _ in range(150):
        await RisingEdge(dut.ap_clk)
    for unit in units:
        assert len(unit.sent) - 1 == ROOM[unit.name], unit.name
    assert int(dut.u_shallow.count_q.value) == 5
    assert int(dut.u_deep.count_q.value) == 70
    for driver in drivers:
        driver.cancel()


@cocotb.test()
async def limits(dut: Any) -> None:
    """A limited FIFO holds no more than its limit; limit 0 is a wire."""
    for limit in (1, 3, 8, 0):
        await start(dut)
        dut.u_limited.limit_q.value = limit
        await RisingEdge(dut.ap_clk)
        unit = Unit(dut, "limited", limit)
        await run(dut, [unit], BEATS, 0.2, 0.7)
        assert unit.most == limit + 1  # and the beat that waits at the input
        fast = Unit(dut, "limited", 9)
        await run(dut, [fast], BEATS, 0.0, 0.0)
        assert fast.first_out - fast.first_in == (1 if limit else 0)
        assert fast.last_out - fast.first_out == (BEATS - 1) * (2 if limit == 1 else 1)


@cocotb.test(expect_error=SimTimeoutError)
async def a_lost_beat_is_seen(dut: Any) -> None:
    """A reset in the middle loses beats; the bench must notice."""
    await start(dut)
    unit = Unit(dut, "deep", 5)

    async def disturb() -> None:
        for _ in range(100):
            await RisingEdge(dut.ap_clk)
        dut.ap_rst_n.value = 0
        await RisingEdge(dut.ap_clk)
        dut.ap_rst_n.value = 1

    cocotb.start_soon(disturb())
    await run(dut, [unit], 200, 0.0, 0.5)

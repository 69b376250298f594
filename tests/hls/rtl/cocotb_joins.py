# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of kernels with several streams, each port disturbed on its own.

`test_streams.py` builds ``joins_tb.sv`` and runs them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Combine, ReadOnly, RisingEdge, with_timeout

PIXELS = 60
MASK = 63


def lanes(beat: int) -> list[int]:
    """The two 6-bit elements of a beat, signed."""
    return [((beat >> s & MASK) ^ 32) - 32 for s in (0, 6)]


def added(beats: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Sums of 7 bits."""
    pairs = zip(beats["add_s0"], beats["add_s1"], strict=True)
    sums = [[a + b for a, b in zip(lanes(x), lanes(y), strict=True)] for x, y in pairs]
    return {"add_m": [(low & 127) | (high & 127) << 7 for low, high in sums]}


def joined(beats: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Three beats of the first input, one of the second, and so on."""
    a, b = beats["cat_s0"], beats["cat_s1"]
    return {"cat_m": [beat for n in range(len(b)) for beat in (*a[3 * n : 3 * n + 3], b[n])]}


def parted(beats: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Three beats to the first output, one to the second, and so on."""
    x = beats["split_s"]
    first = [beat for n, beat in enumerate(x) if n % 4 != 3]
    return {"split_m0": first, "split_m1": x[3::4]}


def doubled(beats: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """The input on both outputs."""
    return {"dup_m0": beats["dup_s"], "dup_m1": beats["dup_s"]}


Model = Callable[[Mapping[str, list[int]]], dict[str, list[int]]]
UNITS: dict[str, tuple[dict[str, int], Model]] = {
    "dup": ({"dup_s": 4}, doubled),
    "cat": ({"cat_s0": 3, "cat_s1": 1}, joined),
    "split": ({"split_s": 4}, parted),
    "add": ({"add_s0": 4, "add_s1": 4}, added),
}
"""Beats per pixel at each input, and what the unit gives."""
OUTPUTS = ("dup_m0", "dup_m1", "cat_m", "split_m0", "split_m1", "add_m")


class Bench:
    """Drivers and monitors of all ports."""

    def __init__(self, dut: Any) -> None:
        self.dut = dut
        self.cycle = 0
        self.first_in: dict[str, int] = {}
        self.first_out: dict[str, int] = {}
        self.last_out: dict[str, int] = {}

    async def start(self) -> None:
        """Clock and reset."""
        cocotb.start_soon(Clock(self.dut.ap_clk, 10, unit="ns").start())
        self.dut.ap_rst_n.value = 0
        for inputs, _ in UNITS.values():
            for name in inputs:
                getattr(self.dut, f"{name}_tvalid").value = 0
        for name in OUTPUTS:
            getattr(self.dut, f"{name}_tready").value = 0
        for _ in range(4):
            await RisingEdge(self.dut.ap_clk)
        self.dut.ap_rst_n.value = 1
        await RisingEdge(self.dut.ap_clk)
        cocotb.start_soon(self.count())

    async def count(self) -> None:
        """Number the cycles."""
        while True:
            await RisingEdge(self.dut.ap_clk)
            self.cycle += 1

    async def drive(self, name: str, beats: list[int], gap: float, rng: random.Random) -> None:
        """Send beats, each after a gap with that probability per cycle."""
        valid, data = getattr(self.dut, f"{name}_tvalid"), getattr(self.dut, f"{name}_tdata")
        for beat in beats:
            valid.value = 0
            while rng.random() < gap:
                await RisingEdge(self.dut.ap_clk)
            data.value, valid.value = beat, 1
            while True:
                await ReadOnly()
                taken = getattr(self.dut, f"{name}_tready").value == 1
                if taken:
                    self.first_in.setdefault(name, self.cycle)
                await RisingEdge(self.dut.ap_clk)
                if taken:
                    break
        valid.value = 0

    async def collect(self, name: str, wanted: list[int], stall: float, rng: random.Random) -> None:
        """Take beats, which must be as wanted; an offered one stays as it is."""
        held = None
        got = 0
        while got < len(wanted):
            ready = rng.random() >= stall
            getattr(self.dut, f"{name}_tready").value = ready
            await ReadOnly()
            valid = getattr(self.dut, f"{name}_tvalid").value == 1
            beat = int(getattr(self.dut, f"{name}_tdata").value) if valid else None
            assert held is None or beat == held, f"{name}: an offered beat changed"
            held = None if ready else beat
            if valid and ready:
                assert beat == wanted[got], f"{name}: beat {got}"
                got += 1
                self.first_out.setdefault(name, self.cycle)
                self.last_out[name] = self.cycle
            await RisingEdge(self.dut.ap_clk)
        getattr(self.dut, f"{name}_tready").value = 0

    async def run(self, seed: int, gaps: Callable[[], float], stalls: Callable[[], float]) -> None:
        """All units at once, every port with a probability of its own."""
        rng = random.Random(seed)
        tasks = []
        for inputs, model in UNITS.values():
            sent = {
                name: [rng.getrandbits(12) for _ in range(PIXELS * per_pixel)]
                for name, per_pixel in inputs.items()
            }
            for name, beats in sent.items():
                own = random.Random(rng.random())
                tasks.append(cocotb.start_soon(self.drive(name, beats, gaps(), own)))
            for name, wanted in model(sent).items():
                own = random.Random(rng.random())
                tasks.append(cocotb.start_soon(self.collect(name, wanted, stalls(), own)))
        await with_timeout(Combine(*tasks), 200 * PIXELS * 10, "ns")
        for _ in range(5):
            await RisingEdge(self.dut.ap_clk)
        for name in OUTPUTS:
            assert getattr(self.dut, f"{name}_tvalid").value == 0, name


@cocotb.test()
async def full_speed(dut: Any) -> None:
    """One beat per cycle at the busier side, 1 cycle of latency."""
    bench = Bench(dut)
    await bench.start()
    await bench.run(1, lambda: 0.0, lambda: 0.0)
    for name in ("dup_m0", "dup_m1", "cat_m", "split_m0", "add_m"):
        unit = name.split("_")[0]
        first_in = min(at for port, at in bench.first_in.items() if port.startswith(unit))
        assert bench.first_out[name] - first_in == 1, name
    for name in ("dup_m0", "dup_m1", "cat_m", "add_m", "split_m1"):
        beats = PIXELS * 4 - 4 if name == "split_m1" else PIXELS * 4 - 1
        assert bench.last_out[name] - bench.first_out[name] == beats, name


@cocotb.test()
async def every_port_on_its_own(dut: Any) -> None:
    """Order and contents, gaps and stalls of every port independent."""
    bench = Bench(dut)
    await bench.start()
    rng = random.Random(7)
    for seed in range(4):
        await bench.run(
            seed, lambda: rng.choice((0.0, 0.3, 0.8)), lambda: rng.choice((0, 0.5, 0.8))
        )

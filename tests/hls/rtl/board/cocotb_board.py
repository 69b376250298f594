# SPDX-License-Identifier: Apache-2.0
"""cocotb tests of the board's modules; `test_board_modules.py` runs them on ``board_tb.sv``."""

from __future__ import annotations

import random
from typing import Any

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import ReadOnly, RisingEdge, Timer, with_timeout

from fpga_builds.board.protocol import BoardError, Packet, encode

CYCLE_NS = 10
BIT_NS = 20 * CYCLE_NS
INPUTS = (
    *("utx_valid_i", "prx_valid_i", "prx_error_i", "ptx_start_i", "ptx_payload_valid_i"),
    *("ptx_ready_i", "rep_start_i", "rep_ready_i", "st_rst_ni", "st_go_i", "st_flip_i"),
    *("met_rst_ni", "met_in_i", "met_out_i", "fr_begin_i", "fr_byte_valid_i", "fr_clear_i"),
    *("fr_feed_i", "fr_m_tready", "fr_s_tvalid", "fr_reply_tready", "rs_locked_i"),
    *("rs_request_i", "cnt_strobe_i"),
)


async def start(dut: Any) -> None:
    """Clock, reset, inputs at rest."""
    cocotb.start_soon(Clock(dut.clk_i, CYCLE_NS, unit="ns").start())
    for name in INPUTS:
        getattr(dut, name).value = 0
    dut.line_i.value = 1
    dut.prx_free_i.value = 1
    dut.rst_ni.value = 0
    await cycles(dut, 4)
    dut.rst_ni.value = 1
    await cycles(dut, 12)


async def cycles(dut: Any, count: int) -> None:
    """So many clock edges."""
    for _ in range(count):
        await RisingEdge(dut.clk_i)


class Watch:
    """Collects (time, value) of a port in every cycle in which another is high."""

    def __init__(self, dut: Any, strobe: str, *values: str) -> None:
        self.dut, self.strobe, self.values = dut, strobe, values
        self.seen: list[tuple[int, ...]] = []
        self.task = cocotb.start_soon(self._run())

    async def _run(self) -> None:
        while True:
            await ReadOnly()
            if getattr(self.dut, self.strobe).value == 1:
                self.seen.append(tuple(int(getattr(self.dut, v).value) for v in self.values))
            await RisingEdge(self.dut.clk_i)


async def line_byte(dut: Any, byte: int, bit_ns: float, stop: int = 1) -> None:
    """One byte on the serial line, lowest bit first."""
    for level in (0, *((byte >> i) & 1 for i in range(8)), stop):
        dut.line_i.value = level
        await Timer(round(bit_ns * 1000), unit="ps")
    dut.line_i.value = 1


@cocotb.test()
async def serial_reception(dut: Any) -> None:
    """Bytes without a pause, from senders up to 2 % off; glitches and missing stop bits."""
    await start(dut)
    rng = random.Random(1)
    got, errors = Watch(dut, "urx_valid_o", "urx_data_o"), Watch(dut, "urx_error_o", "urx_data_o")
    sent: list[int] = []
    for error in (0.0, 0.02, -0.02):
        for byte in (0x00, 0xFF, 0x55, *(rng.randrange(256) for _ in range(20))):
            sent.append(byte)
            await line_byte(dut, byte, BIT_NS * (1 + error))
        await Timer(3 * BIT_NS, unit="ns")
    assert [value for (value,) in got.seen] == sent
    assert not errors.seen
    dut.line_i.value = 0
    await Timer(CYCLE_NS, unit="ns")
    dut.line_i.value = 1
    await Timer(15 * BIT_NS, unit="ns")
    assert len(got.seen) == len(sent)
    await line_byte(dut, 0x00, BIT_NS, stop=0)
    await Timer(3 * BIT_NS, unit="ns")
    assert len(errors.seen) == 1
    assert len(got.seen) == len(sent)
    await line_byte(dut, 0xA7, BIT_NS)
    await Timer(2 * BIT_NS, unit="ns")
    assert got.seen[-1] == (0xA7,)


@cocotb.test()
async def serial_sending(dut: Any) -> None:
    """Start bit, eight bits, stop bit; ten bits per byte, no byte lost while ready is low."""
    await start(dut)
    rng = random.Random(2)
    data = [0x00, 0xFF, *(rng.randrange(256) for _ in range(10))]

    async def feed() -> None:
        for byte in data:
            dut.utx_data_i.value = byte
            dut.utx_valid_i.value = 1
            while True:
                await ReadOnly()
                ready = dut.utx_ready_o.value == 1
                await RisingEdge(dut.clk_i)
                if ready:
                    break
            dut.utx_valid_i.value = 0

    cocotb.start_soon(feed())
    for byte in data:
        while dut.utx_line_o.value == 1:
            await RisingEdge(dut.clk_i)
        await Timer(BIT_NS // 2, unit="ns")
        levels = []
        for _ in range(10):
            levels.append(int(dut.utx_line_o.value))
            await Timer(BIT_NS, unit="ns") if len(levels) < 10 else None
        assert levels == [0, *((byte >> i) & 1 for i in range(8)), 1]


async def put(dut: Any, data: bytes, *, gap: int = 4) -> None:
    """Bytes into packet reception, ``gap`` cycles apart."""
    for byte in data:
        dut.prx_data_i.value = byte
        dut.prx_valid_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.prx_valid_i.value = 0
        await cycles(dut, gap - 1)
    await cycles(dut, 4)


def request(value: int) -> tuple[int, int, int, int]:
    """Error, kind, seq and length out of a packed request."""
    return value >> 32, (value >> 24) & 255, (value >> 16) & 255, value & 0xFFFF


@cocotb.test()
async def packets_in(dut: Any) -> None:
    """Good packets between rubbish; every kind of broken one; the next good one is received."""
    await start(dut)
    rng = random.Random(3)
    ends = Watch(dut, "prx_request_valid_o", "prx_request_o")
    payload = Watch(dut, "prx_payload_valid_o", "prx_payload_o")
    begins = Watch(dut, "prx_begin_o", "prx_idle_o")

    async def expect(data: bytes, error: BoardError, kind: int, seq: int, length: int) -> None:
        before = len(ends.seen)
        await put(dut, data, gap=rng.randrange(4, 9))
        assert [request(v) for (v,) in ends.seen[before:]] == [(error, kind, seq, length)]
        assert dut.prx_idle_o.value == 1

    for seq, size in enumerate((0, 1, 2, 100, 300)):
        body = rng.randbytes(size)
        good = encode(Packet(3, seq, body))
        payload.seen.clear()
        junk = bytes(b for b in rng.randbytes(20) if b not in (0xA5, 0x5A))
        await expect(junk + b"\xa5\x00\xa5" + good, BoardError.NONE, 3, seq, size)
        assert bytes(v for (v,) in payload.seen) == body
    assert len(begins.seen) == 5
    body = b"0123456789"
    good = encode(Packet(2, 9, body))
    for place in range(6, len(good)):
        flipped = bytearray(good)
        flipped[place] ^= 1 << rng.randrange(8)
        await expect(bytes(flipped), BoardError.CRC, 2, 9, 10)
    await expect(b"\xa5\x5a\x02\x09\x2d\x01", BoardError.LENGTH, 2, 9, 301)
    dut.prx_free_i.value = 0
    payload.seen.clear()
    await expect(good, BoardError.BUSY, 2, 9, 10)
    assert not payload.seen
    dut.prx_free_i.value = 1
    before = len(ends.seen)
    await put(dut, good[:-5])
    assert dut.prx_idle_o.value == 0
    await cycles(dut, 70)
    assert [request(v)[0] for (v,) in ends.seen[before:]] == [BoardError.TIMEOUT]
    await put(dut, good[:-5])
    dut.prx_error_i.value = 1
    await RisingEdge(dut.clk_i)
    dut.prx_error_i.value = 0
    await cycles(dut, 3)
    assert [request(v)[0] for (v,) in ends.seen[before:]] == [
        BoardError.TIMEOUT,
        BoardError.FRAMING,
    ]
    await put(dut, b"\xa5\x5a\x02")  # given up before it is known what it was: no request
    await cycles(dut, 70)
    assert len(ends.seen) == before + 2
    await expect(good, BoardError.NONE, 2, 9, 10)


async def stream(dut: Any, prefix: str, data: bytes, stop: float, rng: random.Random) -> None:
    """Bytes into a stream with random pauses."""
    for byte in data:
        getattr(dut, f"{prefix}_i").value = byte
        while rng.random() < stop:
            await RisingEdge(dut.clk_i)
        getattr(dut, f"{prefix}_valid_i").value = 1
        while True:
            await ReadOnly()
            taken = getattr(dut, f"{prefix}_ready_o").value == 1
            await RisingEdge(dut.clk_i)
            if taken:
                break
        getattr(dut, f"{prefix}_valid_i").value = 0


async def drain(
    dut: Any, names: tuple[str, str, str], count: int, stall: float, rng: random.Random
) -> list[int]:
    """Beats out of a stream (data, valid, ready) with random stalls; an offered one must stay."""
    data, valid, ready = names
    got: list[int] = []
    held = None
    while len(got) < count:
        take = rng.random() >= stall
        getattr(dut, ready).value = take
        await ReadOnly()
        offered = getattr(dut, valid).value == 1
        value = int(getattr(dut, data).value) if offered else None
        assert held is None or value == held, "an offered byte changed"
        held = value if offered and not take else None
        if offered and take:
            got.append(value or 0)
        await RisingEdge(dut.clk_i)
    getattr(dut, ready).value = 0
    return got


@cocotb.test()
async def packets_out(dut: Any) -> None:
    """The bytes of a packet are those of the host's encoder, whatever the pauses."""
    await start(dut)
    rng = random.Random(4)
    done = Watch(dut, "ptx_done_o", "ptx_valid_o")
    names = ("ptx_data_o", "ptx_valid_o", "ptx_ready_i")
    cases = ((0, 0.0, 0.0), (1, 0.0, 0.0), (40, 0.0, 0.0), (40, 0.7, 0.0), (40, 0.0, 0.7))
    for number, (size, stop, stall) in enumerate((*cases, (260, 0.4, 0.4))):
        body = rng.randbytes(size)
        packet = Packet(0x83, number, body)
        dut.ptx_kind_i.value, dut.ptx_seq_i.value = packet.kind, packet.seq
        dut.ptx_length_i.value = size
        dut.ptx_start_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.ptx_start_i.value = 0
        cocotb.start_soon(stream(dut, "ptx_payload", body, stop, random.Random(number)))
        want = encode(packet)
        got = await with_timeout(drain(dut, names, len(want), stall, rng), 100_000, "ns")
        assert bytes(got) == want
        await cycles(dut, 3)
        assert dut.ptx_valid_o.value == 0
        assert len(done.seen) == number + 1


@cocotb.test()
async def report(dut: Any) -> None:
    """Any words, in order, lowest byte first, whatever the stalls."""
    await start(dut)
    rng = random.Random(5)
    words = [(i << 28) | ((i + 1) * 0x01010101 & 0x0FFFFFFF) for i in range(7)]
    names = ("rep_data_o", "rep_valid_o", "rep_ready_i")
    for first, count, stall in ((0, 7, 0.0), (3, 2, 0.0), (6, 1, 0.5), (0, 7, 0.8)):
        dut.rep_first_i.value, dut.rep_count_i.value = first, count
        dut.rep_start_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.rep_start_i.value = 0
        got = await with_timeout(drain(dut, names, 4 * count, stall, rng), 20_000, "ns")
        want = b"".join(w.to_bytes(4, "little") for w in words[first : first + count])
        assert bytes(got) == want
        await cycles(dut, 10)
        assert dut.rep_valid_o.value == 0


@cocotb.test()
async def selftest(dut: Any) -> None:
    """One beat per cycle; stalls change nothing; wrong frames are counted, the first is named."""
    await start(dut)
    rng = random.Random(6)
    for stall, flips in ((0.0, ()), (0.5, ()), (0.0, (7,)), (0.4, (3, 4, 59)), (0.0, range(60))):
        dut.st_rst_ni.value = 0
        await cycles(dut, 3)
        dut.st_rst_ni.value = 1
        beats = first = last = 0
        for now in range(600):
            dut.st_go_i.value = rng.random() >= stall
            dut.st_flip_i.value = 1 << rng.randrange(12) if beats in flips else 0
            await ReadOnly()
            if dut.st_fire_o.value == 1:
                first = now if not beats else first
                last = now
                beats += 1
            done = dut.st_done_o.value == 1
            await RisingEdge(dut.clk_i)
            if done:
                break
        assert done
        assert beats == 60
        assert stall or last - first == 59
        wrong = sorted({beat // 3 for beat in flips})
        assert int(dut.st_frames_o.value) == 20
        assert int(dut.st_mismatches_o.value) == len(wrong)
        assert int(dut.st_first_o.value) == (wrong[0] if wrong else 0xFFFF)


@cocotb.test()
async def meter(dut: Any) -> None:
    """Cycles from the first beat in: latency, batch, second half; a standstill is seen."""
    await start(dut)
    rng = random.Random(7)
    for frames in (1, 2, 5, 8):
        dut.met_rst_ni.value = 0
        dut.met_frames_i.value = frames
        await cycles(dut, 2)
        dut.met_rst_ni.value = 1
        entry = rng.randrange(1, 5)
        outs = sorted(rng.sample(range(entry + 3, entry + 3 + 9 * frames), 3 * frames))
        for now in range(outs[-1] + 1):
            dut.met_in_i.value = now == entry or (now > entry and rng.random() < 0.3)
            dut.met_out_i.value = now in outs
            await RisingEdge(dut.clk_i)
        dut.met_in_i.value = dut.met_out_i.value = 0
        await cycles(dut, 6)
        ends = [out - entry for out in outs[2::3]]
        assert dut.met_done_o.value == 1
        assert int(dut.met_latency_o.value) == ends[0]
        assert int(dut.met_cycles_o.value) == ends[-1]
        middle = ends[frames // 2 - 1] if frames > 1 else 0
        assert int(dut.met_steady_o.value) == ends[-1] - middle
        await cycles(dut, 60)
        assert dut.met_late_o.value == 0  # done is no standstill
    dut.met_rst_ni.value = 0
    await cycles(dut, 2)
    dut.met_rst_ni.value = 1
    dut.met_in_i.value = 1
    await RisingEdge(dut.clk_i)
    dut.met_in_i.value = 0
    await cycles(dut, 38)
    assert dut.met_late_o.value == 0
    await cycles(dut, 12)
    assert dut.met_late_o.value == 1
    assert dut.met_done_o.value == 0


async def fill(dut: Any, data: bytes) -> None:
    """A packet's payload into the frame buffer."""
    dut.fr_begin_i.value = 1
    await RisingEdge(dut.clk_i)
    dut.fr_begin_i.value = 0
    await cycles(dut, 3)
    for byte in data:
        dut.fr_byte_i.value = byte
        dut.fr_byte_valid_i.value = 1
        await RisingEdge(dut.clk_i)
        dut.fr_byte_valid_i.value = 0
        await RisingEdge(dut.clk_i)
    await cycles(dut, 3)


@cocotb.test()
async def frames_between_line_and_accelerator(dut: Any) -> None:
    """Whole frames are told from parts; bytes become beats and beats bytes, in order, none lost."""
    await start(dut)
    rng = random.Random(8)
    for size, count, whole in ((0, 0, 0), (5, 0, 0), (6, 1, 1), (7, 1, 0), (120, 20, 1)):
        await fill(dut, rng.randbytes(size))
        assert int(dut.fr_frames_o.value) == count
        assert int(dut.fr_whole_o.value) == whole
        assert int(dut.fr_reply_o.value) == 2 * count
        assert dut.fr_m_tvalid.value == 0  # nothing moves before it is asked to
    for stall in (0.0, 0.6):
        dut.fr_clear_i.value = 1
        data = rng.randbytes(120)
        await fill(dut, data)
        dut.fr_clear_i.value = 0
        await cycles(dut, 3)
        dut.fr_feed_i.value = 1
        names = ("fr_m_tdata", "fr_m_tvalid", "fr_m_tready")
        beats = await with_timeout(drain(dut, names, 40, stall, rng), 50_000, "ns")
        assert b"".join(beat.to_bytes(3, "little") for beat in beats) == data
        await cycles(dut, 5)
        assert dut.fr_m_tvalid.value == 0
        dut.fr_feed_i.value = 0
    results = [rng.randrange(65536) for _ in range(60)]
    want = b"".join(value.to_bytes(2, "little") for value in results)

    async def give() -> None:
        for value in results:
            dut.fr_s_tdata.value = value
            dut.fr_s_tvalid.value = 1
            while True:
                await ReadOnly()
                taken = dut.fr_s_tready.value == 1
                await RisingEdge(dut.clk_i)
                if taken:
                    break
        dut.fr_s_tvalid.value = 0

    cocotb.start_soon(give())
    await cycles(dut, 200)
    assert dut.fr_s_tready.value == 0  # its buffer is full and nothing was lost
    names = ("fr_reply_tdata", "fr_reply_tvalid", "fr_reply_tready")
    got = await with_timeout(drain(dut, names, 120, 0.5, rng), 50_000, "ns")
    assert bytes(got) == want


@cocotb.test()
async def reset_after_lock(dut: Any) -> None:
    """Low until the PLL has been locked and the button up for a while; low at once otherwise."""
    await start(dut)
    assert dut.rs_rst_no.value == 0
    dut.rs_locked_i.value = 1
    await cycles(dut, 8)
    dut.rs_locked_i.value = 0  # not for good yet
    await cycles(dut, 1)
    dut.rs_locked_i.value = 1
    await cycles(dut, 11)
    assert dut.rs_rst_no.value == 0
    await cycles(dut, 4)
    assert dut.rs_rst_no.value == 1
    for name, level in (("rs_request_i", 1), ("rs_locked_i", 0)):
        rest = 1 - level
        getattr(dut, name).value = level
        await cycles(dut, 5)
        assert dut.rs_rst_no.value == 0
        getattr(dut, name).value = rest
        await cycles(dut, 10)
        assert dut.rs_rst_no.value == 0
        await cycles(dut, 8)
        assert dut.rs_rst_no.value == 1


@cocotb.test()
async def counters_stop_at_their_end(dut: Any) -> None:
    """Each counts its own strobes; none starts again from 0."""
    await start(dut)
    dut.cnt_strobe_i.value = 1
    await cycles(dut, 100)
    dut.cnt_strobe_i.value = 2
    await cycles(dut, 65_600)
    dut.cnt_strobe_i.value = 0
    await cycles(dut, 3)
    assert int(dut.cnt_o.value) == (65535 << 16) | 100

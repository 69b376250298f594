# SPDX-License-Identifier: Apache-2.0
"""Every kernel against the integer reference and the cycle model, at full speed and disturbed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl_chains import chain, dwc, frames, mvau, requant, sparse, thresholding
from rtl_checks import break_source, check_bits_and_cycles

from hls import reference
from hls.ir import Accelerator, IntFormat
from hls.sim.engine import Disturbance, Simulator
from hls.sim.verilate import build
from hls.stitch import write_rtl
from models.errors import CheckError

pytestmark = pytest.mark.verilator

BIT, U2, U3, U4, U8 = (IntFormat(b, signed=False) for b in (1, 2, 3, 4, 8))
S2, S4, S8, S9, S12 = (IntFormat(b, signed=True) for b in (2, 4, 8, 9, 12))

CASES = {
    "mvau pe=1 simd=1": chain(U3, 1, 5, [mvau((3, 5), 1, 1, U3, S4)]),
    "mvau unfolded, 1-bit x and w": chain(BIT, 7, 7, [mvau((4, 7), 4, 7, BIT, BIT)]),
    "mvau signed x, ternary w, odd folds": chain(S8, 5, 15, [mvau((9, 15), 3, 5, S8, S2)]),
    "mvau pe=rows, one step per result": chain(S4, 20, 20, [mvau((6, 20), 1, 20, S4, S8)]),
    "mvau unsigned w": chain(U4, 2, 6, [mvau((4, 6), 4, 2, U4, U3)]),
    "mvau weights in block RAM": chain(U4, 2, 48, [mvau((32, 48), 2, 2, U4, S4)]),
    "sparse 1 of 5": chain(U4, 10, 20, [sparse((6, 20), 3, 10, (5, 1), U4, S4)]),
    "sparse 2 of 4, signed x": chain(S8, 8, 16, [sparse((4, 16), 4, 8, (4, 2), S8, S2)]),
    "sparse in block RAM": chain(U2, 3, 48, [sparse((32, 48), 2, 3, (3, 1), U2, S2)]),
    "thresholding 15 steps": chain(S12, 4, 20, [thresholding(20, 4, S12, 15, U4)]),
    "thresholding to 1 bit, pe=channels": chain(S8, 6, 6, [thresholding(6, 6, S8, 1, BIT)]),
    "thresholding 5 steps, unsigned x, negative y": chain(
        U8, 1, 7, [thresholding(7, 1, U8, 5, S4, bias=-3)]
    ),
    "thresholding in block RAM": chain(S9, 2, 80, [thresholding(80, 2, S9, 15, U4)]),
    "requant with ties": chain(S9, 3, 12, [requant(12, 3, S9, (3, 6, 3), U4)]),
    "requant unsigned x, no shift, limits": chain(
        U4, 2, 2, [requant(2, 2, U4, (4, 9, 0), S8, (-100, 99))]
    ),
    "requant long fraction": chain(S12, 1, 5, [requant(5, 1, S12, (18, 34, 20), S8)]),
    "dwc down and up": chain(
        U3, 6, 24, [dwc(U3, 6, 2), dwc(U3, 2, 1), dwc(U3, 1, 8), dwc(U3, 8, 8)]
    ),
    "fifos of 1, 2 and 70": chain(
        S8, 2, 8, [thresholding(8, 2, S8, 3, U2), dwc(U2, 2, 4)], {"s0": 70, "s1": 1, "s2": 2}
    ),
}


@pytest.mark.parametrize("acc", CASES.values(), ids=CASES.keys())
def test_bits_and_cycles(acc: Accelerator, tmp_path: Path) -> None:
    check_bits_and_cycles(acc, tmp_path, 200)


def test_a_changed_weight_is_seen(tmp_path: Path) -> None:
    acc = CASES["mvau unsigned w"]
    codes = frames(acc, 50)
    rtl = write_rtl(acc, tmp_path)
    binary = build(rtl, acc, tmp_path / "sim", jobs=1)
    memory = rtl.data_files[0]
    words = memory.read_text().splitlines()
    words[1] = f"{int(words[1], 16) ^ 1:06x}"
    memory.write_text("\n".join(words) + "\n")
    with Simulator(binary) as simulator:
        outputs = simulator.run(codes).outputs
    wrong = (outputs != reference.run(acc, codes)).any(axis=0)
    np.testing.assert_array_equal(wrong, [True, False, False, False])


def test_a_wrong_sum_is_seen(tmp_path: Path) -> None:
    acc = CASES["mvau signed x, ternary w, odd folds"]
    rtl = write_rtl(acc, tmp_path)
    break_source(tmp_path / "rtl" / "phy_dot.sv", " + gen_arg[3].arg;", ";")
    codes = frames(acc, 50)
    with Simulator(build(rtl, acc, tmp_path / "sim", jobs=1)) as simulator:
        outputs = simulator.run(codes).outputs
    assert (outputs != reference.run(acc, codes)).any()


def test_a_credit_too_many_is_seen(tmp_path: Path) -> None:
    acc = CASES["mvau pe=1 simd=1"]
    rtl = write_rtl(acc, tmp_path)
    break_source(tmp_path / "rtl" / "phy_outbuf.sv", "credit_q <= CntW'(Depth);", "credit_q <= '1;")
    codes = frames(acc, 50)
    with Simulator(build(rtl, acc, tmp_path / "sim", jobs=1)) as simulator:
        np.testing.assert_array_equal(simulator.run(codes).outputs, reference.run(acc, codes))
        with pytest.raises(CheckError, match="m_axis_tdata changed before the beat was taken"):
            simulator.run(codes, disturbance=Disturbance(1, stall_probability=0.9, max_run=40))

# SPDX-License-Identifier: Apache-2.0
"""The image kernels against the integer reference and the cycle model, free and disturbed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rtl_chains import frames, mvau
from rtl_checks import break_source, check_bits_and_cycles
from rtl_graphs import (
    add,
    channels,
    duplicate,
    dwc,
    from_spec,
    graph,
    line,
    pool,
    upsample,
    window,
)

from hls import reference
from hls.ir import Accelerator, IntFormat
from hls.sim.engine import Simulator
from hls.sim.verilate import build
from hls.stitch import write_rtl

pytestmark = pytest.mark.verilator

U2, U4, U8 = (IntFormat(b, signed=False) for b in (2, 4, 8))
S3, S8 = IntFormat(3, signed=True), IntFormat(8, signed=True)


def _random_window(seed: int) -> Accelerator:
    """A window of random shape, kernel and padding."""
    rng = np.random.default_rng(seed)
    image = (int(rng.integers(1, 8)), int(rng.integers(1, 8)), int(rng.integers(1, 7)))
    while True:
        kernel = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
        top, bottom, left, right = (int(rng.integers(0, k)) for k in np.repeat(kernel, 2))
        if image[0] + top + bottom >= kernel[0] and image[1] + left + right >= kernel[1]:
            break
    simd = int(rng.choice([d for d in range(1, image[2] + 1) if image[2] % d == 0]))
    return line(U4, image, window(image, simd, U4, kernel, (top, bottom, left, right)))


def _random_chain(seed: int) -> Accelerator:
    """Upsampling, pooling and a window of random shapes, one behind the other."""
    rng = np.random.default_rng(seed)
    height, width, count = (int(n) for n in rng.integers(1, 5, 3))
    lanes = int(rng.choice([d for d in range(1, count + 1) if count % d == 0]))
    up = (int(rng.integers(1, 4)), int(rng.integers(1, 4)))
    large = (height * up[0], width * up[1], count)
    tile = tuple(int(rng.choice([d for d in range(1, n + 1) if n % d == 0])) for n in large[:2])
    small = (large[0] // tile[0], large[1] // tile[1], count)
    pooled = pool(large, (tile[0], tile[1]), lanes, S3, maximum=int(rng.integers(0, 2)))
    fmt = IntFormat(pooled.params["out_bits"], signed=True)
    layers = [upsample((height, width, count), up, lanes, S3), pooled, window(small, lanes, fmt)]
    return line(S3, (height, width, count), *layers)


KERNELS = {
    "window 3x3, two folds": line(S8, (5, 6, 4), window((5, 6, 4), 2, S8)),
    "window on rows as short as the slack": line(U4, (4, 4, 2), window((4, 4, 2), 2, U4)),
    "window on 2x2 pixels": line(U4, (2, 2, 2), window((2, 2, 2), 1, U4)),
    "window on one pixel": line(S3, (1, 1, 3), window((1, 1, 3), 1, S3)),
    "window without padding": line(
        U4, (5, 4, 2), window((5, 4, 2), 1, U4, kernel=(3, 2), pad=(0, 0, 0, 0))
    ),
    "window 1x3": line(U4, (3, 7, 2), window((3, 7, 2), 2, U4, kernel=(1, 3), pad=(0, 0, 1, 1))),
    "window 5x5 in block RAM": line(
        U4, (6, 7, 4), window((6, 7, 4), 1, U4, kernel=(5, 5), pad=(2, 2, 2, 2))
    ),
    "window larger than the image": line(
        U4, (2, 3, 1), window((2, 3, 1), 1, U4, kernel=(4, 2), pad=(3, 1, 0, 1))
    ),
    "pool sum 2x2, signed": line(S8, (4, 6, 4), pool((4, 6, 4), (2, 2), 2, S8)),
    "pool sum 2x1, pe=channels": line(U4, (4, 3, 4), pool((4, 3, 4), (2, 1), 4, U4)),
    "pool max 1x3, signed": line(S8, (2, 6, 2), pool((2, 6, 2), (1, 3), 2, S8, maximum=1)),
    "pool max 4x2, in block RAM": line(U4, (4, 8, 20), pool((4, 8, 20), (4, 2), 1, U4, maximum=1)),
    "pool 1x1": line(U4, (2, 2, 2), pool((2, 2, 2), (1, 1), 1, U4)),
    "upsample 2x2": line(U4, (3, 4, 4), upsample((3, 4, 4), (2, 2), 2, U4)),
    "upsample one word": line(U4, (1, 1, 1), upsample((1, 1, 1), (2, 2), 1, U4)),
    "upsample 3x1 in block RAM": line(S8, (2, 9, 8), upsample((2, 9, 8), (3, 1), 1, S8)),
    "upsample 1x2": line(U4, (2, 2, 2), upsample((2, 2, 2), (1, 2), 2, U4)),
    "1x1 convolution": line(
        S8, (3, 4, 6), from_spec(mvau((4, 6), 2, 3, S8, S3), vectors=12), fifos={"input": 3}
    ),
    "split, and joined the other way round": graph(
        U4,
        (6, 10),
        [
            ("split", channels("split", 6, (4, 6), 2, U4), ["x"], ["a", "b"]),
            ("join", channels("concat", 6, (6, 4), 2, U4), ["b", "a"], ["y"]),
        ],
        {"split_join": 16, "split_join_1": 16},
    ),
    "fork, narrow and wide, sum": graph(
        S8,
        (5, 8),
        [
            ("fork", duplicate(4, S8), ["x"], ["a", "b"]),
            ("thin", dwc(S8, 4, 1), ["b"], ["c"]),
            ("thick", dwc(S8, 1, 4), ["c"], ["d"]),
            ("sum", add(5, 8, 4, S8), ["a", "d"], ["y"]),
        ],
        {"fork_sum": 16},
    ),
    "sum of unsigned": graph(
        U8,
        (4, 3),
        [
            ("fork", duplicate(1, U8), ["x"], ["a", "b"]),
            ("sum", add(4, 3, 1, U8), ["a", "b"], ["y"]),
        ],
    ),
    **{f"random window {seed}": _random_window(seed) for seed in range(4)},
    **{f"random chain {seed}": _random_chain(seed) for seed in range(4)},
}


@pytest.mark.parametrize("acc", KERNELS.values(), ids=KERNELS.keys())
def test_bits_and_cycles(acc: Accelerator, tmp_path: Path) -> None:
    check_bits_and_cycles(acc, tmp_path, 60)


@pytest.mark.parametrize(
    ("name", "source", "old", "new"),
    [
        pytest.param(
            "window 3x3, two folds",
            "phy_window.sv",
            "space_q <= CntW'(Depth - 1);",
            "space_q <= CntW'(Depth + 5);",
            id="a place is used too early",
        ),
        pytest.param(
            "pool sum 2x2, signed",
            "phy_pool.sv",
            "again_q ? sum_q",
            "again_q ? stored",
            id="a sum is read while it is written",
        ),
        pytest.param(
            "upsample 2x2",
            "phy_upsample.sv",
            "full_q   <= held_d == CntW'(Depth);",
            "full_q   <= held_d == CntW'(Depth + 2);",
            id="a row is overwritten",
        ),
    ],
)
def test_a_broken_kernel_is_seen(
    name: str, source: str, old: str, new: str, tmp_path: Path
) -> None:
    acc = KERNELS[name] if source != "phy_pool.sv" else line(S8, (4, 4, 1), POOL_ONE_FOLD)
    rtl = write_rtl(acc, tmp_path)
    break_source(tmp_path / "rtl" / source, old, new)
    codes = frames(acc, 20)
    with Simulator(build(rtl, acc, tmp_path / "sim", jobs=1), explain=False) as simulator:
        outputs = simulator.run(codes).outputs
    assert (outputs != reference.run(acc, codes)).any()


POOL_ONE_FOLD = pool((4, 4, 1), (2, 2), 1, S8)
"""Neighbouring beats belong to one tile: the sum is read while it is written."""

# SPDX-License-Identifier: Apache-2.0
"""The cost model against Yosys' ECP5 synthesis of single layers."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hls.costs import layer_cost
from hls.devices import device
from hls.extract import connect
from hls.ir import Accelerator, Border, IntFormat, Layer
from hls.stitch import write_rtl

PRODUCT = {"in_signed": 0, "weight_signed": 1}
ACTIVATION = {
    "channels": 60,
    "pe": 2,
    "in_bits": 12,
    "in_signed": 1,
    "out_bits": 4,
    "out_signed": 0,
}
CASES: dict[str, tuple[str, dict[str, int]]] = {
    "dense 4x4": (
        "mvau",
        {"mat_w": 32, "mat_h": 32, "pe": 2, "simd": 8, "in_bits": 4, "weight_bits": 4}
        | {"acc_bits": 13}
        | PRODUCT,
    ),
    "sparse 4x4": (
        "mvau_sparse",
        {"mat_w": 40, "mat_h": 32, "pe": 2, "simd": 20, "in_bits": 4, "weight_bits": 4}
        | {"acc_bits": 13, "block": 10, "nnz": 2}
        | PRODUCT,
    ),
    "thresholds": ("thresholding", ACTIVATION | {"steps": 15, "out_bias": 0}),
    "arithmetic": (
        "requant",
        ACTIVATION | {"mul_bits": 2, "add_bits": 9, "shift": 6, "out_min": 0, "out_max": 15},
    ),
}


def accelerator(kind: str, params: dict[str, int]) -> Accelerator:
    """One layer with random parameters."""
    rng = np.random.default_rng(0)
    if "mvau" in kind:
        sizes = (params["mat_w"], params["mat_h"])
        weights = rng.integers(-7, 8, (sizes[1], sizes[0]))
        if kind == "mvau_sparse":
            block, nnz = params["block"], params["nnz"]
            order = np.argsort(rng.random((sizes[1], sizes[0] // block, block)), axis=2)
            weights *= (order < nnz).reshape(weights.shape)
        arrays = {"weights": weights}
    else:
        sizes = (params["channels"], params["channels"])
        half = 1 << (params["in_bits"] - 1)
        table = np.sort(rng.integers(-half, half, (sizes[0], 15)), axis=1)
        arrays = {"thresholds": table}
        if kind == "requant":
            arrays = {"mul": np.ones(sizes[0], int), "add": rng.integers(-200, 200, sizes[0])}
    fmt = IntFormat(params["in_bits"], bool(params["in_signed"]))
    sides = [Border("", (n,), fmt, (1.0,), (0.0,), "codes") for n in sizes]
    layer = Layer("l0", kind, "n", (), (), params, arrays)
    return connect("unit", [layer], (sides[0], sides[1]), 100.0, {})


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Yosys finds memory files in the working folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def synthesize(acc: Accelerator, folder: Path) -> dict[str, int]:
    """Cell counts of synth_ecp5 without DSP blocks."""
    from pyosys import libyosys as ys

    rtl = write_rtl(acc, folder)
    report = folder / "stat.json"
    with inside(rtl.data_files[0].parent):
        design: Any = ys.Design()
        sources = " ".join(str(p) for p in rtl.sources)
        flags = "--threads 1 --ignore-assertions"
        for command in (
            f"read_slang {flags} --top {rtl.top_name} {sources}",
            f"synth_ecp5 -nodsp -nowidelut -top {rtl.top_name}",
            f"tee -q -o {report} stat -json",
        ):
            ys.run_pass(command, design)
    text = report.read_text()
    cells: dict[str, int] = json.loads(text[text.index("{") :])["design"]["num_cells_by_type"]
    return cells


@pytest.mark.yosys
@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_model_is_near_synthesis(case: str, tmp_path: Path) -> None:
    kind, params = CASES[case]
    acc = accelerator(kind, params)
    cells = synthesize(acc, tmp_path)
    model = layer_cost(acc.layers[0], device("LFE5U-85F"))
    luts = cells.get("LUT4", 0) + 2 * cells.get("CCU2C", 0) + 4 * cells.get("TRELLIS_DPR16X4", 0)
    assert model.lut == pytest.approx(luts, rel=0.35), cells
    assert model.ff == pytest.approx(cells["TRELLIS_FF"], rel=0.5), cells
    assert model.bram18 == cells.get("DP16KD", 0)

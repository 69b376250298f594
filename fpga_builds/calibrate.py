# SPDX-License-Identifier: Apache-2.0
"""``python -m fpga_builds.calibrate``: the cost model against synthesis.

Measures single layers and whole accelerators, one JSON file per point in a cache folder, so that a
run can be stopped and gone on with, and prints what `hls.costs` estimates relative to what was
measured. `docs/costs.md` has the table.

    python -m fpga_builds.calibrate --cache DIR --layers
    python -m fpga_builds.calibrate --cache DIR --accelerator build/NAME/40-hdl/accelerator
    python -m fpga_builds.calibrate --cache DIR --accelerator FOLDER --cycles 3000
    python -m fpga_builds.calibrate --cache DIR --keep tests/hls/data/costs_measured.json

Without --layers and --accelerator it only prints the table of what the cache has. The constants of
`hls.costs` are fitted to points of the role "fit"; the others ("held") only check them. --keep
writes all points of the cache to one file, which the tests read.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds.calibrate_images import image_points, point_name
from fpga_builds.eda.synth import Synthesis, synthesize
from hls.costs import Cost, kind_cost, stream_cost
from hls.devices import Device, device
from hls.extract import connect
from hls.folding import apply_folding, solve_cycles
from hls.ir import Accelerator, Border, IntArray, IntFormat, Layer, Stream
from hls.stitch import write_rtl
from models.errors import CheckError, PhyfoldError
from models.files import write_atomic

UNIT = "unit"
"""Name of an accelerator of one layer."""
FITTED_TO = {("LFE5U-85F", "fullycon_w4a4"), ("LFE5U-85F", "fullycon_w4a4_ulx3s")}
"""Accelerators that constants were fitted to, beside the single layers."""
RESOURCES = ("lut", "ff", "bram18", "dsp")
MATRIX_SIZES = (  # (mat_w, mat_h, pe, simd, weight bits, input bits)
    *((32, 32, 2, 16, 4, 4), (64, 64, 4, 16, 2, 4), (32, 32, 2, 16, 8, 8), (120, 60, 2, 30, 5, 4)),
    *((60, 30, 1, 12, 4, 8), (64, 64, 2, 4, 4, 4), (48, 48, 4, 24, 8, 8), (120, 120, 1, 8, 2, 4)),
)
DSP_SIZES = ((32, 32, 2, 16, 8, 8), (60, 60, 3, 20, 8, 8))  # like MATRIX_SIZES, in DSP blocks
SPARSE_SIZES = (  # (mat_w, mat_h, pe, simd, block, nnz, weight bits, input bits)
    *((40, 32, 2, 40, 10, 2, 4, 4), (120, 60, 2, 60, 10, 1, 4, 4), (60, 60, 4, 20, 5, 1, 4, 4)),
    (60, 30, 1, 30, 10, 2, 4, 8),
)
REQUANTS = ((300, 3, 13, 2, 5, 4, 4), (300, 1, 16, 2, 10, 7, 4), (60, 2, 20, 8, 18, 14, 8))
FIFOS = ((16, 16), (64, 24), (255, 32), (1500, 16))  # (depth, width)
THRESHOLDS = ((60, 2, 12, 15), (300, 1, 13, 15), (30, 1, 12, 1), (30, 3, 12, 1))


def layer_points() -> Iterator[tuple[str, Accelerator]]:
    """Single layers with random integers: (name, accelerator)."""
    for size in MATRIX_SIZES:
        yield point_name("mvau", size), matrix_layer(size[:4], size[4:])
    for size in DSP_SIZES:
        yield point_name("mvau_dsp", size), matrix_layer(size[:4], size[4:], dsp=True)
    for sizes in SPARSE_SIZES:
        yield point_name("sparse", sizes), matrix_layer(sizes[:4], sizes[6:], sizes[4:6])
    for numbers in REQUANTS:
        yield point_name("requant", numbers), requant_layer(numbers)
    for counts in THRESHOLDS:
        yield point_name("thresholds", counts), threshold_layer(counts)
    for depth, width in FIFOS:
        yield point_name("fifo", (depth, width)), fifo_stream(depth, width)
    yield from image_points(UNIT)


def matrix_layer(
    size: Sequence[int],
    bits: Sequence[int],
    sparse: Sequence[int] | None = None,
    *,
    dsp: bool = False,
) -> Accelerator:
    """size: mat_w, mat_h, pe, simd; bits: of weight and (unsigned) input; sparse: block, nnz."""
    mat_w, mat_h, pe, simd = size
    rng = np.random.default_rng(0)
    top = (1 << (bits[0] - 1)) - 1
    weights = rng.integers(-top, top + 1, (mat_h, mat_w))
    params = {"mat_w": mat_w, "mat_h": mat_h, "pe": pe, "simd": simd}
    if sparse is not None:
        block, nnz = sparse
        order = rng.random((mat_h, mat_w // block, block)).argsort(axis=2)
        weights *= (order < nnz).reshape(weights.shape)
        params |= {"block": block, "nnz": nnz}
    bound = int(np.abs(weights).sum(axis=1).max()) * ((1 << bits[1]) - 1)
    params |= {"in_bits": bits[1], "in_signed": 0, "weight_bits": bits[0], "weight_signed": 1}
    params |= {"acc_bits": bound.bit_length() + 1} | ({"dsp": 1} if dsp else {})
    kind = "mvau" if sparse is None else "mvau_sparse"
    return _single(kind, params, {"weights": weights}, (mat_w, mat_h))


def requant_layer(size: Sequence[int]) -> Accelerator:
    """size: channels, pe, input bits, mul bits, add bits, shift, output bits."""
    channels, pe, in_bits, mul_bits, add_bits, shift, out_bits = size
    rng = np.random.default_rng(0)
    params = {"channels": channels, "pe": pe, "in_bits": in_bits, "in_signed": 1}
    params |= {"mul_bits": mul_bits, "add_bits": add_bits, "shift": shift, "out_bits": out_bits}
    params |= {"out_signed": 0, "out_min": 0, "out_max": (1 << out_bits) - 1}
    half = 1 << (add_bits - 1)
    arrays = {
        "mul": rng.integers(1, max(1 << (mul_bits - 1), 2), channels),
        "add": rng.integers(-half, half, channels),
    }
    return _single("requant", params, arrays, (channels, channels))


def threshold_layer(size: Sequence[int]) -> Accelerator:
    """size: channels, pe, input bits, steps."""
    channels, pe, in_bits, steps = size
    half = 1 << (in_bits - 1)
    table = np.sort(np.random.default_rng(0).integers(-half, half, (channels, steps)), axis=1)
    params = {"channels": channels, "pe": pe, "in_bits": in_bits, "in_signed": 1, "steps": steps}
    params |= {"out_bits": steps.bit_length(), "out_signed": 0, "out_bias": 0}
    return _single("thresholding", params, {"thresholds": table}, (channels, channels))


def fifo_stream(depth: int, width: int) -> Accelerator:
    """A FIFO before a width converter of two elements to one."""
    params = {"in_elems": 2, "out_elems": 1, "elem_bits": width // 2, "in_bits": width // 2}
    acc = _single("dwc", {**params, "in_signed": 0}, {}, (2, 2))
    return acc.with_fifo_depths({acc.input.stream: depth})


def _single(
    kind: str, params: Mapping[str, int], arrays: Mapping[str, IntArray], ends: tuple[int, int]
) -> Accelerator:
    fmt = IntFormat(params["in_bits"], bool(params["in_signed"]))
    first, last = (Border("", (n,), fmt, (1.0,), (0.0,), "codes") for n in ends)
    layer = Layer("l0", kind, "l0", (), (), params, arrays)
    return connect(UNIT, [layer], (first, last), 100.0, {})


def measure(name: str, acc: Accelerator, part: Device, cache: Path) -> dict[str, Any]:
    """The measured point, from the cache if it is there.

    Raises:
        ToolError: synthesis failed.
        CheckError: the file in the cache cannot be read.
    """
    path = cache / f"{part.name.lower()}-{name}.json"
    if path.is_file():
        return read_point(path)
    with tempfile.TemporaryDirectory(prefix="phyfold-") as work:
        result = synthesize(write_rtl(acc, Path(work)), part, Path(work) / "synth")
    body = point(name, acc, result)
    cache.mkdir(parents=True, exist_ok=True)
    write_atomic(path, (json.dumps(body) + "\n").encode())
    return body


def point(name: str, acc: Accelerator, result: Synthesis) -> dict[str, Any]:
    """Plain data: what was measured, with the parameters that the cost model takes."""
    rows = {row.name: {key: getattr(row, key) for key in RESOURCES} for row in result.layers}
    layers = [
        {"name": la.name, "kind": la.kind, "params": dict(la.params), "measured": rows[la.name]}
        for la in acc.layers
        if la.name in rows
    ]
    fifos = [
        {"depth": s.fifo_depth, "width": s.payload_bits, "measured": rows[f"fifo_{s.name}"]}
        for s in acc.streams
        if s.fifo_depth and f"fifo_{s.name}" in rows
    ]
    return {
        "name": name,
        "part": result.part.name,
        "role": "fit" if acc.name == UNIT or (result.part.name, name) in FITTED_TO else "held",
        "yosys": result.version,
        "totals": {key: getattr(result.totals, key) for key in RESOURCES},
        "layers": layers,
        "fifos": fifos,
    }


def read_point(path: Path) -> dict[str, Any]:
    """A point of the cache.

    Raises:
        CheckError: cut short, or not such a file.
    """
    try:
        body: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        missing = {"name", "part", "role", "yosys", "totals", "layers", "fifos"} - set(body)
    except (OSError, ValueError, TypeError) as error:
        raise CheckError(f"{path}: no measured point ({error})", hint="delete it") from error
    if missing:
        raise CheckError(f"{path}: no measured point, {sorted(missing)} missing", hint="delete it")
    return body


def estimate(body: Mapping[str, Any]) -> Cost:
    """The cost model's total for a measured point."""
    part = device(body["part"])
    total = Cost()
    for row in body["layers"]:
        total += kind_cost(row["kind"], row["params"], part, row["name"])
    for row in body["fifos"]:
        fmt = IntFormat(1, signed=False)
        total += stream_cost(Stream("s", None, None, fmt, row["width"], 1, row["depth"]), part)
    return total


def ratios(body: Mapping[str, Any]) -> dict[str, float | None]:
    """Estimate over measurement by resource; None where both are 0."""
    model, found = estimate(body), body["totals"]
    return {
        key: getattr(model, key) / found[key]
        if found[key]
        else (None if getattr(model, key) == 0 else float("inf"))
        for key in RESOURCES
    }


def table(bodies: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: measured totals, and the model relative to them."""
    lines = [
        "| point | role | part | LUT | FF | BRAM18 | DSP "
        "| model / measured: LUT | FF | BRAM18 | DSP |",
        "| --- " * 11 + "|",
    ]
    for body in bodies:
        found = [f"{body['totals'][key]:,}" for key in RESOURCES]
        share = ["-" if r is None else f"{r:.2f}" for r in ratios(body).values()]
        lines.append(
            "| " + " | ".join([body["name"], body["role"], body["part"], *found, *share]) + " |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m fpga_builds.calibrate", description=__doc__)
    parser.add_argument("--cache", type=Path, required=True, help="folder of measured points")
    parser.add_argument("--part", default="LFE5U-85F", help="device to synthesize for")
    parser.add_argument("--layers", action="store_true", help="measure single layers")
    parser.add_argument("--accelerator", type=Path, help="folder of an accelerator.json")
    parser.add_argument("--cycles", type=int, help="fold the accelerator to this interval first")
    parser.add_argument("--keep", type=Path, help="file that gets all points of the cache")
    options = parser.parse_args(arguments)
    try:
        part = device(options.part)
        if options.layers:
            for name, acc in layer_points():
                row = table([measure(name, acc, part, options.cache)]).splitlines()[-1]
                sys.stdout.write(f"{row}\n")
                sys.stdout.flush()
        if options.accelerator is not None:
            acc = Accelerator.load(options.accelerator)
            name = acc.name
            if options.cycles is not None:
                acc = apply_folding(acc, solve_cycles(acc, options.cycles, part))
                name = f"{name}-{options.cycles}"
            measure(name, acc, part, options.cache)
        bodies = [read_point(path) for path in sorted(options.cache.glob("*.json"))]
        if options.keep is not None:
            lines = ",\n".join(json.dumps(body) for body in bodies)
            write_atomic(options.keep, f"[\n{lines}\n]\n".encode())
        sys.stdout.write(f"{table(bodies)}\n")
    except PhyfoldError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

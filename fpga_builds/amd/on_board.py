# SPDX-License-Identifier: Apache-2.0
"""Run on the board, from the deployment package: do the golden frames come out as they should?

    sudo pip install finn-plus-driver        # once; PYNQ is part of the board's image
    sudo python3 check_golden.py             # exit code 0: every bit as simulated

``quantize`` and ``dequantize`` are what the host does at the two ends of the accelerator.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent


def border() -> dict[str, Any]:
    """Formats and scales of input and output."""
    body: dict[str, Any] = json.loads((HERE / "border.json").read_text())
    return body


def quantize(x: Any) -> Any:
    """Received values [n, elements] -> input codes: clip(half_even(x / scale))."""
    entry = border()["input"]
    codes = np.rint(np.asarray(x, np.float32) / np.float32(entry["scale"][0]))
    return np.clip(codes, entry["min"], entry["max"])


def dequantize(codes: Any) -> Any:
    """Output codes [n, outputs] -> values: code * scale + offset; bits stay bits."""
    end = border()["output"]
    return np.asarray(codes) * np.array(end["scale"]) + np.array(end["offset"])


def open_accelerator(batch: int) -> Any:
    """Load the bitstream; ``execute`` of the result takes codes [batch, elements]."""
    driver = importlib.import_module("finn_plus_driver")
    settings = json.loads((HERE / "driver" / "settings.json").read_text())["driver_information"]
    bitstream = next(
        path for path in sorted((HERE / "bitfile").iterdir()) if path.suffix in (".bit", ".xclbin")
    )
    overlay = driver.get_driver_class(settings["driver_type"])
    return overlay(str(bitstream), **{**settings, "batch_size": batch})


def main() -> int:
    """Compare all golden frames; 0 if they agree."""
    codes = np.load(HERE / "golden" / "input.npy", allow_pickle=False).astype(np.float32)
    expected = np.load(HERE / "golden" / "expected.npy", allow_pickle=False)
    result = np.asarray(open_accelerator(len(codes)).execute(codes)).reshape(expected.shape)
    wrong = np.flatnonzero((np.rint(result) != expected).any(axis=1))
    text = f"{len(expected)} golden frames, {len(wrong)} wrong"
    sys.stdout.write(text + (f", the first is frame {wrong[0]}\n" if len(wrong) else "\n"))
    return 1 if len(wrong) else 0


if __name__ == "__main__":
    raise SystemExit(main())

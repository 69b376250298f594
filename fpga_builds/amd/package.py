# SPDX-License-Identifier: Apache-2.0
"""What is added to FINN's deployment package: golden frames, the borders, a check on the board.

FINN's package holds the bitstream and the driver's settings. With these additions a board can be
asked, without anything else of this project, whether it computes what was simulated.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds.markdown import markdown_text
from fpga_builds.storage import write_json
from hls.ir import Accelerator, Border
from models.files import storage_guard

GOLDEN_FRAMES = 64
CHECK = "check_golden.py"


def complete_package(deploy: Path, acc: Accelerator, board: str, seed: int = 0) -> None:
    """Add to the folder ``deploy`` that FINN wrote."""
    from hls.reference import run

    codes = golden_codes(acc, GOLDEN_FRAMES, seed)
    with storage_guard(deploy):
        golden = deploy / "golden"
        golden.mkdir(parents=True, exist_ok=True)
        flat = codes.reshape(len(codes), -1)
        np.save(golden / "input.npy", flat.astype(np.float32))
        np.save(golden / "expected.npy", run(acc, codes))
        shutil.copyfile(Path(__file__).with_name("on_board.py"), deploy / CHECK)
        (deploy / "README.md").write_text(_readme(acc, board))
    body = {"name": acc.name, "input": _border(acc.input), "output": _border(acc.output)}
    write_json(deploy / "border.json", body)


def golden_codes(acc: Accelerator, frames: int, seed: int) -> Any:
    """Input codes [frames, *shape]: random ones, but two frames all lowest and all highest."""
    low, high = acc.input.lowest, acc.input.fmt.max
    rng = np.random.default_rng(seed)
    codes = rng.integers(low, high + 1, (frames, *acc.input.shape))
    codes[0], codes[1] = low, high
    return codes


def _border(border: Border) -> dict[str, Any]:
    return {
        "meaning": border.meaning,
        "shape": list(border.shape),
        "bits": border.fmt.bits,
        "signed": border.fmt.signed,
        "min": border.lowest,
        "max": border.fmt.max,
        "scale": list(border.scale),
        "offset": list(border.offset),
    }


def _readme(acc: Accelerator, board: str) -> str:
    return f"""# {markdown_text(acc.name)} on {markdown_text(board)}

| file | what it is |
|---|---|
| `bitfile/` | the bitstream, for Zynq with its `.hwh` |
| `driver/settings.json` | what FINN's driver has to know |
| `border.json` | formats and scales of input codes and outputs |
| `golden/` | {GOLDEN_FRAMES} frames of random codes, and the outputs of the integer reference |
| `check_golden.py` | runs them; `quantize` and `dequantize` are the host's part |

Copy this folder to the board (a PYNQ image) and run there

    sudo pip install finn-plus-driver
    sudo python3 check_golden.py
    sudo finn-plus-driver -b bitfile/BITSTREAM -s driver/settings.json -f throughput_test
"""

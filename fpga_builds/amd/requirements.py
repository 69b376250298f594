# SPDX-License-Identifier: Apache-2.0
"""What has to be there before FINN is started for a board, checked in one place."""

from __future__ import annotations

import os
from pathlib import Path

from fpga_builds.amd.boards import AmdBoard
from fpga_builds.eda.vivado import Xilinx, find_xilinx
from hls.finn_env import INSTALL
from models.errors import ConfigError, ToolMissingError
from models.received import odd_character

VITIS_PROGRAMS = ("v++", "kernelinfo")
VITIS_VARIABLES = {
    "XILINX_VITIS": "Vitis' settings64.sh sets it",
    "XILINX_XRT": "the setup.sh of XRT sets it",
    "PLATFORM_REPO_PATHS": "set it to the folder of the Alveo platforms, /opt/xilinx/platforms",
}
FETCH_HINT = (
    "with XILINX_VIVADO set, `finn deps update --batch` fetches it into FINN_DEPS; docs/amd.md has "
    "the places to fetch it from by hand"
)


def check_requirements(board: AmdBoard, work: Path) -> Xilinx:
    """AMD's tools for a board.

    Raises:
        ToolMissingError: Vivado, Vitis HLS, for Alveo boards Vitis, or a library of FINN's HLS
            nodes is missing.
        ConfigError: a path that the tools cannot take.
    """
    xilinx = find_xilinx(VITIS_PROGRAMS if board.flow == "vitis" else ())
    if board.flow == "vitis":
        for variable, hint in VITIS_VARIABLES.items():
            if not os.environ.get(variable):
                text = f"{variable} is not set: {board.name} is built by Vitis"
                raise ToolMissingError(text, hint=f"{hint}; see docs/amd.md")
    check_dependencies(board)
    for path in (work.resolve(), Path(__file__).resolve()):
        odd = odd_character(path)
        if odd is not None:
            what = "a blank" if odd.isspace() else repr(odd)
            raise ConfigError(
                f"{path}: FINN's scripts for Vivado take no path with {what} in it",
                hint="choose another --out, or move the project",
            )
    return xilinx


def check_dependencies(board: AmdBoard) -> None:
    """FINN's C++ library for its DMA nodes, and board files where Vivado has none."""
    folder = dependency_folder()
    if not (folder / "finn-hlslib" / "bnn-library.h").is_file():
        raise ToolMissingError(
            f"{folder}/finn-hlslib: not there; FINN's DMA nodes are compiled from it by Vitis HLS",
            hint=FETCH_HINT,
        )
    if board.flow == "vivado" and not board.ships_with_vivado:
        files = folder / "board_files"
        if not files.is_dir() or not any(files.iterdir()):
            raise ToolMissingError(
                f"{files}: no board files there; Vivado itself does not know {board.name}",
                hint=FETCH_HINT,
            )


def dependency_folder() -> Path:
    """FINN_DEPS, or what FINN takes in its place."""
    try:
        from finn.interface.settings import FINNSettings
    except ImportError as error:
        raise ToolMissingError(f"FINN is not installed ({error})", hint=INSTALL) from error
    settings = FINNSettings.init(flow_config=Path("none.yaml"), auto_set_environment_vars=False)
    return Path(settings.finn_deps)

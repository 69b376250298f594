# SPDX-License-Identifier: Apache-2.0
"""How a netlist of a device's cells is built into a simulation library: models, flags, plan.

A cell is simulated by the first of these that there is: our model (``hls/sim/cells/<cell>.sv``),
the model in Yosys' cell library. `build_netlist` compiles the netlist with them and the harness
of the RTL.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from hls.ir import Accelerator
from hls.sim.source_lint import names_in
from hls.sim.verilate import (
    LIBRARY,
    SimBinary,
    Variant,
    build_library,
    make_plan,
    plan_key,
)

MODELS = Path(__file__).with_name("cells")
VERILATOR_FLAGS = (
    *("--output-split", "20000", "--output-split-cfuncs", "500"),
    *("-Werror-USERERROR", "-Werror-USERFATAL"),
)
"""Small functions compile twice as fast; a model refuses a mode by ``$error`` at elaboration."""
CXX_FLAGS = ("-O1",)
"""Half the compile time of -O2, for a simulation of some hundred frames."""


@dataclass(frozen=True)
class NetlistFiles:
    """What the simulator is given; see `hls.sim.verilate.RtlFiles`."""

    top_name: str
    sources: tuple[Path, ...]
    """Models of cells first, the netlist last."""
    data_files: tuple[Path, ...] = ()
    includes: tuple[Path, ...] = ()
    """Where the models' include files lie."""


def own_model(cell: str) -> Path | None:
    """Our model of a cell, if there is one."""
    path = MODELS / f"{cell}.sv"
    return path if re.fullmatch(r"\w+", cell) and path.is_file() else None


def model_sources(cells: Iterable[str]) -> tuple[Path, ...]:
    """Our models of those of ``cells`` that we have, with what they are made of, that first."""
    found: dict[str, Path] = {}
    todo = sorted({cell for cell in cells if own_model(cell) is not None})
    while todo:
        name = todo.pop(0)
        path = MODELS / f"{name}.sv"
        if name in found:
            continue
        found[name] = path
        text = path.read_text(encoding="utf-8")
        todo += sorted(word for word in names_in(text, r"phy_sim_\w+") if own_model(word))
    return tuple(found[name] for name in sorted(found, key=lambda n: (n.isupper(), n)))


def build_netlist(
    files: NetlistFiles,
    accelerator: Accelerator,
    out_dir: Path,
    jobs: int = 2,
    *,
    compiling: Callable[[], None] | None = None,
) -> SimBinary:
    """The simulation library of a netlist, for `hls.sim.engine.Simulator`.

    Args:
        files: from `fpga_builds.eda.netlist`.
        accelerator: whose ports the netlist has.
        out_dir: gets a folder named by a hash of all that the library is made from.
        jobs: compilers at a time.
        compiling: called once the C++ is written.

    Raises:
        ToolMissingError: verilator, g++ or make.
        ToolError: one of them failed, as when a model refuses a parameter; with the log's tail.
        StorageError: the disk is full.
    """
    plan = make_plan(files, Variant.FAST)
    plan = replace(
        plan,
        verilator_flags=(*plan.verilator_flags, *VERILATOR_FLAGS),
        verilog_includes=tuple(files.includes),
        cxx_flags=(*plan.cxx_flags, *CXX_FLAGS),
        adapt=(lambda _folder: compiling()) if compiling is not None else None,
    )
    folder = out_dir / f"netlist-{plan_key(plan)}"
    build_library(plan, folder, jobs)
    return SimBinary(
        accelerator=accelerator,
        top_name=files.top_name,
        library=(folder / LIBRARY).resolve(),
        data_dir=folder.resolve(),
        variant=Variant.FAST,
        files=files,
        out_dir=out_dir,
    )

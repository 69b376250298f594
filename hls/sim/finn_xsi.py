# SPDX-License-Identifier: Apache-2.0
"""FINN's rtlsim interface (``finn.xsi``) served by Verilator, so that it needs no Vivado.

    from hls.sim.finn_xsi import install
    install()

After that, FINN's own transformations work: PrepareRTLSim compiles each node, SetExecMode("rtlsim")
with execute_onnx runs node by node, and exec_mode "rtlsim" in a model's metadata runs the stitched
whole (`hls.sim.finn_xsi_stitch`). docs/finn_rtlsim.md has what is served and what is not.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from hls.finn_env import INSTALL
from hls.sim import tools
from hls.sim.finn_xsi_build import build_simulation
from models.errors import ToolError, ToolMissingError

log = logging.getLogger(__name__)

_UNSET = object()
_replaced: dict[str, Any] = {}
_modules: dict[str, ModuleType | None] = {}


def install() -> None:
    """Put Verilator behind ``finn.xsi``; may be called any number of times.

    Call it in every process that simulates; processes that FINN forks inherit it. FINN has to be
    set up first (`hls.finn_env.setup_finn`). Needs no Verilator yet: what is missing is said when a
    design is compiled.
    """
    from hls.sim.finn_xsi_engine import engine_class, load_engine

    xsi = _finn_module()
    if _replaced:
        return
    _modules.update(load_engine())
    adapter: Any = importlib.import_module("finn_xsi.adapter")
    names = {
        "SimEngine": engine_class(),
        "locate_glbl": locate_glbl,
        "compile_sim_obj": compile_sim_obj,
        "get_simkernel_so": get_simkernel_so,
        "load_sim_obj": load_sim_obj,
        "reset_rtlsim": adapter.reset_rtlsim,
        "close_rtlsim": adapter.close_rtlsim,
        "rtlsim_multi_io": adapter.rtlsim_multi_io,
        "is_available": is_available,
        "ensure_available": ensure_available,
        "_load_modules": is_available,
    }
    for name, value in names.items():
        _replaced[name] = vars(xsi).get(name, _UNSET)
        setattr(xsi, name, value)
    log.debug("finn.xsi is served by Verilator")


def uninstall() -> None:
    """Put back what `install` replaced in ``finn.xsi``."""
    from hls.sim.finn_xsi_engine import unload_engine

    xsi = _finn_module()
    unload_engine(_modules)
    _modules.clear()
    while _replaced:
        name, value = _replaced.popitem()
        if value is _UNSET:
            delattr(xsi, name)
        else:
            setattr(xsi, name, value)


def _finn_module() -> Any:
    try:
        import finn.xsi
    except ImportError as error:
        raise ToolMissingError(f"FINN is not installed ({error})", hint=INSTALL) from error
    return finn.xsi


def is_available() -> bool:
    """True if everything that simulation needs is installed."""
    try:
        return ensure_available()
    except ToolMissingError as error:
        log.debug("rtlsim is not available: %s", error)
        return False


def ensure_available() -> bool:
    """True, or ToolMissingError that names what is missing."""
    tools.verilator_root()
    for name in ("g++", "make"):
        tools.find_tool(name)
    return True


def locate_glbl() -> Path | None:
    """Vivado's glbl.v: not needed, so there is none."""
    return None


def get_simkernel_so() -> str:
    """Not supported: there is no kernel library."""
    raise NotImplementedError(
        "get_simkernel_so: FINN's C++ simulation programs (FIFO sizing by simulation, "
        "step_measure_rtlsim_performance) are linked against Vivado's simulator kernel, which "
        "Verilator has not; hls.sim.fifo_sizing and hls.sim.engine measure both on the stitched RTL"
    )


def compile_sim_obj(  # noqa: PLR0917 (FINN's signature)
    top_module_name: str,
    source_list: Sequence[str | Path],
    sim_out_dir: str | Path,
    debug: bool = False,
    behav: bool = False,
    fifosim: bool = False,
) -> tuple[Path, Path]:
    """Compile a design; returns ``sim_out_dir`` and the library's path relative to it.

    source_list: .v, .sv, .vh, .svh; also memory files, which are otherwise looked for beside the
    sources. debug: waveforms can be written. behav: defines FINN_SIMULATION.
    Raises ToolMissingError, ToolError with the log's end, CompileError for files that do not fit,
    NotImplementedError for VHDL and for ``fifosim``.
    """
    if fifosim:
        raise NotImplementedError(
            "compile_sim_obj(fifosim=True): FINN's FIFO sizing simulation is a program for "
            "Vivado's simulator kernel; hls.sim.fifo_sizing finds FIFO depths on the stitched RTL"
        )
    ensure_available()
    folder = Path(sim_out_dir)
    return folder, build_simulation(
        top_module_name, source_list, folder, debug=debug, behavioral=behav
    )


def load_sim_obj(
    sim_out_dir: str | Path,
    out_so_relative_path: str | Path,
    tracefile: str | None = None,
    simkernel_so: str | None = None,
) -> Any:
    """Open a compiled design; returns a SimEngine.

    tracefile: waveform, absolute or relative to ``sim_out_dir``; its suffix becomes .fst.
    """
    from hls.sim.finn_xsi_engine import engine_class

    library = Path(sim_out_dir) / out_so_relative_path
    if not library.is_file():
        raise ToolError(f"{library}: no compiled design there", hint="run PrepareRTLSim")
    with contextlib.chdir(sim_out_dir):
        sim = engine_class()("verilator", str(out_so_relative_path), None, tracefile or None)
        if tracefile:
            sim.top.trace_all()
    return sim


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """`install` for the time of a with block."""
    install()
    try:
        yield
    finally:
        uninstall()

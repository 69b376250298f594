# SPDX-License-Identifier: Apache-2.0
"""The stitched RTL for a Vivado user: one folder with sources, memories, a script and a constraint.

No FINN, no block design: what is simulated, read as it is. ``vivado -mode batch -source
vivado_ooc.tcl`` in that folder, wherever it is copied to, gives utilization and timing of the
accelerator alone on a part.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from hls.sim.verilate import RtlFiles
from models.errors import ConfigError
from models.files import storage_guard, write_atomic
from models.received import file_name, identifier

SCRIPT, CONSTRAINTS = "vivado_ooc.tcl", "vivado_ooc.xdc"
PART = re.compile(r"xc[0-9a-z]+-[0-9a-z-]+", re.IGNORECASE)


def write_ooc(rtl: RtlFiles, part: str, clock_mhz: float, folder: Path) -> Path:
    """Write the folder; returns the script's path.

    part: with package and speed grade, such as xc7z020clg400-1. clock_mhz: constraint [MHz].
    Raises ConfigError for a part or clock that Vivado could not take, StorageError.
    """
    import jinja2

    if not PART.fullmatch(part):
        raise ConfigError(
            f"part {part!r}: Vivado wants an AMD part with package and speed grade, such as "
            "xc7z020clg400-1"
        )
    if not clock_mhz > 0:
        raise ConfigError(f"clock_mhz={clock_mhz:g}: must be above 0")
    top = identifier(rtl.top_name, "RTL")
    sources = [file_name(path.name, "RTL") for path in rtl.sources]
    if (folder / "rtl").exists() and not (folder / SCRIPT).is_file():
        raise ConfigError(
            f"{folder}: has a folder 'rtl' that is not of this script", hint="choose another folder"
        )
    with storage_guard(folder):
        shutil.rmtree(folder / "rtl", ignore_errors=True)
        (folder / "rtl").mkdir(parents=True)
        for path in (*rtl.sources, *rtl.data_files):
            shutil.copyfile(path, folder / "rtl" / path.name)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 (Tcl, not HTML)
    )
    text = environment.get_template(f"{SCRIPT}.j2").render(
        top=top,
        part=part,
        clock_mhz=f"{clock_mhz:g}",
        sources=sources,
    )
    period_ns = 1e3 / clock_mhz
    clock = f"create_clock -name ap_clk -period {period_ns:.6f} [get_ports ap_clk]\n"
    write_atomic(folder / CONSTRAINTS, clock)
    return write_atomic(folder / SCRIPT, text)

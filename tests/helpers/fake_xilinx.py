# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for AMD's tools: they record how they are called and write what FINN expects.

`install` puts programs named vivado, vitis_hls, vitis-run, v++ and kernelinfo into a folder; each
runs this file. Every call leaves ``<n>-<tool>/`` in the record: ``call.json`` (arguments, folder,
some of the environment) and a copy of the script that it was given. FAKE_XILINX, ``what:script``,
makes the call whose script has that name misbehave: ``fail`` (an error line, exit code 1), ``hang``
(with a child of its own), ``empty`` (exit code 0, no output).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

TOOLS = ("vivado", "vitis_hls", "vitis-run", "v++", "kernelinfo")
RECORD, MISBEHAVE = "FAKE_XILINX_RECORD", "FAKE_XILINX"
ERROR_LINE = "ERROR: [BD 41-51] Could not find bus definition for the interface: out0_V"
HEADERS = ("Instance", "Module", "Total LUTs", "SRLs", "FFs", "RAMB36", "RAMB18", "DSP Blocks")
TIMING = (
    "| Design Timing Summary\n| ---------------------\n\n"
    "    WNS(ns)      TNS(ns)  TNS Failing Endpoints  TNS Total Endpoints      WHS(ns)\n"
    "    -------      -------  ---------------------  -------------------      -------\n"
    "      0.500        0.000                      0                31513        0.023\n\n\n"
    "All user specified timing constraints are met.\n"
)


def install(folder: Path, record: Path) -> dict[str, str]:
    """Write the programs to ``folder``; returns the environment that makes them be used."""
    folder.mkdir(parents=True)
    record.mkdir(parents=True)
    for tool in TOOLS:
        program = folder / tool
        program.write_text(f'#!/bin/sh\nexec {sys.executable} {__file__} {tool} "$@"\n')
        program.chmod(0o755)
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", RECORD: str(record)}


def records(record: Path) -> list[dict]:
    """The calls in their order; ``text`` is the script's."""
    found = []
    for place in sorted(record.iterdir(), key=lambda path: int(path.name.split("-")[0])):
        body = json.loads((place / "call.json").read_text())
        scripts = [path for path in place.iterdir() if path.name != "call.json"]
        found.append({**body, "text": scripts[0].read_text() if scripts else ""})
    return found


def main() -> int:
    """Be the tool that the first argument names."""
    tool, *words = sys.argv[1:]
    script = next((Path(word) for word in words if word.endswith((".tcl", ".txt"))), None)
    _note(tool, words, script)
    what, _, which = os.environ.get(MISBEHAVE, "").partition(":")
    chosen = script is not None and which in script.name and which
    if chosen and what == "fail":
        sys.stdout.write(f"INFO: {tool} starts\n{ERROR_LINE}\nINFO: Exiting\n")
        return 1
    if chosen and what == "hang":
        child = subprocess.Popen(["sleep", "600"], process_group=0)
        sys.stdout.write(f"INFO: launching a run, process {child.pid}\n")
        sys.stdout.flush()
        time.sleep(600)
    if not (chosen and what == "empty"):
        text = script.read_text() if script is not None else ""
        BEHAVIOUR[tool](words, text)
    sys.stdout.write("" if tool == "kernelinfo" else f"INFO: {tool} is done\n")
    return 0


def _note(tool: str, words: list[str], script: Path | None) -> None:
    record = Path(os.environ[RECORD])
    while True:  # numbers are taken by whoever makes the folder first
        place = record / f"{len(list(record.iterdir()))}-{tool}"
        try:
            place.mkdir()
            break
        except FileExistsError:
            continue
    kept = ("FINN_RTLLIB", "FINN_CUSTOM_HLS", "XILINX_VIVADO", "XILINX_LOCAL_USER_DATA")
    env = {key: os.environ.get(key) for key in kept}
    body = {"tool": tool, "argv": words, "cwd": str(Path.cwd()), "env": env}
    body["script"] = script.name if script is not None else ""
    if script is not None:
        shutil.copyfile(script, place / script.name)
    (place / "call.json").write_text(json.dumps(body))


def _vivado(words: list[str], text: str) -> None:
    if "ipx::package_project" in text:
        _stitch(text)
    elif "package_xo" in text:
        _touch(re.search(r"-xo_path (\S+)", text)[1])
    elif "create_project finn_zynq_link" in text:
        _zynq(text)
    elif "report_utilization" in text:
        _utilization(Path(re.search(r"-file (\S+)", text)[1]), [])


def _stitch(text: str) -> None:
    wrapper = re.findall(r"^add_files -norecurse (\S+_wrapper\.v)$", text, re.MULTILINE)[-1]
    _touch(wrapper, "module wrapper; endmodule\n")
    listing = re.search(r"set fp \[open (\S+all_verilog_srcs.txt) w\]", text)[1]
    Path(listing).write_text(f"{wrapper}\n")
    _touch("ip/component.xml", "<spirit:component/>\n")
    for name in re.findall(r"write_checkpoint (\S+\.dcp)", text):
        _touch(name)


def _zynq(text: str) -> None:
    run = Path("finn_zynq_link.runs/impl_1")
    _touch(run / "top_wrapper.bit", "a bitstream\n" * 100)
    _touch(run / "top_wrapper_timing_summary_routed.rpt", TIMING)
    _touch("finn_zynq_link.gen/sources_1/bd/top/hw_handoff/top.hwh", "<EDKSYSTEM/>\n")
    _utilization(Path("synth_report.xml"), re.findall(r"create_bd_cell .* (\w+)$", text, re.M))


def _utilization(path: Path, names: list[str]) -> None:
    """A report in the form that FINN reads: a table with a row for each instance."""
    counts = [str(20 + i) for i in range(len(HEADERS) - 2)]
    top = ("top_wrapper", "(top)", *(str(10_000 + i) for i in range(len(counts))))
    rows = [HEADERS, top, *((f"  {name}", "m", *counts) for name in (*names, *_nodes()))]
    cell = '<tablecell contents="{}"/>'
    table = "".join(f"<tablerow>{''.join(map(cell.format, row))}</tablerow>" for row in rows)
    path.write_text(f"<RptDoc><section><table>{table}</table></section></RptDoc>\n")


def _nodes() -> list[str]:
    """Cells of the stitched designs so far."""
    names: list[str] = []
    for script in Path(os.environ[RECORD]).glob("*/make_project.tcl"):
        names += re.findall(r"^create_bd_cell .* (\S+)$", script.read_text(), re.MULTILINE)
    return list(dict.fromkeys(names))


def _hls(words: list[str], text: str) -> None:
    project = re.search(r"set config_proj_name (\S+)", text)[1]
    top = re.search(r'set config_toplevelfxn "(\S+)"', text)[1]
    solution = Path(project) / "sol1" / "impl"
    _touch(solution / "verilog" / f"{top}.v", f"module {top}; endmodule\n")
    _touch(solution / "ip" / "component.xml", "<spirit:component/>\n")


def _link(words: list[str], text: str) -> None:
    clock = words[words.index("--kernel_frequency") + 1]
    _touch("a.xclbin", "xclbin2\n" * 100)
    _touch("a.xclbin.info", f"   Name:      DATA_CLK\n   Frequency: {clock} MHz\n")


def _kernelinfo(words: list[str], text: str) -> None:
    ports = ("s_axis_0", "m_axis_0", "m_axi_gmem0", "s_axi_control_0")
    kernel = {"name": Path(words[-1]).stem, "ports": [{"name": port} for port in ports]}
    sys.stdout.write(json.dumps({"kernelDefs": [kernel]}))


def _touch(path: str | Path, text: str = "made by a stand-in\n") -> None:
    place = Path(path)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)


BEHAVIOUR = {
    "vivado": _vivado,
    "vitis_hls": _hls,
    "vitis-run": _hls,
    "v++": _link,
    "kernelinfo": _kernelinfo,
}

if __name__ == "__main__":
    raise SystemExit(main())

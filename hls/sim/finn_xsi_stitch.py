# SPDX-License-Identifier: Apache-2.0
"""Whole networks for FINN's rtlsim, without Vivado's block designs.

FINN simulates a whole network through what CreateStitchedIP leaves in the model's metadata; that
transformation needs Vivado. `stitch_nodes` does the part that simulation needs: one Verilog top
that instantiates every node's HDL, FINN's and ours, and joins their streams. `use_package` does the
same for a top that `hls.stitch` wrote, so FINN runs the very RTL that is deployed. After either,

    model.set_metadata_prop("exec_mode", "rtlsim")
    execute_onnx(model, inputs)

runs the RTL and fills the model's ``cycles_rtlsim``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hls.sim import tools
from hls.sim.verilate import RtlFiles
from hls.templates import render
from models.errors import CompileError

TOP = "finn_design_wrapper"
TEMPLATE = "finn_xsi_top.v.j2"
MODULE_PORT = re.compile(
    r"^\s*(?:\(\*.*?\*\)\s*)?(input|output)\s+(?:(?:wire|logic|reg)\b\s*)?(?:signed\s+)?"
    r"(?:\[.*?\]\s*)*(\w+)",
    re.MULTILINE,
)


@dataclass(frozen=True)
class StreamWires:
    """Prefix of a stream's three wires, and the width of its tdata [bit]."""

    name: str
    bits: int


@dataclass(frozen=True)
class Instance:
    """One module of the top and what is connected to its ports."""

    module: str
    name: str
    pins: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Top:
    sources: tuple[StreamWires, ...]
    sinks: tuple[StreamWires, ...]
    wires: tuple[StreamWires, ...]
    instances: tuple[Instance, ...]
    clk_twice: bool
    files: tuple[Path, ...]


def stitch_nodes(model: Any, folder: Path) -> Path:
    """Stitch the HDL of a FINN graph's nodes (PrepareIP done) into ``folder`` for rtlsim.

    model: ModelWrapper of RTL nodes; each tensor between two is one stream. Its metadata is set.
    Returns the top's path. Raises CompileError, or NotImplementedError for what has no HDL here.
    """
    from finn.transformation.fpgadataflow.replace_verilog_relpaths import ReplaceVerilogRelPaths

    if not model.graph.node:
        raise CompileError("stitching: the graph has no nodes")
    ops = [_op(node) for node in model.graph.node]  # FINN's pass trusts that all have their HDL
    ReplaceVerilogRelPaths().apply(model)
    return _publish(model, _join(model, ops), folder)


def use_package(model: Any, package: RtlFiles, folder: Path) -> Path:
    """Let FINN's rtlsim of ``model`` run the RTL that `hls.stitch.write_rtl` wrote for it.

    model: ModelWrapper whose first and last node have the package's input and output stream. Its
    metadata is set. Returns the path of the wrapper, which is written to ``folder``.
    """
    from finn.util.basic import getHWCustomOp

    source, sink = model.graph.input[0].name, model.graph.output[0].name
    first, last = model.find_consumer(source), model.find_producer(sink)
    if first is None or last is None:
        raise CompileError("stitching: a graph input or output is not connected to a node")
    streams = (
        StreamWires("s_axis_0", getHWCustomOp(first).get_instream_width_padded(0)),
        StreamWires("m_axis_0", getHWCustomOp(last).get_outstream_width_padded(0)),
    )
    pins = [("ap_clk", "ap_clk"), ("ap_rst_n", "ap_rst_n")]
    for outer, inner in zip(streams, ("s_axis", "m_axis"), strict=True):
        pins += [(f"{inner}_{end}", f"{outer.name}_{end}") for end in ("tdata", "tvalid", "tready")]
    top = _Top(
        sources=(streams[0],),
        sinks=(streams[1],),
        wires=(),
        instances=(Instance(package.top_name, "u_accelerator", tuple(pins)),),
        clk_twice=False,
        files=(*package.sources, *package.data_files),
    )
    return _publish(model, top, folder)


def _publish(model: Any, top: _Top, folder: Path) -> Path:
    """Write the top and the metadata by which FINN's rtlsim_exec finds it."""
    path = folder.resolve() / f"{TOP}.v"
    files = [*dict.fromkeys(str(file) for file in top.files), str(path)]
    spaced = [file for file in files if re.search(r"\s", file)]
    if spaced:
        raise CompileError(
            f"{spaced[0]}: FINN's list of sources cannot name a path with a space in it",
            hint="choose another --out or FINN_BUILD_DIR",
        )
    with tools.storage_guard(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_render(top))
        (path.parent / "all_verilog_srcs.txt").write_text("\n".join(files) + "\n")
    names = {
        "clk": ["ap_clk"],
        "rst": ["ap_rst_n"],
        "s_axis": [[stream.name, stream.bits] for stream in top.sources],
        "m_axis": [[stream.name, stream.bits] for stream in top.sinks],
        "aximm": [],
        "axilite": [],
    }
    model.set_metadata_prop("wrapper_filename", str(path))
    model.set_metadata_prop("vivado_stitch_proj", str(path.parent))
    model.set_metadata_prop("vivado_stitch_ifnames", json.dumps(names))
    model.set_metadata_prop("rtlsim_so", "")  # of another top
    return path


def _render(top: _Top) -> str:
    return render(Path(__file__).with_name(TEMPLATE), top=TOP, **vars(top))


def _join(model: Any, ops: Sequence[Any]) -> _Top:
    inputs = [item.name for item in model.graph.input if model.get_initializer(item.name) is None]
    outputs = [item.name for item in model.graph.output]
    names = {tensor: f"s_axis_{i}" for i, tensor in enumerate(inputs)}
    names |= {tensor: f"m_axis_{i}" for i, tensor in enumerate(outputs)}
    bits: dict[str, int] = {}
    ends: dict[str, list[str]] = {}
    instances: list[Instance] = []
    weights: list[StreamWires] = []
    files: list[Path] = []
    twice = False
    for node, op in zip(model.graph.node, ops, strict=True):
        streams = _node_streams(model, node, op)
        for port, tensor, width, end in streams:
            names.setdefault(tensor, f"w{len(names)}")
            if bits.setdefault(tensor, width) != width:
                raise CompileError(
                    f"{node.name}: port {port} is {width} bits wide, the other end of {tensor} "
                    f"{bits[tensor]}",
                    hint="run InsertDWC before PrepareIP",
                )
            ends.setdefault(tensor, []).append(end)
        instances += _instances(op, {port: names[tensor] for port, tensor, _, _ in streams})
        files += _node_files(op)
        if _weight_memory(op) is not None:
            weights.append(StreamWires(_weight_wires(op), op.get_instream_width_padded(1)))
        twice = twice or bool(op.get_verilog_top_module_intf_names().get("clk2x"))
    _check_ends(ends, inputs, outputs)
    wires = {tensor: StreamWires(names[tensor], bits[tensor]) for tensor in ends}
    return _Top(
        sources=tuple(wires[tensor] for tensor in inputs),
        sinks=tuple(wires[tensor] for tensor in outputs),
        wires=(*(w for t, w in wires.items() if t not in (*inputs, *outputs)), *weights),
        instances=tuple(instances),
        clk_twice=twice,
        files=tuple(files),
    )


def _op(node: Any) -> Any:
    from finn.util.basic import getHWCustomOp
    from finn.util.fpgadataflow import is_hls_node, is_rtl_node

    if is_hls_node(node):
        raise NotImplementedError(
            f"{node.name} ({node.op_type}): an HLS layer; its Verilog comes from Vitis HLS"
        )
    if not is_rtl_node(node):
        raise CompileError(
            f"{node.name} ({node.op_type}): not an RTL layer of FINN's or ours",
            hint="run SpecializeLayers and CreateDataflowPartition first",
        )
    op = getHWCustomOp(node)
    folder = op.get_nodeattr("code_gen_dir_ipgen")
    if not (folder and op.get_nodeattr("ipgen_path") and Path(folder).is_dir()):
        raise CompileError(f"{node.name}: its HDL is not generated", hint="run PrepareIP first")
    for kind in ("aximm", "axilite"):
        if op.get_verilog_top_module_intf_names().get(kind):
            raise NotImplementedError(
                f"{node.name}: has a memory-mapped port ({kind}), which only node-by-node "
                "simulation drives; set mem_mode internal_decoupled, runtime_writeable_weights 0"
            )
    return op


def _node_streams(model: Any, node: Any, op: Any) -> list[tuple[str, str, int, str]]:
    """Port prefix, tensor, width [bit] and end ("in" or "out") of each stream of a node."""
    interfaces = op.get_verilog_top_module_intf_names()
    tensors = [name for name in node.input if name and model.get_initializer(name) is None]
    found = []
    for role, names, end in (("s_axis", tensors, "in"), ("m_axis", list(node.output), "out")):
        ports = interfaces[role]
        if len(ports) != len(names):
            raise NotImplementedError(
                f"{node.name}: {len(ports)} {role} ports for {len(names)} tensors; parameters that "
                "come by stream are not stitched"
            )
        pairs = zip(ports, names, strict=True)
        found += [(port, tensor, int(width), end) for (port, width), tensor in pairs]
    return found


def _check_ends(ends: dict[str, list[str]], inputs: Sequence[str], outputs: Sequence[str]) -> None:
    for tensor in (*inputs, *outputs):
        ends.setdefault(tensor, []).append("out" if tensor in inputs else "in")
    for tensor, found in ends.items():
        if sorted(found) != ["in", "out"]:
            raise CompileError(
                f"tensor {tensor}: {found.count('out')} producers and {found.count('in')} "
                "consumers; a stream has one of each",
                hint="duplicate it with a DuplicateStreams node, or remove it from the graph",
            )


def _instances(op: Any, streams: dict[str, str]) -> list[Instance]:
    """The node's module and, if its weights are streamed to it, the memory that does."""
    module = op.get_verilog_top_module_name()
    ports = _module_ports(module, _node_files(op))
    memory = _weight_memory(op)
    if memory is None:
        return [Instance(module, f"u_{module}", _pins(ports, streams, op))]
    wire = _weight_wires(op)
    return [
        Instance(module, f"u_{module}", _pins(ports, {**streams, "in1_V": wire}, op)),
        Instance(
            memory.stem,
            f"u_{memory.stem}",
            _pins(_module_ports(memory.stem, [memory]), {"m_axis_0": wire}, op),
        ),
    ]


def _pins(
    ports: Sequence[tuple[str, str]], streams: dict[str, str], op: Any
) -> tuple[tuple[str, str], ...]:
    """Clock, reset and streams by name; every other input is 0, every other output open."""
    twice = "ap_clk2x" if op.get_verilog_top_module_intf_names().get("clk2x") else "ap_clk"
    fixed = {"ap_clk": "ap_clk", "ap_clk2x": twice, "ap_rst_n": "ap_rst_n"}
    pins = []
    for direction, port in ports:
        prefix, _, end = port.rpartition("_")
        if prefix in streams and end.lower() in ("tdata", "tvalid", "tready"):
            value = f"{streams[prefix]}_{end.lower()}"
        else:
            value = fixed.get(port, "'0" if direction == "input" else "")
        pins.append((port, value))
    return tuple(pins)


def _module_ports(module: str, files: Sequence[Path]) -> list[tuple[str, str]]:
    """Direction and name of each port of a module, from the file that declares it."""
    for file in files:
        text = file.read_text() if file.is_file() else ""
        found = re.search(rf"^\s*module\s+{re.escape(module)}\b.*?\);", text, re.S | re.M)
        if found:
            return [(m[1], m[2]) for m in MODULE_PORT.finditer(found[0])]
    raise CompileError(f"module {module}: no HDL file declares it", hint="run PrepareIP first")


def _node_files(op: Any) -> list[Path]:
    files = [Path(item) for item in op.get_rtl_file_list(abspath=True)]
    memory = _weight_memory(op)
    if memory is None:
        return files
    from finn.util.settings import get_settings

    library = Path(get_settings().finn_rtllib)
    names = ("axi/hdl/axilite.sv", "memstream/hdl/memstream_axi.sv", "memstream/hdl/memstream.sv")
    return [*files, memory, *(library / name for name in names)]


def _weight_wires(op: Any) -> str:
    return f"{op.get_verilog_top_module_name()}_weights"


def _weight_memory(op: Any) -> Path | None:
    """FINN's generated module that streams an MVAU's weights, if the node has one."""
    if op.onnx_node.op_type != "MVAU_rtl" or op.get_nodeattr("mem_mode") != "internal_decoupled":
        return None
    folder = Path(op.get_nodeattr("code_gen_dir_ipgen"))
    found = sorted(folder.glob("*_memstream_wrapper.v"))
    if not found:
        raise CompileError(
            f"{op.onnx_node.name}: no *_memstream_wrapper.v in {folder}", hint="run PrepareIP first"
        )
    return found[0]

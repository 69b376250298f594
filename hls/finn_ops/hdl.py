# SPDX-License-Identifier: Apache-2.0
"""HDL of one FINN node, and the Tcl that puts it into a Vivado block design.

A node is the layer alone, stitched, behind a wrapper in plain Verilog with FINN's port names:
Vivado takes no SystemVerilog module as a cell of a block design. The kernels are read from
``hls/rtl`` itself, so that a design of many nodes has each of them once. Memory files are named by
their whole path, as FINN does it: Vivado synthesizes far from here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hls.ir import IMAGE_KINDS, Accelerator
from models.errors import CompileError
from models.received import odd_character

WRAPPER = "finn_wrapper.v.j2"
LISTING = "files.json"
FIFO_KERNELS = ("phy_pkg.sv", "phy_fifo.sv")
MEMORY_TYPE = "Memory Initialization Files"
ACCELERATOR = "phyfold_accelerator"
"""Metadata of a model: folder of the simulated `hls.ir.Accelerator` that its nodes are built as."""


def generate(op: Any, model: Any, clk_ns: float) -> None:
    """Write a layer's RTL into its code_gen_dir_ipgen."""
    from hls.stitch import write_rtl

    if op.ir_kind in IMAGE_KINDS:
        _generate_kernel(op)
        return
    folder = Path(op.get_nodeattr("code_gen_dir_ipgen"))
    package = write_rtl(_alone(op, model, clk_ns), folder)
    *kernels, top = package.sources
    for copy in kernels:
        copy.unlink()
    _name_memories(top, package.data_files)
    sources = [*_kernels(path.name for path in kernels), top]
    _wrap(op, package.top_name, {}, sources, package.data_files)


def _generate_kernel(op: Any) -> None:
    """Write the wrapper of a kernel without memories, which may have several streams."""
    from hls.ir import Layer
    from hls.stitch import check_params, kernel_files, kernel_parameters

    layer = Layer(op.onnx_node.name, op.ir_kind, op.onnx_node.name, (), (), op.ir_params())
    check_params(layer)
    module = f"phy_{op.ir_kind}"
    _wrap(op, module, dict(kernel_parameters(layer)), kernel_files(module), ())


def generate_fifo(op: Any) -> None:
    """Write the wrapper of a FIFO into its code_gen_dir_ipgen."""
    parameters = {"Depth": op.get_nodeattr("depth"), "Width": op.get_instream_width_padded()}
    _wrap(op, "phy_fifo", parameters, _kernels(FIFO_KERNELS), ())


def sources(op: Any, abspath: bool) -> list[str]:
    """RTL files of a node whose HDL was generated, packages first, the wrapper last."""
    listing = _listing(op)["sources"]
    return listing if abspath else [Path(item).name for item in listing]


def ipi_commands(op: Any) -> list[str]:
    """Commands that put the node into a Vivado block design.

    Raises:
        CompileError: a file is missing, or its path has a blank in it.
    """
    listing = _listing(op)
    for path in (*listing["sources"], *listing["data"]):
        odd = odd_character(path)
        if odd is not None:
            what = "a blank" if odd.isspace() else repr(odd)
            raise CompileError(
                f"{path}: FINN's scripts for Vivado take no path with {what} in it",
                hint="install and build in folders of plain names",
            )
        if not Path(path).is_file():
            raise CompileError(f"{path}: missing, though it was generated", hint="start again")
    # With the fileset named, FINN's check that each add_files has one file does not apply.
    commands = [f"add_files -fileset sources_1 -norecurse {_tcl_list(listing['sources'])}"]
    if listing["data"]:
        data = _tcl_list(listing["data"])
        commands.append(f"add_files -fileset sources_1 -norecurse {data}")
        commands.append(f"set_property file_type {{{MEMORY_TYPE}}} [get_files {data}]")
    module, cell = op.get_verilog_top_module_name(), op.onnx_node.name
    return [*commands, f"create_bd_cell -type module -reference {module} {cell}"]


def _alone(op: Any, model: Any, clk_ns: float) -> Accelerator:
    """The node as an accelerator of one layer: as it was simulated, or as its attributes say."""
    from hls.extract import single_layer

    alone = single_layer(op, model, 1e3 / clk_ns)
    folder = model.get_metadata_prop(ACCELERATOR)
    if not folder:
        return alone
    for layer in Accelerator.load(Path(folder)).layers:
        if layer.source == op.onnx_node.name:
            same = replace(alone.layers[0], params=layer.params, arrays=layer.arrays)
            return replace(alone, layers=(same,))
    raise CompileError(f"{op.onnx_node.name}: no such layer in {folder}", hint="compile again")


def _tcl_list(items: Sequence[str]) -> str:
    return f"[list {' '.join(items)}]"


def _kernels(names: Any) -> list[Path]:
    from hls.stitch import KERNELS

    return [KERNELS / name for name in names]


def _name_memories(top: Path, data_files: Sequence[Path]) -> None:
    """Put the folder in front of the memory files that the top names."""
    if not data_files:
        return
    text = top.read_text()
    changed = text.replace('File("', f'File("{data_files[0].resolve().parent.as_posix()}/')
    if changed == text:
        raise CompileError(f"{top}: names none of its {len(data_files)} memory files")
    top.write_text(changed)


def _wrap(
    op: Any,
    module: str,
    parameters: Mapping[str, int | str],
    rtl: Sequence[Path],
    data_files: Sequence[Path],
) -> None:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder, name = Path(op.get_nodeattr("code_gen_dir_ipgen")), op.onnx_node.name
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(  # noqa: S701 (Verilog, not HTML)
        loader=loader,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.get_template(WRAPPER).render(
        name=name,
        module=module,
        parameters=list(parameters.items()),
        inputs=_streams("s", op.get_instream_width_padded, op.streamed_inputs),
        outputs=_streams("m", op.get_outstream_width_padded, len(op.onnx_node.output)),
    )
    wrapper = folder / f"{name}.v"
    wrapper.write_text(text)
    listing = {
        "sources": [str(path.resolve()) for path in (*rtl, wrapper)],
        "data": [str(path.resolve()) for path in data_files],
    }
    (folder / LISTING).write_text(json.dumps(listing, indent=1) + "\n")
    op.set_nodeattr("gen_top_module", name)
    op.set_nodeattr("ipgen_path", str(folder))
    op.set_nodeattr("ip_path", str(folder))


def _streams(side: str, width: Callable[[int], int], count: int) -> list[tuple[str, int]]:
    """(prefix of the kernel's port, width of tdata [bit]) of every stream of one side."""
    from hls.stitch import port_names

    return [(name, width(index)) for index, name in enumerate(port_names(side, count))]


def _listing(op: Any) -> dict[str, list[str]]:
    path = Path(op.get_nodeattr("code_gen_dir_ipgen")) / LISTING
    try:
        listing: dict[str, list[str]] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CompileError(
            f"{op.onnx_node.name}: its HDL is not generated ({error})", hint="run PrepareIP first"
        ) from error
    return listing

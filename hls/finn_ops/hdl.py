# SPDX-License-Identifier: Apache-2.0
"""HDL of one FINN node: the layer alone, stitched, behind FINN's port names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from models.errors import CompileError

WRAPPER = "finn_wrapper.sv.j2"


def generate(op: Any, model: Any, clk_ns: float) -> None:
    """Write the node's RTL into its code_gen_dir_ipgen."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    from hls.extract import single_layer
    from hls.stitch import write_rtl

    folder = Path(op.get_nodeattr("code_gen_dir_ipgen"))
    package = write_rtl(single_layer(op, model, 1e3 / clk_ns), folder)
    loader = FileSystemLoader(Path(__file__).parent)
    environment = Environment(loader=loader, undefined=StrictUndefined)  # noqa: S701, not HTML
    text = environment.get_template(WRAPPER).render(
        name=op.onnx_node.name,
        top=package.top_name,
        in_bits=op.get_instream_width_padded(0),
        out_bits=op.get_outstream_width_padded(0),
    )
    wrapper = folder / f"{op.onnx_node.name}.sv"
    wrapper.write_text(text)
    listing = [str(p) for p in (*package.sources, wrapper)]
    (folder / "sources.txt").write_text("\n".join(listing) + "\n")
    op.set_nodeattr("gen_top_module", op.onnx_node.name)
    op.set_nodeattr("ipgen_path", str(folder))
    op.set_nodeattr("ip_path", str(folder))


def sources(op: Any, abspath: bool) -> list[str]:
    """RTL files of a node whose HDL was generated."""
    folder = Path(op.get_nodeattr("code_gen_dir_ipgen"))
    try:
        listing = (folder / "sources.txt").read_text().split("\n")[:-1]
    except OSError as error:
        raise CompileError(
            f"{op.onnx_node.name}: its HDL is not generated ({error})", hint="run PrepareIP first"
        ) from error
    return listing if abspath else [Path(item).name for item in listing]


def ipi_commands(op: Any) -> list[str]:
    """Commands that put the node into a Vivado block design."""
    name = op.onnx_node.name
    files = " ".join(sources(op, abspath=True))
    return [
        f"add_files -norecurse {{{files}}}",
        f"create_bd_cell -type module -reference {name} {name}",
    ]

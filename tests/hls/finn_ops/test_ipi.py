# SPDX-License-Identifier: Apache-2.0
"""Our nodes as cells of a Vivado block design: files, commands, FIFOs, and what they compute."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp
from qonnx.transformation.general import GiveUniqueNodeNames

from hls import reference
from hls.compiler import CompileOptions, FoldingTarget, compile_model
from hls.costs import stream_cost
from hls.devices import device
from hls.finn_env import setup_finn
from hls.finn_ops import hdl
from hls.ir import Accelerator
from hls.sim import tools
from hls.stitch import KERNELS
from models.errors import CompileError, MismatchError

PART, CLK_NS = "xc7z020clg400-1", 10.0


@pytest.fixture(scope="module")
def compiled(
    mlp: ModuleType, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Accelerator, ModelWrapper, Path]:
    """A network with a sparse layer and width converters; FIFOs in three of its streams."""
    folder = tmp_path_factory.mktemp("net")
    path = mlp.balanced_mlp(folder / "net.onnx", sizes=(8, 8, 4), block=4, nnz=1)
    options = CompileOptions(output="hard_pairs", folding=FoldingTarget(cycles=16))
    acc = compile_model(path, folder / "out", options)
    names = [stream.name for stream in acc.streams]
    acc = acc.with_fifo_depths({names[0]: 3, names[1]: 1, names[-1]: 70})
    acc.save(folder / "acc")
    return acc, ModelWrapper(str(folder / "out" / "07_folded.onnx")), folder


@pytest.fixture
def prepared(compiled: tuple[Accelerator, ModelWrapper, Path], tmp_path: Path) -> Any:
    """The graph with FIFOs and HDL, its nodes renamed as FINN does it."""
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    from hls.finn_ops.fifos import insert_fifos

    acc, model, folder = compiled
    setup_finn(tmp_path / "finn")
    model = insert_fifos(model, acc)
    model.set_metadata_prop(hdl.ACCELERATOR, str(folder / "acc"))
    model = model.transform(PrepareIP(PART, CLK_NS))
    return model.transform(GiveUniqueNodeNames("P1_"))


def ops(model: ModelWrapper) -> list[Any]:
    return [getCustomOp(node) for node in model.graph.node]


def test_fifos_stand_where_the_simulation_wants_them(
    compiled: tuple[Accelerator, ModelWrapper, Path], prepared: ModelWrapper
) -> None:
    acc = compiled[0]
    modules = [op.get_verilog_top_module_name() for op in ops(prepared)]
    streams = [s.name for s in acc.streams]
    layers = [layer.source for layer in acc.layers]
    first, second, last = (f"fifo_{streams[i]}" for i in (0, 1, -1))
    assert modules == [first, layers[0], second, *layers[1:], last]
    for op in ops(prepared):
        if op.onnx_node.op_type == "StreamingFIFO_phy":
            stream = acc.stream(op.get_verilog_top_module_name().removeprefix("fifo_"))
            assert op.get_nodeattr("depth") == stream.fifo_depth
            assert op.get_instream_width_padded() == 8 * stream.tdata_bytes
            cost = stream_cost(stream, device(PART))
            assert op.node_res_estimation(PART)["LUT"] == cost.lut
            assert op.node_res_estimation(PART)["BRAM_18K"] == cost.bram18


def test_finn_inserts_no_fifos_of_its_own(prepared: ModelWrapper) -> None:
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO

    before = [node.name for node in prepared.graph.node]
    assert [node.name for node in prepared.transform(InsertFIFO()).graph.node] == before


def test_commands_for_vivado(prepared: ModelWrapper) -> None:
    for op in ops(prepared):
        *adds, cell = op.code_generation_ipi()
        module, name = op.get_verilog_top_module_name(), op.onnx_node.name
        assert name.startswith("P1_")
        assert cell == f"create_bd_cell -type module -reference {module} {name}"
        files = [Path(item) for item in op.get_rtl_file_list(abspath=True)]
        assert adds[0] == (
            f"add_files -fileset sources_1 -norecurse [list {' '.join(map(str, files))}]"
        )
        assert files[0] == KERNELS / "phy_pkg.sv"
        assert files[-1].name == f"{module}.v"  # Vivado takes no SystemVerilog as a cell
        ports = op.get_verilog_top_module_intf_names()
        assert [len(ports["s_axis"]), len(ports["m_axis"])] == [1, 1]
        wrapper = files[-1].read_text()
        for prefix, bits in (*ports["s_axis"], *ports["m_axis"]):
            assert f"[{bits - 1}:0] {prefix}_tdata" in wrapper
        assert '"ASSOCIATED_BUSIF in0_V:out0_V, ASSOCIATED_RESET ap_rst_n"' in wrapper


@pytest.mark.verilator
def test_wrappers_are_plain_verilog(prepared: ModelWrapper) -> None:
    root = tools.verilator_root()
    lint = ["--lint-only", "-Wall", "--no-timing", "--quiet", "+1364-2005ext+v"]

    def run(op: Any) -> subprocess.CompletedProcess[str]:
        top = ["--top-module", op.get_verilog_top_module_name()]
        return subprocess.run(
            [root / "bin" / "verilator_bin", *lint, *top, *op.get_rtl_file_list(abspath=True)],
            env={**os.environ, "VERILATOR_ROOT": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )

    for op in ops(prepared):
        done = run(op)
        assert (done.returncode, done.stderr) == (0, "")
    wrapper = Path(op.get_rtl_file_list(abspath=True)[-1])
    wrapper.write_text(wrapper.read_text().replace("output wire", "output logic"))
    assert run(op).returncode != 0


@pytest.mark.verilator
def test_the_stitched_nodes_compute_the_reference(
    compiled: tuple[Accelerator, ModelWrapper, Path], prepared: ModelWrapper, tmp_path: Path
) -> None:
    from finn.core.onnx_exec import execute_onnx

    from hls.sim.finn_xsi import installed
    from hls.sim.finn_xsi_stitch import stitch_nodes

    acc = compiled[0]
    fmt = acc.input.fmt
    codes = np.random.default_rng(0).integers(fmt.min, fmt.max + 1, (3, *acc.input.shape))
    entry, output = prepared.graph.input[0].name, prepared.graph.output[0].name
    with installed():
        stitch_nodes(prepared, tmp_path / "top")
        prepared.set_metadata_prop("exec_mode", "rtlsim")
        rows = [
            execute_onnx(prepared, {entry: frame[None].astype(np.float32)})[output]
            for frame in codes
        ]
    np.testing.assert_array_equal(np.concatenate(rows), reference.run(acc, codes))


def test_another_graph_than_the_simulated_one(
    compiled: tuple[Accelerator, ModelWrapper, Path],
) -> None:
    from hls.finn_ops.fifos import insert_fifos

    acc, model, _ = compiled
    layers = list(acc.layers)
    layers[0] = replace(layers[0], params={**layers[0].params, "acc_bits": 31})
    with pytest.raises(MismatchError, match=r"layer \w+: the FINN graph differs.*acc_bits="):
        insert_fifos(model, replace(acc, layers=tuple(layers)))
    with pytest.raises(MismatchError, match=r"its layers are .*, the FINN graph has"):
        insert_fifos(model, replace(acc, layers=acc.layers[1:]))


def test_what_is_missing_is_named(prepared: ModelWrapper, tmp_path: Path) -> None:
    op = ops(prepared)[1]
    weights = next(Path(op.get_nodeattr("code_gen_dir_ipgen")).rglob("*.dat"))
    kept = weights.read_bytes()
    weights.unlink()
    with pytest.raises(CompileError, match=f"{weights.name}: missing"):
        op.code_generation_ipi()
    weights.write_bytes(kept)
    blank = tmp_path / "my folder"
    Path(op.get_nodeattr("code_gen_dir_ipgen")).rename(blank)
    op.set_nodeattr("code_gen_dir_ipgen", str(blank))
    listing = blank / hdl.LISTING
    listing.write_text(listing.read_text().replace(f"{op.get_nodeattr('ipgen_path')}", str(blank)))
    with pytest.raises(CompileError, match="take no path with a blank"):
        op.code_generation_ipi()
    listing.unlink()
    with pytest.raises(CompileError, match="its HDL is not generated"):
        op.get_rtl_file_list()


def test_a_node_that_was_not_simulated(
    compiled: tuple[Accelerator, ModelWrapper, Path], tmp_path: Path
) -> None:
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    _, model, folder = compiled
    setup_finn(tmp_path / "finn")
    model = ModelWrapper(model.model, make_deepcopy=True)
    model.graph.node[0].name = "another"
    model.set_metadata_prop(hdl.ACCELERATOR, str(folder / "acc"))
    with pytest.raises(CompileError, match="another: no such layer in"):
        model.transform(PrepareIP(PART, CLK_NS))

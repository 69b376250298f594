# SPDX-License-Identifier: Apache-2.0
"""FINN's rtlsim on Verilator: what cannot be simulated is refused with its reason."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sim_finn import CLK_NS, PART, finn_on_verilator, model_of, network, op_of, prepared

from hls.sim import finn_xsi, finn_xsi_build, finn_xsi_stitch
from models.errors import CompileError, StorageError, ToolError, ToolMissingError

pytest.importorskip("finn")


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """FINN in a folder of its own."""
    folder = tmp_path_factory.mktemp("finn")
    with finn_on_verilator(folder):
        yield folder


def test_missing_tools_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import finn.xsi

    monkeypatch.setenv("PHYFOLD_CXX", "no-such-compiler")
    assert not finn.xsi.is_available()
    with pytest.raises(ToolMissingError, match=r"g\+\+ not found"):
        finn.xsi.compile_sim_obj("top", [], tmp_path)
    monkeypatch.delenv("PHYFOLD_CXX")
    monkeypatch.setenv("PHYFOLD_VERILATOR_ROOT", str(tmp_path))
    with pytest.raises(ToolMissingError, match="verilator_bin"):
        finn.xsi.ensure_available()


@pytest.mark.verilator
def test_files_that_cannot_be_simulated(tmp_path: Path) -> None:
    top = tmp_path / "top.v"
    top.write_text("module top(input a, output b); assign b = nothing_of_the_kind(a); endmodule\n")
    for name, error, message in (
        ("core.vhd", NotImplementedError, "VHDL; Verilator reads Verilog"),
        ("core.xci", CompileError, "unknown kind of HDL file"),
        ("missing.sv", CompileError, "HDL file not found"),
    ):
        (tmp_path / "core.vhd").touch()
        with pytest.raises(error, match=message):
            finn_xsi.compile_sim_obj("top", [top, tmp_path / name], tmp_path)
    with pytest.raises(CompileError, match="no Verilog file"):
        finn_xsi.compile_sim_obj("top", [], tmp_path)
    (tmp_path / "work").mkdir()
    with pytest.raises(ToolError, match="nothing_of_the_kind"):
        finn_xsi.compile_sim_obj("top", [top], tmp_path / "work")
    with pytest.raises(NotImplementedError, match=r"hls\.sim\.fifo_sizing"):
        finn_xsi.compile_sim_obj("top", [top], tmp_path, fifosim=True)
    with pytest.raises(NotImplementedError, match="Vivado's simulator kernel"):
        finn_xsi.get_simkernel_so()


def test_designs_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="no compiled design there"):
        finn_xsi.load_sim_obj(tmp_path, Path("xsim.dir/top/xsimk.so"))
    (tmp_path / "xsimk.so").write_text("not a library")
    with pytest.raises(ToolError, match="no simulation library of ours"):
        finn_xsi.load_sim_obj(tmp_path, "xsimk.so")


def test_memory_files_of_one_name_are_refused(tmp_path: Path) -> None:
    """Two nodes whose memories, named without a folder, differ and are called the same."""
    sources = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "weights.dat").write_text(f"{name}\n")
        (tmp_path / name / "memblock.dat").write_text(f"{name}\n")
        sources.append(tmp_path / name / f"{name}.sv")
        named = f'"weights.dat" "{tmp_path}/{name}/memblock.dat"'
        sources[-1].write_text(f"module {name}; initial $display({named}); endmodule\n")
    found = finn_xsi_build.sort_files("a", sources)
    assert [path.name for path in found.data_files] == ["weights.dat", "weights.dat"]
    (tmp_path / "work").mkdir()
    with pytest.raises(StorageError, match="another memory file of that name"):
        finn_xsi_build.build_simulation(
            "a", sources, tmp_path / "work", debug=False, behavioral=False
        )


def test_repairs_leave_no_refused_construct_behind() -> None:
    """On FINN's installed files: if one changes, this says so before Verilator does."""
    from finn.util.settings import get_settings

    library = Path(get_settings().finn_rtllib)
    for name, folder in (("add_multi.sv", "mvu"), ("fifo.sv", "fifo/hdl")):
        repair = finn_xsi_build.REPAIRS[name]
        text = (library / folder / name).read_text()
        changed, count = re.subn(repair.pattern, repair.replacement, text, flags=re.MULTILINE)
        assert count == 1, name
        assert sorted(changed.replace(" packed", "")) == sorted(text.replace(" packed", ""))
        assert re.subn(repair.pattern, repair.replacement, changed, flags=re.MULTILINE)[1] == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ("hls", NotImplementedError, "an HLS layer; its Verilog comes from Vitis HLS"),
        ("plain", CompileError, "not an RTL layer"),
        ("axilite", NotImplementedError, r"memory-mapped port \(axilite\)"),
        ("bare", CompileError, "MVAU_rtl|first: its HDL is not generated"),
        ("width", CompileError, "port in0_V is 16 bits wide, the other end of acc 64"),
        ("external", NotImplementedError, "2 s_axis ports for 1 tensors"),
    ],
)
def test_graphs_that_cannot_be_stitched(
    change: str, error: type[Exception], message: str, tmp_path: Path
) -> None:
    model = network("rtl")
    first, middle, _ = model.graph.node
    if change == "hls":
        first.op_type, first.domain = "MVAU_hls", "finn.custom_op.fpgadataflow.hls"
    elif change == "plain":
        first.op_type, first.domain = "MatMul", ""
    elif change == "axilite":
        op_of(model, "Thresholding_rtl").set_nodeattr("runtime_writeable_weights", 1)
    elif change == "external":
        op_of(model, "MVAU_rtl").set_nodeattr("mem_mode", "external")
    if change != "width":
        model = prepared(model) if change in ("external", "axilite") else model
    else:
        from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

        op_of(model, "Thresholding_rtl").set_nodeattr("PE", 1)
        model = model.transform(PrepareIP(PART, CLK_NS))
    assert middle.name
    with pytest.raises(error, match=message):
        finn_xsi_stitch.stitch_nodes(model, tmp_path / "top")


def test_a_tensor_with_two_consumers_is_refused(tmp_path: Path) -> None:
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.util.basic import getHWCustomOp

    model = network("rtl")
    twin = copy.deepcopy(model.graph.node[1])
    twin.name, twin.output[0] = "twin", "codes_too"
    model.graph.node.append(twin)
    for node in model.graph.node:
        if node.name != "first":
            getHWCustomOp(node).set_nodeattr("PE", 4 if "Thresh" in node.op_type else 3)
    model = model.transform(PrepareIP(PART, CLK_NS))
    with pytest.raises(CompileError, match="tensor acc: 1 producers and 2 consumers") as caught:
        finn_xsi_stitch.stitch_nodes(model, tmp_path)
    assert "DuplicateStreams" in caught.value.hint


def test_a_folder_with_a_space_is_refused(tmp_path: Path) -> None:
    model = model_of([network("rtl").graph.node[0]], "x", "acc")

    class Package:
        top_name = "net_top"
        sources = (tmp_path / "net top.sv",)
        data_files = ()

    with pytest.raises(CompileError, match="cannot name a path with a space"):
        finn_xsi_stitch.use_package(model, Package(), tmp_path)

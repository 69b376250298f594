# SPDX-License-Identifier: Apache-2.0
"""FINN's rtlsim on Verilator: nodes, whole networks, and what FINN's engine must not notice."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hls.ir import Accelerator, Border, IntFormat, Layer, Stream
from hls.sim import finn_xsi, finn_xsi_build, finn_xsi_stitch
from models.errors import CompileError, StorageError, ToolError, ToolMissingError

pytest.importorskip("finn")
PART, CLK_NS = "xc7z020clg400-1", 10.0
VECTORS, WIDTH, HIDDEN, OUT, STEPS = 3, 12, 8, 6, 15
DOMAIN = "finn.custom_op.fpgadataflow.rtl"


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """FINN set up in a folder of its own, its rtlsim served by Verilator."""
    from hls.finn_env import setup_finn

    before = os.environ.get("FINN_BUILD_DIR")
    folder = tmp_path_factory.mktemp("finn")
    setup_finn(folder)
    with finn_xsi.installed():
        yield folder
    os.environ.pop("FINN_BUILD_DIR")
    if before is not None:
        os.environ["FINN_BUILD_DIR"] = before


def parameters() -> dict[str, np.ndarray]:
    """Weights and thresholds of the test network, as FINN keeps them."""
    rng = np.random.default_rng(1)
    return {
        "W0": rng.integers(-8, 8, (WIDTH, HIDDEN)),
        "T": np.sort(rng.integers(-2000, 2000, (HIDDEN, STEPS)), axis=1),
        "W1": rng.integers(-8, 8, (HIDDEN, OUT)),
    }


def expected(x: np.ndarray) -> np.ndarray:
    """The network in numpy, [1, vectors, OUT]."""
    p = parameters()
    acc = x.astype(np.int64) @ p["W0"]
    codes = (acc[..., None] >= p["T"]).sum(axis=-1)
    return codes @ p["W1"]


def frames(seed: int = 2) -> np.ndarray:
    """Input vectors [1, VECTORS, WIDTH], the extremes among them."""
    x = np.random.default_rng(seed).integers(-128, 128, (1, VECTORS, WIDTH))
    x[0, 0], x[0, 1, 0], x[0, 1, 1] = -128, 127, -128
    return x.astype(np.float32)


def mvau(name: str, style: str, tensors: tuple[str, str, str], **attributes: Any) -> Any:
    from onnx import helper

    fixed = {"resType": "dsp", "mem_mode": "internal_decoupled", "noActivation": 1}
    fixed |= {"numInputVectors": [1], "backend": "fpgadataflow", "weightDataType": "INT4"}
    return helper.make_node(
        f"MVAU_{style}",
        list(tensors[:2]),
        [tensors[2]],
        name=name,
        domain=DOMAIN,
        **{**fixed, **attributes},
    )


def thresholding(name: str, style: str, **attributes: Any) -> Any:
    from onnx import helper

    fixed = {"NumChannels": HIDDEN, "numSteps": STEPS, "inputDataType": "INT16", "PE": 4}
    fixed |= {"weightDataType": "INT16", "outputDataType": "UINT4", "backend": "fpgadataflow"}
    return helper.make_node(
        f"Thresholding_{style}",
        ["acc", "T"],
        ["codes"],
        name=name,
        domain=DOMAIN,
        **{**fixed, "numInputVectors": [1], **attributes},
    )


def model_of(nodes: list[Any], source: str, sink: str, vectors: int = 1) -> Any:
    """A FINN model of some of the test network's nodes, ``vectors`` input vectors at a time."""
    from onnx import TensorProto, helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.util.basic import qonnx_make_model

    tensors = {"x": (WIDTH, "INT8"), "acc": (HIDDEN, "INT16")}
    tensors |= {"codes": (HIDDEN, "UINT4"), "y": (OUT, "INT12")}
    info = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, vectors, width])
        for name, (width, _) in tensors.items()
    }
    used = {name for node in nodes for name in (*node.input, *node.output)}
    inner = [info[name] for name in info if name in used and name not in (source, sink)]
    graph = helper.make_graph(nodes, "net", [info[source]], [info[sink]], value_info=inner)
    model = ModelWrapper(qonnx_make_model(graph))
    for node in model.graph.node:
        if node.domain == DOMAIN:
            getCustomOp(node).set_nodeattr("numInputVectors", [1, vectors])
    for name, (_, datatype) in tensors.items():
        if name in used:
            model.set_tensor_datatype(name, DataType[datatype])
    for name, array in parameters().items():
        if name in used:
            model.set_initializer(name, array.astype(np.float32))
            model.set_tensor_datatype(name, DataType["INT16" if name == "T" else "INT4"])
    return model


def network(style: str, vectors: int = 1, pe: int = 4) -> Any:
    """MVAU, thresholds (folded by ``pe``), MVAU; style rtl is FINN's hardware, phy is ours."""
    types = {"inputDataType": "INT8", "outputDataType": "INT16", "accDataType": "INT16"}
    first = mvau("first", style, ("x", "W0", "acc"), MW=WIDTH, MH=HIDDEN, PE=4, SIMD=3, **types)
    types = {"inputDataType": "UINT4", "outputDataType": "INT12", "accDataType": "INT12"}
    last = mvau("last", style, ("codes", "W1", "y"), MW=HIDDEN, MH=OUT, PE=3, SIMD=4, **types)
    return model_of([first, thresholding("middle", style, PE=pe), last], "x", "y", vectors)


def prepared(model: Any, *, fifo_depth: int = 0) -> Any:
    """With width converters, FIFOs if asked for, and HDL."""
    from finn.transformation.fpgadataflow.insert_dwc import InsertDWC
    from finn.transformation.fpgadataflow.insert_fifo import InsertFIFO
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.general import GiveUniqueNodeNames

    model = model.transform(InsertDWC())
    if fifo_depth:
        model = model.transform(InsertFIFO(create_shallow_fifos=True))
    model = model.transform(SpecializeLayers(PART)).transform(GiveUniqueNodeNames())
    fifos = model.get_nodes_by_op_type("StreamingFIFO_rtl")
    for node in fifos[1:2]:
        getCustomOp(node).set_nodeattr("depth", fifo_depth)
    return model.transform(PrepareIP(PART, CLK_NS))


def run(model: Any, x: np.ndarray, mode: str) -> np.ndarray:
    """Node by node in FINN's execution mode ``mode``."""
    from finn.core.onnx_exec import execute_onnx
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode

    names = model.graph.input[0].name, model.graph.output[0].name
    model = model.transform(SetExecMode(mode), make_deepcopy=False)
    return execute_onnx(model, {names[0]: x})[names[1]]


def cycles(model: Any) -> dict[str, int]:
    """FINN's measured cycles of each node."""
    from finn.util.basic import getHWCustomOp

    return {n.op_type: getHWCustomOp(n).get_nodeattr("cycles_rtlsim") for n in model.graph.node}


@pytest.fixture(scope="module")
def nodes(finn: Path) -> Any:
    """FINN's network with every node compiled, by two processes."""
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim

    return prepared(network("rtl", VECTORS)).transform(PrepareRTLSim(num_workers=2))


@pytest.fixture
def first_node(nodes: Any) -> Iterator[Any]:
    """FINN's first MVAU, running and reset."""
    import finn.xsi

    sim = _op(nodes, "MVAU_rtl").get_rtlsim()
    finn.xsi.reset_rtlsim(sim)
    yield sim
    finn.xsi.close_rtlsim(sim)


def _op(model: Any, kind: str) -> Any:
    from finn.util.basic import getHWCustomOp

    return getHWCustomOp(model.get_nodes_by_op_type(kind)[0])


def test_install_can_be_repeated_and_undone(finn: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import finn.xsi

    served = finn.xsi.compile_sim_obj
    finn_xsi.install()
    assert finn.xsi.compile_sim_obj is served is finn_xsi.compile_sim_obj
    assert finn.xsi.is_available()
    assert finn.xsi.locate_glbl() is None
    monkeypatch.delenv("XILINX_VIVADO", raising=False)
    finn_xsi.uninstall()
    try:
        with pytest.raises(OSError, match="XILINX_VIVADO"):
            finn.xsi.is_available()
        assert "compile_sim_obj" not in vars(finn.xsi)
    finally:
        finn_xsi.install()
    assert finn.xsi.ensure_available()


@pytest.mark.verilator
def test_finns_nodes_give_finns_integers(nodes: Any) -> None:
    for seed in (2, 3):
        x = frames(seed)
        np.testing.assert_array_equal(run(nodes, x, "rtlsim"), expected(x))
        np.testing.assert_array_equal(run(nodes, x, "cppsim"), expected(x))
    measured = cycles(nodes)
    assert measured["Thresholding_rtl"] > VECTORS * HIDDEN // 4
    assert measured["MVAU_rtl"] > VECTORS * 4


@pytest.mark.verilator
def test_rtlsim_looks_at_the_hardware(nodes: Any) -> None:
    """Other thresholds in the hardware's memory, and FINN's rtlsim must differ from its model."""
    memory = Path(_op(nodes, "Thresholding_rtl").get_nodeattr("code_gen_dir_ipgen"))
    files = {path: path.read_text() for path in memory.glob("*_threshs_*.dat")}
    assert files
    try:
        for path, text in files.items():
            path.write_text(re.sub(r"\w+", "7fff", text))
        y = run(nodes, frames(), "rtlsim")
    finally:
        for path, text in files.items():
            path.write_text(text)
    np.testing.assert_array_equal(y, 0)  # no threshold reached: every code is 0
    assert np.any(expected(frames()) != 0)


@pytest.fixture(scope="module")
def whole(finn: Path) -> Any:
    """FINN's network with width converters and FIFOs, one of them deep, stitched."""
    model = prepared(network("rtl", VECTORS, pe=2), fifo_depth=300)
    top = finn_xsi_stitch.stitch_nodes(model, finn / "whole")
    assert top.name == "finn_design_wrapper.v"
    model.set_metadata_prop("exec_mode", "rtlsim")
    return model


@pytest.mark.verilator
def test_whole_network_of_finns_nodes(whole: Any) -> None:
    from finn.core.onnx_exec import execute_onnx

    kinds = {node.op_type for node in whole.graph.node}
    assert kinds > {"StreamingFIFO_rtl", "StreamingDataWidthConverter_rtl"}
    for seed in (2, 4):  # the second run finds the compiled design
        x = frames(seed)
        y = execute_onnx(whole, {whole.graph.input[0].name: x})[whole.graph.output[0].name]
        np.testing.assert_array_equal(y, expected(x))
    total = int(whole.get_metadata_prop("cycles_rtlsim"))
    slowest = VECTORS * WIDTH * HIDDEN // 12  # MACs of the first layer over PE * SIMD
    assert slowest < total < 4 * slowest


def _build_config(folder: Path, wanted: np.ndarray) -> Any:
    """FINN's builder asked for both rtlsim verifications, and the parent graph that it expects."""
    from finn.builder.build_dataflow_config import DataflowBuildConfig, VerificationStepType
    from finn.transformation.fpgadataflow.create_dataflow_partition import CreateDataflowPartition

    kinds = VerificationStepType
    np.save(folder / "in.npy", frames())
    np.save(folder / "out.npy", wanted.astype(np.float32))
    config = DataflowBuildConfig(
        output_dir=str(folder),
        synth_clk_period_ns=CLK_NS,
        fpga_part=PART,
        generate_outputs=[],
        verify_steps=[kinds.NODE_BY_NODE_RTLSIM, kinds.STITCHED_IP_RTLSIM],
        verify_input_npy=str(folder / "in.npy"),
        verify_expected_output_npy=str(folder / "out.npy"),
    )
    models = Path(config.get_intermediate_models_directory())
    models.mkdir(parents=True, exist_ok=True)
    parent = network("rtl", VECTORS).transform(
        CreateDataflowPartition(partition_model_dir=str(folder))
    )
    parent.save(str(models / "dataflow_parent.onnx"))
    return config


@pytest.mark.verilator
@pytest.mark.parametrize("error", [0, 1])
def test_finns_builder_verifies_by_rtlsim(
    nodes: Any, whole: Any, error: int, tmp_path: Path
) -> None:
    from finn.builder import build_dataflow_steps as steps

    config = _build_config(tmp_path, expected(frames()) + error)
    steps.step_hw_ipgen(copy.deepcopy(nodes), config)
    steps.verify_step(copy.deepcopy(whole), config, "stitched_ip_rtlsim", need_parent=True)
    found = {path.name for path in tmp_path.glob("verification_output/*.npy")}
    result = "FAIL" if error else "SUCCESS"
    assert {name.replace(".npy", "") for name in found} == {
        f"verify_node_by_node_rtlsim_0_{result}",
        f"verify_stitched_ip_rtlsim_0_{result}",
    }


@pytest.mark.verilator
def test_our_nodes_alone_and_together(finn: Path) -> None:
    from finn.core.onnx_exec import execute_onnx
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim

    model = prepared(network("phy"))
    whole = copy.deepcopy(model)
    part = model_of([model.graph.node[0]], "x", "acc").transform(PrepareRTLSim())
    x = frames()[:, 1:2]
    np.testing.assert_array_equal(run(part, x, "rtlsim"), x @ parameters()["W0"])
    assert list(part.graph.node[0].input) == ["x", "W0"]
    assert 8 < cycles(part)["MVAU_phy"] < 30
    finn_xsi_stitch.stitch_nodes(whole, finn / "ours")
    whole.set_metadata_prop("exec_mode", "rtlsim")
    y = execute_onnx(whole, {whole.graph.input[0].name: x})[whole.graph.output[0].name]
    np.testing.assert_array_equal(y, expected(x))


def accelerator() -> Accelerator:
    """The first layer of the test network as our compiler describes it."""
    x, acc = IntFormat(8, signed=True), IntFormat(16, signed=True)
    streams = (
        Stream("in", None, "first", x, 3, WIDTH // 3),
        Stream("out", "first", None, acc, 4, HIDDEN // 4),
    )
    p = {"mat_w": WIDTH, "mat_h": HIDDEN, "pe": 4, "simd": 3, "in_bits": 8, "in_signed": 1}
    p |= {"weight_bits": 4, "weight_signed": 1, "acc_bits": 16}
    weights = parameters()["W0"].T.copy()
    layer = Layer("first", "mvau", "first", ("in",), ("out",), p, {"weights": weights})
    borders = (
        Border("in", (WIDTH,), x, (1.0,), (0.0,), "codes"),
        Border("out", (HIDDEN,), acc, (1.0,), (0.0,), "soft"),
    )
    return Accelerator("net", (layer,), streams, *borders, clock_mhz=100.0)


@pytest.mark.verilator
def test_finn_runs_the_rtl_that_our_stitcher_writes(finn: Path) -> None:
    from finn.core.onnx_exec import execute_onnx

    from hls.stitch import write_rtl

    model = model_of([network("rtl").graph.node[0]], "x", "acc", VECTORS)  # FINN's node
    package = write_rtl(accelerator(), finn / "stitched")
    finn_xsi_stitch.use_package(model, package, finn / "wrapped")
    model.set_metadata_prop("exec_mode", "rtlsim")
    x = frames()
    np.testing.assert_array_equal(execute_onnx(model, {"x": x})["acc"], x @ parameters()["W0"])
    assert 24 < int(model.get_metadata_prop("cycles_rtlsim")) < 60


def _stream(sim: Any, beats: int, timeout: int) -> tuple[Any, ...]:
    """Stream weights and activations into the MVAU; everything that FINN's engine lets one see."""
    import finn.xsi
    from finn.util.exception import FINNUserError

    rng = np.random.default_rng(5)
    inputs = {"in0": [int(v) for v in rng.integers(0, 1 << 24, 4 * beats)]}
    inputs["in1"] = [int(v) for v in rng.integers(0, 1 << 48, 8)] * beats
    io = {"inputs": inputs, "outputs": {"out0": []}}
    start, error, count = sim.ticks, "", 0
    try:
        count = finn.xsi.rtlsim_multi_io(sim, io, 2 * beats, "_V", liveness_threshold=timeout)
    except FINNUserError as caught:
        error = str(caught)
    left = [type(task).__name__ for task in sim.tasks]
    levels = [(port.name(), port.as_hexstr()) for port in sim.top.ports() if port.isInput()]
    return count, sim.ticks - start, io["outputs"]["out0"], error, left, levels, sim.watchdogs


@pytest.mark.verilator
@pytest.mark.parametrize(("beats", "timeout"), [(40, 1000), (5, 9)])
def test_the_fast_way_is_finns_loop(
    nodes: Any, first_node: Any, beats: int, timeout: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import finn.xsi

    fast = _stream(first_node, beats, timeout)
    monkeypatch.setattr("hls.sim.finn_xsi_engine.is_plain", lambda _: False)
    slow_sim = _op(nodes, "MVAU_rtl").get_rtlsim()
    finn.xsi.reset_rtlsim(slow_sim)
    slow = _stream(slow_sim, beats, timeout)
    finn.xsi.close_rtlsim(slow_sim)
    assert fast == slow
    assert bool(fast[3]) == (timeout < 10)
    if timeout < 10:
        assert "timed out after 9 cycles" in fast[3]
        assert "out0_V timeout" in fast[3]
    else:
        assert fast[1] == fast[0] >= 8 * beats
        assert len(fast[2]) == 2 * beats


@pytest.mark.verilator
def test_ports_by_name(first_node: Any) -> None:
    top = first_node.top
    assert top.num_ports() == len(list(top.ports())) > 8
    data = top.getPort("in0_V_TDATA")
    assert (data.name(), data.width(), data.isInput(), data.isOutput()) == (
        *("in0_V_TDATA", 24),
        *(True, False),
    )
    data.set_hexstr("1a2b3c").write_back()
    assert data.clear().isZero()
    assert data.read().as_hexstr() == data.as_hexstr_2state() == "1a2b3c"
    assert data.set_binstr("101").as_binstr() == f"{5:024b}"
    assert data.set(1 << 24 | 3).as_unsigned() == 3
    assert not data.hasUnknown()
    with pytest.raises(RuntimeError, match="no port 'in7_V_TDATA'"):
        top.getPort("in7_V_TDATA")
    with pytest.raises(NotImplementedError, match="load it again"):
        top.restart()
    with pytest.raises(ToolError, match="no waveform file was named"):
        top.trace_all()
    assert top.get_status() == 0
    first_node.close()
    assert not first_node.is_open()
    with pytest.raises(ToolError, match="the simulation is closed"):
        top.run(1)


@pytest.mark.verilator
def test_waveform_and_axi_lite(finn: Path) -> None:
    """FINN's AXI-Lite access rewrites thresholds while the design runs."""
    import finn.xsi
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim

    node = thresholding("writable", "rtl", runtime_writeable_weights=1, rtlsim_trace="default")
    model = model_of([node], "acc", "codes").transform(PrepareIP(PART, CLK_NS))
    model = model.transform(PrepareRTLSim())
    op = _op(model, "Thresholding_rtl")
    sim = op.get_rtlsim()
    finn.xsi.reset_rtlsim(sim)
    row = parameters()["T"][0]
    before = sim.read_axilite("s_axilite", iter(range(0, 4 * STEPS, 4)))
    assert sim.run(1000) == []
    codes = np.array([int(before[4 * k], 16) for k in range(STEPS)], np.uint16).view(np.int16)
    np.testing.assert_array_equal(codes, row)
    sim.write_axilite("s_axilite", iter([(8, "0123")]))
    after = sim.read_axilite("s_axilite", iter([4, 8]))
    sim.run(1000)
    assert [int(after[k], 16) for k in (4, 8)] == [int(before[4], 16), 0x123]
    finn.xsi.close_rtlsim(sim)
    folder = Path(op.get_nodeattr("rtlsim_so")).parents[2]
    assert (folder / "writable.fst").stat().st_size > 1000


@pytest.mark.verilator
def test_an_unchanged_node_is_not_compiled_again(
    nodes: Any, finn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    op = copy.deepcopy(_op(nodes, "MVAU_rtl"))
    monkeypatch.setattr("hls.sim.verilate._build_library", lambda *_: pytest.fail("compiled again"))
    op.prepare_rtlsim(False)
    assert Path(op.get_nodeattr("rtlsim_so")).is_file()


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
        _op(model, "Thresholding_rtl").set_nodeattr("runtime_writeable_weights", 1)
    elif change == "external":
        _op(model, "MVAU_rtl").set_nodeattr("mem_mode", "external")
    if change != "width":
        model = prepared(model) if change in ("external", "axilite") else model
    else:
        from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

        _op(model, "Thresholding_rtl").set_nodeattr("PE", 1)
        model = model.transform(PrepareIP(PART, CLK_NS))
    assert middle.name
    with pytest.raises(error, match=message):
        finn_xsi_stitch.stitch_nodes(model, tmp_path / "top")


def test_a_tensor_with_two_consumers_is_refused(tmp_path: Path) -> None:
    model = network("rtl")
    twin = copy.deepcopy(model.graph.node[1])
    twin.name, twin.output[0] = "twin", "codes_too"
    model.graph.node.append(twin)
    for node in model.graph.node:
        if node.name != "first":
            _set(node, "PE", 4 if node.op_type == "Thresholding_rtl" else 3)
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    model = model.transform(PrepareIP(PART, CLK_NS))
    with pytest.raises(CompileError, match="tensor acc: 1 producers and 2 consumers") as caught:
        finn_xsi_stitch.stitch_nodes(model, tmp_path)
    assert "DuplicateStreams" in caught.value.hint


def _set(node: Any, name: str, value: int) -> None:
    from finn.util.basic import getHWCustomOp

    getHWCustomOp(node).set_nodeattr(name, value)


def test_a_folder_with_a_space_is_refused(tmp_path: Path) -> None:
    model = model_of([network("rtl").graph.node[0]], "x", "acc")

    class Package:
        top_name = "net_top"
        sources = (tmp_path / "net top.sv",)
        data_files = ()

    with pytest.raises(CompileError, match="cannot name a path with a space"):
        finn_xsi_stitch.use_package(model, Package(), tmp_path)

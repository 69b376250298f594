# SPDX-License-Identifier: Apache-2.0
"""FINN's rtlsim on Verilator: nodes, whole networks, and what FINN's engine must not notice."""

from __future__ import annotations

import copy
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sim_finn import (
    CLK_NS,
    HIDDEN,
    PART,
    STEPS,
    VECTORS,
    WIDTH,
    accelerator,
    cycles,
    expected,
    finn_on_verilator,
    frames,
    model_of,
    network,
    op_of,
    parameters,
    prepared,
    run,
    thresholding,
)

from hls.sim import finn_xsi, finn_xsi_stitch
from models.errors import ToolError

pytest.importorskip("finn")


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """FINN in a folder of its own."""
    folder = tmp_path_factory.mktemp("finn")
    with finn_on_verilator(folder):
        yield folder


@pytest.fixture(scope="module")
def nodes(finn: Path) -> Any:
    """FINN's network with every node compiled, by two processes."""
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim

    return prepared(network("rtl", VECTORS)).transform(PrepareRTLSim(num_workers=2))


@pytest.fixture
def first_node(nodes: Any) -> Iterator[Any]:
    """FINN's first MVAU, running and reset."""
    import finn.xsi

    sim = op_of(nodes, "MVAU_rtl").get_rtlsim()
    finn.xsi.reset_rtlsim(sim)
    yield sim
    finn.xsi.close_rtlsim(sim)


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
        assert "xsi" not in sys.modules
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
    memory = Path(op_of(nodes, "Thresholding_rtl").get_nodeattr("code_gen_dir_ipgen"))
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
    slow_sim = op_of(nodes, "MVAU_rtl").get_rtlsim()
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
    op = op_of(model, "Thresholding_rtl")
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
    op = copy.deepcopy(op_of(nodes, "MVAU_rtl"))
    monkeypatch.setattr("hls.sim.verilate._build_library", lambda *_: pytest.fail("compiled again"))
    op.prepare_rtlsim(False)
    assert Path(op.get_nodeattr("rtlsim_so")).is_file()

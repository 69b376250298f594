# SPDX-License-Identifier: Apache-2.0
"""Our layers are ordinary FINN nodes: executed, folded, estimated and simulated by FINN itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp

from hls import reference
from hls.compiler import CompileOptions, FoldingTarget, compile_model
from hls.costs import layer_cost
from hls.devices import device
from hls.finn_env import setup_finn
from hls.ir import Accelerator
from models.errors import CompileError

FOLDED = "07_folded.onnx"


@pytest.fixture(params=["power_of_two_mlp", "foreign_mlp", "balanced_mlp"])
def compiled(
    request: pytest.FixtureRequest, mlp: ModuleType, tmp_path: Path
) -> tuple[Accelerator, ModelWrapper]:
    """An accelerator and its folded FINN graph."""
    path = getattr(mlp, request.param)(tmp_path / "net.onnx")
    options = CompileOptions(folding=FoldingTarget(cycles=40))
    acc = compile_model(path, tmp_path / "out", options)
    return acc, ModelWrapper(str(tmp_path / "out" / FOLDED))


def codes_for(acc: Accelerator, count: int) -> np.ndarray:
    fmt = acc.input.fmt
    return np.random.default_rng(0).integers(fmt.min, fmt.max + 1, (count, *acc.input.shape))


def test_qonnx_executes_the_folded_graph(compiled: tuple[Accelerator, ModelWrapper]) -> None:
    acc, model = compiled
    codes = codes_for(acc, 10)
    entry, output = model.graph.input[0].name, model.graph.output[0].name
    rows = [execute_onnx(model, {entry: c[None].astype(np.float32)})[output] for c in codes]
    np.testing.assert_array_equal(np.concatenate(rows), reference.run(acc, codes))


def test_cycles_and_resources_come_from_our_models(
    compiled: tuple[Accelerator, ModelWrapper],
) -> None:
    acc, model = compiled
    part = device("xc7z020")
    for node, layer in zip(model.graph.node, acc.layers, strict=True):
        op = getCustomOp(node)
        estimate = op.node_res_estimation("xc7z020clg400-1")
        cost = layer_cost(layer, part)
        assert node.name == layer.source
        assert (estimate["LUT"], estimate["BRAM_18K"]) == (cost.lut, cost.bram18)
        assert estimate["LUT"] > 0
        beats = [acc.stream(s).beats_per_frame for s in (*layer.inputs, *layer.outputs)]
        if "mvau" in layer.kind:
            p = layer.params
            beats.append(p["mat_w"] // p["simd"] * (p["mat_h"] // p["pe"]))
        assert op.get_exp_cycles() == max(beats)
        with pytest.raises(CompileError, match="part 'xyz' is unknown"):
            op.node_res_estimation("xyz")


def test_finn_analysis_passes_run(compiled: tuple[Accelerator, ModelWrapper]) -> None:
    from finn.analysis.fpgadataflow.exp_cycles_per_layer import exp_cycles_per_layer

    acc, model = compiled
    cycles = model.analysis(exp_cycles_per_layer)
    assert set(cycles) == {la.source for la in acc.layers}
    assert max(cycles.values()) <= 40


@pytest.fixture
def verilated_finn(tmp_path: Path) -> Iterator[None]:
    """FINN whose rtlsim is Verilator."""
    from hls.sim import finn_xsi

    setup_finn(tmp_path / "finn")
    finn_xsi.install()
    yield
    finn_xsi.uninstall()


@pytest.mark.verilator
@pytest.mark.usefixtures("verilated_finn")
def test_finn_simulates_the_nodes_one_by_one(mlp: ModuleType, tmp_path: Path) -> None:
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode

    path = mlp.balanced_mlp(tmp_path / "net.onnx", sizes=(8, 8, 4), block=4, nnz=1)
    options = CompileOptions(output="hard_pairs", folding=FoldingTarget(cycles=16))
    acc = compile_model(path, tmp_path / "out", options)
    setup_finn(tmp_path / "finn")
    model = ModelWrapper(str(tmp_path / "out" / FOLDED))
    model = model.transform(PrepareIP("xc7z020clg400-1", 10.0))
    model = model.transform(PrepareRTLSim()).transform(SetExecMode("rtlsim"))
    codes = codes_for(acc, 3)
    entry, output = model.graph.input[0].name, model.graph.output[0].name
    rows = [execute_onnx(model, {entry: c[None].astype(np.float32)})[output] for c in codes]
    np.testing.assert_array_equal(np.concatenate(rows), reference.run(acc, codes))
    for node in model.graph.node:
        assert getCustomOp(node).get_nodeattr("cycles_rtlsim") > 0

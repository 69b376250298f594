# SPDX-License-Identifier: Apache-2.0
"""The image kernels as FINN nodes: executed, estimated, extracted and simulated by FINN itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.custom_op.registry import getCustomOp
from qonnx.util.basic import qonnx_make_model

from hls import reference
from hls.costs import layer_cost
from hls.cycles import layer_cycles
from hls.devices import device
from hls.extract import extract
from hls.finn_env import RTL_DOMAIN, setup_finn
from hls.ir import Accelerator, Border, IntFormat
from hls.reference import run_ports
from models.errors import CompileError

PART, CLK_NS = "xc7z020clg400-1", 10.0
SIZE = (1, 4, 4, 4)
TENSORS = {
    "x": ("UINT4", SIZE),
    "a": ("UINT4", (1, 4, 4, 2)),
    "b": ("UINT4", (1, 4, 4, 2)),
    "c": ("UINT4", SIZE),
    "c0": ("UINT4", SIZE),
    "c1": ("UINT4", SIZE),
    "d": ("UINT5", SIZE),
    "e": ("UINT7", (1, 2, 2, 4)),
    "f": ("UINT7", SIZE),
    "g": ("UINT7", (1, 4, 4, 36)),
    "y": ("INT15", (1, 4, 4, 2)),
}
PIXELS: dict[str, Any] = {"numInputVectors": [1, 4, 4]}
NODES: dict[str, tuple[str, list[str], list[str], dict[str, Any]]] = {
    "split": (
        "StreamingSplit_phy",
        ["x"],
        ["a", "b"],
        {"SIMD": 2, "ChannelsPerStream": [2, 2], "inputDataType": "UINT4", **PIXELS},
    ),
    "cat": (
        "StreamingConcat_phy",
        ["b", "a"],
        ["c"],
        {"SIMD": 2, "ChannelsPerStream": [2, 2], "inputDataTypes": ["UINT4"] * 2, **PIXELS},
    ),
    "dup": (
        "DuplicateStreams_phy",
        ["c"],
        ["c0", "c1"],
        {"PE": 2, "NumChannels": 4, "NumOutputStreams": 2, "inputDataType": "UINT4", **PIXELS},
    ),
    "add": (
        "AddStreams_phy",
        ["c0", "c1"],
        ["d"],
        {
            **{"PE": 2, "lhs_dtype": "UINT4", "rhs_dtype": "UINT4", "out_dtype": "UINT5"},
            **{f"{side}_shape": list(SIZE) for side in ("lhs", "rhs", "out")},
        },
    ),
    "pool": (
        "Pool_phy",
        ["d"],
        ["e"],
        {
            **{"Channels": 4, "PE": 2, "KernelSize": [2, 2], "Function": "AccPool"},
            **{"OutImgDims": [2, 2], "InputDataType": "UINT5", "OutputDataType": "UINT7"},
        },
    ),
    "up": (
        "UpsampleNearestNeighbour_phy",
        ["e"],
        ["f"],
        {
            **{"SIMD": 2, "HI": 2, "WI": 2, "HO": 4, "WO": 4, "NumChannels": 4},
            "inputDataType": "UINT7",
        },
    ),
    "win": (
        "Window_phy",
        ["f"],
        ["g"],
        {
            **{"ConvKernelDim": [3, 3], "IFMChannels": 4, "IFMDim": [4, 4], "OFMDim": [4, 4]},
            **{"SIMD": 2, "Stride": [1, 1], "Dilation": [1, 1], "Padding": [1, 1, 1, 1]},
            **{"inputDataType": "UINT7", "outputDataType": "UINT7"},
        },
    ),
    "fc": (
        "MVAU_phy",
        ["g", "W"],
        ["y"],
        {
            **{"PE": 1, "SIMD": 2, "MW": 36, "MH": 2, "noActivation": 1, **PIXELS},
            **{"inputDataType": "UINT7", "weightDataType": "INT4", "outputDataType": "INT15"},
            "mem_mode": "internal_embedded",
        },
    ),
}


@pytest.fixture(scope="module", autouse=True)
def finn(tmp_path_factory: pytest.TempPathFactory) -> None:
    """FINN with our layers."""
    setup_finn(tmp_path_factory.mktemp("finn"))


def make(nodes: dict[str, Any] = NODES) -> ModelWrapper:
    """A graph of the nodes with random weights."""
    tensors = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, (_, shape) in TENSORS.items()
    }
    made = [
        helper.make_node(
            op, ins, outs, name, domain=RTL_DOMAIN, backend="fpgadataflow", **attributes
        )
        for name, (op, ins, outs, attributes) in nodes.items()
    ]
    inner = [info for name, info in tensors.items() if name not in ("x", "y")]
    body = helper.make_graph(made, "images", [tensors["x"]], [tensors["y"]], value_info=inner)
    model = ModelWrapper(qonnx_make_model(body))
    for name, (datatype, _) in TENSORS.items():
        model.set_tensor_datatype(name, DataType[datatype])
    model.set_initializer("W", np.random.default_rng(1).integers(-8, 8, (36, 2)).astype(np.float32))
    model.set_tensor_datatype("W", DataType["INT4"])
    return model


def accelerator(model: ModelWrapper) -> Accelerator:
    """The same as an accelerator."""
    fmt, out = IntFormat(4, signed=False), IntFormat(15, signed=True)
    borders = (
        Border("", SIZE[1:], fmt, (1.0,), (0.0,), "codes"),
        Border("", (4, 4, 2), out, (1.0,), (0.0,), "codes"),
    )
    return extract(model, "images", borders, 100.0, {})


def images(count: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 16, (count, *SIZE[1:]))


def test_the_graph_computes_what_the_reference_does() -> None:
    model = make()
    acc = accelerator(model)
    codes = images(5)
    rows = [execute_onnx(model, {"x": c[None].astype(np.float32)})["y"] for c in codes]
    expected = reference.run(acc, codes)
    np.testing.assert_array_equal(np.concatenate(rows).reshape(5, -1), expected)
    assert len(np.unique(expected)) > 20
    assert [layer.kind for layer in acc.layers] == [
        *("split", "concat", "duplicate", "add", "pool", "upsample", "window", "mvau")
    ]
    assert acc.layer("fc").params["vectors"] == 16


def test_cycles_and_resources_come_from_our_models() -> None:
    model = make()
    acc, part = accelerator(model), device("xc7z020")
    for node, layer in zip(model.graph.node, acc.layers, strict=True):
        op = getCustomOp(node)
        beats = acc.stream(layer.inputs[0]).beats_per_frame
        assert op.get_exp_cycles() == layer_cycles(layer, beats).ii
        estimate, cost = op.node_res_estimation(PART), layer_cost(layer, part)
        assert (estimate["LUT"], estimate["BRAM_18K"]) == (cost.lut, cost.bram18)
        assert estimate["LUT"] > 0
        for index, name in enumerate(layer.outputs):
            folded = op.get_folded_output_shape(index)
            stream = acc.stream(name)
            assert int(np.prod(folded[:-1])) == stream.beats_per_frame
            assert folded[-1] == stream.elems_per_beat


def test_shapes_and_datatypes_are_inferred() -> None:
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    model = make().transform(InferShapes()).transform(InferDataTypes())
    for name, (datatype, shape) in TENSORS.items():
        assert tuple(model.get_tensor_shape(name)) == shape, name
        assert model.get_tensor_datatype(name).name == datatype, name


@pytest.fixture
def verilated_finn() -> Iterator[None]:
    """FINN whose rtlsim is Verilator."""
    from hls.sim import finn_xsi

    finn_xsi.install()
    yield
    finn_xsi.uninstall()


@pytest.mark.verilator
@pytest.mark.usefixtures("verilated_finn")
def test_finn_simulates_the_nodes_one_by_one() -> None:
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.prepare_rtlsim import PrepareRTLSim
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode

    model = make()
    acc = accelerator(model)
    model = model.transform(PrepareIP(PART, CLK_NS))
    model = model.transform(PrepareRTLSim()).transform(SetExecMode("rtlsim"))
    (codes,) = images(1)[None]
    got = execute_onnx(model, {"x": codes.astype(np.float32)}, return_full_exec_context=True)
    traced = reference.trace(acc, codes)
    for node, layer in zip(model.graph.node, acc.layers, strict=True):
        expected = run_ports(layer, [traced[name] for name in layer.inputs])
        for name, values in zip(node.output, expected, strict=True):
            np.testing.assert_array_equal(got[name].reshape(1, -1), values, node.name)
        assert getCustomOp(node).get_nodeattr("cycles_rtlsim") > 0


@pytest.mark.verilator
@pytest.mark.usefixtures("verilated_finn")
def test_finn_simulates_the_stitched_graph(tmp_path: Path) -> None:
    from finn.core.onnx_exec import execute_onnx as execute_hardware
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP

    from hls.finn_ops.fifos import insert_fifos
    from hls.sim.finn_xsi_stitch import stitch_nodes

    model = make()
    # b goes first into the concat, a waits for it: two beats of a pixel
    acc = accelerator(model).with_fifo_depths({"split_cat": 4})
    model = insert_fifos(model, acc).transform(PrepareIP(PART, CLK_NS))
    stitch_nodes(model, tmp_path / "top")
    model.set_metadata_prop("exec_mode", "rtlsim")
    codes = images(2)
    rows = [execute_hardware(model, {"x": c[None].astype(np.float32)})["y"] for c in codes]
    expected = reference.run(acc, codes)
    np.testing.assert_array_equal(np.concatenate(rows).reshape(2, -1), expected)


def test_fifos_go_to_the_port_that_they_belong_to() -> None:
    from hls.finn_ops.fifos import insert_fifos

    model = make()
    acc = accelerator(model).with_fifo_depths({"split_cat": 5, "dup_add_1": 7})
    fifos = {
        node.name: (list(node.input), list(node.output))
        for node in insert_fifos(model, acc).graph.node
        if node.op_type == "StreamingFIFO_phy"
    }
    assert fifos == {
        "fifo_split_cat": (["a"], ["fifo_split_cat_out"]),
        "fifo_dup_add_1": (["c1"], ["fifo_dup_add_1_out"]),
    }
    changed = insert_fifos(model, acc)
    assert list(changed.get_nodes_by_op_type("StreamingConcat_phy")[0].input) == [
        "b",
        "fifo_split_cat_out",
    ]
    codes = images(1)
    x = {"x": codes.astype(np.float32)}
    np.testing.assert_array_equal(execute_onnx(changed, x)["y"], execute_onnx(model, x)["y"])


@pytest.mark.parametrize(
    ("node", "attribute", "value", "message"),
    [
        ("win", "Stride", [2, 2], r"win: Stride=\[2, 2\]: a window has 1"),
        ("win", "depthwise", 1, "win: depthwise: a window has all channels"),
        ("pool", "Function", "QuantAvgPool", "pool: Function=QuantAvgPool .* keeps the sign"),
        ("up", "HO", 5, "up: HO=5 must be a multiple of HI=2"),
        ("dup", "NumOutputStreams", 3, "dup: has 2 outputs, a duplicate has 2"),
        ("cat", "inputDataTypes", ["UINT4", "INT4"], "joins two streams of one datatype"),
        ("split", "ChannelsPerStream", [2, 1, 1], r"splits into \[2, 1, 1\]; a split has 2"),
        ("add", "rhs_dtype", "INT4", "both must be alike"),
    ],
)
def test_what_a_kernel_does_not_have_is_refused(
    node: str, attribute: str, value: Any, message: str
) -> None:
    op, ins, outs, attributes = NODES[node]
    model = make({**NODES, node: (op, ins, outs, {**attributes, attribute: value})})
    with pytest.raises(CompileError, match=message):
        getCustomOp(next(n for n in model.graph.node if n.name == node)).ir_params()


def test_a_fork_without_a_duplicate_is_refused() -> None:
    nodes = {**NODES, "add": ("AddStreams_phy", ["c", "c1"], ["d"], NODES["add"][3])}
    with pytest.raises(CompileError, match="tensor c: goes to dup and to add"):
        accelerator(make(nodes))

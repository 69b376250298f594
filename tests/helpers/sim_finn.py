# SPDX-License-Identifier: Apache-2.0
"""A small network as a FINN model, of FINN's hardware or ours, for tests of FINN's rtlsim."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from hls.ir import Accelerator, Border, IntFormat, Layer, Stream
from hls.sim import finn_xsi

PART, CLK_NS = "xc7z020clg400-1", 10.0
VECTORS, WIDTH, HIDDEN, OUT, STEPS = 3, 12, 8, 6, 15
DOMAIN = "finn.custom_op.fpgadataflow.rtl"


@contextmanager
def finn_on_verilator(folder: Path) -> Iterator[None]:
    """FINN set up in ``folder``, its rtlsim served by Verilator."""
    from hls.finn_env import setup_finn

    before = os.environ.get("FINN_BUILD_DIR")
    setup_finn(folder)
    with finn_xsi.installed():
        yield
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
    """Node of a matrix-vector unit without activation."""
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
    """Node of the network's thresholds."""
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


def op_of(model: Any, kind: str) -> Any:
    """FINN's object for the first node of a kind."""
    from finn.util.basic import getHWCustomOp

    return getHWCustomOp(model.get_nodes_by_op_type(kind)[0])


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

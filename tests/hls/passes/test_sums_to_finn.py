# SPDX-License-Identifier: Apache-2.0
"""Sums become the nodes that FINN's own pass makes of them."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from qonnx.transformation.infer_shapes import InferShapes

from hls.finn_env import setup_finn
from hls.passes.decision import decide
from hls.passes.streamline import integer_activations_step, integer_weights_step
from hls.passes.sums_to_finn import SumsToFinn
from hls.passes.tidy import tidy
from hls.qonnx_exec import load_model

NETWORKS = ("residual", "sum_of_one", "nested", "unsigned", "pixels")


def network(cnn: ModuleType, name: str, path: Path) -> None:
    """Networks of x + y, x + x, ((x + x) + (x + x)) + ..., unsigned codes, behind a pool."""
    if name == "residual":
        cnn.residual(path)
        return
    b = cnn.ImageBuilder()
    signed = name != "unsigned"
    x = b.quant("x", 0.25, 4, signed=signed)
    if name == "pixels":
        x = b.op("Add", [b.pool(x, (2, 2)), b.pool(x, (2, 2))])
    elif name == "unsigned":
        x = b.op("Add", [x, b.relu(b.conv(x, (2, 2)), 0.25)])
    else:
        for _ in range(1 if name == "sum_of_one" else 4):
            x = b.op("Add", [x, x])
    shape = (2, 2, 2) if name == "pixels" else (2, 4, 4)
    b.model((2, 4, 4), shape, b.conv(x, (2, 2), (1, 1)), path)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_model_is_that_of_finns_pass(cnn: ModuleType, name: str, tmp_path: Path) -> None:
    setup_finn(tmp_path / "finn")
    from finn.transformation.fpgadataflow.convert_to_hw.elementwise_binary_operation import (
        InferElementwiseBinaryOperation,
    )

    network(cnn, name, tmp_path / "net.onnx")
    model: Any = integer_weights_step(tidy(load_model(tmp_path / "net.onnx")))
    model = decide(integer_activations_step(model)[0], "soft", "output").model
    model = model.transform(InferShapes())
    ours, theirs = model.transform(SumsToFinn()), model.transform(InferElementwiseBinaryOperation())
    sums = [n for n in theirs.graph.node if n.op_type == "ElementwiseAdd"]
    assert len(sums) == sum(n.op_type == "Add" for n in model.graph.node) > 0
    assert list(ours.graph.node) == list(theirs.graph.node)
    for tensor in theirs.get_all_tensor_names():
        assert ours.get_tensor_shape(tensor) == theirs.get_tensor_shape(tensor), tensor
        assert ours.get_tensor_datatype(tensor) == theirs.get_tensor_datatype(tensor), tensor

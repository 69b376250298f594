# SPDX-License-Identifier: Apache-2.0
"""FINN's layers of images, our nodes for them, and their folding in the graph."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

from hls import reference
from hls.borders import channels_last, decide_outputs, to_codes
from hls.compiler import CompileOptions
from hls.devices import device
from hls.extract import extract
from hls.finn_env import setup_finn
from hls.folding import Fold, apply_folding, choices, solve_cycles
from hls.ir import Accelerator, Border
from hls.passes.decision import decide
from hls.passes.fold import ApplyFolding, InsertWidthConverters
from hls.passes.graph import attribute, custom
from hls.passes.integer_input import input_border
from hls.passes.specialize import SpecializeToPhy
from hls.passes.specialize_images import SpecializeImages
from hls.passes.streamline import integer_activations_step, integer_weights_step
from hls.passes.tidy import tidy
from hls.passes.to_finn import SignedAccumulators, to_finn
from hls.qonnx_exec import load_model, run_qonnx
from models.errors import CompileError

NETWORKS = ["conv_chain", "encoder", "decoder", "fire", "residual", "pooled_sums"]
PART = device(CompileOptions().part)


@pytest.fixture(params=NETWORKS)
def finn(
    request: pytest.FixtureRequest, cnn: ModuleType, tmp_path: Path
) -> tuple[ModelWrapper, tuple[Border, Border], Path]:
    """FINN's layers of each network, borders, and the file."""
    path = getattr(cnn, request.param)(tmp_path / "net.onnx")
    tidied = tidy(load_model(path))
    decided = decide(integer_activations_step(integer_weights_step(tidied))[0], "soft", "output")
    setup_finn(tmp_path / "finn")
    return to_finn(decided.model), (input_border(tidied, "input"), decided.output), path


def specialize(model: ModelWrapper) -> ModelWrapper:
    return model.transform(SpecializeToPhy(PART, "auto", "auto")).transform(SpecializeImages())


def codes_and_golden(path: Path, borders: tuple[Border, Border]) -> tuple[Any, Any]:
    shape = load_model(path).get_tensor_shape("x")
    x = np.random.default_rng(0).normal(0, 1, (20, *shape[1:])).astype(np.float32)
    return to_codes(borders[0], x), decide_outputs(run_qonnx(path, x), "soft", borders[1])


def test_nodes_are_ours_named_in_order_and_a_second_run_changes_nothing(
    finn: tuple[ModelWrapper, tuple[Border, Border], Path],
) -> None:
    model, borders, path = finn
    once = specialize(model)
    assert all(n.op_type.endswith("_phy") for n in once.graph.node)
    names = [n.name for n in once.graph.node]
    assert len(set(names)) == len(names)
    for prefix in {n.rstrip("0123456789") for n in names}:
        own = [n for n in names if n.rstrip("0123456789") == prefix]
        assert own == [f"{prefix}{i}" for i in range(len(own))]
    text = once.model.SerializeToString(deterministic=True)
    assert once.transform(SpecializeImages()).model.SerializeToString(deterministic=True) == text
    codes, golden = codes_and_golden(path, borders)
    result = run_qonnx(once, codes.astype(np.float32))
    np.testing.assert_array_equal(result.reshape(len(codes), -1), golden)


def test_types_of_neighbours_agree(
    finn: tuple[ModelWrapper, tuple[Border, Border], Path],
) -> None:
    first, _, _ = finn
    for model in (first, first.transform(SignedAccumulators()), specialize(first)):
        for node in model.graph.node:
            for port, tensor in enumerate(node.output):
                given = custom(node).get_output_datatype(port)
                assert model.get_tensor_datatype(tensor) == given, node.name
                for user in model.find_consumers(tensor):
                    index = list(user.input).index(tensor)
                    assert custom(user).get_input_datatype(index) == given, user.name


@pytest.mark.parametrize("cycles", [600, 1500, 10_000])
def test_the_folded_graph_is_the_folded_accelerator(
    finn: tuple[ModelWrapper, tuple[Border, Border], Path], cycles: int
) -> None:
    model, borders, path = finn
    base = specialize(model)
    acc = extract(base, "net", borders, 100.0, {})
    folding = solve_cycles(acc, cycles, PART)
    folded = base.transform(ApplyFolding(folding)).transform(InsertWidthConverters())
    text = folded.model.SerializeToString(deterministic=True)
    again = folded.transform(ApplyFolding(folding)).transform(InsertWidthConverters())
    assert again.model.SerializeToString(deterministic=True) == text
    from_graph = extract(folded, "net", borders, 100.0, {})
    assert shape(from_graph) == shape(apply_folding(acc, folding))
    codes, golden = codes_and_golden(path, borders)
    np.testing.assert_array_equal(reference.run(from_graph, codes), golden)
    result = run_qonnx(folded, codes.astype(np.float32))
    np.testing.assert_array_equal(result.reshape(len(codes), -1), golden)
    context = {folded.graph.input[0].name: codes[:1].astype(np.float32)}
    finns = execute_onnx(folded, context)[folded.graph.output[0].name]
    np.testing.assert_array_equal(finns.reshape(1, -1), golden[:1])


def shape(acc: Accelerator) -> list[tuple[Any, ...]]:
    """Layers and streams, without their order and names of converters."""
    layers = [(la.kind, tuple(sorted(la.params.items()))) for la in acc.layers]
    streams = [(s.elems_per_beat, s.beats_per_frame, str(s.fmt)) for s in acc.streams]
    return [*sorted(layers), *sorted(streams)]


def test_every_legal_folding_of_a_layer_alone_is_carried_through(
    cnn: ModuleType, tmp_path: Path
) -> None:
    path = cnn.fire(tmp_path / "net.onnx")
    tidied = tidy(load_model(path))
    decided = decide(integer_activations_step(integer_weights_step(tidied))[0], "soft", "output")
    setup_finn(tmp_path / "finn")
    base = specialize(to_finn(decided.model))
    borders = (input_border(tidied, "input"), decided.output)
    acc = extract(base, "net", borders, 100.0, {})
    slowest = {la.source: choices(la)[0] for la in acc.layers}
    codes, golden = codes_and_golden(path, borders)
    for layer in acc.layers:
        fold = choices(layer)[-1]
        folding = {**slowest, layer.source: fold}
        model = base.transform(ApplyFolding(folding)).transform(InsertWidthConverters())
        folded = extract(model, "net", borders, 100.0, {})
        np.testing.assert_array_equal(reference.run(folded, codes[:5]), golden[:5])


def test_a_fork_in_three_is_two_duplicates(cnn: ModuleType, tmp_path: Path) -> None:
    path = cnn.residual(tmp_path / "net.onnx")
    ints = integer_activations_step(integer_weights_step(tidy(load_model(path))))[0]
    setup_finn(tmp_path / "finn")
    finn = to_finn(decide(ints, "soft", "output").model)
    outputs = [len(n.output) for n in finn.graph.node if n.op_type == "DuplicateStreams"]
    assert outputs == [2, 3]
    model = specialize(finn)
    duplicates = [n for n in model.graph.node if n.op_type == "DuplicateStreams_phy"]
    assert [attribute(n, "NumOutputStreams") for n in duplicates] == [2, 2, 2]
    assert [len(n.output) for n in duplicates] == [2, 2, 2]


def test_a_folding_that_does_not_divide_is_named(cnn: ModuleType, tmp_path: Path) -> None:
    path = cnn.fire(tmp_path / "net.onnx")
    tidied = tidy(load_model(path))
    decided = decide(integer_activations_step(integer_weights_step(tidied))[0], "soft", "output")
    setup_finn(tmp_path / "finn")
    model = specialize(to_finn(decided.model))
    acc = extract(model, "net", (input_border(tidied, "i"), decided.output), 100.0, {})
    folding = {la.source: choices(la)[0] for la in acc.layers}
    with pytest.raises(CompileError, match=r"win0: PE=3 must divide channels=2; choices: \[1, 2\]"):
        apply_folding(acc, {**folding, "win0": Fold(3)})
    with pytest.raises(CompileError, match=r"cat0: PE=8 must divide the channels of both sides"):
        apply_folding(acc, {**folding, "cat0": Fold(8)})


def test_sums_of_unsigned_codes_stay_unsigned(cnn: ModuleType, tmp_path: Path) -> None:
    b = cnn.ImageBuilder()
    x = b.quant("x", 0.25, 4, signed=False)
    y = b.relu(b.conv(x, (2, 2)), 0.25)
    x = b.conv(b.op("Add", [x, y]), (2, 2), (1, 1))
    path = tmp_path / "net.onnx"
    b.model((2, 3, 4), (2, 3, 4), x, path)
    model = load_model(path)
    ints = integer_activations_step(integer_weights_step(tidy(model)))[0]
    setup_finn(tmp_path / "finn")
    finn = to_finn(decide(ints, "soft", "output").model)
    add = next(n for n in finn.graph.node if n.op_type == "ElementwiseAdd")
    assert custom(add).get_output_datatype().name == "UINT5"
    x = np.random.default_rng(0).integers(0, 16, (30, 2, 3, 4)).astype(np.float32)
    expected = channels_last(run_qonnx(model, x * np.float32(0.25)))
    np.testing.assert_array_equal(run_qonnx(finn, channels_last(x)) * 0.25 * 0.125, expected)

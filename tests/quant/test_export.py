# SPDX-License-Identifier: Apache-2.0
"""First links of the golden chain: Brevitas evaluation = QONNX execution, as equal floats.

Equality needs no tolerance: scales are powers of two and biases lie on the accumulator's grid, so
that no float32 operation rounds.
"""

from pathlib import Path

import numpy as np
import pytest
import torch

from models.errors import ExportError
from models.fullycon import FullyCon, FullyConShape
from quant.export import export_qonnx_file
from quant.network import QuantFullyCon, calibrate, scales_of
from quant.recipe import NetworkConfig, PruningConfig, QuantConfig, Recipe
from quant.train import TrainOptions, train_recipe

SHAPE = FullyConShape(8, 12, 2, 4)
NETWORK = NetworkConfig(inputs=8, width=12, depth=2, bits=4)


def small(bits: int, act_bits: int, scale: str) -> tuple[Recipe, QuantFullyCon]:
    torch.manual_seed(bits)
    quant = QuantConfig(weight_bits=bits, act_bits=act_bits, weight_scale=scale)
    source = FullyCon(SHAPE)
    for layer in source.layers:
        torch.nn.init.normal_(layer.bias, std=0.2)
    network = calibrate(source, quant, torch.randn(500, 8)).eval()
    return Recipe(name=f"w{bits}a{act_bits}", network=NETWORK, quant=quant), network


@pytest.mark.parametrize(
    ("bits", "act_bits", "scale"),
    [(8, 8, "tensor"), (4, 4, "channel"), (3, 2, "tensor"), (2, 4, "tensor"), (1, 3, "tensor")],
)
def test_qonnx_execution_equals_brevitas(
    tmp_path: Path, bits: int, act_bits: int, scale: str
) -> None:
    from hls.qonnx_exec import run_qonnx

    recipe, network = small(bits, act_bits, scale)
    path = export_qonnx_file(recipe, network, tmp_path / "model.onnx")
    y = torch.randn(300, 8) * 1.5
    with torch.no_grad():
        expected = network(y).numpy()
    np.testing.assert_array_equal(run_qonnx(path, y.numpy()), expected)


def test_export_is_reproducible(tmp_path: Path) -> None:
    recipe, network = small(4, 4, "tensor")
    first = export_qonnx_file(recipe, network, tmp_path / "a.onnx").read_bytes()
    assert export_qonnx_file(recipe, network, tmp_path / "b.onnx").read_bytes() == first


def test_float_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="floating-point network: QONNX for hardware needs"):
        export_qonnx_file(Recipe(name="f", network=NETWORK), FullyCon(SHAPE), tmp_path / "m.onnx")


def test_every_pre_activation_is_a_whole_number_of_accumulator_steps() -> None:
    _, network = small(4, 4, "channel")
    weights, acts = scales_of(network)
    a = network.input_quant(torch.randn(200, 8))
    for index, input_log2 in enumerate([network.quant.input_scale_log2, *acts][:2]):
        step = 2.0 ** (weights[index].float().reshape(-1) + input_log2)
        pre = network.layers[index](a) / step
        assert torch.equal(pre, torch.round(pre))
        a = network.activations[index](network.layers[index](a))


def test_pruned_weights_are_exact_zeros_in_the_file(tmp_path: Path) -> None:
    import onnx
    from onnx import numpy_helper

    recipe, _ = small(4, 4, "tensor")
    pruned = recipe.model_copy(
        update={
            "pruning": PruningConfig(kind="balanced", block=4, nnz=1, every_steps=2),
            "train": recipe.train.model_copy(update={"steps": 20, "batch": 32}),
        }
    )
    network = train_recipe(pruned, tmp_path, TrainOptions(log_every=10))
    path = export_qonnx_file(pruned, network, tmp_path / "model.onnx")
    tensors = {i.name: numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}
    matrices = [t for t in tensors.values() if t.ndim == 2]
    assert sorted(t.shape for t in matrices) == [(8, 12), (12, 8), (12, 12)]
    for weight in matrices:
        assert np.count_nonzero(weight.reshape(-1, 4), axis=1).max() <= 1

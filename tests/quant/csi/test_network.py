# SPDX-License-Identifier: Apache-2.0
"""Quantized networks: folding, scales, shared quantizers, exactness, QONNX equal to Brevitas."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from csi_networks import settled

from models.csi.networks import CsiAutoencoder
from models.csi.spec import network_spec
from models.errors import ExportError
from quant.csi.calibrate import RecorderParts, best_step, calibrate, folded_weights
from quant.csi.export import HALVES, export_csi_qonnx
from quant.csi.mirror import mirror
from quant.csi.network import (
    CODE,
    INPUT,
    CsiHalves,
    FireUnit,
    QuantCsiAutoencoder,
    ResidualUnit,
    act_bits_of,
    edge_streams,
    quant_convs,
    weight_bits_of,
)
from quant.csi.recipe import CsiQuantConfig, CsiRecipe

W8A8 = CsiQuantConfig()
W4A4 = CsiQuantConfig(weight_bits=4, act_bits=4, code_bits=5)
MIXED = CsiQuantConfig(weight_bits=4, act_bits=4, edge_bits=8, code_bits=6, weight_scale="tensor")
KINDS = ("conv", "squ")


@pytest.fixture(scope="module", params=KINDS)
def source(request: pytest.FixtureRequest, samples: torch.Tensor) -> CsiAutoencoder:
    return settled(request.param, 16, samples)


def recipe_of(network: QuantCsiAutoencoder) -> CsiRecipe:
    kind, ratio = network.spec.kind, network.spec.ratio
    return CsiRecipe(name="test", network={"kind": kind, "ratio": ratio}, quant=network.quant)


def test_halves_with_folded_weights_are_the_float_network(
    source: CsiAutoencoder, samples: torch.Tensor
) -> None:
    halves = CsiHalves(source.spec, RecorderParts(folded_weights(source))).eval()
    with torch.no_grad():
        torch.testing.assert_close(halves(samples), source(samples), rtol=1e-3, atol=1e-3)


def test_more_bits_are_closer_to_float(source: CsiAutoencoder) -> None:
    """On white samples: those of channels have peaks, which post-training quantization clips."""
    x = torch.randn(40, 2, 32, 32, generator=torch.Generator().manual_seed(0))
    errors = []
    for bits in (8, 6, 4):
        quant = CsiQuantConfig(weight_bits=bits, act_bits=bits, code_bits=bits, input_scale_log2=-5)
        network = calibrate(source, quant, x).eval()
        with torch.no_grad():
            exact, got = source.encoder(x), network.encoder(x)
        errors.append(float(((exact - got) ** 2).mean() / exact.var()))
    assert errors[0] < 0.01
    assert errors == sorted(errors)


def test_bits_are_where_the_recipe_wants_them(source: CsiAutoencoder) -> None:
    spec = source.spec
    bits = weight_bits_of(spec, MIXED)
    names = list(bits)
    decoder = [name for name in names if name.startswith("dec")]
    wide = {name for name in names if bits[name] == 8}
    encoder_last = [name for name in names if name.startswith("enc")][-1]
    assert wide == {names[0], encoder_last, decoder[0], decoder[-1]}
    assert act_bits_of(spec, MIXED, INPUT) == 8
    assert act_bits_of(spec, MIXED, CODE) == 6
    assert {act_bits_of(spec, MIXED, stream) for stream in edge_streams(spec)} == {8}
    assert act_bits_of(spec, MIXED, "enc.2") == 4
    assert set(weight_bits_of(spec, W4A4).values()) == {4}


def test_streams_that_join_have_one_scale(source: CsiAutoencoder, samples: torch.Tensor) -> None:
    network = calibrate(source, W4A4, samples).eval()
    seen: dict[str, list[torch.Tensor]] = {}

    def keep(name: str) -> object:
        def hook(_m: object, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            seen[name] = [inputs[0], output]

        return hook

    for name, module in network.named_modules():
        if isinstance(module, ResidualUnit):
            module.body.register_forward_hook(keep(name))
    with torch.no_grad():
        network(samples)
    assert seen
    for name, module in network.named_modules():
        if isinstance(module, ResidualUnit):
            last = module.body[-1]
            unit = last.expand3 if isinstance(last, FireUnit) else last
            step = float(unit.quant.act_quant.scale())
            for values in seen[name]:
                codes = (values / step).numpy()
                np.testing.assert_array_equal(codes, np.rint(codes))
                assert codes.min() >= -8
                assert codes.max() <= 7
        if isinstance(module, FireUnit):
            scales = [float(u.quant.act_quant.scale()) for u in (module.expand1, module.expand3)]
            assert scales[0] == scales[1]


@pytest.mark.parametrize("quant", [W8A8, MIXED], ids=["w8a8", "mixed"])
def test_accumulators_are_whole_numbers_of_their_step(
    source: CsiAutoencoder, samples: torch.Tensor, quant: CsiQuantConfig
) -> None:
    network = calibrate(source, quant, samples).eval()
    found: list[str] = []

    def check(unit: object, _inputs: object, output: torch.Tensor) -> None:
        step = 2.0 ** (unit.log2.double() + network.scales.acts[unit.stream]) / unit.pooled
        whole = (output.double() / step.reshape(-1, 1, 1)).numpy()
        np.testing.assert_array_equal(whole, np.rint(whole))
        assert np.abs(whole).max() < 2**24
        found.append(unit.cost.name)

    for unit in quant_convs(network):
        unit.register_forward_hook(check)
    with torch.no_grad():
        network(samples)
    assert sorted(found) == sorted(conv.name for conv in network.spec.convolutions)


def test_order_of_the_sum_does_not_matter(source: CsiAutoencoder, samples: torch.Tensor) -> None:
    network = calibrate(source, W8A8, samples).eval()
    with torch.no_grad():
        one = network(samples)
        two = network(samples.contiguous(memory_format=torch.channels_last))
        double = network.double()(samples.double())
    np.testing.assert_array_equal(one.numpy(), two.numpy())
    np.testing.assert_array_equal(one.double().numpy(), double.numpy())


def test_codeword_survives_the_second_quantizer(
    source: CsiAutoencoder, samples: torch.Tensor
) -> None:
    network = calibrate(source, W4A4, samples).eval()
    with torch.no_grad():
        code = network.encoder(samples)
        again = network.decoder[0](code)
    np.testing.assert_array_equal(code.numpy(), again.numpy())
    codes = code.numpy() / 2.0 ** network.scales.acts[CODE]
    assert (codes.min(), codes.max()) >= (-16, -16)
    assert codes.max() <= 15
    assert len(np.unique(codes)) > 16


@pytest.mark.parametrize("quant", [W8A8, MIXED], ids=["w8a8", "mixed"])
def test_qonnx_execution_equals_brevitas(
    source: CsiAutoencoder, samples: torch.Tensor, tmp_path: Path, quant: CsiQuantConfig
) -> None:
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx

    network = calibrate(source, quant, samples).eval()
    recipe = recipe_of(network)
    models = [
        ModelWrapper(str(export_csi_qonnx(recipe, network, half, tmp_path / f"{half}.onnx")))
        for half in HALVES
    ]
    for x in samples[:2].split(1):
        with torch.no_grad():
            code, image = network.encoder(x), network(x)
        found = execute_onnx(models[0], {"x": x.numpy()})["code"]
        np.testing.assert_array_equal(found, code.numpy())
        np.testing.assert_array_equal(execute_onnx(models[1], {"code": found})["x"], image.numpy())
    kinds = {node.op_type for model in models for node in model.graph.node}
    joined = {"Concat"} if recipe.network.kind == "squ" else set()
    assert kinds == {"Quant", "Conv", "AveragePool", "Relu", "Resize", "Add"} | joined
    props = {p.key: p.value for p in onnx.load(tmp_path / "encoder.onnx").metadata_props}
    assert props["phyfold.recipe"] == "test/encoder"


def test_what_cannot_be_exported(source: CsiAutoencoder, samples: torch.Tensor) -> None:
    network = calibrate(source, W8A8, samples)
    recipe = recipe_of(network)
    with pytest.raises(ExportError, match="floating-point network"):
        export_csi_qonnx(recipe, source, "encoder", Path("x.onnx"))
    with pytest.raises(ExportError, match="choices are encoder, decoder"):
        export_csi_qonnx(recipe, network, "both", Path("x.onnx"))
    with torch.no_grad():
        unit = next(iter(quant_convs(network)))
        unit.conv.bias[0] = 2.0**24
    with pytest.raises(ExportError, match=r"enc\.0: sums of up to"):
        export_csi_qonnx(recipe, network, "encoder", Path("x.onnx"))


def test_calibration_of_a_quantized_network_keeps_what_fits(samples: torch.Tensor) -> None:
    wide = calibrate(settled("squ", 64, samples), W8A8, samples)
    again = calibrate(wide, W8A8.model_copy(update={"code_bits": 3}), samples).eval()
    assert again.scales.acts[CODE] > wide.scales.acts[CODE]
    with torch.no_grad():
        codes = again.encoder(samples) / 2.0 ** again.scales.acts[CODE]
    assert codes.abs().max() <= 4


@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_best_step_is_the_best_of_all(signed: bool) -> None:
    values = torch.randn(5000, generator=torch.Generator().manual_seed(0))
    values = values if signed else values.relu()
    low, top = (-8, 7) if signed else (0, 15)

    def error(log2: int) -> float:
        codes = torch.clamp(torch.round(values / 2.0**log2), low, top)
        return float(((codes * 2.0**log2 - values) ** 2).mean())

    assert best_step(values, 4, signed) == min(range(-8, 4), key=error)


def test_scales_are_powers_of_two(source: CsiAutoencoder, samples: torch.Tensor) -> None:
    network = calibrate(source, W4A4, samples)
    for unit in quant_convs(network):
        log2 = torch.log2(unit.conv.quant_weight().scale.double())
        np.testing.assert_array_equal(log2.numpy().reshape(-1), unit.log2.numpy())
    assert network_spec("squ", 16) == network_spec("squ", 16)


@pytest.mark.parametrize("quant", [W8A8, W4A4, MIXED], ids=["w8a8", "w4a4", "mixed"])
def test_mirror_has_the_same_outputs_and_gradients(
    source: CsiAutoencoder, samples: torch.Tensor, quant: CsiQuantConfig
) -> None:
    network = calibrate(source, quant, samples).train()
    results = []
    for model in (network, mirror(network).train()):
        network.zero_grad()
        y = model(samples[:16])
        (y - samples[:16]).square().mean().backward()
        results.append([y.detach(), *(p.grad.clone() for p in network.parameters())])
    assert len(results[0]) == 2 * len(network.spec.convolutions) + 1
    for ours, theirs in zip(*results, strict=True):
        assert float(theirs.abs().max()) > 0
        assert torch.equal(ours, theirs)

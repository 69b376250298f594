# SPDX-License-Identifier: Apache-2.0
"""Floating-point networks: built as described; BatchNorm folds; CsiNet as published; PCA."""

import numpy as np
import pytest
import torch
from torch import nn

from models.csi.csinet import CsiNet
from models.csi.data import SMALL_SET, load_data
from models.csi.metrics import RATIOS, count
from models.csi.networks import CsiAutoencoder, ResidualUnit, conv_units
from models.csi.pca import Pca, pca_points
from models.csi.spec import network_spec
from models.errors import ConfigError


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


@pytest.mark.parametrize("kind", ["conv", "squ"])
@pytest.mark.parametrize("ratio", [4, 64])
def test_network_is_the_description(kind: str, ratio: int) -> None:
    spec = network_spec(kind, ratio)
    network = CsiAutoencoder(spec)
    kernels = [p.numel() for p in network.parameters() if p.ndim == 4]
    assert kernels == [conv.weights for conv in spec.convolutions]
    assert sum(kernels) == spec.weights
    x = torch.randn(2, 2, 32, 32)
    assert network.encoder(x).shape == (2, *spec.code_shape)
    assert network(x).shape == x.shape


@pytest.mark.parametrize("kind", ["conv", "squ"])
def test_folded_convolutions_compute_the_same(kind: str) -> None:
    network = CsiAutoencoder(network_spec(kind, 16))
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.uniform_(norm.weight, 0.5, 2.0)
            nn.init.normal_(norm.bias)
            nn.init.normal_(norm.running_mean)
            nn.init.uniform_(norm.running_var, 0.5, 2.0)
    network.eval()
    for unit in conv_units(network):
        weight, bias = unit.folded()
        x = torch.randn(1, weight.shape[1], 4, 8)
        padding = unit.conv.padding
        folded = unit.relu(unit.pool(nn.functional.conv2d(x, weight, bias, padding=padding)))
        torch.testing.assert_close(unit(x), folded, rtol=1e-4, atol=1e-4)


def test_residual_blocks_start_as_identity() -> None:
    network = CsiAutoencoder(network_spec("squ", 16)).eval()
    block = next(m for m in network.decoder if isinstance(m, ResidualUnit))
    x = torch.randn(1, 48, 1, 32)
    torch.testing.assert_close(block(x), x)


def test_csinet_has_the_published_number_of_parameters() -> None:
    network = CsiNet(4)
    assert sum(p.numel() for p in network.parameters()) == 2_103_116
    assert network.macs == pytest.approx(5.41e6, rel=0.01)
    x = 3 * torch.randn(2, 2, 32, 32)
    assert network(x).shape == x.shape
    with pytest.raises(ConfigError, match="compression ratio 5"):
        CsiNet(5)


def test_pca_is_exact_on_what_it_spans_and_no_other_basis_is_better() -> None:
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((200, 32)) @ rng.standard_normal((32, 2048))
    x = factors.reshape(-1, 2, 32, 32).astype(np.float32)
    pca = Pca.fit(x)
    assert count(x, pca.reconstruct(x, 64)).nmse_db < -60  # 32 components hold all
    noise = x + rng.standard_normal(x.shape).astype(np.float32)
    fitted = Pca.fit(noise)
    other = Pca(fitted.mean, np.linalg.qr(rng.standard_normal((2048, 512)))[0].astype(np.float32))
    error = [count(noise, p.reconstruct(noise, 64)).nmse for p in (fitted, other)]
    assert error[0] < error[1] / 2


def test_pca_on_channels_grows_with_the_code() -> None:
    data = load_data(SMALL_SET)
    points = pca_points(data.train, data.test)
    levels = [points[ratio].nmse_db for ratio in RATIOS]
    assert levels == sorted(levels)
    assert -14.0 < points[16].nmse_db < -10.0  # 300 training samples; -13.6 dB with thousands
    pca = Pca.fit(data.train, 32)
    assert pca.weights(64) == 2 * 2048 * 32
    louder = data.test * np.linspace(0.1, 10, len(data.test))[:, None, None, None]
    assert count(louder, pca.reconstruct(louder, 64)).nmse == pytest.approx(points[64].nmse)
    with pytest.raises(ConfigError, match="has 32 components"):
        pca.reconstruct(data.test, 32)

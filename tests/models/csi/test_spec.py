# SPDX-License-Identifier: Apache-2.0
"""The description of the networks: shapes, counts, and what is refused."""

import math

import pytest

from models.csi.metrics import RATIOS
from models.csi.spec import (
    IMAGE,
    Conv,
    ConvCost,
    Fire,
    Layer,
    NetworkSpec,
    Residual,
    Upsample,
    convolutions,
    network_spec,
    next_shape,
    shape_after,
)
from models.errors import ConfigError


@pytest.mark.parametrize("kind", ["conv", "squ"])
@pytest.mark.parametrize("ratio", RATIOS)
def test_every_ratio_has_its_codeword(kind: str, ratio: int) -> None:
    spec = network_spec(kind, ratio)
    assert math.prod(spec.code_shape) == 2048 // ratio
    assert shape_after(spec.decoder, spec.code_shape) == IMAGE
    assert spec.macs < 16e6


@pytest.mark.parametrize("ratio", RATIOS)
def test_fire_modules_save_five_times_the_weights(ratio: int) -> None:
    assert network_spec("conv", ratio).weights >= 5 * network_spec("squ", ratio).weights


def test_counts_of_every_kind_of_layer() -> None:
    layers = (
        Conv(8, pool=(2, 1)),
        Fire(4, 6, 10),
        Residual((Conv(16, 1), Conv(16, relu=False))),
        Upsample((2, 2)),
    )
    costs = list(convolutions(layers, (2, 4, 4), "x"))
    assert costs == [
        ConvCost("x.0", 2, 8, 3, 16),
        ConvCost("x.1.squeeze", 8, 4, 1, 8),
        ConvCost("x.1.expand1", 4, 6, 1, 8),
        ConvCost("x.1.expand3", 4, 10, 3, 8),
        ConvCost("x.2.body.0", 16, 16, 1, 8),
        ConvCost("x.2.body.1", 16, 16, 3, 8),
    ]
    assert sum(c.weights for c in costs) == 144 + 32 + 24 + 360 + 256 + 2304
    assert costs[0].macs == 144 * 16
    assert shape_after(layers, (2, 4, 4)) == (16, 4, 8)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Conv(4, pool=(3, 1)), "must divide the map"),
        (Conv(4, pool=(64, 1)), "must divide the map"),
        (Conv(4, kernel=5), "choices are 1, 3"),
        (Residual((Conv(4, relu=False),)), "must keep the shape"),
        (Residual((Conv(2),)), "end without ReLU"),
    ],
    ids=["pool-3", "pool-64", "kernel", "residual-shape", "residual-relu"],
)
def test_impossible_layers(layer: Layer, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        next_shape(layer, IMAGE)


def test_impossible_networks() -> None:
    good = network_spec("conv", 16)
    with pytest.raises(ConfigError, match="the ratio wants 256"):
        NetworkSpec("x", 8, good.encoder, good.decoder)
    with pytest.raises(ConfigError, match="decoder gives"):
        NetworkSpec("x", 16, good.encoder, good.decoder[:-2])
    with pytest.raises(ConfigError, match="last layer must be a linear Conv"):
        NetworkSpec("x", 16, good.encoder, (*good.decoder[:-1], Conv(2)))
    block = Residual((Conv(48, relu=False),))
    with pytest.raises(ConfigError, match="follows a ReLU"):
        NetworkSpec("x", 16, good.encoder, (*good.decoder[:4], block, *good.decoder[4:]))


@pytest.mark.parametrize(("kind", "ratio"), [("conv", 5), ("dense", 16)])
def test_unknown_networks(kind: str, ratio: int) -> None:
    with pytest.raises(ConfigError, match="choices are"):
        network_spec(kind, ratio)

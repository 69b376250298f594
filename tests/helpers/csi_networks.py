# SPDX-License-Identifier: Apache-2.0
"""CSI networks for tests: random weights with the statistics of real samples."""

import torch
from torch import nn

from models.csi.networks import CsiAutoencoder
from models.csi.spec import network_spec


def settled(kind: str, ratio: int, x: torch.Tensor) -> CsiAutoencoder:
    """A network with random weights, its BatchNorm statistics those of x; eval mode."""
    torch.manual_seed(1)
    network = CsiAutoencoder(network_spec(kind, ratio)).train()
    for norm in network.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.momentum = None
            nn.init.uniform_(norm.weight, 0.5, 1.0)
            nn.init.normal_(norm.bias, std=0.2)
    with torch.no_grad():
        network(x)
    return network.eval()

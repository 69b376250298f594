# SPDX-License-Identifier: Apache-2.0
"""What a CSI checkpoint is worth: NMSE and rho on test samples, weights, MACs, feedback bits."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.csi.csinet import CsiNet
from models.csi.data import CsiData
from models.csi.metrics import CsiArray, CsiPoint, check_csi, count
from models.csi.networks import conv_units
from models.csi.spec import ConvCost
from quant.csi.checkpoint import CsiNetwork, kernels_of, load_csi_checkpoint
from quant.csi.data import load_csi
from quant.csi.network import QuantCsiAutoencoder, quant_convs
from quant.csi.recipe import CsiRecipe
from quant.measured import write_measured

FLOAT_BITS = 32
BATCH = 250


@dataclass(frozen=True)
class CsiCost:
    """What a network costs before any hardware is chosen; encoder and decoder together.

    Attributes:
        weights: weights without biases, zeros included.
        encoder_weights: those of the encoder.
        macs: multiplications of one sample, zeros included.
        encoder_macs: those of the encoder.
        kept_weights: those that hardware stores and multiplies: all, or what balanced pruning left
            (unstructured zeros are stored like any weight).
        kept_macs: multiplications of one sample with those.
        sparsity: part of the weights that is zero.
        weight_memory_bits: kept weights times their bits, and where each stands in its block.
        feedback_bits: bits of one codeword; 32 a value where it is not quantized.
    """

    weights: int
    encoder_weights: int
    macs: int
    encoder_macs: int
    kept_weights: int
    kept_macs: int
    sparsity: float
    weight_memory_bits: int
    feedback_bits: int


def reconstruct(network: nn.Module, x: CsiArray) -> CsiArray:
    """The network's output for x [n, 2, 32, 32], eval mode."""
    network.eval()
    device = next(network.parameters()).device
    parts = []
    with torch.no_grad():
        for start in range(0, len(x), BATCH):
            part = torch.tensor(x[start : start + BATCH], device=device)
            parts.append(network(part).float().cpu().numpy())
    y: CsiArray = np.concatenate(parts)
    return y


def evaluate(network: nn.Module, x: CsiArray) -> CsiPoint:
    """NMSE and rho of a network on samples x [n, 2, 32, 32]."""
    array: CsiArray = check_csi(x, "CSI")
    return count(array, reconstruct(network, array))


def csi_cost(recipe: CsiRecipe, network: CsiNetwork) -> CsiCost:
    """Weights, MACs and bits of a network."""
    values = 2048 // recipe.network.ratio
    if isinstance(network, CsiNet):
        return _csinet_cost(network, values)
    if isinstance(network, QuantCsiAutoencoder):
        units = list(quant_convs(network))
        zeros = sum(int((unit.conv.quant_weight().int() == 0).sum()) for unit in units)
        bits = {unit.cost.name: unit.bits for unit in units}
    else:
        kernels = [unit.conv.weight for unit in conv_units(network)]
        zeros = sum(int((kernel == 0).sum()) for kernel in kernels)
        bits = {conv.name: FLOAT_BITS for conv in network.spec.convolutions}
    spec = network.spec
    own = [conv for conv in spec.convolutions if conv.name.startswith("enc")]
    kept = {conv.name: _kept(conv, recipe) for conv in spec.convolutions}
    return CsiCost(
        weights=spec.weights,
        encoder_weights=sum(conv.weights for conv in own),
        macs=spec.macs,
        encoder_macs=sum(conv.macs for conv in own),
        kept_weights=sum(weights for weights, _place in kept.values()),
        kept_macs=sum(kept[conv.name][0] * conv.pixels for conv in spec.convolutions),
        sparsity=zeros / spec.weights,
        weight_memory_bits=sum(
            weights * (bits[name] + place) for name, (weights, place) in kept.items()
        ),
        feedback_bits=recipe.feedback_bits or values * FLOAT_BITS,
    )


def _csinet_cost(network: CsiNet, values: int) -> CsiCost:
    encoder = sum(p.numel() for p in kernels_of(network.encoder)[0])
    kernels = sum(p.numel() for p in network.encoder.parameters() if p.ndim == 4)
    return CsiCost(
        weights=network.weights,
        encoder_weights=encoder,
        macs=network.macs,
        encoder_macs=encoder - kernels + kernels * 1024,
        kept_weights=network.weights,
        kept_macs=network.macs,
        sparsity=0.0,
        weight_memory_bits=network.weights * FLOAT_BITS,
        feedback_bits=values * FLOAT_BITS,
    )


def _kept(conv: ConvCost, recipe: CsiRecipe) -> tuple[int, int]:
    """(weights that balanced pruning leaves in a layer, bits of the place of each)."""
    pruning = recipe.pruning
    if pruning is None or pruning.block is None or pruning.nnz is None:
        return conv.weights, 0
    if not pruning.fits(conv.inputs * conv.kernel**2):
        return conv.weights, 0
    return conv.weights // pruning.block * pruning.nnz, (pruning.block - 1).bit_length()


def measure_csi(
    folder: Path,
    data: CsiData | None = None,
    data_folder: Path | None = None,
    cost2100: Path | None = None,
) -> dict[str, Any]:
    """Count a checkpoint's NMSE and rho on the test split, and write ``metrics.json`` beside it.

    Args:
        folder: the checkpoint.
        data: samples; default: those of its recipe.
        data_folder: where generated sets lie.
        cost2100: folder of CsiNet's COST2100 files.
    """
    recipe, network = load_csi_checkpoint(folder)
    data = data if data is not None else load_csi(recipe.data, data_folder, cost2100)
    result: dict[str, Any] = {
        "name": recipe.name,
        "stage": "brevitas" if recipe.quant else "float",
        "data": {"name": data.name, "test": len(data.test)},
        "command": f"python -m quant.csi train {recipe.name}",
        "torch": torch.__version__.split("+")[0],
        "budget": _budget(folder, recipe),
        **evaluate(network, data.test).to_json(),
        "cost": asdict(csi_cost(recipe, network)),
    }
    write_measured(folder, result)
    return result


def _budget(folder: Path, recipe: CsiRecipe) -> dict[str, Any]:
    """What the training cost; the seconds are those of the last run, from its log."""
    path, seconds = folder / "log.csv", None
    if path.exists():
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        seconds = float(rows[-1]["seconds"]) if rows else None
    train = recipe.train
    samples = train.steps * train.batch
    return {
        "steps": train.steps,
        "batch": train.batch,
        "samples": samples,
        "init": train.init,
        "seconds": seconds,
    }

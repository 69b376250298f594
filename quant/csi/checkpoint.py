# SPDX-License-Identifier: Apache-2.0
"""Checkpoints of CSI networks: the folder and files of `quant.checkpoint`, other networks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from models.csi.csinet import CsiNet
from models.csi.networks import CsiAutoencoder
from models.errors import CheckpointError
from models.files import write_atomic
from quant.checkpoint import copy_tensor, load_tensors, save_tensors, saved_recipe
from quant.csi.network import QuantCsiAutoencoder, Scales, quant_convs
from quant.csi.recipe import CsiRecipe

CSI_CHECKPOINTS = Path(__file__).parent / "checkpoints"

CsiNetwork = CsiAutoencoder | QuantCsiAutoencoder | CsiNet


def csi_tensors(network: CsiNetwork) -> dict[str, Tensor]:
    """Parameters, statistics and scales of a network, by name."""
    if not isinstance(network, QuantCsiAutoencoder):
        return {name: value.detach() for name, value in network.state_dict().items()}
    tensors = {}
    for unit in quant_convs(network):
        tensors[f"{unit.cost.name}.weight"] = unit.conv.weight.detach()
        tensors[f"{unit.cost.name}.bias"] = unit.conv.bias.detach()
        tensors[f"{unit.cost.name}.weight_scale_log2"] = unit.log2
    for stream, log2 in network.scales.acts.items():
        tensors[f"{stream}.act_scale_log2"] = torch.tensor(log2, dtype=torch.int32)
    return tensors


def build_csi_network(recipe: CsiRecipe, tensors: Mapping[str, Tensor]) -> CsiNetwork:
    """The network of ``recipe`` with these parameters.

    Raises:
        CheckpointError: a tensor is missing or has another shape than the recipe says.
    """
    try:
        if recipe.quant is None:
            network: CsiNetwork = float_network(recipe)
            targets = network.state_dict()
        else:
            network = _quantized(recipe, tensors)
            targets = {}
            for unit in quant_convs(network):
                targets[f"{unit.cost.name}.weight"] = unit.conv.weight
                targets[f"{unit.cost.name}.bias"] = unit.conv.bias
        with torch.no_grad():
            for name, target in targets.items():
                copy_tensor(target, tensors[name], name)
    except KeyError as error:
        raise CheckpointError(
            f"checkpoint of {recipe.name}: tensor {error} is missing", hint="train it again"
        ) from error
    return network


def float_network(recipe: CsiRecipe) -> CsiAutoencoder | CsiNet:
    """A floating-point network with random weights, whatever the recipe's bit widths."""
    if recipe.network.kind == "csinet":
        return CsiNet(recipe.network.ratio)
    return CsiAutoencoder(recipe.spec)


def _quantized(recipe: CsiRecipe, tensors: Mapping[str, Tensor]) -> QuantCsiAutoencoder:
    assert recipe.quant is not None
    scales = Scales()
    for name, value in tensors.items():
        if name.endswith(".weight_scale_log2"):
            scales.weights[name.removesuffix(".weight_scale_log2")] = value
        elif name.endswith(".act_scale_log2"):
            scales.acts[name.removesuffix(".act_scale_log2")] = int(value)
    return QuantCsiAutoencoder(recipe.spec, recipe.quant, scales)


def save_csi_checkpoint(folder: Path, recipe: CsiRecipe, network: CsiNetwork) -> None:
    """Write recipe.json and weights.safetensors to ``folder``.

    Dense matrices, which CsiNet alone has, are kept as float16: millions of values of a reference.
    """
    tensors = {k: v.half() if v.ndim == 2 else v for k, v in csi_tensors(network).items()}
    save_tensors(folder / "weights.safetensors", tensors, recipe)
    write_atomic(folder / "recipe.json", recipe.model_dump_json(indent=1).encode() + b"\n")


def load_csi_checkpoint(folder: Path) -> tuple[CsiRecipe, CsiNetwork]:
    """(recipe, network in eval mode) of a checkpoint folder.

    Raises:
        CheckpointError: missing, damaged, or recipe and weights do not fit each other.
    """
    recipe = saved_recipe(CsiRecipe, folder, CSI_CHECKPOINTS)
    network = build_csi_network(recipe, load_tensors(folder / "weights.safetensors", recipe))
    return recipe, network.eval()


def csi_checkpoint_folder(name: str) -> Path:
    """Folder of a shipped checkpoint."""
    return CSI_CHECKPOINTS / name


def kernels_of(network: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
    """(parameters with two or more axes, the others): what Muon may train, and what it may not."""
    kernels: list[Tensor] = [p for p in network.parameters() if p.ndim > 1]
    others: list[Tensor] = [p for p in network.parameters() if p.ndim <= 1]
    return kernels, others

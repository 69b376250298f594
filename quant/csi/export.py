# SPDX-License-Identifier: Apache-2.0
"""QONNX export of a quantized CSI network: encoder and decoder as two files.

    encoder   x [1, 2, 32, 32] -> codeword [1, C, h, w]   input quantizer first, codeword's last
    decoder   codeword [1, C, h, w] -> x [1, 2, 32, 32]   the codeword's quantizer first

All tensors are float32; the codeword is codes times its scale, so one file's output is the other's
input. Plain Brevitas QONNX as in `quant.export`: Quant, Conv, AveragePool, Resize, Concat and Add.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from models.csi.networks import CsiAutoencoder
from models.csi.spec import IMAGE
from models.errors import ExportError
from quant.csi.network import QuantCsiAutoencoder, quant_convs
from quant.csi.recipe import CsiRecipe
from quant.export import write_qonnx

MAX_EXACT = 2**24
"""Whole numbers up to here are exact in float32."""

HALVES = ("encoder", "decoder")


def export_csi_qonnx(
    recipe: CsiRecipe, network: CsiAutoencoder | QuantCsiAutoencoder, half: str, path: Path
) -> Path:
    """Write ``half`` ("encoder" or "decoder") of ``network`` as QONNX.

    Raises:
        ExportError: a floating-point network, an unknown half, sums that float32 cannot hold, or
            Brevitas cannot export it.
    """
    if not isinstance(network, QuantCsiAutoencoder):
        raise ExportError(
            f"{recipe.name} is a floating-point network: QONNX for hardware needs quantizers",
            hint="train a recipe with a [quant] section and --init this one",
        )
    if half not in HALVES:
        raise ExportError(f"{recipe.name}: no half {half!r}; choices are {', '.join(HALVES)}")
    check_exact(network)
    code = network.spec.code_shape
    module: nn.Module = getattr(network.eval().cpu(), half)
    shape, names = (IMAGE, ("x", "code")) if half == "encoder" else (code, ("code", "x"))
    return write_qonnx(module, torch.zeros(1, *shape), names, f"{recipe.name}/{half}", path)


def check_exact(network: QuantCsiAutoencoder) -> None:
    """Refuses a network whose largest possible accumulator exceeds 2^24.

    Raises:
        ExportError: names the convolution and its bound.
    """
    for unit in quant_convs(network):
        codes = unit.conv.quant_weight().int().abs().sum(dim=(1, 2, 3))
        step = 2.0 ** (unit.log2.float() + network.scales.acts[unit.stream])
        bound = float((codes * 255 + unit.conv.bias.detach().cpu().abs() / step).max())
        if (bound := bound * unit.pooled) > MAX_EXACT:
            raise ExportError(
                f"{unit.cost.name}: sums of up to {bound:.0f}: float32 is exact up to {MAX_EXACT}",
                hint="fewer bits or channels",
            )

# SPDX-License-Identifier: Apache-2.0
"""QONNX export of a quantized network, and what the border needs beside it.

The file is plain Brevitas QONNX (Quant nodes, standard ONNX operators), batch size 1. The one thing
done to it: names are made readable, and the recipe's name is written into the metadata.
"""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from models.errors import ExportError
from models.files import write_atomic
from models.fullycon import FullyCon
from quant.network import QuantFullyCon
from quant.recipe import Recipe

log = logging.getLogger(__name__)

OPSET = 18
"""Older opsets fail in onnx's version converter with the exporter that torch now uses."""


def export_qonnx_file(recipe: Recipe, network: FullyCon | QuantFullyCon, path: Path) -> Path:
    """Write ``network`` as QONNX: input y [1, N] float32, output o [1, 2K] float32.

    Raises:
        ExportError: the network is a floating-point one, or Brevitas cannot export it.
    """
    if not isinstance(network, QuantFullyCon):
        raise ExportError(
            f"{recipe.name} is a floating-point network: QONNX for hardware needs quantizers",
            hint="train a recipe with a [quant] section and --init this one",
        )
    return write_qonnx(network, torch.zeros(1, network.shape.inputs), ("y", "o"), recipe.name, path)


def write_qonnx(
    network: nn.Module, example: Tensor, names: tuple[str, str], title: str, path: Path
) -> Path:
    """Write any Brevitas network as QONNX.

    Args:
        network: with quantizers; is brought to eval mode.
        example: an input, batch size 1.
        names: of the input and the output tensor.
        title: written into the metadata as ``phyfold.recipe``, and used in errors.
        path: of the file.

    Raises:
        ExportError: Brevitas cannot export it.
    """
    import onnx
    from brevitas.export import export_qonnx

    network = network.eval()
    buffer = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # deprecations inside torch's exporter, not ours to fix
        try:
            export_qonnx(
                network,
                args=example,
                export_path=buffer,
                opset_version=OPSET,
                input_names=[names[0]],
                output_names=[names[1]],
                verbose=False,
            )
        except Exception as error:  # exporters raise anything; the cause is kept
            raise ExportError(f"{title}: Brevitas' QONNX export failed: {error}") from error
    model = onnx.load_from_string(buffer.getvalue())
    onnx.helper.set_model_props(model, {"phyfold.recipe": title})
    model.producer_name = "phyfold"
    write_atomic(path, model.SerializeToString(deterministic=True))
    return path

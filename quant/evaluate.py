# SPDX-License-Identifier: Apache-2.0
"""What a checkpoint is worth: BER on counted frames, weight memory, non-zero multiplications.

`measure` writes ``metrics.json`` beside a checkpoint. All checkpoints are measured on the same
frames (same seed), so that the counting noise of two of them cancels in their SNR loss.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.ber import BerPoint, StopRule, snr_loss_db, sweep
from models.detectors import Detector
from models.fullycon import FullyCon, hard_decision
from quant.checkpoint import load_checkpoint
from quant.measured import need_measured, write_measured
from quant.network import QuantFullyCon
from quant.recipe import Recipe
from quant.train import system_of

SNRS_DB = (8.0, 9.0, 10.0, 11.0, 12.0)
EVALUATION_SEED = 2024
TARGET_BER = 1e-3
MAX_SNR_DB = 15.0
FLOAT_BITS = 32


@dataclass(frozen=True)
class Cost:
    """What a network costs before any hardware is chosen.

    Attributes:
        weights: weights, zeros included.
        nonzero_macs: multiplications by a weight that is not zero, one frame.
        sparsity: part of the weights that is zero.
        weight_memory_bits: weights times their bits, zeros included (dense storage).
        nonzero_memory_bits: non-zero weights times their bits (without the cost of their places).
    """

    weights: int
    nonzero_macs: int
    sparsity: float
    weight_memory_bits: int
    nonzero_memory_bits: int


def detector_of(network: nn.Module) -> Detector:
    """The network as a detector of `models.ber`: y [F, N] to bits [F, K], uint8."""

    def detect(y: npt.NDArray[np.float32], _snr_db: float) -> npt.NDArray[np.uint8]:
        with torch.no_grad():
            bits: npt.NDArray[np.uint8] = hard_decision(network(torch.from_numpy(y))).numpy()
        return bits

    network.eval()
    return detect


def cost_of(network: FullyCon | QuantFullyCon) -> Cost:
    """Weights, non-zeros and bits of a network."""
    total = nonzero = memory = nonzero_memory = 0
    for index, layer in enumerate(network.layers):
        if isinstance(network, QuantFullyCon):
            bits = network.quant.bits_of(index)[0]
            count = int(torch.count_nonzero(layer.quant_weight().int()))
        else:
            bits, count = FLOAT_BITS, int(torch.count_nonzero(layer.weight))
        total += layer.weight.numel()
        nonzero += count
        memory += layer.weight.numel() * bits
        nonzero_memory += count * bits
    return Cost(total, nonzero, 1.0 - nonzero / total, memory, nonzero_memory)


def ber_curve(
    recipe: Recipe,
    network: nn.Module,
    rule: StopRule,
    snrs_db: Sequence[float] = SNRS_DB,
    seed: int = EVALUATION_SEED,
) -> list[BerPoint]:
    """BER of ``network`` on the system of ``recipe`` at each SNR [dB]."""
    system = system_of(recipe.channel, recipe.network.inputs, recipe.network.bits)
    return sweep(system, {"network": detector_of(network)}, snrs_db, rule, seed)["network"]


def measure(
    folder: Path,
    frames: int = 300_000,
    snrs_db: Sequence[float] = SNRS_DB,
    seed: int = EVALUATION_SEED,
) -> dict[str, object]:
    """Count a checkpoint's BER and write ``metrics.json`` beside it; returns what was written.

    Every SNR gets all ``frames``: stopping by errors would leave the checkpoints different frames,
    and their counting noise would no longer cancel in the SNR loss. Where the last SNR leaves the
    BER above 1e-3, SNRs are added.
    """
    recipe, network = load_checkpoint(folder)
    rule = StopRule(frames=frames)
    points = ber_curve(recipe, network, rule, snrs_db, seed)
    while points[-1].ber > TARGET_BER and points[-1].snr_db < MAX_SNR_DB:
        points += ber_curve(recipe, network, rule, [points[-1].snr_db + 1.0], seed)
    result: dict[str, object] = {
        "name": recipe.name,
        "stage": "brevitas" if recipe.quant else "float",
        "seed": seed,
        "command": f"phyfold train {recipe.name}",
        "torch": torch.__version__.split("+")[0],
        "points": [point.to_json() for point in points],
        "cost": asdict(cost_of(network)),
    }
    write_measured(folder, result)
    return result


def load_curve(folder: Path) -> list[BerPoint]:
    """The points of a checkpoint's ``metrics.json``."""
    data = need_measured(folder)
    return [BerPoint.from_json(point) for point in data["points"]]


def loss_to(folder: Path, reference: Path, target: float = TARGET_BER) -> float:
    """SNR [dB] that the checkpoint in ``folder`` needs beyond ``reference`` at BER ``target``."""
    return snr_loss_db(load_curve(folder), load_curve(reference), target)

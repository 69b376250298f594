# SPDX-License-Identifier: Apache-2.0
"""The samples of a recipe, and training batches of them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from models.csi.channels import ChannelSet, generate
from models.csi.data import SMALL_SET, CsiData, load_data, read_cost2100
from models.csi.metrics import ANGLES, CsiArray
from models.errors import ConfigError
from quant.csi.recipe import CsiDataConfig

COST2100_VARIABLE = "PHYFOLD_COST2100"


def load_csi(
    config: CsiDataConfig,
    folder: Path | None = None,
    cost2100: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CsiData:
    """The samples that a recipe's data section asks for; generated where they are not there.

    Args:
        config: the section.
        folder: of generated sets; default: `models.csi.data.data_folder`.
        cost2100: folder of CsiNet's files; default: $PHYFOLD_COST2100.
        progress: told (samples drawn, samples in all).
    """
    if config.kind == "small":
        return load_data(SMALL_SET)
    if config.kind in ("cost2100_in", "cost2100_out"):
        named = os.environ.get(COST2100_VARIABLE)
        place = cost2100 or (Path(named) if named else None)
        if place is None:
            raise ConfigError(
                f"data of kind {config.kind}: no folder of COST2100 files was given",
                hint=f"name the folder of DATA_Htrainin.mat in ${COST2100_VARIABLE}",
            )
        return read_cost2100(place, config.kind.removeprefix("cost2100_"))
    wanted = ChannelSet(config.kind, config.train, config.val, config.test, config.seed)
    return generate(wanted, folder, progress)


class BatchSource:
    """Endless training batches.

    With ``augment`` every sample gets a random phase and is mirrored with probability 1/2. Both
    leave the distribution of a uniform linear array's channels as it is: the first path's phase is
    uniform, and numbering the antennas from the other end turns beam b into beam -b, with the phase
    e^(j 2 pi b / 32) that the shifted origin of the DFT gives.
    """

    def __init__(
        self, samples: CsiArray, batch: int, augment: bool, seed: int, device: torch.device
    ) -> None:
        self.samples = torch.tensor(samples, device=device)
        self.batch, self.augment, self.device = batch, augment, device
        self.generator = torch.Generator(device=device).manual_seed(seed)
        beams = torch.arange(ANGLES, device=device)
        self.mirror = (-beams) % ANGLES
        self.ramp = torch.exp(2j * torch.pi * beams / ANGLES).to(torch.complex64)

    def draw(self) -> Tensor:
        """x [batch, 2, 32, 32], channels last in memory."""
        options = {"generator": self.generator, "device": self.device}
        index = torch.randint(0, len(self.samples), (self.batch,), **options)
        x = self.samples[index]
        if self.augment:
            turn = torch.exp(2j * torch.pi * torch.rand(self.batch, 1, 1, **options))
            matrix = torch.complex(x[:, 0], x[:, 1]) * turn
            mirrored = matrix[:, :, self.mirror] * self.ramp
            flip = torch.rand(self.batch, 1, 1, **options) < 0.5
            matrix = torch.where(flip, mirrored, matrix)
            x = torch.stack([matrix.real, matrix.imag], dim=1)
        return x.contiguous(memory_format=torch.channels_last)

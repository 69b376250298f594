# SPDX-License-Identifier: Apache-2.0
"""CSI samples drawn from the 3GPP TR 38.901 channel models of Sionna.

    python -m models.csi.channels inh            a set in $PHYFOLD_DATA, else in build/data
    python -m models.csi.channels --small        writes models/data/csi_inh_small.npz again

One base station with a uniform linear array of 32 vertical omnidirectional elements, half a
wavelength apart, in the centre of a square; one user with one such element, placed uniformly in the
square: a new drop, with its own large-scale parameters, for every sample. 257 tones over 20 MHz,
brought to the angular-delay form (`models.csi.metrics.angular_delay`), first 32 delays, scaled to a
peak of 32. Delays are relative to the first path. Path loss and shadowing, which scale a whole
sample, are left out.

    inh   InH, open office, 5.3 GHz, 20 m square, heights 3 m and 1.5 m, random line of sight
    umi   UMi street canyon, 2 GHz, 400 m square, heights 10 m and 1.5 m, outdoor users

Every block of samples has a seed of its own, made of (seed, split, block): the splits share no
drop, a larger set begins with the samples of a smaller one, and an interrupted run goes on at the
first missing part.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.csi.data import (
    FORMAT,
    SMALL_SET,
    SPLITS,
    CsiData,
    data_folder,
    load_data,
    save_codes,
    to_codes,
)
from models.csi.metrics import ANGLES, angular_delay, scale_to_peak, to_real
from models.errors import ConfigError, PhyfoldError
from models.files import storage_guard, write_atomic
from models.limits import load_array

log = logging.getLogger(__name__)

BLOCK = 100
"""Samples of one seed. Another size would give other (equally distributed) samples."""

PART_BLOCKS = 5
"""Blocks of one part file, which is what an interruption can cost."""

TONES = 257
BANDWIDTH_HZ = 20e6
SMALL_STEP_LOG2 = -6


@dataclass(frozen=True)
class Scenario:
    """One of the two environments; see the head of this file."""

    carrier_hz: float
    square_m: float
    bs_height_m: float
    ut_height_m: float
    indoor: bool


SCENARIOS = {
    "inh": Scenario(5.3e9, 20.0, 3.0, 1.5, True),
    "umi": Scenario(2.0e9, 400.0, 10.0, 1.5, False),
}


@dataclass(frozen=True)
class ChannelSet:
    """What a generated set is made of.

    Attributes:
        scenario: "inh" or "umi".
        train, val, test: samples of each split.
        seed: of all its blocks.
    """

    scenario: str = "inh"
    train: int = 10_000
    val: int = 1_000
    test: int = 2_000
    seed: int = 1

    def __post_init__(self) -> None:
        if self.scenario not in SCENARIOS:
            raise ConfigError(f"scenario {self.scenario!r}: choices are {', '.join(SCENARIOS)}")
        for split in SPLITS:
            if getattr(self, split) < 1:
                raise ConfigError(f"{split}={getattr(self, split)} samples: must be at least 1")
        if self.seed < 0:
            raise ConfigError(f"seed={self.seed}: must not be negative")

    @property
    def name(self) -> str:
        """Scenario and seed; the sizes do not change what a sample is."""
        return f"{self.scenario}-seed{self.seed}"

    def info(self) -> dict[str, Any]:
        """All that the samples follow from, as plain data."""
        import sionna

        physics = asdict(SCENARIOS[self.scenario])
        return {
            **asdict(self),
            **physics,
            "model": "TR 38.901 V19.2",
            "sionna": str(sionna.__version__),
            "antennas": ANGLES,
            "tones": TONES,
            "bandwidth_hz": BANDWIDTH_HZ,
            "scaling": "peak 32",
        }

    def path(self, folder: Path) -> Path:
        """The set's file in ``folder``: another one for other sizes, seed or file format."""
        key = json.dumps({**asdict(self), "format": FORMAT}, sort_keys=True)
        digest = hashlib.sha256(key.encode()).hexdigest()
        return folder / f"csi_{self.scenario}_{digest[:12]}.npz"


def draw_block(scenario: str, seed: int, split: str, block: int) -> npt.NDArray[np.float32]:
    """Block ``block`` of a split: [100, 2, 32, 32]. Depends on its arguments alone."""
    import torch

    place = SCENARIOS[scenario]
    sequence = np.random.SeedSequence((seed, SPLITS.index(split), block))
    positions = np.random.default_rng(sequence).random((BLOCK, 1, 2)) - 0.5
    with torch.random.fork_rng(devices=[]):  # Sionna's seed is also that of torch
        h = _sionna_channel(scenario, place, positions, int(sequence.generate_state(1)[0]))
    return scale_to_peak(to_real(angular_delay(h)))


def _sionna_channel(
    scenario: str, place: Scenario, positions: npt.NDArray[np.float64], seed: int
) -> npt.NDArray[np.complex64]:
    """Frequency responses [n, 32 antennas, 257 tones] at positions [n, 1, 2] in a unit square."""
    import torch
    from sionna.phy import config
    from sionna.phy.channel import cir_to_ofdm_channel
    from sionna.phy.channel.tr38901 import InH, PanelArray, UMi

    config.seed = seed
    options: dict[str, Any] = {"carrier_frequency": place.carrier_hz, "device": "cpu"}
    arrays = [PanelArray(1, columns, "single", "V", "omni", **options) for columns in (1, ANGLES)]
    options |= {
        "ut_array": arrays[0],
        "bs_array": arrays[1],
        "direction": "downlink",
        "enable_pathloss": False,
        "enable_shadow_fading": False,
        "spec_version": "19.2",
    }
    model = InH(**options) if scenario == "inh" else UMi(o2i_model="low", **options)
    n = len(positions)
    flat = torch.from_numpy(positions * place.square_m).float()
    users = torch.cat([flat, torch.full((n, 1, 1), place.ut_height_m)], dim=-1)
    station = torch.tensor([0.0, 0.0, place.bs_height_m]).repeat(n, 1, 1)
    still = torch.zeros(n, 1, 3)
    state = torch.full((n, 1), place.indoor)
    model.set_topology(users, station, still, still, still, state, "random")
    gains, delays_s = model(1, BANDWIDTH_HZ)
    tones_hz = (torch.arange(TONES) - TONES // 2) * (BANDWIDTH_HZ / TONES)
    response = cir_to_ofdm_channel(tones_hz, gains, delays_s)
    h: npt.NDArray[np.complex64] = response[:, 0, 0, 0, :, 0, :].numpy()
    return h


def generate(
    wanted: ChannelSet,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> CsiData:
    """The set ``wanted``: read if its file is there, else drawn, part by part, and written.

    Args:
        wanted: what to draw.
        folder: of the file; default: `models.csi.data.data_folder`.
        progress: told (samples drawn, samples in all) after each part.

    Raises:
        StorageError: a file could not be written; what was drawn before is kept.
    """
    path = wanted.path(data_folder(folder))
    if not path.exists():
        parts = path.with_suffix(".parts")
        codes = _draw_parts(wanted, parts, progress)
        save_codes(path, wanted.name, codes, wanted.info())
        shutil.rmtree(parts, ignore_errors=True)
    return load_data(path)


def _draw_parts(
    wanted: ChannelSet, parts: Path, progress: Callable[[int, int], None] | None
) -> dict[str, npt.NDArray[np.int16]]:
    total = sum(getattr(wanted, split) for split in SPLITS)
    done = 0
    codes = {}
    for split in SPLITS:
        size = getattr(wanted, split)
        pieces = []
        for first in range(0, -(-size // BLOCK), PART_BLOCKS):
            pieces.append(_part(wanted, split, first, parts / f"{split}-{first:05d}.npy"))
            done += min(len(pieces[-1]), size - first * BLOCK)
            if progress is not None:
                progress(done, total)
        codes[split] = np.concatenate(pieces)[:size]
    return codes


def _part(wanted: ChannelSet, split: str, first: int, path: Path) -> npt.NDArray[np.int16]:
    """Codes of a part, from its file if it is there and whole."""
    blocks = min(PART_BLOCKS, -(-getattr(wanted, split) // BLOCK) - first)
    with storage_guard(path):
        if path.exists():
            try:
                kept: npt.NDArray[np.int16] = load_array(path)
            except (ValueError, EOFError):
                log.warning("%s is damaged: drawn again", path)
            else:
                if len(kept) == blocks * BLOCK:
                    return kept
    drawn = [draw_block(wanted.scenario, wanted.seed, split, first + i) for i in range(blocks)]
    codes = to_codes(np.concatenate(drawn))
    buffer = io.BytesIO()
    np.save(buffer, codes)
    write_atomic(path, buffer.getvalue())
    return codes


def write_small_set(path: Path = SMALL_SET) -> Path:
    """The small InH set of the tests: 300 + 50 + 150 samples in steps of 2^-6."""
    wanted = ChannelSet("inh", train=300, val=50, test=150, seed=7)
    codes = {}
    for split in SPLITS:
        size = getattr(wanted, split)
        drawn = [draw_block("inh", wanted.seed, split, i) for i in range(-(-size // BLOCK))]
        codes[split] = to_codes(np.concatenate(drawn)[:size], SMALL_STEP_LOG2)
    return save_codes(path, f"{wanted.name}-small", codes, wanted.info(), SMALL_STEP_LOG2)


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``python -m models.csi.channels``."""
    default = ChannelSet()
    parser = argparse.ArgumentParser(description="Draw a set of CSI samples from TR 38.901 models.")
    parser.add_argument("scenario", nargs="?", choices=list(SCENARIOS), default=default.scenario)
    for split in SPLITS:
        size = getattr(default, split)
        parser.add_argument(f"--{split}", type=int, default=size, help=f"samples ({size})")
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--data", type=Path, help="folder; default $PHYFOLD_DATA, else build/data")
    parser.add_argument("--small", action="store_true", help="write the small set of the tests")
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        if args.small:
            log.info("wrote %s", write_small_set())
            return 0
        wanted = ChannelSet(args.scenario, args.train, args.val, args.test, args.seed)
        generate(wanted, args.data, lambda done, total: log.info("%d of %d samples", done, total))
        log.info("%s", wanted.path(data_folder(args.data)))
    except PhyfoldError as error:
        parser.exit(error.exit_code, f"{parser.prog}: {error}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

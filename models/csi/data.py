# SPDX-License-Identifier: Apache-2.0
"""Sets of CSI samples: one type for generated channels and for CsiNet's COST2100 files.

A generated set is one compressed ``.npz`` file: int16 codes of each split with one step for all
(a power of two), and the JSON of what made it. `read_cost2100` reads a folder of CsiNet's files:
``DATA_H{train,val,test}{in,out}.mat``, key ``HT`` [n, 2048] = (n, 2, 32 angles, 32 delays), the
delay last, since CsiNet's script transforms the last axis; 0.5 + scaled Re/Im. Ours have the delay
first: the axes are exchanged on reading.
All samples are centred and have a peak of 32 (`models.csi.metrics.scale_to_peak`).
"""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.csi.metrics import ANGLES, DELAYS, VALUES, CsiArray, check_csi, scale_to_peak
from models.errors import ConfigError, PhyfoldError
from models.files import write_atomic
from models.limits import (
    ARRAY_BYTES,
    UNREADABLE,
    check_claim,
    load_arrays,
    parse_json,
    read_bytes,
)

log = logging.getLogger(__name__)

SPLITS = ("train", "val", "test")
STEP_LOG2 = -9
"""log2 of the step of stored codes: rounding them costs at most -62 dB of a sample's energy."""

DATA_VARIABLE = "PHYFOLD_DATA"
DEFAULT_FOLDER = Path("build") / "data"
SMALL_SET = Path(__file__).parent.parent / "data" / "csi_inh_small.npz"
"""A few hundred InH channels for tests and demonstrations; `models.csi.channels` makes it."""

FORMAT = "phyfold-csi-2"
DAMAGED = UNREADABLE
"""What numpy raises for a file that is truncated or of another kind."""

COST2100_KEY = "HT"
COST2100_OFFSET = 0.5
MAT_NUMBERS = ("double", "single")

TAPS = DELAYS // 2
"""Half of an axis. Early delays hold nearly all energy of a channel, no angles are special."""

EARLY, SPREAD = 0.95, 0.8
"""Shares of the energy in the first half: more than `EARLY` is a delay axis, less than `SPREAD` is
none. InH, UMi and COST2100 indoor sets have 0.98 and more on the delay axis, 0.3 to 0.5 on the
other."""

LOOKED_AT = 1000
"""Samples of a file whose axes are looked at."""


@dataclass(frozen=True, eq=False)
class CsiData:
    """Samples of one kind of channel in three splits that share no drop.

    Attributes:
        name: what the report calls it.
        train, val, test: [n, 2, 32 delays, 32 angles], float32, centred, peak 32.
        info: what made it, as plain data.
    """

    name: str
    train: CsiArray
    val: CsiArray
    test: CsiArray
    info: Mapping[str, Any]

    def __post_init__(self) -> None:
        for split in SPLITS:
            array = check_csi(self.split(split), f"{self.name}: {split}")
            array.setflags(write=False)

    def split(self, name: str) -> CsiArray:
        """One split by name."""
        if name not in SPLITS:
            raise ConfigError(f"{self.name}: no split {name!r}; choices are {', '.join(SPLITS)}")
        array: CsiArray = getattr(self, name)
        return array


def data_folder(folder: Path | None = None) -> Path:
    """Where sets are kept: ``folder``, else $PHYFOLD_DATA, else ``build/data``."""
    if folder is not None:
        return folder
    named = os.environ.get(DATA_VARIABLE)
    return Path(named) if named else DEFAULT_FOLDER


def to_codes(x: npt.ArrayLike, step_log2: int = STEP_LOG2) -> npt.NDArray[np.int16]:
    """int16 codes of x, half to even, clipped."""
    codes = np.rint(np.asarray(x, dtype=np.float64) * 2.0**-step_log2)
    return np.clip(codes, -(2**15), 2**15 - 1).astype(np.int16)


def save_data(path: Path, data: CsiData, step_log2: int = STEP_LOG2) -> Path:
    """Write ``data`` as one compressed file; equal data gives equal bytes."""
    return save_codes(
        path,
        data.name,
        {split: to_codes(data.split(split), step_log2) for split in SPLITS},
        data.info,
        step_log2,
    )


def save_codes(
    path: Path,
    name: str,
    codes: Mapping[str, npt.NDArray[np.int16]],
    info: Mapping[str, Any],
    step_log2: int = STEP_LOG2,
) -> Path:
    """Write the codes of the three splits, as `save_data` does."""
    header = {"format": FORMAT, "name": name, "step_log2": step_log2, "info": dict(info)}
    buffer = io.BytesIO()
    text = np.array(json.dumps(header, sort_keys=True))
    arrays: dict[str, Any] = {"header": text, **{split: codes[split] for split in SPLITS}}
    np.savez_compressed(buffer, **arrays)
    return write_atomic(path, buffer.getvalue())


def load_data(path: Path) -> CsiData:
    """Read a file of `save_data`.

    Raises:
        ConfigError: missing, truncated, or no file of this kind.
    """
    try:
        arrays = load_arrays(path, ("header", *SPLITS))
        header = parse_json(str(arrays["header"]))
        codes = {split: arrays[split] for split in SPLITS}
        step = 2.0 ** int(header["step_log2"])
        name, info, kind = str(header["name"]), header["info"], header.get("format")
    except FileNotFoundError as error:
        raise ConfigError(
            f"{path}: no such set of channels", hint="python -m models.csi.channels makes it"
        ) from error
    except DAMAGED as error:
        raise ConfigError(
            f"{path}: not a readable set of channels ({error})",
            hint="delete it and make it again: python -m models.csi.channels",
        ) from error
    if kind != FORMAT:
        raise ConfigError(f"{path}: format {kind!r}: this version reads {FORMAT!r}")
    x = {split: (codes[split] * np.float32(step)).astype(np.float32) for split in SPLITS}
    return CsiData(name, x["train"], x["val"], x["test"], info)


def read_cost2100(folder: Path, place: str = "in") -> CsiData:
    """CsiNet's COST2100 files in ``folder``, centred, every sample scaled to a peak of 32.

    The files lie [n, real/imaginary, angle, delay], the samples that are returned
    [n, real/imaginary, delay, angle]. Files whose energy says that they lie the other way round are
    read all the same, and named in a warning.

    Args:
        folder: holds ``DATA_Htrain{place}.mat`` and the same of ``val`` and ``test``.
        place: "in" (indoor, 5.3 GHz) or "out" (outdoor, 300 MHz).

    Raises:
        ConfigError: a missing folder or file, a file that is truncated or of another kind, without
            the key ``HT``, or with another shape than [n, 2048].
    """
    if place not in ("in", "out"):
        raise ConfigError(f"COST2100 files of {place!r}: choices are in, out")
    if not folder.is_dir():
        raise ConfigError(
            f"{folder}: no such folder of COST2100 files",
            hint="give the folder that holds DATA_Htrainin.mat and its companions",
        )
    arrays, turned = {}, []
    for split in SPLITS:
        path = folder / f"DATA_H{split}{place}.mat"
        arrays[split] = scale_to_peak(_read_mat(path) - COST2100_OFFSET)
        if seems_transposed(arrays[split]):
            turned.append(path.name)
    if turned:
        log.warning(
            "%s: %s: nearly all energy lies at the first angles, as if the delay came before the "
            "angle; CsiNet's files have it last, and rho and the networks rely on that. If so, "
            "write them again with HT.reshape(-1, 2, 32, 32).swapaxes(2, 3).reshape(-1, 2048)",
            folder,
            ", ".join(turned),
        )
    sizes = {split: len(arrays[split]) for split in SPLITS}
    info = {"source": "COST2100", "place": place, "samples": sizes, "scaling": "peak 32"}
    return CsiData(f"cost2100_{place}", arrays["train"], arrays["val"], arrays["test"], info)


def seems_transposed(x: npt.ArrayLike) -> bool:
    """Whether x [n, 2, 32 delays, 32 angles] looks as if its axes were [angles, delays].

    Early taps hold nearly all energy of a channel whose first taps were kept, while users stand at
    all angles. True needs both: energy early on the axis of the angles, spread on that of the
    delays. Users that all stand in one direction are no reason for it.
    """
    power = np.square(check_csi(x, "CSI")[:LOOKED_AT], dtype=np.float64).sum(axis=1)
    share = power / power.sum(axis=(1, 2), keepdims=True)
    delays, angles = share[:, :TAPS].sum(axis=(1, 2)), share[:, :, :TAPS].sum(axis=(1, 2))
    return bool(delays.mean() < SPREAD and angles.mean() > EARLY)


def _read_mat(path: Path) -> npt.NDArray[Any]:
    """``HT`` of one file as [n, 2, 32 delays, 32 angles]; the file has the delays last."""
    try:
        content = _mat_arrays(path)
    except FileNotFoundError as error:
        there = ", ".join(sorted(p.name for p in path.parent.glob("*.mat"))) or "no .mat file"
        raise ConfigError(f"{path}: no such file; the folder has {there}") from error
    except PhyfoldError:
        raise
    except NotImplementedError as error:
        raise ConfigError(
            f"{path}: a MATLAB 7.3 file; CsiNet's files are of version 5",
            hint="save it in MATLAB with the option -v7",
        ) from error
    except Exception as error:  # scipy raises anything on a damaged file; the cause is kept
        raise ConfigError(
            f"{path}: not a readable .mat file ({error}): truncated or damaged",
            hint="copy or download it again",
        ) from error
    if COST2100_KEY not in content:
        keys = ", ".join(sorted(k for k in content if not k.startswith("__"))) or "none"
        raise ConfigError(f"{path}: no key {COST2100_KEY!r}; the file has: {keys}")
    array = np.asarray(content[COST2100_KEY])
    if array.ndim != 2 or array.shape[1] != VALUES or not len(array):
        raise ConfigError(
            f"{path}: {COST2100_KEY} of shape {array.shape}: must be [n, {VALUES}], n >= 1"
        )
    return np.ascontiguousarray(array.reshape(-1, 2, ANGLES, DELAYS).swapaxes(2, 3))


def _mat_arrays(path: Path) -> dict[str, Any]:
    """The variables of a .mat file: of ``HT`` the array, of others None.

    The shape that the file declares is looked at before it is read.
    """
    from scipy.io import loadmat, whosmat

    file = io.BytesIO(read_bytes(path, ARRAY_BYTES))
    found: dict[str, Any] = {}
    for name, shape, kind in whosmat(file):
        found[name] = None
        if name != COST2100_KEY:
            continue
        if kind not in MAT_NUMBERS:
            raise ConfigError(f"{path}: {name} is of class {kind}: must be an array of numbers")
        check_claim(f"{path}: {name} of shape {tuple(shape)}", shape, np.dtype(kind).itemsize)
    if COST2100_KEY in found:
        file.seek(0)
        found |= loadmat(file, variable_names=[COST2100_KEY])
    return found

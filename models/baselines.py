# SPDX-License-Identifier: Apache-2.0
"""Counted error rates of the classical detectors on the reference system, kept as a file.

    python -m models.baselines          writes models/data/baselines_fixed_toeplitz.json again

ZF, MMSE and exact ML run on the same frames. Reports read the file by `load`.
"""

from __future__ import annotations

import argparse
import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from models import detectors
from models.ber import BerPoint, StopRule, sweep
from models.errors import ConfigError, PhyfoldError, StorageError
from models.limits import parse_json, read_text
from models.mimo import DEFAULT_CHUNK, MimoSystem

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
BASELINES_PATH = Path(__file__).parent / "data" / "baselines_fixed_toeplitz.json"
DEFAULT_SNRS_DB = (8.0, 9.0, 10.0, 11.0, 12.0, 13.0)

AUTHORS_FULLYCON_BER: Mapping[float, float] = {
    8.0: 1.472e-2,
    9.0: 6.68e-3,
    10.0: 2.43e-3,
    11.0: 7.02e-4,
    12.0: 1.485e-4,
    13.0: 2.40e-5,
}
"""SNR [dB] to BER of the float FullyCon that the authors of "Learning to Detect" trained."""


@dataclass(frozen=True)
class Baselines:
    """Curves of the classical detectors on common frames.

    Attributes:
        system: name of the `MimoSystem`.
        seed, chunk: what `models.mimo.frame_chunk` drew the frames from.
        command: command line that counts them again.
        versions: of the libraries that counted.
        curves: detector name to points of increasing SNR.
    """

    system: str
    seed: int
    chunk: int
    command: str
    versions: Mapping[str, str]
    curves: Mapping[str, Sequence[BerPoint]]

    def to_json(self) -> dict[str, Any]:
        """Plain data of the file."""
        return {
            "schema": SCHEMA_VERSION,
            "system": self.system,
            "seed": self.seed,
            "chunk": self.chunk,
            "command": self.command,
            "versions": dict(self.versions),
            "curves": {name: [p.to_json() for p in points] for name, points in self.curves.items()},
        }

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        if record.get("schema") != SCHEMA_VERSION:
            raise ConfigError(
                f"baselines with schema {record.get('schema')!r}: this version reads "
                f"{SCHEMA_VERSION}",
                hint="write them again: python -m models.baselines",
            )
        return cls(
            system=str(record["system"]),
            seed=int(record["seed"]),
            chunk=int(record["chunk"]),
            command=str(record["command"]),
            versions=dict(record["versions"]),
            curves={
                name: [BerPoint.from_json(p) for p in points]
                for name, points in record["curves"].items()
            },
        )


def compute(frames: int, seed: int, snrs_db: Sequence[float] = DEFAULT_SNRS_DB) -> Baselines:
    """Count ZF, MMSE and ML on ``frames`` frames of the reference system at each SNR [dB]."""
    import numba
    import numpy as np

    from models import sphere

    system = MimoSystem.fixed_toeplitz()
    chosen = {
        "ZF": detectors.zf(system),
        "MMSE": detectors.mmse(system),
        "ML": sphere.ml(system),
    }
    curves = sweep(system, chosen, snrs_db, StopRule(frames), seed)
    options = [
        "--frames",
        str(frames),
        "--seed",
        str(seed),
        "--snr-db",
        *map("{:g}".format, snrs_db),
    ]
    return Baselines(
        system=system.name,
        seed=seed,
        chunk=DEFAULT_CHUNK,
        command=shlex.join(["python", "-m", "models.baselines", *options]),
        versions={"numpy": np.__version__, "numba": numba.__version__},
        curves=curves,
    )


def save(baselines: Baselines, path: Path) -> None:
    """Write the file; an older one stays whole until the new one is complete."""
    text = json.dumps(baselines.to_json(), indent=1) + "\n"
    part = path.with_name(path.name + ".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written: {error.strerror}") from error


def load(path: Path = BASELINES_PATH) -> Baselines:
    """Read the file."""
    try:
        record = parse_json(read_text(path))
        return Baselines.from_json(record)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{path}: not a readable file of baselines: {error!r}",
            hint="write it again: python -m models.baselines",
        ) from error


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``python -m models.baselines``."""
    parser = argparse.ArgumentParser(description="Count ZF, MMSE and ML on the reference system.")
    parser.add_argument("--frames", type=int, default=2_000_000, help="frames at each SNR")
    parser.add_argument("--seed", type=int, default=1000)
    parser.add_argument("--snr-db", type=float, nargs="+", default=list(DEFAULT_SNRS_DB))
    parser.add_argument("--out", type=Path, default=BASELINES_PATH)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        save(compute(args.frames, args.seed, args.snr_db), args.out)
    except PhyfoldError as error:
        parser.exit(error.exit_code, f"{parser.prog}: {error}\n")
    log.info("wrote %s", args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

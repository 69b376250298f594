# SPDX-License-Identifier: Apache-2.0
"""Step baselines: float FullyCon, ZF, MMSE and exact ML on the frames that the RTL gets."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import TYPE_CHECKING, Any

from fpga_builds.belongs import FRAMES_KEY
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Metric, too_few_errors
from fpga_builds.shipped import SHIPPED, checkpoint_files
from fpga_builds.stimulus import Chunk, chunks_of, frames_key, received, system_of
from fpga_builds.storage import hash_json, hash_path, write_json
from fpga_builds.versions import package_version
from models.errors import ConfigError
from models.sealed import read_sealed, write_sealed

if TYPE_CHECKING:
    from pathlib import Path

    from models.ber import BerPoint
    from models.detectors import Detector

TOOLS = {"float": "torch", "zf": "numpy", "mmse": "numpy", "ml": "numba"}


def run(context: StepContext) -> StepOutput:
    """Count every baseline at every SNR, chunk by chunk; chunks counted before are reused."""
    config = context.config
    detectors = _detectors(config, context.jobs)
    chunks = chunks_of(config)
    points: dict[str, dict[float, list[BerPoint]]] = {name: {} for name in detectors}
    with context.reporter.bar("baselines", len(chunks)) as advance:
        for done, chunk in enumerate(chunks):
            counted = _count_chunk(context, chunk, detectors)
            for name, point in counted.items():
                points[name].setdefault(point.snr_db, []).append(point)
            advance(done + 1, len(chunks))
            context.reporter.kept = f"baselines on {done + 1} of {len(chunks)} chunks of frames"
    curves = {
        name: [reduce(add, parts) for _, parts in sorted(by_snr.items())]
        for name, by_snr in points.items()
    }
    body = {name: [_keyed(config, point) for point in curve] for name, curve in curves.items()}
    write_json(context.folder / "baselines.json", body)
    metrics = tuple(_metric(name, point) for name, curve in body.items() for point in curve)
    return StepOutput({"baselines": "baselines.json"}, metrics)


def wanted(config: BuildConfig) -> tuple[str, ...]:
    """The baselines of a build; floating point only where it names a reference."""
    has_reference = config.network.reference is not None
    return tuple(name for name in config.simulate.baselines if has_reference or name != "float")


def _detectors(config: BuildConfig, jobs: int) -> dict[str, Detector]:
    from models import detectors, sphere

    if config.channel is None:
        raise ConfigError(f"{config.name}: baselines need a [channel]")
    system = system_of(config.channel)
    found: dict[str, Detector] = {}
    for name in wanted(config):
        if name == "float":
            found[name] = _float_detector(config)
        elif name == "ml":
            found[name] = sphere.ml(system, jobs=jobs)
        else:
            found[name] = {"zf": detectors.zf, "mmse": detectors.mmse}[name](system)
    return found


def _float_detector(config: BuildConfig) -> Detector:
    from quant.checkpoint import load_checkpoint
    from quant.evaluate import detector_of

    _recipe, network = load_checkpoint(_reference_path(config))
    return detector_of(network)


def _reference_path(config: BuildConfig) -> Path:
    return SHIPPED / str(config.network.reference)


def _count_chunk(
    context: StepContext, chunk: Chunk, detectors: Mapping[str, Detector]
) -> dict[str, BerPoint]:
    from models.ber import BerPoint, count

    key = _cache_key(context)
    folder = context.cache / "baselines" / key[:16]
    kept: dict[str, BerPoint] = {}
    sent = y = None
    for name, detector in detectors.items():
        path = folder / f"{name}-{chunk.label}.json"
        belongs_to = f"{key} {path.stem}"
        body = read_sealed(path, belongs_to)
        if body is not None:
            kept[name] = BerPoint.from_json(body)
            continue
        if sent is None or y is None:
            sent, y = received(context.config, system_of_config(context.config), chunk)
        kept[name] = count(float(chunk.snr_db or 0.0), sent, detector(y, float(chunk.snr_db or 0)))
        write_sealed(path, kept[name].to_json(), belongs_to)
    return kept


def system_of_config(config: BuildConfig) -> Any:
    """The system of a build that has a channel."""
    if config.channel is None:
        raise ConfigError(f"{config.name}: has no [channel]")
    return system_of(config.channel)


def _cache_key(context: StepContext) -> str:
    config, sim = context.config, context.config.simulate
    parts = [
        config.channel.model_dump() if config.channel else None,
        [sim.seed, sim.chunk_frames],
        [hash_path(path) for path in _external(config)],
        context.made_by,
    ]
    return hash_json(parts)


def _keyed(config: BuildConfig, point: BerPoint) -> dict[str, Any]:
    """A point with the key of the frames that it was counted on."""
    return {**point.to_json(), FRAMES_KEY: frames_key(config, point.snr_db, point.frames)}


def _metric(name: str, point: Mapping[str, Any]) -> Metric:
    bound = point["upper_bound"]
    return Metric(
        name=f"ber_{name}.snr_{point['snr_db']:g}",
        value=point["ber"] if bound is None else None,
        unit="1",
        better="lower",
        stage="software",
        tool=TOOLS[name],
        version=str(package_version(TOOLS[name])),
        source="60-baselines/baselines.json",
        ci95=(point["ci95"][0], point["ci95"][1]),
        reason="" if bound is None else too_few_errors(point),
        frames_key=point[FRAMES_KEY],
        counted=point["errors"],
    )


def _settings(config: BuildConfig) -> object:
    sim = config.simulate
    return [
        config.channel.model_dump() if config.channel else None,
        config.network.reference,
        [sim.snr_db, sim.frames, sim.seed, sim.chunk_frames, sim.baselines],
    ]


def _external(config: BuildConfig) -> tuple[Path, ...]:
    needed = "float" in wanted(config)
    return checkpoint_files(_reference_path(config))[:2] if needed else ()


STEP = Step(
    name="baselines",
    number=60,
    title="counts floating point and the classical detectors on the same frames",
    reads=(),
    writes=("baselines",),
    settings=_settings,
    run=run,
    packages=("torch", "numpy"),
    external=_external,
    applies=lambda config: config.channel is not None and bool(config.simulate.baselines),
)

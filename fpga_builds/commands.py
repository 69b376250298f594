# SPDX-License-Identifier: Apache-2.0
"""What the commands do, free of how they are typed and printed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fpga_builds.checks import require
from fpga_builds.config import BuildConfig, load_build
from fpga_builds.config_rules import GENERATED
from fpga_builds.flow import Flow
from fpga_builds.progress import Reporter
from fpga_builds.state import State
from fpga_builds.steps.order import steps_of
from fpga_builds.storage import exclusive, read_json
from models.errors import ConfigError

ROOT = Path("build")


@dataclass(frozen=True)
class Job:
    """One call of a command on one build.

    Attributes:
        config: of the build, with the options of the command line in it.
        out: folder of its results.
        jobs: processes at a time.
        reporter: progress on standard error.
    """

    config: BuildConfig
    out: Path
    jobs: int = 1
    reporter: Reporter = field(default_factory=Reporter)

    @property
    def flow(self) -> Flow:
        """The flow of this build."""
        steps = steps_of(self.config)
        return Flow(steps, self.config, self.out, jobs=self.jobs, reporter=self.reporter)


def configure(
    build: str,
    *,
    seed: int | None = None,
    checkpoint: str | None = None,
    simulate: dict[str, Any] | None = None,
    samples: int | None = None,
    data: str | None = None,
) -> BuildConfig:
    """The build's configuration with what the command line changes.

    Raises:
        ConfigError: no such build, or a value breaks its rule.
    """
    config = load_build(build)
    if config.csi is not None:
        if (simulate or {}).get("snr_db"):
            raise ConfigError(
                f"{config.name}: --snr-db is of detectors, this is a CSI network",
                hint="--samples and --data say what a CSI network is measured with",
            )
        place = str(Path(data).resolve()) if data and ("/" in data or Path(data).is_dir()) else data
        source = place or config.csi.data
        if seed is not None and source not in GENERATED:
            raise ConfigError(
                f"{config.name}: --seed {seed}: the samples of {source!r} are not drawn",
                hint=f"--data {GENERATED[0]} draws samples, with a seed",
            )
        config = config.updated("csi", data=place, seed=seed)
    elif samples is not None or data is not None:
        raise ConfigError(
            f"{config.name}: --samples and --data are of CSI builds, this is a detector",
            hint="--frames and --snr-db say what a detector is measured with",
        )
    elif config.channel is None and (simulate or {}).get("snr_db"):
        raise ConfigError(
            f"{config.name}: --snr-db: the build has no [channel], so there is no noise; it is "
            "simulated with random codes",
            hint="--frames says how many; a build.toml with [channel] measures a BER",
        )
    changes = {**(simulate or {}), "seed": seed}
    if samples is not None and changes.get("frames") is not None:
        raise ConfigError(f"{config.name}: give --samples or --frames, they say the same here")
    if samples is not None:
        changes["frames"] = samples
    if any(value is not None for value in changes.values()):
        config = config.updated("simulate", **changes)
    if checkpoint is not None:
        folder = Path(checkpoint)
        if not (folder / "recipe.json").is_file():
            raise ConfigError(f"--checkpoint {checkpoint}: no recipe.json in that folder")
        config = config.updated("network", checkpoint=str(folder.resolve()))
    return config


def list_builds(patterns: Sequence[str] = ()) -> list[dict[str, Any]]:
    """What is known of each build, see `fpga_builds.overview.overview`."""
    from fpga_builds.overview import overview

    return overview(ROOT, patterns)


def train(
    build: str,
    out: Path | None,
    reporter: Reporter,
    *,
    threads: int,
    quick: bool,
    device: str,
    seed: int | None,
    data: str | None = None,
) -> dict[str, Any]:
    """Train a build's recipe, or a recipe by its name, in ``<out>/training``; resumes there."""
    from fpga_builds.steps.csi_train import csi_recipe_for
    from fpga_builds.steps.train import recipe_for, train_here

    found = csi_recipe_for(build)
    if found is not None:
        name = found[0]
        folder = (out or ROOT / name) / ("training-quick" if quick else "training")
        with exclusive(folder.parent), reporter.interruptible(folder.parent):
            return _train_csi(
                found, folder, reporter, threads=threads, quick=quick, device=device, seed=seed,
                data=data,
            )  # fmt: skip
    if data is not None:
        raise ConfigError(f"{build}: --data is of CSI builds, this is a detector")
    name, recipe = recipe_for(build)
    out = out or ROOT / name
    folder = out / ("training-quick" if quick else "training")
    with exclusive(out), reporter.interruptible(out):
        return train_here(
            name,
            recipe,
            folder,
            threads=threads,
            quick=quick,
            device=device,
            seed=seed,
            reporter=reporter,
        )


def _train_csi(
    found: tuple[str, Any],
    folder: Path,
    reporter: Reporter,
    *,
    threads: int,
    quick: bool,
    device: str,
    seed: int | None,
    data: str | None,
) -> dict[str, Any]:
    from fpga_builds.steps.csi_train import recipe_on, train_csi_here

    name, recipe = found
    recipe, place = recipe_on(recipe.quick() if quick else recipe, data)
    if seed is not None:
        train = recipe.train.model_copy(update={"seed": seed})
        recipe = recipe.model_copy(update={"train": train})
    body = train_csi_here(recipe, folder, reporter, device=device, data=place, threads=threads)
    return {
        "build": name,
        "checkpoint": str(folder),
        "learning_curve": str(folder / "log.csv"),
        "steps": recipe.train.steps,
        **{key: body[key] for key in ("nmse_db", "ci95", "rho", "samples")},
    }


def export(job: Job) -> dict[str, Any]:
    """Flow up to the QONNX model."""
    with exclusive(job.out), job.reporter.interruptible(job.out):
        state = job.flow.run("export")
    return {
        "build": job.config.name,
        "model": str(state.file("model")),
        "brevitas_qonnx_mismatches": state.metrics.value("brevitas_qonnx_mismatches"),
    }


def compile_build(job: Job) -> dict[str, Any]:
    """Flow up to the folded accelerator and its RTL."""
    with exclusive(job.out), job.reporter.interruptible(job.out):
        state = job.flow.run("hdl")
    metrics = state.metrics
    names = ("ii_cycles_ideal", "ii_cycles", "latency_cycles", "throughput_per_s", "clock_mhz")
    return {
        "build": job.config.name,
        "part": job.config.compile.part,
        **{name: metrics.value(name, "estimate") for name in names},
        "totals": {n: metrics.value(n, "estimate") for n in ("lut", "ff", "bram18", "dsp")},
        "layers": list(state.records["compile"].info["layers"]),
        "fifo_depths": dict(state.records["hdl"].info["fifo_depths"]),
        "compiled": str(state.file("compiled")),
        "rtl": str(state.file("rtl")),
    }


def simulate(job: Job, waveform: range | None = None) -> tuple[dict[str, Any], State]:
    """Flow up to BER at RTL. The checks come after, see `require_checks`."""
    with exclusive(job.out), job.reporter.interruptible(job.out):
        state = job.flow.run("simulate")
        body = dict(state.records["simulate"].info)
        if state.has("baselines"):
            body["curves"] = read_json(state.file("baselines")) or {}
        if waveform is not None:
            body["waveform"] = str(_waveform(job, state, waveform))
    return body, state


def _waveform(job: Job, state: State, frames: range) -> Path:
    from fpga_builds.steps.simulate import write_waveform_of

    return write_waveform_of(job.config, state, frames, job.out)


def simulation_checks_of(job: Job, state: State, body: dict[str, Any]) -> list[dict[str, Any]]:
    """The checks that a simulation must pass, as plain data."""
    from fpga_builds.checks import simulation_checks

    rules = job.config.checks.model_copy(update={"max_loss_db": None})
    config = job.config.model_copy(update={"checks": rules})
    checks = simulation_checks(config, state.metrics, disturbed=body["disturbed"])
    return [check.to_json() for check in checks]


def report(job: Job, seed: int | None = None) -> dict[str, Any]:
    """Write the report of what is there; nothing is run for it.

    Raises:
        ConfigError: there is nothing, or what was simulated had another seed than ``seed``.
    """
    from fpga_builds.report import make_report

    with exclusive(job.out), job.reporter.interruptible(job.out):
        state, left_out = job.flow.present()
        if not state.records:
            raise ConfigError(
                f"{job.out}: no results there to report",
                hint=f"`phyfold run {job.config.name}` makes them",
            )
        simulated = state.records.get("simulate")
        found = None if simulated is None else simulated.info.get("seed")
        if seed is not None and found != seed:
            raise ConfigError(
                f"{job.out}: --seed {seed}, but the simulation there has seed {found}",
                hint=f"`phyfold run {job.config.name} --seed {seed}` makes another",
            )
        return make_report(job.config, job.out, state, left_out)


def require_checks(checks: list[dict[str, Any]], build: str) -> None:
    """Raise CheckError if one failed."""
    from fpga_builds.checks import Check

    require([Check(**item) for item in checks], build)


def run_all(job: Job) -> tuple[dict[str, Any], dict[str, Any]]:
    """All steps and the report. Returns (simulation, report)."""
    from fpga_builds.report import make_report

    with exclusive(job.out), job.reporter.interruptible(job.out):
        flow = job.flow
        state = flow.run(*(step.name for step in flow.steps))
        body = dict(state.records["simulate"].info)
        if state.has("baselines"):
            body["curves"] = read_json(state.file("baselines")) or {}
        return body, make_report(job.config, job.out, state)

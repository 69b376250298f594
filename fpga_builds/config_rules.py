# SPDX-License-Identifier: Apache-2.0
"""Settings that a build could not follow are refused where they are written, not ignored later.

A key that does not apply to a kind of build may keep its default; any other value is refused. A
check that could never be made fails here, not after hours of simulation.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

if TYPE_CHECKING:
    from fpga_builds.config import BuildConfig

DETECTOR_ONLY = (
    ("simulate", "snr_db"),
    ("simulate", "baselines"),
    ("checks", "max_loss_db"),
    ("checks", "loss_at_ber"),
)
CSI_ONLY = (("checks", "max_nmse_loss_db"),)
GENERATED = ("inh", "umi")
"""Channels that are drawn, with a seed."""


def problems(config: BuildConfig) -> list[str]:
    """What of ``config`` would be ignored or could not be checked, in words."""
    return [*_other_kind(config), *_unused(config), *_impossible(config)]


def _other_kind(config: BuildConfig) -> Iterator[str]:
    """Keys of another kind of build."""
    wrong: tuple[tuple[str, str], ...]
    if config.csi is not None:
        kind, wrong = "a CSI build", DETECTOR_ONLY
    elif config.channel is not None:
        kind, wrong = "a detector's build", CSI_ONLY
    else:
        kind, wrong = "a build without [channel] and [csi]", (*DETECTOR_ONLY, *CSI_ONLY)
    for section, key in wrong:
        value = getattr(getattr(config, section), key)
        if value != _default(getattr(config, section), key):
            yield f"{section}.{key} = {_shown(value)}: means nothing in {kind}; remove the key"
    if config.network.reference is not None and config.csi is None and config.channel is None:
        yield (
            f"network.reference = {config.network.reference!r}: nothing is compared in {kind}; "
            "remove the key, or add [channel]"
        )


def _unused(config: BuildConfig) -> Iterator[str]:
    """Keys that others switch off."""
    sim, channel, csi = config.simulate, config.channel, config.csi
    if sim.disturb_seed != _default(sim, "disturb_seed") and not (
        sim.gap_probability or sim.stall_probability
    ):
        yield (
            f"simulate.disturb_seed = {sim.disturb_seed}: needs gap_probability or "
            "stall_probability"
        )
    random = channel is not None and channel.kind != "fixed_toeplitz"
    if random and channel is not None and channel.rho != _default(channel, "rho"):
        yield f"channel.rho = {channel.rho}: only kind = 'fixed_toeplitz' has it"
    if csi is not None and csi.data not in GENERATED and csi.seed != _default(csi, "seed"):
        yield (
            f"csi.seed = {csi.seed}: the samples of {csi.data!r} are not drawn; a seed is of "
            f"{' and '.join(GENERATED)}"
        )


def _impossible(config: BuildConfig) -> Iterator[str]:
    """Limits that nothing would ever be measured for."""
    checks, reference = config.checks, config.network.reference
    if checks.max_nmse_loss_db is not None and config.csi is not None and reference is None:
        yield (
            f"checks.max_nmse_loss_db = {checks.max_nmse_loss_db:g}: needs network.reference, the "
            "floating-point checkpoint that it is a loss against"
        )
    if checks.max_loss_db is None or config.channel is None:
        return
    missing = []
    if reference is None:
        missing.append("network.reference, the floating-point checkpoint that it is a loss against")
    if "float" not in config.simulate.baselines:
        missing.append("'float' in simulate.baselines")
    if config.compile.output not in ("hard_pairs", "sign"):
        missing.append("compile.output = 'hard_pairs' or 'sign', which decide bits")
    if missing:
        yield f"checks.max_loss_db = {checks.max_loss_db:g}: needs {' and '.join(missing)}"


def _default(section: BaseModel, key: str) -> Any:
    return type(section).model_fields[key].default


def _shown(value: object) -> str:
    return repr(list(value)) if isinstance(value, tuple) else repr(value)

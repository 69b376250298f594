# SPDX-License-Identifier: Apache-2.0
"""The compression study: SNR loss against bits and sparsity, as a table and as the paper plots it.

    python -m quant.study            table, docs/results/compression.json and .png from metrics.json
    python -m quant.study --measure  counts every checkpoint's BER first, and the untrained
                                     (post-training) quantization and pruning of the float network

Guo, Wang, Wen, Jin, Li ("Compression and Acceleration of Neural Networks for Communications") plot
the BER of the detector after pruning and after quantization. Both are drawn here, with retraining
(the shipped checkpoints) and without it.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from models.ber import BerPoint, StopRule, snr_loss_db
from models.errors import CheckError, PhyfoldError
from models.files import write_atomic
from models.fullycon import FullyCon
from quant.checkpoint import checkpoint_folder, load_checkpoint
from quant.evaluate import SNRS_DB, TARGET_BER, ber_curve, cost_of, load_curve, measure
from quant.measured import need_measured
from quant.network import calibrate
from quant.pruning import magnitude_masks
from quant.recipe import PruningConfig, QuantConfig, Recipe
from quant.train import FrameSource, system_of

log = logging.getLogger(__name__)

REFERENCE = "fullycon_float"
SHIPPED = (
    "fullycon_float",
    "fullycon_w8a8",
    "fullycon_w4a4",
    "fullycon_w2a4",
    "fullycon_w4a4_p80",
    "fullycon_w4a4_p90",
    "fullycon_w4a4_b80",
    "fullycon_w4a4_b90",
)
RESULTS = Path(__file__).parent.parent / "docs" / "results"
PAGE = """# Compression of FullyCon: SNR loss against bits and sparsity

Written by `python -m quant.study`. Every checkpoint is counted on the same 300,000 frames a SNR
(seed 2024; those not retrained: on up to 50,000); the loss is the SNR that a network needs beyond
the floating-point one for a BER of 1e-3.

{table}
![BER against SNR](compression.png)

Dotted: the floating-point network quantized or pruned without retraining. How the checkpoints were
trained: [compression](../compression.md).
"""
UNTRAINED_RULE = StopRule(frames=50_000, errors=5_000)


@dataclass(frozen=True)
class Row:
    """One line of the table. ``snr_loss_db`` is None where the curve never falls to 1e-3."""

    name: str
    weight_bits: str
    act_bits: str
    sparsity: float
    weight_memory_bits: int
    nonzero_macs: int
    ber_10db: float
    ber_12db: float
    snr_loss_db: float | None


def _loss(curve: Sequence[BerPoint], reference: Sequence[BerPoint]) -> float | None:
    try:
        return snr_loss_db(curve, reference, TARGET_BER)
    except CheckError:
        return None


def row_of(name: str) -> Row:
    """The table's line of a shipped checkpoint, from its ``metrics.json``."""
    folder = checkpoint_folder(name)
    data = need_measured(folder)
    recipe = Recipe.model_validate_json((folder / "recipe.json").read_text())
    curve = load_curve(folder)
    ber = {point.snr_db: point.ber for point in curve}
    return Row(
        name=name,
        weight_bits=str(recipe.quant.weight_bits) if recipe.quant else "float32",
        act_bits=str(recipe.quant.act_bits) if recipe.quant else "float32",
        sparsity=data["cost"]["sparsity"],
        weight_memory_bits=data["cost"]["weight_memory_bits"],
        nonzero_macs=data["cost"]["nonzero_macs"],
        ber_10db=ber[10.0],
        ber_12db=ber[12.0],
        snr_loss_db=_loss(curve, load_curve(checkpoint_folder(REFERENCE))),
    )


def markdown_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table; losses are at BER 1e-3 against the float network."""
    lines = [
        "| checkpoint | weights | activations | zeros | weight memory, kbit | non-zero MACs | "
        "BER 10 dB | BER 12 dB | SNR loss at BER 1e-3 |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        loss = "not reached" if row.snr_loss_db is None else f"{row.snr_loss_db:+.2f} dB"
        lines.append(
            f"| `{row.name}` | {_bits(row.weight_bits)} | {_bits(row.act_bits)} | "
            f"{row.sparsity:.0%} | {row.weight_memory_bits / 1000:,.0f} | {row.nonzero_macs:,} | "
            f"{row.ber_10db:.2e} | {row.ber_12db:.2e} | "
            f"{'reference' if row.name == REFERENCE else loss} |"
        )
    return "\n".join(lines) + "\n"


def _bits(text: str) -> str:
    return text if text.startswith("float") else f"{text} bit"


@dataclass(frozen=True)
class Untrained:
    """The float network after quantization or pruning, without retraining."""

    curve: list[BerPoint]
    cost: dict[str, Any]


def untrained_networks() -> dict[str, dict[str, Untrained]]:
    """Quantized and pruned versions of the float network, none of them retrained."""
    recipe, source = load_checkpoint(checkpoint_folder(REFERENCE))
    if not isinstance(source, FullyCon):
        raise CheckError(f"{REFERENCE} must be a floating-point network")
    system = system_of(recipe.channel, recipe.network.inputs, recipe.network.bits)
    y = FrameSource(system, recipe, torch.device("cpu")).draw(4000)[1]
    quantized, pruned = {}, {}
    for bits in (8, 6, 4):
        network = calibrate(source, QuantConfig(weight_bits=bits, act_bits=bits), y)
        curve = ber_curve(recipe, network, UNTRAINED_RULE)
        quantized[f"W{bits}A{bits}"] = Untrained(curve, vars(cost_of(network)))
        log.info("W%dA%d without retraining: done", bits, bits)
    for percent in (50, 70, 80):
        config = PruningConfig(kind="unstructured", scope="global", sparsity=percent / 100)
        cut = FullyCon(source.shape)
        cut.load_state_dict(source.state_dict())
        weights = [layer.weight for layer in cut.layers]
        with torch.no_grad():
            masks = magnitude_masks(weights, config, config.target)
            for weight, mask in zip(weights, masks, strict=True):
                weight.mul_(mask)
        curve = ber_curve(recipe, cut, UNTRAINED_RULE)
        pruned[f"{percent} % pruned"] = Untrained(curve, vars(cost_of(cut)))
        log.info("%d %% pruned without retraining: done", percent)
    return {"quantized": quantized, "pruned": pruned}


def untrained_rows(kept: dict[str, Any]) -> list[Row]:
    """The table's lines of the quantized networks that were not retrained, from what is kept."""
    reference = load_curve(checkpoint_folder(REFERENCE))
    rows = []
    for name, body in kept.get("quantized", {}).items():
        curve = [BerPoint.from_json(p) for p in body["points"]]
        ber = {point.snr_db: point.ber for point in curve}
        weight_bits, act_bits = name.removeprefix("W").split("A")
        rows.append(
            Row(
                name=f"{name}, not retrained",
                weight_bits=weight_bits,
                act_bits=act_bits,
                sparsity=body["cost"]["sparsity"],
                weight_memory_bits=body["cost"]["weight_memory_bits"],
                nonzero_macs=body["cost"]["nonzero_macs"],
                ber_10db=ber[10.0],
                ber_12db=ber[12.0],
                snr_loss_db=_loss(curve, reference),
            )
        )
    return rows


def write_results(untrained: dict[str, dict[str, Untrained]] | None) -> list[Row]:
    """Write docs/results/compression.json and .png from what was measured; returns the rows."""
    path = RESULTS / "compression.json"
    rows = [row_of(name) for name in SHIPPED if (checkpoint_folder(name) / "metrics.json").exists()]
    if untrained is None:
        old = json.loads(path.read_text())["untrained"] if path.exists() else {}
    else:
        old = {
            kind: {
                name: {"points": [p.to_json() for p in one.curve], "cost": one.cost}
                for name, one in networks.items()
            }
            for kind, networks in untrained.items()
        }
    table = [*rows, *untrained_rows(old)]
    body: dict[str, Any] = {
        "command": "python -m quant.study --measure",
        "target_ber": TARGET_BER,
        "snrs_db": list(SNRS_DB),
        "rows": [vars(row) for row in table],
        "untrained": old,
    }
    write_atomic(path, json.dumps(body, indent=1).encode() + b"\n")
    write_atomic(RESULTS / "compression.md", PAGE.format(table=markdown_table(table)).encode())
    from quant.study_plot import plot_study

    plot_study(
        {row.name: load_curve(checkpoint_folder(row.name)) for row in rows},
        {
            kind: {n: [BerPoint.from_json(p) for p in one["points"]] for n, one in kept.items()}
            for kind, kept in old.items()
        },
        RESULTS / "compression.png",
    )
    return table


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of this module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="count BER first (several minutes)")
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        untrained = None
        if arguments.measure:
            for name in SHIPPED:
                log.info("%s", name)
                measure(checkpoint_folder(name))
            untrained = untrained_networks()
        sys.stdout.write(markdown_table(write_results(untrained)))
    except PhyfoldError as error:
        sys.stderr.write(f"error: {error.message}\n{error.hint}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

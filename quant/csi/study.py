# SPDX-License-Identifier: Apache-2.0
"""NMSE against weights, MACs and feedback bits: one table of all shipped CSI checkpoints and PCA.

    python -m quant.csi.study                writes docs/results/csi.json, csi.md and csi.png again
    python -m quant.csi.study --data DIR     with the InH set in DIR, counts PCA first

Every figure comes from a checkpoint's ``metrics.json`` or is counted here on the same test samples.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from models.csi.metrics import VALUES
from models.csi.pca import pca_points
from models.errors import ConfigError, PhyfoldError
from models.files import write_atomic
from quant.csi.checkpoint import CSI_CHECKPOINTS
from quant.csi.data import load_csi
from quant.csi.evaluate import FLOAT_BITS
from quant.csi.recipe import RECIPE_FOLDER, CsiDataConfig
from quant.csi.study_plot import plot_csi_study
from quant.measured import need_measured

log = logging.getLogger(__name__)

RESULTS = Path(__file__).parents[2] / "docs" / "results"
HEAD = (
    "network | ratio | NMSE dB | 95 % interval | rho | weights | weight bits | MACs | "
    "feedback bits | training"
)
PAGE = """# CSI feedback: NMSE against weights, MACs and feedback bits

Written by `python -m quant.csi.study`. InH channels (`models.csi.channels`), {samples} test
samples. PCA and the floating-point networks send real numbers: 32 bits a value are counted for
them, so this is no comparison with transform coding at equal feedback bits. ConvCsiNet and
ConvSquCsiNet are our own reconstruction (`models.csi.spec`). "w4a4" has 4-bit weights and
activations, "mixed" 4-bit weights and 8-bit activations; the first and last layer of each half have
8 bits in both. "code4" sends 4 bits a codeword value, "code2" 2 and so on, all others 8. "b75" is
pruned, balanced: 2 of every 8 weights are left; those alone are counted, with their places.
Training: samples that the optimiser saw, and the checkpoint it started from.

![NMSE against weights, weight bits, multiplications and feedback bits](csi.png)

{table}

{untrained}
"""


def pca_rows(folder: Path | None, config: CsiDataConfig | None = None) -> list[dict[str, Any]]:
    """PCA at all ratios on the set of the default recipe."""
    data = load_csi(config or CsiDataConfig(), folder)
    rows = []
    for ratio, point in pca_points(data.train, data.test).items():
        weights = 2 * VALUES * (VALUES // ratio)
        cost = {
            "kept_weights": weights,
            "weight_memory_bits": weights * FLOAT_BITS,
            "kept_macs": weights,
            "feedback_bits": VALUES // ratio * FLOAT_BITS,
        }
        rows.append({"name": "PCA", "ratio": ratio, **point.to_json(), "cost": cost})
    return rows


def checkpoint_rows(folder: Path = CSI_CHECKPOINTS) -> list[dict[str, Any]]:
    """``metrics.json`` of every checkpoint in ``folder``, with its network, ratio, bit widths."""
    rows = []
    for path in sorted(folder.glob("*/metrics.json")):
        record = need_measured(path.parent)
        recipe = json.loads((path.parent / "recipe.json").read_text())
        network = recipe["network"]
        rows.append(
            {
                **record,
                "network": network["kind"],
                "ratio": network["ratio"],
                "quant": recipe["quant"],
                "pruning": recipe["pruning"],
            }
        )
    if not rows:
        raise ConfigError(f"{folder}: no measured checkpoint there")
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Markdown table, by ratio, then by NMSE."""
    columns = HEAD.split(" | ")
    lines = [f"| {HEAD} |", "|" + "---|" * len(columns)]
    for row in sorted(rows, key=lambda row: (row["ratio"], row["nmse_db"])):
        low, high = row["ci95"]
        cost = row["cost"]
        cells = [
            row["name"],
            f"1/{row['ratio']}",
            f"{row['nmse_db']:.2f}",
            f"{low:.2f} to {high:.2f}",
            f"{row['rho']:.4f}",
            *(f"{cost[key]:,}" for key in ("kept_weights", "weight_memory_bits", "kept_macs")),
            f"{cost['feedback_bits']:,}",
            budget_text(row.get("budget")),
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def budget_text(budget: Mapping[str, Any] | None) -> str:
    """What a checkpoint was trained on, in a few words."""
    if budget is None:
        return "closed form"
    start = f", from {budget['init']}" if budget["init"] else ""
    return f"{budget['samples']:,}{start}"


def untrained_text(names: Collection[str]) -> str:
    """Which shipped recipes have no checkpoint among ``names``."""
    recipes = sorted(path.stem for path in RECIPE_FOLDER.glob("*.toml"))
    missing = [name for name in recipes if name not in names]
    if not missing:
        return "Every shipped recipe has a checkpoint."
    return f"Recipes without a checkpoint, not trained yet: {', '.join(missing)}."


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of ``python -m quant.csi.study``."""
    parser = argparse.ArgumentParser(prog="quant.csi.study", description=(__doc__ or "")[:94])
    parser.add_argument("--data", type=Path, help="folder of generated sets: counts PCA again")
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    path = args.out / "csi.json"
    try:
        if args.data is not None or not path.exists():
            pca = pca_rows(args.data)
        else:
            pca = [row for row in json.loads(path.read_text()) if row["name"] == "PCA"]
        rows = [*pca, *checkpoint_rows()]
        write_atomic(path, json.dumps(rows, indent=1) + "\n")
        page = PAGE.format(
            samples=f"{pca[0]['samples']:,}",
            table=table(rows),
            untrained=untrained_text({row["name"] for row in rows}),
        )
        write_atomic(args.out / "csi.md", page)
        plot_csi_study(rows, args.out / "csi.png")
    except PhyfoldError as error:
        parser.exit(error.exit_code, f"{parser.prog}: {error}\n")
    log.info("%s", table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

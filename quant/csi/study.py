# SPDX-License-Identifier: Apache-2.0
"""NMSE against weights, MACs and feedback bits: one table of all shipped CSI checkpoints and PCA.

    python -m quant.csi.study                writes docs/results/csi.json and csi.md again
    python -m quant.csi.study --data DIR     with the InH set in DIR, counts PCA first

Every figure comes from a checkpoint's ``metrics.json`` or is counted here on the same test samples.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from models.csi.metrics import VALUES
from models.csi.pca import pca_points
from models.errors import ConfigError, PhyfoldError
from models.files import write_atomic
from quant.csi.checkpoint import CSI_CHECKPOINTS
from quant.csi.data import load_csi
from quant.csi.evaluate import FLOAT_BITS
from quant.csi.recipe import CsiDataConfig

log = logging.getLogger(__name__)

RESULTS = Path(__file__).parents[2] / "docs" / "results"
HEAD = (
    "network | ratio | NMSE dB | 95 % interval | rho | weights | weight bits | MACs | feedback bits"
)
PAGE = """# CSI feedback: NMSE against weights, MACs and feedback bits

Written by `python -m quant.csi.study`. InH channels (`models.csi.channels`), {samples} test
samples. PCA and the floating-point networks send real numbers: 32 bits a value are counted for
them. ConvCsiNet and ConvSquCsiNet are our own reconstruction (`models.csi.spec`). The training
budget of each checkpoint stands in its `metrics.json`.

{table}
"""


def pca_rows(folder: Path | None, config: CsiDataConfig | None = None) -> list[dict[str, Any]]:
    """PCA at all ratios on the set of the default recipe."""
    data = load_csi(config or CsiDataConfig(), folder)
    rows = []
    for ratio, point in pca_points(data.train, data.test).items():
        weights = 2 * VALUES * (VALUES // ratio)
        cost = {
            "weights": weights,
            "weight_memory_bits": weights * FLOAT_BITS,
            "macs": weights,
            "feedback_bits": VALUES // ratio * FLOAT_BITS,
        }
        rows.append({"name": "PCA", "ratio": ratio, **point.to_json(), "cost": cost})
    return rows


def checkpoint_rows(folder: Path = CSI_CHECKPOINTS) -> list[dict[str, Any]]:
    """``metrics.json`` of every checkpoint in ``folder``, with its ratio."""
    rows = []
    for path in sorted(folder.glob("*/metrics.json")):
        record = json.loads(path.read_text())
        recipe = json.loads((path.parent / "recipe.json").read_text())
        rows.append({**record, "ratio": recipe["network"]["ratio"]})
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
            *(f"{cost[key]:,}" for key in ("weights", "weight_memory_bits", "macs")),
            f"{cost['feedback_bits']:,}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


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
        page = PAGE.format(samples=f"{pca[0]['samples']:,}", table=table(rows))
        write_atomic(args.out / "csi.md", page)
    except PhyfoldError as error:
        parser.exit(error.exit_code, f"{parser.prog}: {error}\n")
    log.info("%s", table(rows))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

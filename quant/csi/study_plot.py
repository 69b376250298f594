# SPDX-License-Identifier: Apache-2.0
"""The figures of the CSI study: NMSE against weights, weight bits, MACs and feedback bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.files import write_atomic

Row = Mapping[str, Any]

NETWORKS = {
    "conv": ("ConvCsiNet", "C0"),
    "squ": ("ConvSquCsiNet", "C1"),
    "csinet": ("CsiNet", "C2"),
    "pca": ("PCA", "0.45"),
}
FORMATS = {
    "float": ("float32", "-", "o"),
    "w8a8": ("W8A8", "--", "s"),
    "mixed": ("mixed", "-.", "D"),
    "w4a4": ("W4A4", ":", "^"),
    "pruned": ("mixed, pruned", (0, (3, 1, 1, 1)), "v"),
    "code": ("mixed, fewer codeword bits", (0, (1, 2)), "*"),
}
FULL_CODE = 8
"""Bits of a codeword value in all formats but "code"."""

COSTS = {
    "kept_weights": "weights",
    "weight_memory_bits": "weight memory [bits]",
    "kept_macs": "multiplications of a sample (encoder and decoder)",
    "feedback_bits": "feedback bits of a sample",
}


def family(row: Row) -> tuple[str, str]:
    """(network, number format) of a row of the study, keys of `NETWORKS` and `FORMATS`."""
    if row["name"] == "PCA":
        return "pca", "float"
    network = row["network"]
    quant = row.get("quant")
    if quant is None:
        return network, "float"
    if quant["code_bits"] != FULL_CODE:
        return network, "code"
    if row.get("pruning"):
        return network, "pruned"
    if quant["weight_bits"] != quant["act_bits"]:
        return network, "mixed"
    return network, f"w{quant['weight_bits']}a{quant['act_bits']}"


def curves(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Rows by family, each by falling feedback, in the order of `NETWORKS` and `FORMATS`."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for network in NETWORKS:
        for kind in FORMATS:
            own = [row for row in rows if family(row) == (network, kind)]
            if own:
                groups[network, kind] = sorted(own, key=lambda row: -row["cost"]["feedback_bits"])
    return groups


def _draw(axes: Any, cost: str, group: Sequence[Row], key: tuple[str, str]) -> None:
    name, color = NETWORKS[key[0]]
    label, line, marker = FORMATS[key[1]]
    x = [row["cost"][cost] for row in group]
    y = [row["nmse_db"] for row in group]
    bars = [[row["nmse_db"] - row["ci95"][0] for row in group]] * 2
    axes.errorbar(
        x, y, yerr=bars, label=f"{name}, {label}", color=color, ls=line, marker=marker, ms=5, lw=1.2
    )
    if key[1] == "float" or (cost == "feedback_bits" and key[1] != "code"):
        for row, across, up in zip(group, x, y, strict=True):
            axes.annotate(
                f"1/{row['ratio']}",
                (across, up),
                textcoords="offset points",
                xytext=(5, 4),
                fontsize=6.5,
                color=color,
            )


def plot_csi_study(rows: Sequence[Row], path: Path) -> Path:
    """Draw the four figures into one PNG; bars are 95 % intervals, labels compression ratios."""
    import io

    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, grid = plt.subplots(2, 2, figsize=(13.5, 9.5), sharey=True)
    groups = curves(rows)
    for axes, (cost, label) in zip(grid.flat, COSTS.items(), strict=True):
        for key, group in groups.items():
            if key[1] != "code" or cost == "feedback_bits":
                _draw(axes, cost, group, key)
        axes.set(xlabel=label, xscale="log")
        axes.grid(visible=True, which="both", alpha=0.25)
    for axes in grid[:, 0]:
        axes.set_ylabel("NMSE [dB]")
    handles, labels = grid[1, 1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=5, fontsize=8.5, frameon=False)
    figure.suptitle("CSI feedback on InH channels, test samples; bars: 95 % intervals", fontsize=11)
    figure.tight_layout(rect=(0, 0.06, 1, 1))
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=105, format="png", metadata={"Software": None})
    plt.close(figure)
    return write_atomic(path, buffer.getvalue())

# SPDX-License-Identifier: Apache-2.0
"""The two figures of the compression study: BER against SNR after quantization, after pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.baselines import load as load_baselines
from models.ber import BerPoint

Curve = Sequence[BerPoint]
QUANTIZED = {
    "fullycon_w8a8": ("W8A8, retrained", "C0"),
    "fullycon_w4a4": ("W4A4, retrained", "C1"),
    "fullycon_w2a4": ("W2A4 (ternary), retrained", "C2"),
}
PRUNED = {
    "fullycon_w4a4": ("W4A4, dense", "C1"),
    "fullycon_w4a4_p80": ("W4A4, 80 % pruned", "C3"),
    "fullycon_w4a4_b80": ("W4A4, 80 % pruned, balanced", "C4"),
    "fullycon_w4a4_p90": ("W4A4, 90 % pruned", "C5"),
    "fullycon_w4a4_b90": ("W4A4, 90 % pruned, balanced", "C6"),
}


def _draw(axes: Any, curve: Curve, label: str, **style: Any) -> None:
    points = [p for p in curve if p.errors > 0]
    low = [p.ber - p.ci95[0] for p in points]
    high = [p.ci95[1] - p.ber for p in points]
    axes.errorbar(
        [p.snr_db for p in points],
        [p.ber for p in points],
        yerr=[low, high],
        label=label,
        capsize=2,
        **style,
    )


def plot_study(
    shipped: Mapping[str, Curve], untrained: Mapping[str, Mapping[str, Curve]], path: Path
) -> Path:
    """Draw both figures side by side into one PNG; error bars are 95 % confidence intervals."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, pair = plt.subplots(1, 2, figsize=(12.5, 5.2), sharey=True)
    titles = ("Quantization", "Pruning (and 4-bit quantization)")
    families = ((QUANTIZED, "quantized"), (PRUNED, "pruned"))
    for axes, title, (names, kind) in zip(pair, titles, families, strict=True):
        ml = load_baselines().curves["ML"]
        _draw(axes, [p for p in ml if p.snr_db <= 12], "maximum likelihood", color="0.6", ls="-.")
        if "fullycon_float" in shipped:
            _draw(axes, shipped["fullycon_float"], "FullyCon float32", color="k", lw=2)
        for number, (label, curve) in enumerate(untrained.get(kind, {}).items()):
            _draw(
                axes, curve, f"{label}, not retrained", color=f"C{7 + number}", ls=":", marker="x"
            )
        for name, (label, color) in names.items():
            if name in shipped:
                _draw(axes, shipped[name], label, color=color, marker="o", ms=4)
        axes.set(title=title, xlabel="SNR [dB]", yscale="log")
        axes.grid(visible=True, which="both", alpha=0.25)
        axes.legend(fontsize=8, loc="lower left")
    pair[0].set_ylabel("BER")
    figure.suptitle("FullyCon, K = 30, N = 60, fixed channel; bars: 95 % confidence", fontsize=11)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path

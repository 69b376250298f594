# SPDX-License-Identifier: Apache-2.0
"""The report's figures: BER over SNR, and cycles and resources of each layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from models.files import storage_guard

LABELS = {
    "rtl": "RTL, counted",
    "qonnx": "quantized, QONNX",
    "float": "floating point",
    "zf": "zero forcing",
    "mmse": "linear MMSE",
    "ml": "maximum likelihood",
}
STYLES: Mapping[str, Mapping[str, Any]] = {
    "zf": {"color": "#999999", "marker": "v", "linestyle": ":"},
    "mmse": {"color": "#666666", "marker": "^", "linestyle": ":"},
    "ml": {"color": "black", "marker": None, "linestyle": "--"},
    "float": {"color": "#0072b2", "marker": "s", "linestyle": "-"},
    "qonnx": {"color": "#d55e00", "marker": "o", "linestyle": "-", "fillstyle": "none"},
    "rtl": {"color": "#009e73", "marker": "x", "linestyle": "none"},
}


def _figure(width_in: float, height_in: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width_in, height_in), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _save(figure: Any, path: Path) -> Path:
    with storage_guard(path):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})
        figure.savefig(path, dpi=150)
    return path


def ber_plot(title: str, curves: Mapping[str, Sequence[Mapping[str, Any]]], path: Path) -> Path:
    """BER over SNR [dB], logarithmic; error bars are the 95 % intervals of the RTL's counts.

    Points of too few errors for a figure are left out.

    Args:
        title: of the figure.
        curves: points ({"snr_db", "ber", "ci95"}) of each detector, see `LABELS`.
        path: of the PNG; an SVG is written beside it.
    """
    figure, axes = _figure(6.4, 4.8)
    for name, style in STYLES.items():
        points = [p for p in curves.get(name, ()) if p["ber"] > 0 and not p.get("upper_bound")]
        if not points:
            continue
        snr = [p["snr_db"] for p in points]
        ber = [p["ber"] for p in points]
        if name == "rtl":
            bars = [
                [p["ber"] - p["ci95"][0] for p in points],
                [p["ci95"][1] - p["ber"] for p in points],
            ]
            axes.errorbar(snr, ber, yerr=bars, capsize=4, label=LABELS[name], zorder=5, **style)
        else:
            axes.plot(snr, ber, label=LABELS[name], **style)
    axes.set_yscale("log")
    axes.set_xlabel("SNR [dB]")
    axes.set_ylabel("bit error rate")
    axes.set_title(title)
    axes.grid(visible=True, which="both", alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend()
    return _save(figure, path)


def csi_plot(title: str, truth: Any, images: Any, path: Path) -> Path:
    """Magnitudes of samples and of their reconstructions, delay by angle.

    Args:
        title: of the figure.
        truth: samples [n, 2, 32, 32].
        images: what came out of the RTL for them, likewise.
        path: of the PNG; an SVG is written beside it.
    """
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.3 * len(truth) + 0.8, 5.0), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(truth), squeeze=False, sharex=True, sharey=True)
    for row, name, values in ((0, "channel", truth), (1, "through the RTL", images)):
        for column, pair in enumerate(values):
            top = np.hypot(*truth[column]).max()
            level_db = 20 * np.log10(np.maximum(np.hypot(*pair) / top, 1e-6))
            shown = axes[row][column].imshow(
                level_db, vmin=-40, vmax=0, cmap="viridis", aspect="auto"
            )
            if row == 0:
                axes[row][column].set_title(f"sample {column}")
            else:
                axes[row][column].set_xlabel("angle")
        axes[row][0].set_ylabel(f"{name}\ndelay")
    figure.colorbar(shown, ax=axes, label="magnitude [dB of the channel's peak]")
    figure.suptitle(title)
    return _save(figure, path)


def layer_plot(title: str, layers: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Cycles per frame and LUT estimate of each layer, side by side.

    Args:
        title: of the figure.
        layers: {"name", "ii_cycles", "lut"} each; a value may be missing.
        path: of the PNG; an SVG is written beside it.
    """
    figure, axes = _figure(max(6.4, 0.45 * len(layers) + 2.5), 4.2)
    place = range(len(layers))
    axes.bar(
        [i - 0.2 for i in place],
        [layer.get("ii_cycles") or 0 for layer in layers],
        width=0.4,
        color="#0072b2",
        label="cycles per frame",
    )
    axes.set_ylabel("cycles per frame")
    axes.set_xticks(list(place), [str(layer["name"]) for layer in layers], rotation=60, ha="right")
    other = axes.twinx()
    other.bar(
        [i + 0.2 for i in place],
        [layer.get("lut") or 0 for layer in layers],
        width=0.4,
        color="#e69f00",
        label="LUT (estimate)",
    )
    other.set_ylabel("LUT, estimate")
    axes.set_title(title)
    handles = [*axes.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
    names = ["cycles per frame", "LUT (estimate)"]
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return _save(figure, path)

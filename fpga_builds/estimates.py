# SPDX-License-Identifier: Apache-2.0
"""What an accelerator is estimated to need before it is simulated or synthesized."""

from __future__ import annotations

from typing import Any

from fpga_builds.metrics import Better, Metric
from fpga_builds.versions import package_version
from hls.costs import accelerator_cost, layer_cost
from hls.cycles import accelerator_cycles, layer_cycles
from hls.devices import Device, device
from hls.estimates import multipliers
from hls.ir import Accelerator, Layer
from hls.ports import vectors_of

SOURCE = "40-hdl/accelerator/accelerator.json"
RESOURCES = ("lut", "ff", "bram18", "dsp")
SIZES = ("mat_w", "mat_h", "channels", "pe", "simd", "block", "nnz")
NO_FRAME = ("dwc", "duplicate")
"""Layers whose parameters do not tell how much a frame is."""
WIDTHS = ("in_bits", "weight_bits", "acc_bits", "out_bits")


def layer_facts(layer: Layer, part: Device) -> dict[str, Any]:
    """One layer: sizes, folding, cycles per frame and resources."""
    params = {key: int(layer.params[key]) for key in (*SIZES, *WIDTHS) if key in layer.params}
    cost = layer_cost(layer, part)
    return {
        "name": layer.name,
        "kind": layer.kind,
        "source": layer.source,
        **params,
        "ii_cycles": layer_cycles(layer).ii if layer.kind not in NO_FRAME else None,
        **{name: getattr(cost, name) for name in RESOURCES},
    }


def ideal_ii_cycles(accelerator: Accelerator) -> int:
    """Cycles per frame of the slowest layer or stream if none were lost: MACs / (PE * SIMD)."""
    cycles = [
        layer.params["mat_w"]
        * layer.params["mat_h"]
        * vectors_of(layer.params)
        // (layer.params["simd"] * layer.params["pe"])
        for layer in accelerator.layers
        if layer.kind in ("mvau", "mvau_sparse")
    ]
    return max([*cycles, *(stream.beats_per_frame for stream in accelerator.streams)])


def estimates_of(accelerator: Accelerator, part: str) -> tuple[Metric, ...]:
    """Cycles by the cycle model, resources by the cost model, FIFOs included."""
    cycles = accelerator_cycles(accelerator)
    clock_mhz = accelerator.clock_mhz
    target = device(part)
    cost = accelerator_cost(accelerator, target)
    rows: list[tuple[str, float, str, Better]] = [
        ("ii_cycles_ideal", ideal_ii_cycles(accelerator), "cycles", "lower"),
        ("ii_cycles", cycles.ii_cycles, "cycles", "lower"),
        ("latency_cycles", cycles.latency_cycles, "cycles", "lower"),
        ("throughput_per_s", clock_mhz * 1e6 / cycles.ii_cycles, "frames/s", "higher"),
        ("latency_us", cycles.latency_cycles / clock_mhz, "us", "lower"),
        ("clock_mhz", clock_mhz, "MHz", "neither"),
        ("multipliers", _total(accelerator, "multipliers"), "1", "lower"),
        ("weight_memory_bits", _total(accelerator, "weight_memory_bits"), "bit", "lower"),
    ]
    for name in RESOURCES:
        value = getattr(cost, name)
        rows.append((name, value, "1", "lower"))
        rows.append((f"{name}_utilisation", value / getattr(target, name), "1", "lower"))
    version = str(package_version("phyfold"))
    return tuple(
        Metric(name, value, unit, better, "estimate", "phyfold", version, SOURCE)
        for name, value, unit, better in rows
    )


def _total(accelerator: Accelerator, key: str) -> int:
    """Sum over the matrix layers of a figure of `hls.estimates.multipliers`."""
    return sum(multipliers(layer).get(key, 0) for layer in accelerator.layers)

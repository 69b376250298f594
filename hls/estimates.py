# SPDX-License-Identifier: Apache-2.0
"""estimates.json: cycles and resources of every layer before synthesis, FINN's beside ours."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hls.costs import Cost, layer_cost, stream_cost
from hls.cycles import accelerator_cycles, layer_cycles
from hls.devices import Device
from hls.ir import Accelerator, Layer
from hls.multipliers import multiplier_count

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

FINN_PART = "xc7z020clg400-1"
"""The AMD device that FINN's formulas are asked for."""
FINN_KEYS = ("lut", "ff", "bram18", "dsp")


def estimate(acc: Accelerator, part: Device, model: ModelWrapper | None = None) -> dict[str, Any]:
    """Cycles, LUT, FF, BRAM18 and DSP of every layer and of the whole.

    Args:
        acc: the accelerator.
        part: the device that resources are estimated for.
        model: the folded FINN graph; with it FINN's own estimates stand beside ours.
    """
    cycles = accelerator_cycles(acc)
    total, layers = Cost(), []
    in_dsp = {layer.source for layer in acc.layers if layer.params.get("dsp")}
    finn = finn_estimates(model, in_dsp) if model is not None else {}
    for layer in acc.layers:
        cost = layer_cost(layer, part)
        total += cost
        beats = acc.stream(layer.inputs[0]).beats_per_frame
        layers.append(
            {
                "name": layer.name,
                "node": layer.source,
                "kind": layer.kind,
                "ii_cycles": layer_cycles(layer, beats).ii,
                **asdict(cost),
                **multipliers(layer),
                "finn": finn.get(layer.source),
            }
        )
    for stream in acc.streams:
        total += stream_cost(stream, part)
    return {
        "part": part.name,
        "clock_mhz": acc.clock_mhz,
        "ii_cycles": cycles.ii_cycles,
        "latency_cycles": cycles.latency_cycles,
        "bottleneck": cycles.bottleneck,
        "frames_per_s": acc.clock_mhz * 1e6 / cycles.ii_cycles,
        "latency_us": cycles.latency_cycles / acc.clock_mhz,
        "totals": asdict(total),
        "utilisation": {key: value / getattr(part, key) for key, value in asdict(total).items()},
        "layers": layers,
    }


def multipliers(layer: Layer) -> dict[str, int]:
    """Multipliers and weight memory of a matrix layer; nothing for others."""
    p = layer.params
    if layer.kind == "mvau":
        bits = p["mat_w"] * p["mat_h"] * p["weight_bits"]
        return {"multipliers": multiplier_count(layer), "weight_memory_bits": bits}
    if layer.kind == "mvau_sparse":
        index_bits = max(1, (p["block"] - 1).bit_length())
        kept = p["mat_w"] // p["block"] * p["nnz"] * p["mat_h"]
        return {
            "multipliers": multiplier_count(layer),
            "weight_memory_bits": kept * (p["weight_bits"] + index_bits),
        }
    return {}


def finn_estimates(
    model: ModelWrapper, in_dsp: Container[str] = frozenset()
) -> dict[str, dict[str, Any]]:
    """What FINN's own classes estimate for the same folding, by node name.

    A matrix unit with its multipliers in LUTs is FINN's HLS unit (resType lut), one in DSP blocks
    (``in_dsp``: names of such nodes) its RTL unit. FINN answers 0 where it has no model; that is
    kept as null with the reason. FINN's formulas are for AMD devices; it knows no others.
    """
    from qonnx.custom_op.registry import getCustomOp

    result = {}
    for node in model.graph.node:
        op = getCustomOp(node)
        known = _finn_resources(op, in_dsp=node.name in in_dsp)
        missing = [key for key in FINN_KEYS if key not in known]
        result[node.name] = {
            "cycles": int(op.get_exp_cycles()),
            **{key: known.get(key) for key in FINN_KEYS},
            "reason": f"FINN has no model of it for {', '.join(missing)}" if missing else "",
        }
    return result


def _finn_resources(op: Any, *, in_dsp: bool) -> dict[str, int]:
    from finn.custom_op.fpgadataflow.hls.matrixvectoractivation_hls import MVAU_hls
    from finn.custom_op.fpgadataflow.matrixvectoractivation import MVAU
    from finn.custom_op.fpgadataflow.rtl.matrixvectoractivation_rtl import MVAU_rtl
    from finn.custom_op.fpgadataflow.streamingdatawidthconverter import StreamingDataWidthConverter

    if op.ir_kind == "mvau":
        known = {"bram18": int(MVAU.bram_estimation(op, FINN_PART))}
        if in_dsp:
            return {**known, "dsp": int(MVAU_rtl.dsp_estimation(op, FINN_PART))}
        return {**known, "lut": int(MVAU_hls.lut_estimation(op, FINN_PART)), "dsp": 0}
    if op.ir_kind == "dwc":
        luts = int(StreamingDataWidthConverter.lut_estimation(op, FINN_PART))
        return {"lut": luts, "bram18": 0, "dsp": 0}
    return {}

# SPDX-License-Identifier: Apache-2.0
"""FINN node attributes -> the kind and the integer parameters of an `hls.ir.Layer`."""

from __future__ import annotations

from typing import Any


def mvau_params(op: Any) -> dict[str, int]:
    """Parameters of an MVAU_phy."""
    x, w, acc = op.get_input_datatype(0), op.get_input_datatype(1), op.get_output_datatype()
    return {
        "mat_w": op.get_nodeattr("MW"),
        "mat_h": op.get_nodeattr("MH"),
        "pe": op.get_nodeattr("PE"),
        "simd": op.get_nodeattr("SIMD"),
        "in_bits": x.bitwidth(),
        "in_signed": int(x.signed()),
        "weight_bits": w.bitwidth(),
        "weight_signed": int(w.signed()),
        "acc_bits": acc.bitwidth(),
    }


def sparse_params(op: Any) -> dict[str, int]:
    """Parameters of a SparseMVAU_phy."""
    return {
        **mvau_params(op),
        "block": op.get_nodeattr("block"),
        "nnz": op.get_nodeattr("nnz"),
    }


def _elementwise(op: Any) -> dict[str, int]:
    x, y = op.get_input_datatype(0), op.get_output_datatype()
    return {
        "channels": op.get_nodeattr("NumChannels"),
        "pe": op.get_nodeattr("PE"),
        "in_bits": x.bitwidth(),
        "in_signed": int(x.signed()),
        "out_bits": y.bitwidth(),
        "out_signed": int(y.signed()),
    }


def thresholding_params(op: Any) -> dict[str, int]:
    """Parameters of a Thresholding_phy."""
    return {
        **_elementwise(op),
        "steps": op.get_nodeattr("numSteps"),
        "out_bias": op.get_nodeattr("ActVal"),
    }


def requant_params(op: Any) -> dict[str, int]:
    """Parameters of a Requant_phy."""
    return {
        **_elementwise(op),
        "mul_bits": op.get_nodeattr("mulBits"),
        "add_bits": op.get_nodeattr("addBits"),
        "shift": op.get_nodeattr("shift"),
        "out_min": op.get_nodeattr("outMin"),
        "out_max": op.get_nodeattr("outMax"),
    }


def dwc_params(op: Any) -> dict[str, int]:
    """Parameters of a StreamingDataWidthConverter_phy."""
    bits = op.get_input_datatype().bitwidth()
    return {
        "in_elems": op.get_nodeattr("inWidth") // bits,
        "out_elems": op.get_nodeattr("outWidth") // bits,
        "elem_bits": bits,
    }

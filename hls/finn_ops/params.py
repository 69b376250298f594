# SPDX-License-Identifier: Apache-2.0
"""FINN node attributes -> the kind and the integer parameters of an `hls.ir.Layer`."""

from __future__ import annotations

from typing import Any

import numpy as np


def vectors_param(op: Any) -> dict[str, int]:
    """``vectors`` of a layer that works on vectors; left out where a frame is one vector."""
    vectors = int(np.prod(op.get_nodeattr("numInputVectors")))
    return {"vectors": vectors} if vectors != 1 else {}


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
        **vectors_param(op),
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
        **vectors_param(op),
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


def _input_format(op: Any) -> dict[str, int]:
    x = op.get_input_datatype(0)
    return {"in_bits": x.bitwidth(), "in_signed": int(x.signed())}


def window_params(op: Any) -> dict[str, int]:
    """Parameters of a Window_phy."""
    height, width = op.get_nodeattr("IFMDim")
    kernel_h, kernel_w = op.get_nodeattr("ConvKernelDim")
    top, left, bottom, right = op.get_nodeattr("Padding")
    return {
        "height": height,
        "width": width,
        "channels": op.get_nodeattr("IFMChannels"),
        "kernel_h": kernel_h,
        "kernel_w": kernel_w,
        "pad_top": top,
        "pad_bottom": bottom,
        "pad_left": left,
        "pad_right": right,
        "simd": op.get_nodeattr("SIMD"),
        **_input_format(op),
    }


def pool_params(op: Any) -> dict[str, int]:
    """Parameters of a Pool_phy."""
    out_h, out_w = op.get_nodeattr("OutImgDims")
    kernel_h, kernel_w = op.get_nodeattr("KernelSize")
    return {
        "height": out_h * kernel_h,
        "width": out_w * kernel_w,
        "channels": op.get_nodeattr("Channels"),
        "kernel_h": kernel_h,
        "kernel_w": kernel_w,
        "pe": op.get_nodeattr("PE"),
        **_input_format(op),
        "maximum": int(op.get_nodeattr("Function") == "MaxPool"),
        "out_bits": op.get_output_datatype().bitwidth(),
    }


def upsample_params(op: Any) -> dict[str, int]:
    """Parameters of an UpsampleNearestNeighbour_phy."""
    height, width = op.get_nodeattr("HI"), op.get_nodeattr("WI")
    return {
        "height": height,
        "width": width,
        "channels": op.get_nodeattr("NumChannels"),
        "scale_h": op.get_nodeattr("HO") // height,
        "scale_w": op.get_nodeattr("WO") // width,
        "pe": op.get_nodeattr("SIMD"),
        "elem_bits": op.get_input_datatype().bitwidth(),
    }


def duplicate_params(op: Any) -> dict[str, int]:
    """Parameters of a DuplicateStreams_phy."""
    return {
        "elems": op.get_nodeattr("PE"),
        "elem_bits": op.get_input_datatype().bitwidth(),
        "outputs": op.get_nodeattr("NumOutputStreams"),
    }


def channel_params(op: Any) -> dict[str, int]:
    """Parameters of a StreamingConcat_phy or StreamingSplit_phy."""
    channels_a, channels_b = op.get_nodeattr("ChannelsPerStream")
    return {
        "pixels": int(np.prod(op.get_nodeattr("numInputVectors"))),
        "channels_a": channels_a,
        "channels_b": channels_b,
        "pe": op.get_nodeattr("SIMD"),
        "elem_bits": op.get_input_datatype(0).bitwidth(),
    }


def add_params(op: Any) -> dict[str, int]:
    """Parameters of an AddStreams_phy."""
    *pixels, channels = op.get_nodeattr("out_shape")
    y = op.get_output_datatype()
    return {
        "pixels": int(np.prod(pixels)),
        "channels": channels,
        "pe": op.get_nodeattr("PE"),
        **_input_format(op),
        "out_bits": y.bitwidth(),
        "out_signed": int(y.signed()),
    }

# SPDX-License-Identifier: Apache-2.0
"""Why an operator has no hardware layer here, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

CUT = "or cut it off: what stands at the output can be left to the host"
SMOOTH = (
    *("Sigmoid", "Tanh", "Softmax", "LogSoftmax", "Gelu", "Erf", "Elu", "Selu", "Celu", "Softplus"),
    *("Softsign", "Mish", "Exp", "Log", "Sqrt", "Pow", "Reciprocal", "Sin", "Cos"),
)
STEEP = ("LeakyRelu", "PRelu")
RECURRENT = ("LSTM", "GRU", "RNN", "Loop", "Scan")
QDQ = ("QuantizeLinear", "DequantizeLinear")
INTEGER_OPS = (
    *("DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"),
)
MOVING = ("Split", "Slice", "Gather", "Pad", "Tile", "Expand", "ReduceMean", "Transpose")


@dataclass(frozen=True)
class Reason:
    """Why not, and the way out."""

    why: str
    way_out: str


def reason(op_type: str, supported: str) -> Reason:
    """Of an operator that the compiler does not map; ``supported`` lists those that it does."""
    if op_type in SMOOTH:
        return Reason(
            "a smooth function has no integer hardware layer here",
            "replace it by ReLU, Clip (hard tanh) or a quantizer alone, or cut it off: a monotone "
            "function at the output can be left to the host",
        )
    if op_type in _BY_OPERATOR:
        return _BY_OPERATOR[op_type]
    return Reason(f"the operator {op_type!r} is unknown to the compiler", f"supported: {supported}")


_BY_OPERATOR = {
    "HardSigmoid": Reason(
        "it is no operator of the compiler, but made of three that are",
        f"write it as clip(alpha x + beta, 0, 1): Mul, Add, Clip, then a quantizer; {CUT}",
    ),
    "HardSwish": Reason(
        "it multiplies activations by each other, which has no hardware layer here",
        f"replace it by ReLU and a quantizer, {CUT}",
    ),
    **dict.fromkeys(
        STEEP,
        Reason(
            "between a product and its quantizer stand one factor, an offset and limits: it has "
            "two slopes",
            "replace it by ReLU or by Clip",
        ),
    ),
    **dict.fromkeys(
        RECURRENT,
        Reason(
            "a recurrent layer has no hardware layer here: its state goes from frame to frame",
            "compile networks without state: dense layers and convolutions over a window of time, "
            "which the host fills",
        ),
    ),
    **dict.fromkeys(
        QDQ,
        Reason(
            "the file is quantized in ONNX's own form (QDQ); the compiler reads QONNX, whose "
            "quantizers are Quant nodes",
            "export with brevitas.export.export_qonnx, or convert the file: "
            ""
            "ModelWrapper('in.onnx').transform(InferShapes()).transform(QCDQToQuant())"
            ".save('out.onnx'), all from qonnx (core.modelwrapper, transformation.infer_shapes, "
            "transformation.qcdq_to_qonnx)",
        ),
    ),
    **dict.fromkeys(
        INTEGER_OPS,
        Reason(
            "the file is quantized in ONNX's own integer operators; the compiler reads QONNX, "
            "whose quantizers are Quant nodes",
            "export the trained network as QONNX: brevitas.export.export_qonnx",
        ),
    ),
    "ConvTranspose": Reason(
        "a transposed convolution has no hardware layer here",
        "upsample by nearest neighbour (nn.Upsample) and convolve",
    ),
    "Shape": Reason(
        "it asks for a size that the file leaves open",
        "export the network with fixed sizes behind the batch",
    ),
    **dict.fromkeys(
        MOVING,
        Reason(
            "activations are not moved, cut or permuted in hardware",
            "let the host do it at the network's input or output, or let a dense layer with "
            "constant weights do it; on constants alone it is computed",
        ),
    ),
    **dict.fromkeys(
        ("ArgMax", "TopK"),
        Reason(
            "a choice among outputs has no hardware layer here",
            "cut it off: the host chooses; bits are decided in hardware by output = 'hard_pairs' "
            "or 'sign'",
        ),
    ),
}

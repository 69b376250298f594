# SPDX-License-Identifier: Apache-2.0
"""One operator of standard ONNX, executed by onnxruntime on a batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy.typing as npt
import onnx
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.passes.graph import label
from models.errors import CompileError

Array = npt.NDArray[Any]
Inputs = list[Any]
"""Arrays in the places of ``node.input``; None where an optional input is left out."""
Kernel = Callable[[ModelWrapper, NodeProto, Inputs], Array]


def run_onnxruntime(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """The first output of ``node`` for its inputs, in the opset of ``model``."""
    import onnxruntime as ort

    given = {n: v for n, v in zip(node.input, inputs, strict=True) if n}
    infos = [
        onnx.helper.make_tensor_value_info(
            n, onnx.helper.np_dtype_to_tensor_dtype(v.dtype), [None] * v.ndim
        )
        for n, v in given.items()
    ]
    out = onnx.ValueInfoProto(name=node.output[0])
    graph = onnx.helper.make_graph([node], "one", infos, [out])
    standard = [o for o in model.model.opset_import if o.domain in ("", "ai.onnx")]
    single = onnx.helper.make_model(graph, opset_imports=standard, ir_version=8)
    options = ort.SessionOptions()
    options.log_severity_level = 4  # what fails is told by our error
    try:
        session = ort.InferenceSession(single.SerializeToString(), options)
        result: Array = session.run([node.output[0]], given)[0]
    except Exception as error:  # its errors share no base; the node is what is wrong
        raise CompileError(
            f"{label(node)}: not as ONNX defines it ({' '.join(str(error).split())})",
            hint="export the network again",
        ) from error
    return result

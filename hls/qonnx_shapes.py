# SPDX-License-Identifier: Apache-2.0
"""Batched execution of the operators that change a shape alone: Reshape, Flatten, Squeeze.

The graph speaks of one frame, [1, ...]. The frames of a batch keep their order in memory, so what a
node makes of one frame is made of each; the batch stays the first axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper

from hls.passes.graph import attribute, label
from hls.qonnx_ort import Inputs, Kernel
from models.errors import CompileError

Array = npt.NDArray[Any]


def _batched(node: NodeProto, x: Array, shape: list[int]) -> Array:
    """x [n, ...] with each frame in ``shape``, that of a batch of 1."""
    one = math.prod(x.shape[1:])
    if not shape or shape[0] != 1 or math.prod(shape) != one:
        raise CompileError(
            f"{label(node)}: a frame {[1, *x.shape[1:]]} becomes {shape}: the batch has to come "
            "first, as an axis of length 1"
        )
    return x.reshape(len(x), *shape[1:])


def _flatten(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    x = inputs[0]
    frame = (1, *x.shape[1:])
    axis = int(attribute(node, "axis", 1))
    axis = axis + x.ndim if axis < 0 else axis
    return _batched(node, x, [math.prod(frame[:axis]), math.prod(frame[axis:])])


def _reshape(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    x = inputs[0]
    frame = (1, *x.shape[1:])
    shape = [int(d) for d in inputs[1]]
    if not attribute(node, "allowzero", 0):
        shape = [frame[i] if d == 0 and i < len(frame) else d for i, d in enumerate(shape)]
    if shape.count(-1) == 1:
        rest = math.prod(d for d in shape if d != -1)
        shape = [math.prod(frame) // max(rest, 1) if d == -1 else d for d in shape]
    return _batched(node, x, shape)


def _squeeze(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    """Without axes all axes of length 1 go, but the batch."""
    x = inputs[0]
    axes = _axes(node, inputs)
    if axes is None:
        every: Array = x.reshape(len(x), *(d for d in x.shape[1:] if d != 1))
        return every
    gone = {a % x.ndim for a in axes}
    if 0 in gone and len(x) != 1:
        raise CompileError(f"{label(node)} on axes {axes}: the batch has to come first")
    squeezed: Array = np.squeeze(x, axis=tuple(gone))
    return squeezed


def _unsqueeze(model: ModelWrapper, node: NodeProto, inputs: Inputs) -> Array:
    x = inputs[0]
    axes = _axes(node, inputs) or []
    new = {a % (x.ndim + len(axes)) for a in axes}
    rest = iter((1, *x.shape[1:]))
    shape = [1 if i in new else next(rest) for i in range(x.ndim + len(axes))]
    return _batched(node, x, shape)


def _axes(node: NodeProto, inputs: Inputs) -> list[int] | None:
    """Axes as an input (opset 13) or as an attribute."""
    found = inputs[1] if len(inputs) > 1 and inputs[1] is not None else attribute(node, "axes")
    return None if found is None else [int(a) for a in np.asarray(found).reshape(-1)]


SHAPE_KERNELS: dict[str, Kernel] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
}

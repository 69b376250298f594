# SPDX-License-Identifier: Apache-2.0
"""From any exporter's QONNX to plain products, sums, factors, clips, windows and quantizers.

qonnx' own passes are used where they keep every number. Two do not and are replaced:
``GemmToMatMul`` and ``RemoveIdentityOps`` drop additions below 1e-5 and factors within 1e-5 of one.
"""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation
from qonnx.transformation.batchnorm_to_affine import BatchNormToAffine
from qonnx.transformation.general import (
    GiveUniqueParameterTensors,
    RemoveStaticGraphInputs,
    RemoveUnusedTensors,
)
from qonnx.transformation.infer_shapes import InferShapes
from qonnx.transformation.quant_constant_folding import FoldTransposeIntoQuantInit

from hls.indexed_model import IndexedModel
from hls.onnx_constants import check_constants
from hls.passes.channels_last import ChannelsLast
from hls.passes.check_model import check_factors, check_operators
from hls.passes.check_parameters import check_parameters
from hls.passes.flatten_input import FlattenInput
from hls.passes.graph import (
    QONNX_DOMAIN,
    QUANT_OPS,
    activation_nodes,
    at_all,
    attribute,
    constant,
    is_constant,
    need_constant,
    new_constant,
    new_tensor,
    remove_and_rewire,
    remove_node,
    replace_node,
    run_foreign,
)
from hls.passes.one_frame import check_shapes, one_frame
from hls.passes.rearrange import rearrange_weights, transposed
from hls.passes.ties import NORM, UNIT
from hls.qonnx_exec import run_constant
from models.errors import CompileError


def tidy(model: ModelWrapper) -> ModelWrapper:
    """All tidying passes; the checks come first, so that messages name the original nodes."""
    model = IndexedModel.of(model)
    check_operators(model, shapes_open=True)
    model = named(model)
    check_operators(model)
    nodes = activation_nodes(model)
    check_factors(model, nodes)
    check_parameters(model, nodes)
    check_shapes(model, nodes)
    for transformation in (
        GiveUniqueParameterTensors(),
        FoldTransposeIntoQuantInit(),
        GemmToMatMulExact(),
        FoldConstantBranches(),
        NamedBatchNormToAffine(),
        RemoveNeutralNodes(),
        FlattenInput(),
        ChannelsLast(),
        RemoveUnusedTensors(),
        InferShapes(),
    ):
        model = run_foreign(model, transformation)
    check_constants(model.graph, "")
    _name_nodes(model)
    return model


def named(model: ModelWrapper) -> ModelWrapper:
    """A copy with the same numbers that qonnx can execute: of batch size 1, all shapes written.

    Every node has a name of its own, the one that it keeps in the tidy model.
    """
    model = model.transform(RemoveStaticGraphInputs())
    for node in model.graph.node:
        if node.op_type in QUANT_OPS:
            node.op_type = node.op_type.replace("IntQuant", "Quant")
            node.domain = QONNX_DOMAIN
    _name_nodes(model)
    _drop_remarks(model)
    return one_frame(model)


def _drop_remarks(model: ModelWrapper) -> None:
    """Types and layouts of activations follow from the graph; those of constants are kept.

    Raises:
        CompileError: a constant is annotated with a type that does not hold its values.
    """
    stored = {item.name for item in model.graph.initializer}
    kept = [n for n in model.graph.quantization_annotation if n.tensor_name in stored]
    del model.graph.quantization_annotation[:]
    model.graph.quantization_annotation.extend(kept)
    for note in kept:
        datatype, value = (
            model.get_tensor_datatype(note.tensor_name),
            constant(model, note.tensor_name),
        )
        if datatype.is_integer() and value is not None and value.size:
            odd = [v for v in (value.min(), value.max()) if not datatype.allowed(v)]
            odd += value[value != np.rint(value)].tolist()[:1]
            if odd:
                raise CompileError(
                    f"tensor {note.tensor_name!r} is annotated as {datatype.name}, which does not "
                    f"hold {odd[0]}",
                    hint="export the network again: the annotation is of other values",
                )


def _name_nodes(model: ModelWrapper) -> None:
    """Name nodes without a name of their own by what they give; messages use the names."""
    taken: set[str] = set()
    for node in model.graph.node:
        if not node.name or node.name in taken:
            node.name = f"{node.op_type}_{node.output[0]}"
        while node.name in taken:
            node.name += "_"
        taken.add(node.name)


class GemmToMatMulExact(Transformation):
    """Gemm -> MatMul, Mul (alpha, beta where they are not 1), Add; no number is changed.

    After it no Gemm is left; weights are [in, out].
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite every Gemm."""
        return model, at_all(model, self._at)

    def _at(self, model: ModelWrapper, node: NodeProto) -> bool:
        if node.op_type != "Gemm":
            return False
        self._rewrite(model, node)
        return True

    def _rewrite(self, model: ModelWrapper, node: NodeProto) -> None:
        if attribute(node, "transA", 0):
            raise CompileError(f"Gemm node {node.name!r}: transA=1 permutes activations")
        x, w = node.input[0], node.input[1]
        if attribute(node, "transB", 0):
            w = rearrange_weights(model, w, transposed, f"Gemm node {node.name!r}")
        shape = model.get_tensor_shape(node.output[0])
        new, current = [], new_tensor(model, shape, f"{node.name}_product")
        new.append(helper.make_node("MatMul", [x, w], [current], name=node.name))
        alpha, beta = attribute(node, "alpha", 1.0), attribute(node, "beta", 1.0)
        if alpha != 1.0:
            factor = new_constant(model, np.array([alpha], np.float32), f"{node.name}_alpha")
            scaled = new_tensor(model, shape, f"{node.name}_scaled")
            new.append(helper.make_node("Mul", [current, factor], [scaled]))
            current = scaled
        if len(node.input) > 2 and node.input[2]:
            bias = node.input[2]
            if beta != 1.0:
                value = need_constant(model, node, 2) * np.float32(beta)
                bias = new_constant(model, value, f"{node.name}_bias")
            new.append(helper.make_node("Add", [current, bias], [node.output[0]]))
        else:
            new[-1].output[0] = node.output[0]
        replace_node(model, node, new)


class NamedBatchNormToAffine(BatchNormToAffine):
    """BatchNormalization -> Mul, Add, with what the tie analysis needs to know of the parameters.

    Before: constant parameters. After: no BatchNormalization is left; the Add has a name that ends
    in `NORM`, and metadata of this name. A second run changes nothing.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """qonnx' pass, then names and metadata."""
        norms = [n for n in model.graph.node if n.op_type == "BatchNormalization"]
        names = {n.output[0]: (f"{n.name}{NORM}", self._spread(model, n)) for n in norms}
        for norm in norms:
            for user in model.find_consumers(norm.output[0]):
                if user.op_type == "Squeeze":
                    names[user.output[0]] = names[norm.output[0]]
        model, changed = super().apply(model)
        for node in model.graph.node:
            if node.op_type == "Add" and node.output[0] in names:
                node.name, spread = names[node.output[0]]
                model.set_metadata_prop(node.name, json.dumps(spread))
        return model, changed

    @staticmethod
    def _spread(model: ModelWrapper, node: NodeProto) -> list[list[float]]:
        """How far A (relative) and B (absolute) of qonnx and of onnxruntime may lie apart."""
        gamma, beta, mean, variance = (
            need_constant(model, node, i).astype(np.float32).reshape(-1) for i in range(1, 5)
        )
        root = np.sqrt(np.float32(attribute(node, "epsilon", 1e-5)) + variance)
        factors = gamma / root, gamma * (np.float32(1) / root)
        offsets = [beta - factor * mean for factor in factors]
        a, product = (np.abs(v.astype(np.float64)) for v in (factors[0], factors[0] * mean))
        of_a = np.abs(factors[0].astype(np.float64) - factors[1]) / np.where(a == 0, 1, a)
        of_b = np.abs(offsets[0].astype(np.float64) - offsets[1])
        # beta - A mean may be one operation with one rounding
        return [of_a.tolist(), (of_b + (product + np.abs(offsets[0])) * UNIT).tolist()]


class FoldConstantBranches(Transformation):
    """Compute every node whose inputs are constants, except the quantizers of weights."""

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Fold every node that can be; called again until nothing is left to fold."""
        return model, at_all(model, self._at)

    def _at(self, model: ModelWrapper, node: NodeProto) -> bool:
        if not node.input or not all(is_constant(model, n) for n in node.input if n):
            return False
        users = model.find_consumers(node.output[0])
        if node.op_type in QUANT_OPS and any(
            u.op_type in ("MatMul", "Conv") and u.input[1] == node.output[0] for u in users
        ):
            return False
        inputs = [model.get_initializer(n) if n else None for n in node.input]
        value = run_constant(model, node, inputs)
        remove_node(model, node)
        model.set_initializer(node.output[0], value)
        return True


class RemoveNeutralNodes(Transformation):
    """Remove Identity, Dropout, and Mul/Div by exactly 1 and Add/Sub of exactly 0."""

    NEUTRAL: ClassVar = {"Mul": 1.0, "Div": 1.0, "Add": 0.0, "Sub": 0.0}

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Remove every such node."""
        return model, at_all(model, self._at)

    def _at(self, model: ModelWrapper, node: NodeProto) -> bool:
        if node.op_type in ("Identity", "Dropout") or self._neutral(model, node):
            remove_and_rewire(model, node)
            return True
        return False

    def _neutral(self, model: ModelWrapper, node: NodeProto) -> bool:
        if node.op_type not in self.NEUTRAL:
            return False
        value = constant(model, node.input[1])
        shape = model.get_tensor_shape(node.output[0])
        same = shape == model.get_tensor_shape(node.input[0])
        return same and value is not None and bool(np.all(value == self.NEUTRAL[node.op_type]))

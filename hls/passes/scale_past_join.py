# SPDX-License-Identifier: Apache-2.0
"""The common factor of two joined streams moves behind the join, so that integers are joined."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from onnx import NodeProto
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.passes.graph import (
    at_all,
    constant,
    dynamic_inputs,
    insert_behind,
    is_join,
    label,
    new_tensor,
    remove_node,
    rewire,
)
from hls.passes.scales import FACTORS
from models.errors import CompileError

SHARED = "use one shared quantizer (the same QuantIdentity or QuantReLU) on both inputs"


@dataclass(frozen=True)
class _Branch:
    """value = integer tensor ``source`` * scale; ``factors`` stand between, the last one first."""

    tensor: str
    source: str
    factors: tuple[NodeProto, ...]
    scale: Fraction


class ScalePastJoin(Transformation):
    """join(a * s, b * s) -> join(a, b) * s for Concat and Add.

    Before: `ScalePastFork`. A join is rewritten when both of its inputs are scaled integers; one
    whose inputs are not integers yet is left for a later call.

    Raises:
        CompileError: scales or integer formats of the two inputs differ.
    """

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite every join that can be."""
        return model, at_all(model, self.at)

    def at(self, model: ModelWrapper, node: NodeProto) -> bool:
        """Rewrite ``node``; False if there is nothing to rewrite yet."""
        if not is_join(model, node):
            return False
        branches = [_branch(model, node, name) for _, name in dynamic_inputs(model, node)]
        if not all(model.get_tensor_datatype(b.source).is_integer() for b in branches):
            return False
        _check(model, node, branches)
        if any(b.factors for b in branches):
            self._rewrite(model, node, branches)
            return True
        return False

    def _rewrite(self, model: ModelWrapper, node: NodeProto, branches: list[_Branch]) -> None:
        """The factors of the first branch that has some move; the others go."""
        moved = next(b.factors for b in branches if b.factors)
        for index, branch in enumerate(branches):
            rewire(model, node, index, branch.source)
            for factor in branch.factors:
                remove_node(model, factor)
        target = node.output[0]
        shape = model.get_tensor_shape(target)
        tensor = node.output[0] = new_tensor(model, shape, f"{node.name}_codes")
        before = node
        for number, factor in enumerate(reversed(moved)):
            last = number == len(moved) - 1
            factor.input[0] = tensor
            factor.output[0] = target if last else new_tensor(model, shape, f"{node.name}_scaled")
            tensor = factor.output[0]
            insert_behind(model, before, factor)
            before = factor


def _branch(model: ModelWrapper, join: NodeProto, name: str) -> _Branch:
    tensor, scale, factors = name, Fraction(1), []
    while (factor := _factor(model, name)) is not None:
        value = constant(model, factor.input[1])
        if factor.op_type == "Sub" or value is None or value.size != 1:
            raise CompileError(
                f"{label(factor)} changes an input of {label(join)} by other than one scale",
                hint=SHARED,
            )
        number = Fraction(float(value.reshape(-1)[0]))
        scale = scale * number if factor.op_type == "Mul" else scale / number
        factors.append(factor)
        name = factor.input[0]
    return _Branch(tensor, name, tuple(factors), scale)


def _factor(model: ModelWrapper, name: str) -> NodeProto | None:
    node = model.find_producer(name)
    return node if node is not None and node.op_type in FACTORS else None


def _check(model: ModelWrapper, node: NodeProto, branches: list[_Branch]) -> None:
    first, second = branches
    if first.scale != second.scale:
        raise CompileError(
            f"{label(node)} joins {first.tensor!r} of scale {float(first.scale):g} and "
            f"{second.tensor!r} of scale {float(second.scale):g}: their integers do not fit",
            hint=SHARED,
        )
    formats = [model.get_tensor_datatype(b.source).name for b in branches]
    if formats[0] != formats[1]:
        raise CompileError(
            f"{label(node)} joins {first.tensor!r} of type {formats[0]} and {second.tensor!r} of "
            f"type {formats[1]}",
            hint=SHARED,
        )

# SPDX-License-Identifier: Apache-2.0
"""FINN's abstract layers -> the nodes of our RTL kernels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from onnx import NodeProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.base import Transformation

from hls.costs import Cost, kind_cost
from hls.devices import Device
from hls.finn_env import RTL_DOMAIN
from hls.finn_ops.params import mvau_params, thresholding_params
from hls.folding import Fold, fold_layer, legal_folds
from hls.ir import Layer
from hls.passes.graph import constant, custom, need_constant, new_constant, replace_node
from hls.requant import RequantParams, find_requant
from hls.sparsity import BlockForm, find_block_form
from models.errors import CompileError

DROPPED = ("preferred_impl_style",)
TYPICAL_PE = 4
"""Lanes for which thresholds and arithmetic are compared: folding comes later."""

Folds = Callable[[Layer], list[Fold]]
"""The foldings that are open to a layer."""


@dataclass(frozen=True)
class Choice:
    """Why a layer is implemented as it is; goes into the compile report."""

    node: str
    kernel: str
    reason: str


class SpecializeToPhy(Transformation):
    """MVAU -> MVAU_phy or SparseMVAU_phy, Thresholding -> Thresholding_phy or Requant_phy.

    Args:
        part: device whose costs decide between thresholds and arithmetic.
        thresholds: "auto", "memory" (always a table) or "requant" (arithmetic where exact).
        sparse: "auto" or "off".
        form: block form to use for sparse weights, instead of looking for one.
        folds: foldings open to a layer: dense and sparse are compared at the cheapest of them.

    Nodes are named fc0, act0, fc1 and so on, those of a convolution conv0; folding files and layers
    use these names.
    """

    def __init__(
        self,
        part: Device,
        thresholds: str,
        sparse: str,
        *,
        form: BlockForm | None = None,
        folds: Folds = legal_folds,
    ) -> None:
        super().__init__()
        self.part, self.thresholds, self.sparse = part, thresholds, sparse
        self.form, self.folds = form, folds
        self.choices: list[Choice] = []

    def apply(self, model: ModelWrapper) -> tuple[ModelWrapper, bool]:
        """Rewrite all abstract layers."""
        counts = {"fc": 0, "conv": 0, "act": 0}
        for node in list(model.graph.node):
            prefix = {"MVAU": "fc", "Thresholding": "act"}.get(node.op_type)
            if prefix is None:
                continue
            if prefix == "fc" and len(model.get_tensor_shape(node.input[0])) == 4:
                prefix = "conv"
            node.name = f"{prefix}{counts[prefix]}"
            counts[prefix] += 1
            if node.op_type == "MVAU":
                self._mvau(model, node)
            else:
                self._thresholding(model, node)
        return model, False

    def _mvau(self, model: ModelWrapper, node: NodeProto) -> None:
        weights = constant(model, node.input[1])
        form = None
        if self.sparse == "auto" and weights is not None:
            codes = np.rint(weights.T).astype(np.int64)
            form = find_block_form(codes, self._price(node), self.form)
        op_type = "MVAU_phy" if form is None else "SparseMVAU_phy"
        new = _specialized(node, op_type, list(node.input))
        new.attribute.append(helper.make_attribute("mem_mode", "internal_embedded"))
        reason = "dense weights"
        if form is not None:
            new.attribute.append(helper.make_attribute("block", form.block))
            new.attribute.append(helper.make_attribute("nnz", form.nnz))
            reason = f"at most {form.nnz} non-zeros in {form.block} columns of every row"
        replace_node(model, node, [new])
        self.choices.append(Choice(node.name, op_type, reason))

    def _price(self, node: NodeProto) -> Callable[[BlockForm | None], float]:
        """LUT equivalents of the layer, dense (None) or in a block form, at its best folding."""
        dense = mvau_params(custom(node))

        def price(form: BlockForm | None) -> float:
            kind, params = "mvau", dense
            if form is not None:
                kind, params = "mvau_sparse", {**dense, "block": form.block, "nnz": form.nnz}
            layer = Layer(node.name, kind, node.name, (), (), params)
            costs = [
                self._weight(kind_cost(kind, fold_layer(layer, fold).params, self.part))
                for fold in self.folds(layer)
            ]
            return min(costs, default=math.inf)

        return price

    def _thresholding(self, model: ModelWrapper, node: NodeProto) -> None:
        params = thresholding_params(custom(node))
        table = np.rint(need_constant(model, node, 1).astype(np.float64)).astype(np.int64)
        table = np.broadcast_to(table, (params["channels"], params["steps"]))
        found = None
        if self.thresholds != "memory" and params["out_bits"] > 1:
            found = self._search(model, node, params, table)
        use, reason = self._better(params, found)
        if not use or found is None:
            new = _specialized(node, "Thresholding_phy", list(node.input))
        else:
            new = self._requant(model, node, params, found)
        replace_node(model, node, [new])
        self.choices.append(Choice(node.name, new.op_type, reason))

    def _search(
        self, model: ModelWrapper, node: NodeProto, params: dict[str, int], table: np.ndarray
    ) -> RequantParams | None:
        datatype = custom(node).get_input_datatype(0)
        low, high = int(datatype.min()), int(datatype.max())
        clipped = np.clip(table, low, high + 1)
        return find_requant(clipped, params["out_bias"], low, high)

    def _better(self, params: dict[str, int], found: RequantParams | None) -> tuple[bool, str]:
        if self.thresholds == "memory":
            return False, "thresholds in memory, as asked for"
        if found is None:
            return False, "no multiplication and shift reproduces all thresholds"
        if self.thresholds == "requant":
            return True, "arithmetic, as asked for"
        pe = max(d for d in range(1, TYPICAL_PE + 1) if params["channels"] % d == 0)
        table = kind_cost("thresholding", {**params, "pe": pe}, self.part)
        arithmetic = kind_cost("requant", {**requant_fields(params, found), "pe": pe}, self.part)
        t, a = self._weight(table), self._weight(arithmetic)
        reason = f"thresholds {t} against arithmetic {a} LUT equivalents at PE={pe}"
        return a < t, reason

    def _weight(self, cost: Cost) -> int:
        """LUTs, with block RAM and DSP at the device's exchange rate."""
        part = self.part
        return round(
            cost.lut + cost.bram18 * part.lut / part.bram18 + cost.dsp * part.lut / part.dsp
        )

    def _requant(
        self, model: ModelWrapper, node: NodeProto, params: dict[str, int], found: RequantParams
    ) -> NodeProto:
        mul = new_constant(model, found.mul.astype(np.float64), f"{node.name}_mul")
        add = new_constant(model, found.add.astype(np.float64), f"{node.name}_add")
        new = _specialized(node, "Requant_phy", [node.input[0], mul, add])
        fields = requant_fields(params, found)
        for name, key in (
            ("shift", "shift"),
            ("mulBits", "mul_bits"),
            ("addBits", "add_bits"),
            ("outMin", "out_min"),
            ("outMax", "out_max"),
        ):
            new.attribute.append(helper.make_attribute(name, fields[key]))
        return new


def requant_fields(params: dict[str, int], found: RequantParams) -> dict[str, int]:
    """IR parameters of a requant layer that replaces a thresholding one."""
    kept = {k: v for k, v in params.items() if k not in ("steps", "out_bias")}
    return {
        **kept,
        "mul_bits": found.mul_bits,
        "add_bits": found.add_bits,
        "shift": found.shift,
        "out_min": params["out_bias"],
        "out_max": params["out_bias"] + params["steps"],
    }


def _specialized(node: NodeProto, op_type: str, inputs: list[str]) -> NodeProto:
    if len(node.output) != 1:
        raise CompileError(f"{node.name}: {len(node.output)} outputs, one is expected")
    new = helper.make_node(op_type, inputs, list(node.output), node.name, domain=RTL_DOMAIN)
    skip = (*DROPPED, "mem_mode") if op_type.endswith("MVAU_phy") else DROPPED
    new.attribute.extend(a for a in node.attribute if a.name not in skip)
    return new

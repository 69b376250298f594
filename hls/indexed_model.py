# SPDX-License-Identifier: Apache-2.0
"""qonnx' ModelWrapper with look-ups that do not walk the whole graph.

qonnx looks every tensor up by a walk over all nodes, and does so for every node: a pass is then
quadratic in the depth of a network, and a pass that is called once a layer cubic. Here a look-up
goes to the place where the item was last seen and checks that it is still there; so passes may edit
the graph as they like. The results are qonnx' own, to the bit.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from onnx import (
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
    shape_inference,
)
from qonnx.core.datatype import BaseDataType, DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation import infer_shapes
from qonnx.transformation.base import Transformation
from qonnx.transformation.general import (
    GiveReadableTensorNames,
    RemoveStaticGraphInputs,
    RemoveUnusedTensors,
    SortGraph,
)

from hls.node_order import sorted_places
from hls.places import Places

COMMUTATIVE = ("Add", "Mul", "And", "Or", "Xor", "Sum")


class IndexedModel(ModelWrapper):  # type: ignore[misc]
    """A ModelWrapper for graphs of any depth."""

    def __init__(self, onnx_model_proto: ModelProto, **options: Any) -> None:
        self._forget()
        self._users: dict[str, list[NodeProto]] | None = None
        self._computed: dict[str, bool] = {}
        super().__init__(onnx_model_proto, **options)

    def _forget(self) -> None:
        """Start to learn anew where everything is."""
        self._nodes = Places(lambda node: node.output, appended=False)
        self._initializers = Places(lambda item: (item.name,), appended=True)
        self._infos = Places(lambda item: (item.name,), appended=True)
        self._annotations = Places(lambda item: (item.tensor_name,), appended=True)

    @classmethod
    def of(cls, model: ModelWrapper) -> IndexedModel:
        """The same graph, not a copy."""
        if isinstance(model, cls):
            return model
        return cls(model.model, fix_missing_initializer_valueinfo=False)

    def __deepcopy__(self, memo: dict[int, Any]) -> IndexedModel:
        twin = IndexedModel.__new__(IndexedModel)
        twin.__dict__.update(self.__dict__)
        for name in ("_nodes", "_initializers", "_infos", "_annotations"):
            setattr(twin, name, getattr(self, name).copy())
        twin._users, twin._computed = None, {}
        twin._model_proto = copy.deepcopy(self._model_proto, memo)
        return twin

    def transform(
        self,
        transformation: Transformation,
        make_deepcopy: bool = True,
        cleanup: bool = True,
        **subgraphs: Any,
    ) -> ModelWrapper:
        """The model after a pass, called until it changes nothing; `ModelWrapper.transform`."""
        if subgraphs:
            return super().transform(transformation, make_deepcopy, cleanup, **subgraphs)
        model = copy.deepcopy(self) if make_deepcopy else self
        model._computed = {}
        step = LINEAR.get(type(transformation), transformation.apply)
        changed = True
        while changed:
            model, changed = step(model)
        model = IndexedModel.of(model)
        return model.cleanup() if cleanup else model

    def find_producer(self, tensor_name: str) -> NodeProto | None:
        """The node that gives the tensor, or None."""
        graph = self.graph
        node = self._nodes.seen(graph.node, tensor_name)
        if node is not None:
            return node
        if self._initializers.seen(graph.initializer, tensor_name) is not None:
            return None
        if any(item.name == tensor_name for item in graph.input):
            return None
        return self._nodes.find(graph.node, tensor_name)

    def find_consumers(self, tensor_name: str) -> list[NodeProto]:
        """The nodes that take the tensor, in the order of the graph; one for every input."""
        if self._users is None:
            return [n for n in self.graph.node for name in n.input if name == tensor_name]
        users = self._users.get(tensor_name, [])
        return sorted(users, key=self.place) if len(users) > 1 else list(users)

    @contextmanager
    def tracked(self) -> Iterator[None]:
        """Within it, who takes a tensor is known without a walk.

        All edits have to be made by `insert_nodes`, `remove_node` and `rewire`.
        """
        if self._users is not None:
            yield
            return
        users: dict[str, list[NodeProto]] = {}
        for node in self.graph.node:
            for name in node.input:
                users.setdefault(name, []).append(node)
        self._users, self._computed = users, {}
        try:
            yield
        finally:
            self._users = None

    def place(self, node: NodeProto) -> int:
        """Number of a node in the graph."""
        nodes = self.graph.node
        if self._nodes.find(nodes, node.output[0]) is None:
            raise ValueError(f"{node.op_type} node {node.name!r} is not in the graph")
        return self._nodes.at[node.output[0]]

    def holds(self, node: NodeProto) -> bool:
        """True if the node is in the graph."""
        return self._nodes.find(self.graph.node, node.output[0]) is node

    def insert_nodes(self, place: int, new: Sequence[NodeProto]) -> None:
        """Put copies of ``new`` before the node number ``place``."""
        nodes = self.graph.node
        for offset, node in enumerate(new):
            nodes.insert(place + offset, node)
            if self._users is not None:
                held = nodes[place + offset]
                for name in held.input:
                    self._users.setdefault(name, []).append(held)

    def remove_node(self, node: NodeProto) -> None:
        """Take a node out of the graph."""
        place = self.place(node)
        if self._users is not None:
            for name in node.input:
                self._users[name] = [n for n in self._users[name] if n is not node]
        del self.graph.node[place]

    def rewire(self, node: NodeProto, index: int, name: str) -> None:
        """Let input ``index`` of a node be ``name``."""
        if self._users is not None:
            users = self._users[node.input[index]]
            del users[next(i for i, n in enumerate(users) if n is node)]
            self._users.setdefault(name, []).append(node)
        node.input[index] = name

    def is_constant(self, name: str) -> bool:
        """True for an initializer, and for what is computed from initializers alone."""
        if self.has_initializer(name):
            return True
        pending = [name]
        while pending:
            top = pending[-1]
            node = None if top in self._computed else self.find_producer(top)
            needs = [] if node is None else [n for n in node.input if n]
            fixed = [self._computed.get(n, self.has_initializer(n) or None) for n in needs]
            if False not in fixed and None in fixed:
                need = needs[fixed.index(None)]
                if need in pending:
                    self._computed[need] = False  # a cycle
                else:
                    pending.append(need)
                continue
            pending.pop()
            if top not in self._computed:
                self._computed[top] = node is not None and False not in fixed
        return self._computed[name]

    def _initializer(self, name: str) -> Any:
        graph = self.graph
        item = self._initializers.seen(graph.initializer, name)
        if item is not None:
            return item
        if self._nodes.seen(graph.node, name) is not None:
            return None
        if any(entry.name == name for entry in graph.input):
            names = [entry.name for entry in graph.initializer]
            return graph.initializer[names.index(name)] if name in names else None
        return self._initializers.find(graph.initializer, name)

    def get_initializer(self, tensor_name: str, return_dtype: bool = False) -> Any:
        """Value of an initializer (with its ONNX type where asked for), or None."""
        item = self._initializer(tensor_name)
        if item is None:
            return (None, None) if return_dtype else None
        value = numpy_helper.to_array(item)
        return (value, item.data_type) if return_dtype else value

    def has_initializer(self, name: str) -> bool:
        """True for an initializer; its value is not read."""
        return self._initializer(name) is not None

    def get_tensor_valueinfo(self, tensor_name: str) -> ValueInfoProto | None:
        """The ValueInfo of a tensor, or None."""
        graph = self.graph
        for item in (*graph.input, *graph.output):
            if item.name == tensor_name:
                return item
        return self._infos.find(graph.value_info, tensor_name)

    def get_tensor_shape(self, tensor_name: str, fix_missing_init_shape: bool = False) -> Any:
        """Shape of a tensor from its ValueInfo or its initializer, or None."""
        info = self.get_tensor_valueinfo(tensor_name)
        if info is not None:
            return [d.dim_value for d in info.type.tensor_type.shape.dim]
        item = self._initializer(tensor_name)
        if item is None:
            return None
        if fix_missing_init_shape:
            self.set_tensor_shape(tensor_name, list(item.dims), dtype=item.data_type)
        return list(item.dims)

    def set_tensor_shape(
        self, tensor_name: str, tensor_shape: Sequence[int], dtype: int | None = None
    ) -> None:
        """Give a tensor a new ValueInfo: the last one, or that of an input or output."""
        old = self.get_tensor_valueinfo(tensor_name)
        if dtype is None:
            dtype = TensorProto.FLOAT if old is None else old.type.tensor_type.elem_type
        new = helper.make_tensor_value_info(tensor_name, dtype, tensor_shape)
        border = [i for i in (*self.graph.input, *self.graph.output) if i.name == tensor_name]
        if border:
            border[0].CopyFrom(new)
            return
        if old is not None:
            del self.graph.value_info[self._infos.at[tensor_name]]
        self.graph.value_info.append(new)

    def set_initializer(self, tensor_name: str, tensor_value: Any) -> None:
        """Give an initializer its value; it becomes the last one."""
        tensor = numpy_helper.from_array(tensor_value, tensor_name)
        if self.has_initializer(tensor_name):
            del self.graph.initializer[self._initializers.at[tensor_name]]
        self.graph.initializer.append(tensor)
        self.set_tensor_shape(tensor_name, list(tensor_value.shape), tensor.data_type)

    def rename_tensor(self, old_name: str, new_name: str) -> None:
        """Give a tensor another name."""
        super().rename_tensor(old_name, new_name)
        self._forget()

    def get_tensor_datatype(self, tensor_name: str) -> BaseDataType:
        """The annotated QONNX type; that of the ONNX tensor where there is none."""
        found = self._annotations.find(self.graph.quantization_annotation, tensor_name)
        for entry in found.quant_parameter_tensor_names if found is not None else ():
            if entry.key == "finn_datatype":
                return DataType[entry.value]
        info = self.get_tensor_valueinfo(tensor_name)
        if info is None:
            item = self._initializer(tensor_name)
            kind = None if item is None else item.data_type
        else:
            kind = info.type.tensor_type.elem_type
        return DataType["FLOAT16" if kind == TensorProto.FLOAT16 else "FLOAT32"]

    def set_tensor_datatype(self, tensor_name: str, datatype: BaseDataType | None) -> None:
        """Annotate a tensor with a QONNX type."""
        found = self._annotations.find(self.graph.quantization_annotation, tensor_name)
        if found is not None and datatype is not None:
            for entry in found.quant_parameter_tensor_names:
                if entry.key == "finn_datatype":
                    entry.value = datatype.name
                    return
        if found is None and datatype is not None:
            new = self.graph.quantization_annotation.add()
            new.tensor_name = tensor_name
            entry = new.quant_parameter_tensor_names.add()
            entry.key, entry.value = "finn_datatype", datatype.name
            return
        super().set_tensor_datatype(tensor_name, datatype)

    def cleanup(self) -> ModelWrapper:
        """What qonnx does behind every pass, each step linear in the graph."""
        for step in (RemoveUnusedTensors(), RemoveStaticGraphInputs()):
            changed = True
            while changed:
                _, changed = step.apply(self)
        self.sort()
        for node in self.graph.node:
            if node.op_type in COMMUTATIVE:
                self._constants_last(node)
        self._own_parameters()
        return self

    def sort(self) -> None:
        """Nodes in topological order, those of one depth as they were: qonnx' SortGraph."""
        nodes = list(self.graph.node)
        if len(nodes) == 1:
            return
        order = sorted_places(self.graph)
        if order != list(range(len(nodes))):
            sorted_nodes = [nodes[i] for i in order]
            del self.graph.node[:]
            self.graph.node.extend(sorted_nodes)

    def _constants_last(self, node: NodeProto) -> None:
        fixed = [name for name in node.input if self.has_initializer(name)]
        inputs = [*(name for name in node.input if name not in fixed), *fixed]
        if inputs != list(node.input):
            node.input[:] = inputs

    def _own_parameters(self) -> None:
        """Every use of an initializer gets one of its own: qonnx' GiveUniqueParameterTensors."""
        seen: set[str] = set()
        for node in self.graph.node:
            for index, name in enumerate(list(node.input)):
                if name not in seen:
                    seen.add(name)
                elif (value := self.get_initializer(name)) is not None:
                    twin = f"{name}_{node.name}_{index}"
                    while self.get_tensor_valueinfo(twin) is not None:
                        twin += "_"
                    self.set_initializer(twin, value)
                    self.set_tensor_datatype(twin, self.get_tensor_datatype(name))
                    node.input[index] = twin


def _infer_shapes(model: IndexedModel) -> tuple[IndexedModel, bool]:
    """qonnx' InferShapes, but for the kind of model that it returns."""
    hidden = infer_shapes._hide_finn_ops(model)
    model = IndexedModel(shape_inference.infer_shapes(model.model))
    infer_shapes._restore_finn_ops(model, hidden)
    return model, False


def _sort(model: IndexedModel) -> tuple[IndexedModel, bool]:
    model.sort()
    return model, False


def _readable_names(model: IndexedModel) -> tuple[IndexedModel, bool]:
    """qonnx' GiveReadableTensorNames; all names change at once."""
    model.cleanup()
    graph = model.graph
    names: dict[str, str] = {}
    for node in graph.node:
        names.update((name, f"{node.name}_out{i}") for i, name in enumerate(node.output))
        fixed = [name for name in node.input if model.has_initializer(name)]
        names.update((name, f"{node.name}_param{i}") for i, name in enumerate(fixed))
    for kind, items in (("global_in", graph.input), ("global_out", graph.output)):
        names.update((v.name, f"{kind}_{i}" if i else kind) for i, v in enumerate(items))
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = names.get(item.name, item.name)
    for item in graph.quantization_annotation:
        item.tensor_name = names.get(item.tensor_name, item.tensor_name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]
    model._forget()
    return model, False


LINEAR: dict[type[Transformation], Callable[[Any], tuple[Any, bool]]] = {
    infer_shapes.InferShapes: _infer_shapes,
    SortGraph: _sort,
    GiveReadableTensorNames: _readable_names,
}
"""Passes of qonnx whose own form is quadratic in the number of nodes."""

# SPDX-License-Identifier: Apache-2.0
"""An ONNX file of anyone's, read so that nothing in it is executed, imported or followed.

qonnx evaluates annotations as Python, imports the module that a node names as its domain, and FINN
starts the programs that attributes name. So no file reaches them as it is: `read_model` parses it,
refuses what could lead out of the file, drops what the compiler does not need, and gives a model
whose every remaining text was checked. docs/security.md has the whole list.
"""

from __future__ import annotations

import ast
import logging
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hls.onnx_constants import check_constants, constants_to_initializers
from hls.onnx_graph import STANDARD, check_graph
from models.errors import CompileError
from models.limits import ARRAY_BYTES, MODEL_BYTES, check_claim, read_bytes

if TYPE_CHECKING:
    from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

log = logging.getLogger(__name__)

QONNX = "qonnx.custom_op.general"
OLD_NAMES = ("finn", "finn.custom_op.general")
"""What this domain was called once; qonnx renames it too."""
QONNX_DOMAINS = (QONNX, "onnx.brevitas", *OLD_NAMES)
QONNX_OPS = (
    *("Quant", "IntQuant", "BipolarQuant", "FloatQuant", "Trunc", "MultiThreshold", "Im2Col"),
    *("QuantAvgPool2d", "XnorPopcountMatMul"),
)
"""Those that name no file. The compiler maps fewer, and says so of the others."""
FINN = "finn.custom_op.fpgadataflow"
FINN_DOMAINS = (FINN, f"{FINN}.rtl", f"{FINN}.hls")
FINN_TEXTS = (
    *("backend", "mem_mode", "ram_style", "ram_style_thresholds", "resType", "Function"),
    *("preferred_impl_style", "impl_style", "lhs_style", "rhs_style", "func", "direction"),
)
"""Text attributes of FINN's layers, besides types, that are read; others name files, programs, or
modes (``exec_mode``) in which FINN starts a program."""
IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
WORD = re.compile(r"[A-Za-z0-9_]*")
DATATYPE = re.compile(
    r"U?INT[1-9][0-9]{0,2}|BINARY|BIPOLAR|TERNARY|FLOAT32|FLOAT16"
    r"|FIXED<[0-9]{1,3}, ?[0-9]{1,3}>|SCALEDINT<[0-9]{1,3}>|FLOAT<[0-9, ]{1,16}>"
)
LAYOUT_LETTERS = frozenset("NCHWDTFS")
Proto = Any


def read_model(path: Path, *, finn: bool = False) -> ModelProto:
    """The model of an ONNX file, external data in it, without anything that could act.

    Args:
        path: the file; may be a link. Its external data lies beside it.
        finn: the file is one of the compiler's own, with FINN's layers.

    Raises:
        CompileError: no ONNX file, or something in it leads out of it; the message names it.
        LimitError: it is larger than protobuf can write.
    """
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import ModelProto

    try:
        model = ModelProto.FromString(read_bytes(path, MODEL_BYTES))
    except (OSError, ValueError, DecodeError) as error:
        raise _unreadable(path, str(error)) from error
    for field in ("node", "input", "output"):
        if not getattr(model.graph, field):
            raise _unreadable(path, f"no {field}s in it")
    _load_external(model, path)
    _check_nodes(model, path, finn=finn)
    _check_sizes(model, path)
    _strip(model, path)
    if not finn:
        check_graph(model, path)
        constants_to_initializers(model, f"{path}: ")
        check_constants(model.graph, f"{path}: ")
    return model


def external_files(path: Path) -> tuple[Path, ...]:
    """Files beside an ONNX file that hold its tensors, sorted.

    Raises:
        CompileError: no ONNX file, or a tensor lies outside the model's folder.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        model = ModelProto.FromString(read_bytes(path, MODEL_BYTES))
    except (OSError, ValueError, DecodeError) as error:
        raise _unreadable(path, str(error)) from error
    return tuple(sorted({_place(path, t) for t in _tensors(model) if _is_external(t)}))


def write_model(model: ModelProto, path: Path) -> Path:
    """Write a model; equal models give equal bytes."""
    path.write_bytes(model.SerializeToString())
    return path


def _unreadable(path: Path, why: str) -> CompileError:
    return CompileError(
        f"{path}: not a readable ONNX file ({why})", hint="export the network again"
    )


def _graphs(model: ModelProto) -> Iterator[GraphProto]:
    """The graph, and the graphs in attributes of nodes, however deep."""
    pending = [model.graph]
    while pending:
        graph = pending.pop()
        yield graph
        for node in graph.node:
            for item in node.attribute:
                pending += [*([item.g] if item.HasField("g") else []), *item.graphs]


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    for graph in _graphs(model):
        yield from graph.initializer
        for node in graph.node:
            for item in node.attribute:
                if item.HasField("t"):
                    yield item.t
                yield from item.tensors


# External data


def _is_external(tensor: TensorProto) -> bool:
    from onnx import TensorProto as Kind

    return bool(tensor.data_location == Kind.EXTERNAL or tensor.external_data)


def _load_external(model: ModelProto, path: Path) -> None:
    total = 0
    for tensor in _tensors(model):
        if not _is_external(tensor):
            continue
        data = _external_bytes(path, tensor)
        total += len(data)
        check_claim(f"{path} with its external data", [total], 1, MODEL_BYTES)
        tensor.raw_data = data
        del tensor.external_data[:]
        tensor.ClearField("data_location")


def _external_bytes(path: Path, tensor: TensorProto) -> bytes:
    place = _place(path, tensor)
    size = place.stat().st_size
    entries = {item.key: item.value for item in tensor.external_data}
    numbers = [entries.get("offset") or "0", entries.get("length") or ""]
    if not all(re.fullmatch(r"[0-9]{0,18}", text) for text in numbers):
        raise CompileError(
            f"{path}: external data of tensor {tensor.name!r}: offset and length are {numbers}, "
            "must be numbers",
            hint="export the network again",
        )
    first = int(numbers[0])
    length = int(numbers[1]) if numbers[1] else max(size - first, 0)
    check_claim(f"{path}: external data of tensor {tensor.name!r}", [length], 1, MODEL_BYTES)
    if first + length > size:
        raise CompileError(
            f"{place}: has {size:,} bytes, tensor {tensor.name!r} of {path.name} is said to lie at "
            f"{first:,} to {first + length:,}",
            hint="keep both files of one export side by side",
        )
    with place.open("rb") as file:
        file.seek(first)
        return file.read(length)


def _place(path: Path, tensor: TensorProto) -> Path:
    """The plain file in the model's folder that holds a tensor."""
    name = next((item.value for item in tensor.external_data if item.key == "location"), "")
    parts = name.split("/")
    what = f"{path}: external data of tensor {tensor.name!r} in {name!r}"
    if not name or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise CompileError(
            f"{what}: must be a file in the model's folder, without '..' and not from '/'",
            hint="save the model again, with its data beside it",
        )
    place = path.parent
    for part in parts:
        place /= part
        try:
            mode = os.lstat(place).st_mode
        except OSError as error:
            raise CompileError(
                f"{what}: {error.strerror}", hint="keep the model and its data in one folder"
            ) from error
        if stat.S_ISLNK(mode):
            raise CompileError(
                f"{what}: {place} is a link, which is not followed",
                hint="put the file itself beside the model",
            )
    if not stat.S_ISREG(mode):
        raise CompileError(f"{what}: no plain file", hint="save the model again")
    return place


# Nodes


def _check_nodes(model: ModelProto, path: Path, *, finn: bool) -> None:
    functions = {(f.domain, f.name) for f in model.functions}
    for graph in _graphs(model):
        if graph.sparse_initializer:
            raise CompileError(
                f"{path}: sparse tensors are not read", hint="store them as dense ones"
            )
        for node in graph.node:
            what = f"{path}: {node.op_type} node {node.name!r}"
            if (node.domain, node.op_type) in functions:
                raise CompileError(
                    f"{what} calls a function that the file itself defines",
                    hint="inline it first: onnx.inliner.inline_local_functions(model)",
                )
            _check_domain(node, what, finn=finn)
            for item in node.attribute:
                _check_attribute(item, what)


def _check_domain(node: NodeProto, what: str, *, finn: bool) -> None:
    if node.domain in STANDARD:
        return
    if node.domain in QONNX_DOMAINS and node.op_type in QONNX_OPS:
        if node.domain in OLD_NAMES:
            node.domain = QONNX
        return
    if finn and node.domain in FINN_DOMAINS and IDENTIFIER.fullmatch(node.op_type):
        _check_finn_node(node, what)
        return
    known = ", ".join(repr(d) for d in (STANDARD[0], QONNX, QONNX_DOMAINS[1]))
    raise CompileError(
        f"{what} is of domain {node.domain!r}: operators of the domains {known} are read, of "
        f"QONNX's {', '.join(QONNX_OPS)}",
        hint="export the network as QONNX (Brevitas: export_qonnx)",
    )


def _check_finn_node(node: NodeProto, what: str) -> None:
    """Names of nodes end in Vivado's scripts, text attributes in FINN's file system."""
    if not IDENTIFIER.fullmatch(node.name):
        raise CompileError(f"{what}: its name must be letters, digits and _", hint=_OURS)
    for item in node.attribute:
        texts = [bytes(t).decode("utf-8", "replace") for t in (item.s, *item.strings) if t]
        if item.name.lower().endswith(("datatype", "datatypes", "dtype")):
            fine = all(DATATYPE.fullmatch(text) for text in texts)
        else:
            fine = item.name in FINN_TEXTS and all(WORD.fullmatch(text) for text in texts)
        if texts and not fine:
            raise CompileError(f"{what}: attribute {item.name} = {texts} is not read", hint=_OURS)


_OURS = "it is no file of this compiler: run `phyfold compile` again"


def _check_attribute(item: AttributeProto, what: str) -> None:
    if item.HasField("sparse_tensor") or item.sparse_tensors:
        raise CompileError(
            f"{what}: attribute {item.name!r} is a sparse tensor, which is not read",
            hint="store it as a dense one",
        )
    if item.ref_attr_name:
        raise CompileError(
            f"{what}: attribute {item.name!r} stands for one of a function, and there is none",
            hint="export the network again",
        )


def _check_sizes(model: ModelProto, path: Path) -> None:
    """No tensor that is declared is larger than any that could be computed."""
    for graph in _graphs(model):
        for info in (*graph.input, *graph.output, *graph.value_info):
            dims = [d.dim_value for d in info.type.tensor_type.shape.dim]
            known = [d for d in dims if d > 0]
            check_claim(f"{path}: tensor {info.name!r} of shape {dims}", known, 4, ARRAY_BYTES)
        for tensor in graph.initializer:
            what = f"{path}: tensor {tensor.name!r} of shape {list(tensor.dims)}"
            check_claim(what, tensor.dims, 4, MODEL_BYTES)


# What is dropped


def _strip(model: ModelProto, path: Path) -> None:
    """Drop all that the compiler does not need; what stays of the annotations is checked."""
    for name in ("functions", "training_info", "metadata_props", "configuration"):
        model.ClearField(name)
    for opset in list(model.opset_import):
        if opset.domain in OLD_NAMES:
            opset.domain = QONNX
        if opset.domain not in (*STANDARD, *QONNX_DOMAINS, *FINN_DOMAINS):
            model.opset_import.remove(opset)
    for graph in _graphs(model):
        annotations = _annotations(graph, path)
        graph.ClearField("quantization_annotation")
        graph.quantization_annotation.extend(annotations)
    _drop_texts(model)


def _drop_texts(proto: Proto) -> None:
    """Clear doc strings and metadata, in the message and in all messages within."""
    from google.protobuf.message import Message

    for field, value in proto.ListFields():
        if field.name in ("doc_string", "metadata_props", "device_configurations"):
            proto.ClearField(field.name)
        elif field.message_type is not None:
            for item in (value,) if isinstance(value, Message) else value:
                _drop_texts(item)


def _annotations(graph: GraphProto, path: Path) -> list[Any]:
    """Type and layout of every annotated tensor, checked; everything else is left out."""
    from onnx import StringStringEntryProto, TensorAnnotation

    kept: dict[str, dict[str, str]] = {}
    for note in graph.quantization_annotation:
        entries = kept.setdefault(note.tensor_name, {})
        for item in note.quant_parameter_tensor_names:
            value = _annotation(item.key, item.value, f"{path}: tensor {note.tensor_name!r}")
            if value is not None:
                entries.setdefault(item.key, value)
    return [
        TensorAnnotation(
            tensor_name=name,
            quant_parameter_tensor_names=[
                StringStringEntryProto(key=key, value=value) for key, value in entries.items()
            ],
        )
        for name, entries in kept.items()
        if entries
    ]


def _annotation(key: str, value: str, what: str) -> str | None:
    """The value as it is kept, or None.

    A type says what the numbers mean, so one that cannot be read is an error. A layout is a remark
    of the tool that wrote it: without it the tensor is taken as ONNX defines it.
    """
    if key == "finn_datatype":
        if DATATYPE.fullmatch(value):
            return value
        raise CompileError(
            f"{what}: annotated with the type {value[:80]!r}, which is none of QONNX's",
            hint="export the network again; types are INT4, UINT8, BIPOLAR and their like",
        )
    if key == "tensor_layout":
        letters = _layout(value)
        if letters is not None:
            return str(letters)
        log.warning("%s: the layout %.80r is not read", what, value)
    return None


def _layout(text: str) -> list[str] | None:
    """``['N', 'C']`` of its text, or None."""
    if len(text) > 80:
        return None
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    fine = isinstance(value, list) and 0 < len(value) <= 6
    return (
        value if fine and all(isinstance(v, str) and v in LAYOUT_LETTERS for v in value) else None
    )

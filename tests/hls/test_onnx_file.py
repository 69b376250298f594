# SPDX-License-Identifier: Apache-2.0
"""Nothing in an ONNX file is executed, imported or followed: each text of it is poisoned here.

The poison is Python that leaves a file. `test_the_poison_is_live` shows what qonnx makes of it.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import pytest
from google.protobuf.message import Message
from onnx import ModelProto, StringStringEntryProto, TensorProto, helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp

from fpga_builds.amd import finn_flow
from fpga_builds.amd.job import FinnJob
from hls.compiler import compile_model
from hls.finn_env import setup_finn
from hls.onnx_file import external_files, read_model
from hls.qonnx_exec import load_model, run_qonnx
from models.errors import CompileError, LimitError, PhyfoldError

PROJECT = Path(__file__).parents[2]
STRUCTURE = ("input", "output", "op_type", "name", "tensor_name", "location", "dim_param",
             "ref_attr_name")  # fmt: skip
"""Fields that other tests poison: changed alone they only break the graph."""


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """The file that is there once any poison has run."""
    return tmp_path / "canary"


@pytest.fixture
def poison(canary: Path) -> str:
    """A Python expression, and a command of a shell, that touch the canary."""
    return (
        f"__import__('pathlib').Path({str(canary)!r}).touch() # $(touch {canary}) `touch {canary}`"
    )


@pytest.fixture
def module(canary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a Python module that touches the canary when it is imported."""
    (tmp_path / "poisoned_ops.py").write_text(
        f"import pathlib\npathlib.Path({str(canary)!r}).touch()\ncustom_op = {{}}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "poisoned_ops"
    sys.modules.pop("poisoned_ops", None)


def entry(key: str, value: str) -> StringStringEntryProto:
    return StringStringEntryProto(key=key, value=value)


def annotate(model: ModelProto, tensor: str, **entries: str) -> None:
    note = model.graph.quantization_annotation.add(tensor_name=tensor)
    note.quant_parameter_tensor_names.extend(entry(k, v) for k, v in entries.items())


def texts(proto: Message) -> Iterator[tuple[Message, Any]]:
    """Every text field that a message of this kind may have, in it and in those within."""
    for field in proto.DESCRIPTOR.fields:
        if field.cpp_type == field.CPPTYPE_STRING:
            yield proto, field
        elif field.cpp_type == field.CPPTYPE_MESSAGE:
            value = getattr(proto, field.name)
            repeated = not isinstance(value, Message)
            for item in value if repeated else ([value] if proto.HasField(field.name) else []):
                yield from texts(item)


def every_tensor(model: ModelProto) -> set[str]:
    names = {name for node in model.graph.node for name in (*node.input, *node.output)}
    return {name for name in names if name}


def poison_annotations(model: ModelProto, poison: str) -> None:
    for name in every_tensor(model):
        annotate(model, name, tensor_layout=poison, tensor_sparsity=poison, SCALE_TENSOR=poison)


def poison_texts(model: ModelProto, poison: str) -> None:
    """Every optional text: doc strings, producer, metadata, denotations, strings of attributes."""
    for proto, field in list(texts(model)):
        if field.name in STRUCTURE or (field.name == "domain" and proto is not model):
            continue
        if field.type == field.TYPE_BYTES:
            continue
        value = getattr(proto, field.name)
        if isinstance(value, str):
            setattr(proto, field.name, poison)
        else:
            value.append(poison)
    for keeper in (model, model.graph, *model.graph.node, *model.graph.initializer):
        for key in ("exec_mode", "vivado_stitch_ifnames", "res_total_ooc_synth", poison):
            keeper.metadata_props.append(entry(key, poison))


def poison_references(model: ModelProto, poison: str) -> None:
    model.graph.node[0].attribute[0].ref_attr_name = poison


def poison_names(model: ModelProto, poison: str) -> None:
    """All names of tensors, nodes, graph and dimensions, consistently."""
    new = {name: f"{poison}{i}" for i, name in enumerate(sorted(every_tensor(model)))}
    for node in model.graph.node:
        node.name = f"{poison}; {node.name}"
        node.input[:] = [new.get(name, name) for name in node.input]
        node.output[:] = [new[name] for name in node.output]
    graph = model.graph
    for item in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        item.name = new.get(item.name, item.name)
    graph.name = poison


def poison_opsets(model: ModelProto, poison: str) -> None:
    model.opset_import.append(helper.make_opsetid(poison, 1))


def poison_functions(model: ModelProto, poison: str) -> None:
    """Functions that nothing calls, with poison in and around them, and training."""
    node = helper.make_node(poison, ["a"], ["b"], domain=poison, rounding_mode=poison)
    model.functions.append(
        helper.make_function(poison, poison, ["a"], ["b"], [node], [helper.make_opsetid(poison, 1)])
    )
    model.training_info.add().algorithm.node.append(node)


def poison_types(model: ModelProto, poison: str) -> None:
    for name in every_tensor(model):
        annotate(model, name, finn_datatype=poison)


def poison_subgraphs(model: ModelProto, poison: str) -> None:
    body = helper.make_graph([helper.make_node("Quant", [], ["b"], domain=poison)], "body", [], [])
    body.quantization_annotation.add(tensor_name="b").quant_parameter_tensor_names.append(
        entry("tensor_layout", poison)
    )
    model.graph.node[0].attribute.append(helper.make_attribute("body", body))


HARMLESS = (poison_annotations, poison_texts, poison_names, poison_opsets, poison_functions)
REFUSED = (poison_types, poison_subgraphs, poison_references)
Poisoner = Callable[[ModelProto, str], None]


def network(mlp: ModuleType, cnn: ModuleType, tmp_path: Path, kind: str) -> tuple[Path, ModelProto]:
    path = tmp_path / "net.onnx"
    (cnn.conv_chain if kind == "images" else mlp.power_of_two_mlp)(path)
    return path, onnx.load(str(path))


@pytest.mark.parametrize("kind", ["vectors", "images"])
@pytest.mark.parametrize("poisoner", [*HARMLESS, *REFUSED], ids=lambda p: p.__name__)
def test_poison_does_not_run(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, canary: Path, poison: str, poisoner: Poisoner,
    kind: str,
) -> None:  # fmt: skip
    path, model = network(mlp, cnn, tmp_path, kind)
    before = compile_model(path, tmp_path / "before")
    poisoner(model, poison)
    path.write_bytes(model.SerializeToString())
    if poisoner in HARMLESS:
        after = compile_model(path, tmp_path / "after")
        assert [la.params for la in after.layers] == [la.params for la in before.layers]
    else:
        with pytest.raises(PhyfoldError):
            compile_model(path, tmp_path / "after")
    assert not canary.exists()


@pytest.mark.parametrize("kind", ["vectors", "images"])
@pytest.mark.parametrize(
    "name",
    ["rounding_mode", "data_layout", "out_dtype", "exec_mode", "executable_path", "model",
     "backend", "code_gen_dir_cppsim", "rtlsim_so", "auto_pad", "mode", "inputDataType",
     "body"],
)  # fmt: skip
def test_poison_in_attributes_does_not_run(
    mlp: ModuleType,
    cnn: ModuleType,
    tmp_path: Path,
    canary: Path,
    poison: str,
    name: str,
    kind: str,
) -> None:
    path, model = network(mlp, cnn, tmp_path, kind)
    for node in model.graph.node:
        kept = [item for item in node.attribute if item.name != name]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute(name, poison)])
    path.write_bytes(model.SerializeToString())
    with contextlib.suppress(PhyfoldError):
        compile_model(path, tmp_path / "out")
    assert not canary.exists()


def test_all_poison_at_once_by_the_command_line(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, canary: Path, poison: str
) -> None:
    path, model = network(mlp, cnn, tmp_path, "images")
    for poisoner in HARMLESS:
        poisoner(model, poison)
    path.write_bytes(model.SerializeToString())
    code = "from fpga_builds.cli import main; main()"
    words = ["compile", str(path), "--out", str(tmp_path / "out"), "--quiet"]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(PROJECT)!r}); {code}", *words],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not canary.exists()
    for kept in (tmp_path / "out").rglob("*.onnx"):  # what is handed on has no live poison in it
        tidied = ModelWrapper(str(kept))
        for name in tidied.get_all_tensor_names():
            tidied.get_tensor_layout(name)
            tidied.get_tensor_sparsity(name)
    assert not canary.exists()


@pytest.mark.parametrize("key", ["tensor_layout", "tensor_sparsity"])
def test_the_poison_is_live(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, canary: Path, poison: str, key: str
) -> None:
    """What the tests above would see, were files given to qonnx as they are."""
    path, model = network(mlp, cnn, tmp_path, "images")
    annotate(model, "x", **{key: poison})
    path.write_bytes(model.SerializeToString())
    raw = ModelWrapper(str(path))
    if key == "tensor_layout":
        raw.get_tensor_layout("x")
    else:
        raw.get_tensor_sparsity("x")
    assert canary.exists()
    canary.unlink()
    clean = load_model(path)
    assert clean.get_tensor_layout("x") is None
    assert clean.get_tensor_sparsity("x") is None
    assert not canary.exists()


def test_no_module_is_imported_for_a_domain(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, canary: Path, module: str
) -> None:
    path, model = network(mlp, cnn, tmp_path, "vectors")
    node = next(n for n in model.graph.node if n.op_type == "Quant")
    node.domain = module
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match=r"Quant node 'Quant_\d+' is of domain 'poisoned_ops'"):
        compile_model(path, tmp_path / "out")
    with pytest.raises(CompileError, match="poisoned_ops"):
        run_qonnx(path, np.zeros((1, 12)))
    assert not canary.exists()
    with pytest.raises(KeyError):
        getCustomOp(node)
    assert canary.exists()  # and this is what would have happened


@pytest.mark.parametrize(
    ("domain", "kind"),
    [
        ("qonnx.custom_op.general", "GenericPartition"),
        ("finn.custom_op.fpgadataflow", "StreamingDataflowPartition"),
        ("finn.custom_op.fpgadataflow.hls", "MVAU_hls"),
        ("qonnx.core.modelwrapper", "Quant"),
        ("os", "Relu"),
    ],
)
def test_operators_that_lead_elsewhere_are_refused(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, domain: str, kind: str
) -> None:
    path, model = network(mlp, cnn, tmp_path, "vectors")
    node = model.graph.node[-1]
    node.op_type, node.domain = kind, domain
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match=f"{kind} node .* is of domain '{domain}'"):
        load_model(path)


def test_a_function_of_the_file_is_not_called(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path
) -> None:
    path, model = network(mlp, cnn, tmp_path, "vectors")
    node = next(n for n in model.graph.node if n.op_type == "Relu")
    other = helper.make_node("Neg", ["a"], ["b"])
    opsets = [helper.make_opsetid("", 18)]
    model.functions.append(helper.make_function("", "Relu", ["a"], ["b"], [other], opsets))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match="calls a function that the file itself defines"):
        load_model(path)
    assert node.op_type == "Relu"


def test_types_and_layouts_are_kept(mlp: ModuleType, cnn: ModuleType, tmp_path: Path) -> None:
    path, model = network(mlp, cnn, tmp_path, "images")
    annotate(model, "x", finn_datatype="INT4", tensor_layout="['N', 'H', 'W', 'C']")
    path.write_bytes(model.SerializeToString())
    loaded = load_model(path)
    assert loaded.get_tensor_datatype("x").name == "INT4"
    assert loaded.get_tensor_layout("x") == ["N", "H", "W", "C"]


@pytest.mark.parametrize("text", ["INT4\n", "INT04", "INT4;", "INT1234", "int4", "INT4 ", ""])
def test_types_are_matched_whole(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, text: str
) -> None:
    path, model = network(mlp, cnn, tmp_path, "vectors")
    annotate(model, "x", finn_datatype=text)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match="tensor 'x': annotated with the type"):
        load_model(path)


def test_older_names_of_the_domain_are_read(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path
) -> None:
    path, model = network(mlp, cnn, tmp_path, "vectors")
    x = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    expected = run_qonnx(path, x)
    for node in model.graph.node:
        node.domain = "finn.custom_op.general" if node.domain else ""
    path.write_bytes(model.SerializeToString())
    np.testing.assert_array_equal(run_qonnx(path, x), expected)


# Files of FINN's layers


def test_a_folded_graph_is_read_whole(mlp: ModuleType, cnn: ModuleType, tmp_path: Path) -> None:
    for kind in ("vectors", "images"):
        path, _ = network(mlp, cnn, tmp_path, kind)
        compile_model(path, tmp_path / kind)
        for name in ("05_finn", "06_specialized", "07_folded"):
            folded = tmp_path / kind / f"{name}.onnx"
            model = onnx.load(str(folded))
            assert list(read_model(folded, finn=True).graph.node) == list(model.graph.node)
            with pytest.raises(CompileError, match="is of domain 'finn"):
                load_model(folded)


@pytest.mark.parametrize(
    "attribute",
    ["exec_mode", "executable_path", "rtlsim_so", "code_gen_dir_ipgen", "ip_path", "model",
     "inputDataType", "mem_mode"],
)  # fmt: skip
def test_finn_attributes_that_name_programs_are_refused(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, canary: Path, attribute: str
) -> None:
    path, _ = network(mlp, cnn, tmp_path, "vectors")
    compile_model(path, tmp_path / "out")
    folded = tmp_path / "out" / "07_folded.onnx"
    model = onnx.load(str(folded))
    node = model.graph.node[0]
    kept = [item for item in node.attribute if item.name != attribute]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute(attribute, f"; touch {canary}")])
    folded.write_bytes(model.SerializeToString())
    setup_finn(tmp_path / "finn")
    job = FinnJob(
        model=str(folded), accelerator=str(tmp_path / "out"), board="Pynq-Z2",
        part="xc7z020clg400-1", flow="vivado", platform="", clk_ns=10.0,
        build_dir=str(tmp_path), output_dir=str(tmp_path),
    )  # fmt: skip
    with pytest.raises(CompileError, match=f"attribute {attribute} = .* is not read"):
        finn_flow.prepare(job)


def test_names_of_finn_nodes_are_names(mlp: ModuleType, cnn: ModuleType, tmp_path: Path) -> None:
    path, _ = network(mlp, cnn, tmp_path, "vectors")
    compile_model(path, tmp_path / "out")
    folded = tmp_path / "out" / "07_folded.onnx"
    model = onnx.load(str(folded))
    model.graph.node[0].name = "fc0]; exec touch canary; #"
    folded.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match="its name must be letters, digits and _"):
        read_model(folded, finn=True)


# External data


def externalize(mlp: ModuleType, cnn: ModuleType, folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    _, model = network(mlp, cnn, folder, "vectors")
    path = folder / "net.onnx"
    onnx.save(model, str(path), save_as_external_data=True, location="net.data", size_threshold=0)
    return path


def test_external_data_beside_the_model_is_taken(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path
) -> None:
    whole, _ = network(mlp, cnn, tmp_path, "vectors")
    path = externalize(mlp, cnn, tmp_path / "model")
    assert external_files(path) == (path.parent / "net.data",)
    assert external_files(whole) == ()
    x = np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32)
    np.testing.assert_array_equal(run_qonnx(path, x), run_qonnx(whole, x))
    compile_model(path, tmp_path / "out")
    shutil.rmtree(path.parent)  # every kept model stands alone
    np.testing.assert_array_equal(
        run_qonnx(tmp_path / "out" / "00_qonnx.onnx", x), run_qonnx(whole, x)
    )


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("/etc/passwd", "must be a file in the model's folder"),
        ("../secret", "must be a file in the model's folder"),
        ("sub/../../secret", "must be a file in the model's folder"),
        ("a\0b", "must be a file in the model's folder"),
        ("", "must be a file in the model's folder"),
        ("link", "is a link, which is not followed"),
        ("outside/secret", "is a link, which is not followed"),
        ("sub", "no plain file"),
        ("absent", "No such file"),
    ],
)
def test_external_data_elsewhere_is_refused(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, place: str, why: str
) -> None:
    path = externalize(mlp, cnn, tmp_path / "model")
    (tmp_path / "secret").write_bytes(bytes(10_000))
    (path.parent / "sub").mkdir()
    (path.parent / "link").symlink_to(tmp_path / "secret")
    (path.parent / "outside").symlink_to(tmp_path)
    model = onnx.load(str(path), load_external_data=False)
    for item in model.graph.initializer[0].external_data:
        if item.key == "location":
            item.value = place
    path.write_bytes(model.SerializeToString())
    for read in (load_model, external_files):
        with pytest.raises(CompileError, match=why):
            read(path)


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("length", "99999999999", "says that it holds"),
        ("length", "99999999", "is said to lie at"),
        ("offset", "99999999", "is said to lie at"),
        ("offset", "-5", "must be numbers"),
        ("length", "1e3", "must be numbers"),
    ],
)
def test_external_data_that_is_not_there_is_not_read(
    mlp: ModuleType, cnn: ModuleType, tmp_path: Path, key: str, value: str, why: str
) -> None:
    path = externalize(mlp, cnn, tmp_path / "model")
    model = onnx.load(str(path), load_external_data=False)
    for item in model.graph.initializer[0].external_data:
        if item.key == key:
            item.value = value
    path.write_bytes(model.SerializeToString())
    with pytest.raises((CompileError, LimitError), match=why):
        load_model(path)


# Sizes and damage


def test_declared_shapes_are_limited(mlp: ModuleType, cnn: ModuleType, tmp_path: Path) -> None:
    path, model = network(mlp, cnn, tmp_path, "vectors")
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40
    path.write_bytes(model.SerializeToString())
    with pytest.raises(LimitError, match=r"tensor 'x' of shape \[1, 1099511627776\]"):
        load_model(path)


def test_sparse_tensors_are_not_unpacked(mlp: ModuleType, cnn: ModuleType, tmp_path: Path) -> None:
    path, model = network(mlp, cnn, tmp_path, "vectors")
    sparse = onnx.SparseTensorProto(dims=[1 << 40], values=TensorProto(name="huge"))
    model.graph.sparse_initializer.append(sparse)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CompileError, match="sparse tensors are not read"):
        load_model(path)


def test_a_large_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    with pytest.raises(LimitError, match=r"net\.onnx: has 3,221,225,472 bytes; at most"):
        load_model(path)


@pytest.mark.parametrize("data", [b"", b"\x08\x01", b"no protobuf"])
def test_what_is_no_model_is_said_to_be_none(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "net.onnx").write_bytes(data)
    with pytest.raises(CompileError, match=r"net\.onnx: not a readable ONNX file"):
        load_model(tmp_path / "net.onnx")
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(CompileError, match="Is a directory"):
        load_model(tmp_path / "folder.onnx")

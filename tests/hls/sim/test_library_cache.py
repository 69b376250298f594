# SPDX-License-Identifier: Apache-2.0
"""Only libraries that this user built are loaded; damaged ones are built again, and it is said."""

from __future__ import annotations

import ctypes
import logging
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from canary import canary

from hls.sim import library_cache, verilator_runtime
from hls.sim.engine import Simulator, simulate
from hls.sim.finn_xsi_design import Design, Kernel
from hls.sim.library_cache import cache_dir, is_recorded, record_library, trusted_digest
from hls.sim.native import BatchOptions, Model
from hls.sim.packing import pack
from hls.sim.pool import WorkerPool
from hls.sim.verilate import SimBinary, Variant, build, make_plan, plan_key, runtime_of
from hls.sim.worker import Job
from models.errors import StorageError, ToolError


@pytest.fixture(autouse=True)
def nothing_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test hears what is said once."""
    monkeypatch.setattr(library_cache, "_said", set())


@pytest.fixture
def copied(toy, toy_binary: SimBinary, tmp_path: Path) -> Callable[[], SimBinary]:
    """Builds the toy in a copy of the folder that it was built in."""
    shutil.copytree(toy_binary.library.parents[1], tmp_path / "sim")
    return lambda: build(toy.files, toy.accelerator, tmp_path / "sim")


def _cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def _flip(data: bytes) -> bytes:
    place = len(data) // 2
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.verilator
@pytest.mark.parametrize("damage", [_cut, _flip, lambda _: b""], ids=["cut", "bit", "empty"])
def test_a_damaged_library_is_built_again(
    toy,
    copied: Callable[[], SimBinary],
    damage: Callable[[bytes], bytes],
    caplog: pytest.LogCaptureFixture,
) -> None:
    library = copied().library
    library.write_bytes(damage(library.read_bytes()))
    binary = copied()
    assert binary.build_s > 0
    codes = toy.codes(8)
    np.testing.assert_array_equal(simulate(binary, codes).outputs, toy.expected(codes))
    assert copied().build_s == 0
    (said,) = _warnings(caplog)
    assert str(library) in said
    assert "built again" in said


@pytest.mark.verilator
def test_a_foreign_library_is_never_loaded(
    toy, copied: Callable[[], SimBinary], tmp_path: Path
) -> None:
    library, trace = copied().library, tmp_path / "trace"
    bird = canary(tmp_path / "bird.so", trace)
    library.unlink()
    shutil.copy(bird, library)
    binary = copied()
    codes = toy.codes(8)
    np.testing.assert_array_equal(simulate(binary, codes).outputs, toy.expected(codes))
    assert not trace.exists()
    library.unlink()
    library.symlink_to(bird)
    assert copied().build_s > 0
    assert not library.is_symlink()
    assert not trace.exists()
    ctypes.CDLL(str(bird))
    assert trace.exists()  # it does sing


@pytest.mark.verilator
def test_whoever_loads_looks_first(toy_binary: SimBinary, tmp_path: Path) -> None:
    """The checks of the loaders themselves, behind that of the build."""
    trace = tmp_path / "trace"
    bird = canary(tmp_path / "bird.so", trace)
    for load in (
        lambda: Model(bird),
        lambda: Model(bird, trusted_digest(toy_binary.library)),
        lambda: WorkerPool(bird, tmp_path, 1),
        lambda: Design(Kernel("verilator"), str(bird)),
    ):
        with pytest.raises(ToolError, match=r"bird\.so (is no simulation library|has changed)"):
            load()
    assert not trace.exists()


@pytest.mark.verilator
def test_a_library_that_changes_while_it_runs(
    toy, copied: Callable[[], SimBinary], tmp_path: Path
) -> None:
    """The processes compare with what was built, not with what lies there by then."""
    library, trace = copied().library, tmp_path / "trace"
    pool = WorkerPool(library, toy.files.data_files[0].parent, 1)
    shutil.copy(canary(tmp_path / "bird.so", trace), tmp_path / "new.so")
    (tmp_path / "new.so").replace(library)
    with pytest.raises(ToolError, match="no simulation library of ours"):
        Simulator(replace(copied(), library=tmp_path / "bird.so"))
    shutil.copy(tmp_path / "bird.so", library)
    stream = toy.accelerator.stream("in")
    beats = pack(toy.codes(2), stream.fmt, stream.elems_per_beat)
    job = Job(0, beats, 4, 3, BatchOptions(watchdog_cycles=1000))
    with pool, pytest.raises(ToolError, match="has changed since the simulation began"):
        list(pool.run(iter([job])))
    assert not trace.exists()


@pytest.mark.verilator
def test_another_cache_knows_nothing(
    copied: Callable[[], SimBinary], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build folder that comes with libraries and records: of somebody else's."""
    library = copied().library
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(tmp_path / "cache"))
    assert not is_recorded(library, library.parent.name)
    with pytest.raises(ToolError, match="no build of yours made it"):
        trusted_digest(library)
    record_library(library, library.parent.name)
    assert is_recorded(library, library.parent.name)
    assert not is_recorded(library, "fast-ofanotherdesign")
    assert stat.S_IMODE((tmp_path / "cache" / "libraries").stat().st_mode) == 0o700


@pytest.mark.verilator
def test_a_library_that_others_can_write(copied: Callable[[], SimBinary]) -> None:
    library = copied().library
    library.chmod(0o777)
    with pytest.raises(ToolError, match="others may write"):
        trusted_digest(library)
    assert copied().build_s > 0
    assert library.stat().st_mode & 0o022 == 0


@pytest.mark.verilator
def test_leftovers_of_a_killed_build_do_no_harm(
    copied: Callable[[], SimBinary], tmp_path: Path
) -> None:
    """Half-written C++, a makefile cut short, a lock and a log that point elsewhere."""
    folder = copied().library.parent
    precious = tmp_path / "precious"
    precious.write_text("mine")
    (folder / "libphysim.so").unlink()
    (folder / "work" / "cpp").mkdir(parents=True)
    (folder / "work" / "cpp" / "Vphy_left.cpp").write_text("this is no C++")
    (folder / "cpp").mkdir()
    (folder / "cpp" / "Vphy_left.cpp").write_text("nor this")
    (folder / "Makefile").write_text("libphysim.so: nothing\n\t")
    (folder / "config.vlt").mkdir()
    for name in ("lock", "build.log"):
        (folder / name).unlink()
        (folder / name).symlink_to(precious)
    assert copied().build_s > 0
    assert precious.read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["build.log", "libphysim.so", "lock"]


@pytest.mark.verilator
def test_a_module_planted_in_the_folder_is_not_taken(toy, tmp_path: Path) -> None:
    """Verilator looks for missing modules in its working folder: nothing of others is there."""
    source = tmp_path / "toy_top.sv"
    text = toy.files.sources[0].read_text()
    source.write_text(text.replace("endmodule", "  stranger u_stranger ();\nendmodule"))
    files = replace(toy.files, sources=(source,))
    folder = tmp_path / "sim" / f"fast-{plan_key(make_plan(files, Variant.FAST))}"
    folder.mkdir(parents=True)
    (folder / "stranger.sv").write_text('module stranger; initial $system("true"); endmodule\n')
    with pytest.raises(ToolError, match="stranger"):
        build(files, toy.accelerator, tmp_path / "sim")


@pytest.mark.verilator
@pytest.mark.parametrize("name", ["verilated.o", "phy_pch.h.gch/fast", "phy_pch.h", "complete"])
def test_a_damaged_run_time_is_compiled_again(
    toy,
    toy_binary: SimBinary,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    known = runtime_of(make_plan(toy_binary.files, toy_binary.variant))
    shutil.copytree(known, cache / known.name)
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(cache))
    path = cache / known.name / name
    path.write_bytes(_cut(path.read_bytes()))
    monkeypatch.setattr(verilator_runtime, "_compile", _copying(known))
    binary = build(toy.files, toy.accelerator, tmp_path / "sim")
    assert binary.build_s > 0
    said = [text for text in _warnings(caplog) if "run time is damaged" in text]
    assert len(said) == 1
    assert verilator_runtime.is_whole(cache / known.name)


def _copying(known: Path) -> Callable[..., None]:
    """Stands for the compiler, which takes long: the files that it made before."""

    def compile_again(work: Path, *_: object) -> None:
        for path in known.rglob("*"):
            target = work / path.relative_to(known)
            target.parent.mkdir(exist_ok=True)
            if path.is_file() and path.name != "complete":
                shutil.copy2(path, target)

    return compile_again


def test_a_list_of_the_run_time_must_be_whole(tmp_path: Path) -> None:
    (tmp_path / "a.o").write_text("object")
    assert not verilator_runtime.is_whole(tmp_path)
    for text in ("", "[]", '{"a.o": "0"}', '{"a.o"'):
        (tmp_path / "complete").write_text(text)
        assert not verilator_runtime.is_whole(tmp_path)


def test_a_cache_that_all_can_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    folder.chmod(0o777)
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(folder))
    with pytest.raises(StorageError, match=r"cache: others may write .*mode 0777") as caught:
        cache_dir()
    assert "PHYFOLD_CACHE_DIR" in caught.value.hint
    monkeypatch.delenv("PHYFOLD_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "phyfold").mkdir()
    (tmp_path / "phyfold").chmod(0o777)
    with pytest.raises(StorageError, match="others may write"):
        cache_dir()
    folder.chmod(0o775)  # as an umask of 002 makes it: the group is shut out
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(folder))
    assert cache_dir() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o755


def test_a_cache_of_another_user_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(tmp_path / "cache"))
    assert cache_dir() == tmp_path / "cache"
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    owner = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: owner + 1)
    with pytest.raises(StorageError, match=f"belongs to user {owner}, this is user {owner + 1}"):
        cache_dir()


def test_records_that_others_could_write_are_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(tmp_path / "cache"))
    library = tmp_path / "some.so"
    library.write_bytes(b"library")
    record_library(library, "key")
    assert is_recorded(library, "key")
    (tmp_path / "cache" / "libraries").chmod(0o777)
    assert not is_recorded(library, "key")
    assert not is_recorded(library, "key")
    assert len(_warnings(caplog)) == 1


def test_a_file_system_that_keeps_no_modes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHYFOLD_CACHE_DIR", str(tmp_path / "cache"))
    library = tmp_path / "some.so"
    library.write_bytes(b"library")
    library.chmod(0o777)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    with pytest.raises(StorageError, match=r"some\.so: others may write .*mode 0777") as caught:
        record_library(library, "key")
    assert "--out" in caught.value.hint


@pytest.fixture
def homeless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that cannot be written, and an own folder for temporary files, which it returns."""
    (tmp_path / "home").write_text("")  # a file: nothing can be made below, not even by root
    monkeypatch.delenv("PHYFOLD_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    library_cache._process_cache.cache_clear()
    return tmp_path / "temporary"


def test_without_a_home_the_cache_is_a_private_temporary_folder(homeless: Path) -> None:
    folder = cache_dir()
    assert folder == homeless / f"phyfold-{os.getuid()}"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.chmod(0o755)  # of an earlier version
    assert cache_dir() == folder
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("taken", ["open", "link", "file", "foreign"])
def test_a_temporary_folder_that_somebody_has_taken(
    homeless: Path, taken: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = homeless / f"phyfold-{os.getuid()}"
    if taken == "link":
        (homeless / "trap").mkdir(mode=0o700)
        path.symlink_to(homeless / "trap")
    elif taken == "file":
        path.write_text("")
    else:
        path.mkdir()
        path.chmod(0o777 if taken == "open" else 0o700)
    if taken == "foreign":
        owner, plain = os.getuid(), Path.lstat

        def lstat(self: Path) -> os.stat_result:
            info = plain(self)
            return os.stat_result((*info[:4], owner + 1, *info[5:])) if self == path else info

        monkeypatch.setattr(Path, "lstat", lstat)
    folder = cache_dir()
    assert folder == cache_dir()
    assert folder != path
    assert folder.parent == homeless
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    (said,) = _warnings(caplog)
    assert f"{path} is not used as a cache" in said
    assert "PHYFOLD_CACHE_DIR" in said
    assert not any((homeless / "trap").iterdir()) if taken == "link" else True


def test_logs_outlive_the_cache_of_one_process(tmp_path: Path) -> None:
    """A message may name one of them."""
    (tmp_path / "a" / "verilator-1").mkdir(parents=True)
    (tmp_path / "a" / "verilator-1.lock").touch()
    (tmp_path / "a" / "verilator-1.log").write_text("g++: error")
    (tmp_path / "b" / "verilator-1").mkdir(parents=True)
    for name in ("a", "b"):
        library_cache._drop(tmp_path / name)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["verilator-1.log"]
    assert not (tmp_path / "b").exists()

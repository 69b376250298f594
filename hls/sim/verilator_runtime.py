# SPDX-License-Identifier: Apache-2.0
"""What all simulation libraries share: Verilator's run time, compiled, and precompiled headers.

Built once per compiler and set of flags, in `hls.sim.library_cache.cache_dir`. The file
``complete`` lists the SHA-256 of every file: a damaged one counts as absent and all are made again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hls.sim import tools
from hls.sim.library_cache import cache_dir, file_digest, say_once
from models.errors import StorageError, ToolError
from models.files import keep_log, write_atomic
from models.folders import foreign, plain_scratch, renewed_folder

FORMAT = "2"
"""Of ``complete``; goes into the key."""
SLOW_FLAG = "-O0"
"""For what runs once per simulation; the compiler needs minutes for some of it at -O2."""
COMPLETE = "complete"
LOG = "build.log"
COMPILE_TIMEOUT_S = 3600.0


def runtime(
    flags: Sequence[str], names: Sequence[str], make: Path, cxx: Path, links: Mapping[str, Path]
) -> Path:
    """Folder with the objects ``names`` and the precompiled header phy_pch.h, made at first use.

    flags: of the compiler. links: to folders that they name (`make_links`), to Verilator's one.
    """
    words = [tools.verilator_version(), tools.compiler_version(), str(cxx), FORMAT]
    words += [*map(str, links.values()), *flags, SLOW_FLAG, *names]
    name = f"verilator-{hashlib.sha256(os.fsencode(' '.join(words))).hexdigest()[:16]}"
    folder = cache_dir() / name
    with locked(folder.with_suffix(".lock")):
        if os.path.lexists(folder):
            if is_whole(folder):
                return folder
            say_once(f"{folder}: Verilator's compiled run time is damaged, it is compiled again")
        _make_anew(folder, flags, names, make, cxx, links)
    return folder


def is_whole(folder: Path) -> bool:
    """True if the folder is the user's own and its files are those that ``complete`` lists."""
    try:
        listed = json.loads((folder / COMPLETE).read_text(encoding="utf-8"))
        return not foreign(folder) and isinstance(listed, dict) and listed == digests(folder)
    except (OSError, ValueError):
        return False


def digests(folder: Path) -> Mapping[str, str]:
    """SHA-256 of every file of a folder, by relative name, without the list and the log."""
    paths = [path for path in sorted(folder.rglob("*")) if not path.is_dir() or path.is_symlink()]
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: "link" if path.is_symlink() else file_digest(path)
        for name, path in names.items()
        if name not in (COMPLETE, LOG)
    }


def make_links(folder: Path, links: Mapping[str, Path]) -> None:
    """Plain names in ``folder`` for folders that may lie anywhere.

    Make, the assembler and Verilator each read something else than a name into a space, a quote, a
    dollar or a plus sign. So what they are told has nothing but these names in it.
    """
    for name, target in links.items():
        (folder / name).symlink_to(target.resolve(), target_is_directory=True)


def recipe_word(program: Path) -> str:
    """A program as a recipe of a makefile has it."""
    return shlex.quote(str(program)).replace("$", "$$")


def write_makefile(folder: Path, text: str) -> None:
    """Write the makefile in ``folder``; the bytes of paths are those of the file system."""
    (folder / "Makefile").write_bytes(os.fsencode(text))


def run_make(make: Path, folder: Path, build_log: Path, jobs: int) -> None:
    """Run the makefile in ``folder``. The assembler would take odd names of its files apart."""
    with plain_scratch() as scratch:
        tools.run_tool(
            [make, "--no-print-directory", f"-j{max(1, jobs)}"],
            cwd=folder,
            log_file=build_log,
            timeout_s=tools.timeout_s(COMPILE_TIMEOUT_S),
            env={"MAKEFLAGS": "", "MFLAGS": "", "TMPDIR": str(scratch)},
        )


def _make_anew(  # noqa: PLR0917 (those of `runtime`)
    folder: Path,
    flags: Sequence[str],
    names: Sequence[str],
    make: Path,
    cxx: Path,
    links: Mapping[str, Path],
) -> None:
    work = folder.with_suffix(".part")
    with tools.storage_guard(folder):
        for old in (folder, work):
            renewed_folder(old)
            shutil.rmtree(old)
        work.mkdir(mode=0o700)
    try:
        _compile(work, flags, names, make, cxx, links)
        with tools.storage_guard(folder):
            write_atomic(work / COMPLETE, json.dumps(digests(work), indent=1) + "\n")
            work.rename(folder)
    except ToolError as error:
        keep_log(error, work / LOG, folder.with_suffix(".log"))
        raise
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _compile(  # noqa: PLR0917 (those of `runtime`)
    work: Path,
    flags: Sequence[str],
    names: Sequence[str],
    make: Path,
    cxx: Path,
    links: Mapping[str, Path],
) -> None:
    objects = " ".join(f"{name}.o" for name in names)
    compiler = " ".join([recipe_word(cxx), *flags])
    with tools.storage_guard(work):
        make_links(work, links)
        (work / "phy_pch.h.gch").mkdir()
        (work / "phy_pch.h").write_text('#include "verilated.h"\n')
        write_makefile(
            work,
            f"all: {objects} phy_pch.h.gch/fast phy_pch.h.gch/slow\n"
            f"%.o: verilator/include/%.cpp\n\t{compiler} -c $< -o $@\n"
            f"phy_pch.h.gch/fast: phy_pch.h\n\t{compiler} -x c++-header $< -o $@\n"
            f"phy_pch.h.gch/slow: phy_pch.h\n\t{compiler} {SLOW_FLAG} -x c++-header $< -o $@\n",
        )
    run_make(make, work, work / LOG, 2)
    for name in links:
        (work / name).unlink()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a lock file, so that two processes do not build in the same folder."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        if path.is_symlink():
            path.unlink()  # a lock is ours alone: nothing it points to is opened
        descriptor = os.open(path, flags, stat.S_IRUSR | stat.S_IWUSR)
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror})") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)

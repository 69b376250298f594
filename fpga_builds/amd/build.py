# SPDX-License-Identifier: Apache-2.0
"""From a compiled build to a bitstream for an AMD board; the package's docstring has the whole."""

from __future__ import annotations

import contextlib
import logging
import math
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fpga_builds.amd.boards import AmdBoard, find_board
from fpga_builds.amd.job import ERROR, RESULT, FinnJob
from fpga_builds.amd.package import complete_package
from fpga_builds.amd.report import (
    RESOURCE_REPORT,
    TIMING_REPORT,
    Timing,
    read_resources,
    vitis_timing,
    zynq_timing,
)
from fpga_builds.amd.requirements import check_requirements
from fpga_builds.eda.vivado import (
    Call,
    Xilinx,
    call_error,
    call_tail,
    install_shims,
    list_calls,
    watch,
)
from fpga_builds.progress import Reporter
from fpga_builds.storage import read_json, replace_folder, write_json
from fpga_builds.terminal import styled
from hls.cycles import accelerator_cycles
from hls.ir import Accelerator
from hls.sim.tools import log_tail
from models.errors import (
    CompileError,
    ConfigError,
    MismatchError,
    PhyfoldError,
    StorageError,
    ToolError,
    ToolMissingError,
)
from models.files import storage_guard

if TYPE_CHECKING:
    from fpga_builds.flow import StepContext

log = logging.getLogger(__name__)

FOLDED_GRAPH = "07_folded.onnx"
# Not by PYTHONPATH: the Python programs among AMD's tools would inherit it.
PROGRAM = (
    f"import sys; sys.path.insert(0, {str(Path(__file__).parents[2])!r}); "
    "from fpga_builds.amd.finn_flow import main; raise SystemExit(main())"
)
SUMMARY = "bitstream.json"
KINDS: Mapping[str, type[PhyfoldError]] = {
    kind.kind: kind
    for kind in (CompileError, ConfigError, MismatchError, StorageError, ToolMissingError)
}


@dataclass(frozen=True)
class _Target:
    """The board, the tools that build for it, and the clock."""

    board: AmdBoard
    xilinx: Xilinx
    clock_mhz: int
    clk_ns: float


@dataclass(frozen=True)
class AmdJob:
    """What is built, and where.

    Attributes:
        name: of the build.
        compiled: folder of the compile step, with the folded FINN graph.
        accelerator: folder of the accelerator as simulated, FIFO depths in it.
        folder: of the results; replaced as a whole, and only by a finished run.
        work: for FINN's and Vivado's projects and all logs; emptied by the next run. Vivado's
            projects name files by their whole paths, so it has to stay where it is.
        clock_mhz: of the accelerator [MHz]; FINN's shells take whole numbers.
        jobs: processes that Vivado may use.
        reporter: told of every call of a tool.
    """

    name: str
    compiled: Path
    accelerator: Path
    folder: Path
    work: Path
    clock_mhz: float
    jobs: int = 1
    reporter: Reporter = field(default_factory=lambda: Reporter(quiet=True))

    @classmethod
    def of(cls, context: StepContext, board: str) -> AmdJob:
        """The job of a flow's step: results in its folder ``amd``, work in the build's cache."""
        return cls(
            name=context.config.name,
            compiled=context.input("compiled"),
            accelerator=context.input("accelerator"),
            folder=context.folder / "amd",
            work=_work(context.cache, board),
            clock_mhz=context.config.compile.clock_mhz,
            jobs=context.jobs,
            reporter=context.reporter,
        )


def check_build(board: str, clock_mhz: float, cache: Path) -> None:
    """Refuse what `build_bitstream` would refuse before it starts; cache: of the build's folder.

    Raises:
        ConfigError, ToolMissingError: see there.
    """
    finn_clock(clock_mhz)
    check_requirements(find_board(board), _work(cache, board))


def _work(cache: Path, board: str) -> Path:
    return cache / "amd" / find_board(board).name


def build_bitstream(job: AmdJob, board: str, *, limit_s: float | None = None) -> dict[str, Any]:
    """Build for a board; returns what ``bitstream.json`` in the results folder holds.

    limit_s: time for one call of a tool [s]; by default that of `fpga_builds.eda.vivado`.

    Raises:
        ConfigError: unknown board, a clock below 1 MHz, or a path with a blank.
        ToolMissingError: Vivado or what FINN needs besides is not installed.
        ToolError: a tool failed, took too long, or ended without its output.
        CompileError, MismatchError: the build's folders do not fit together.
    """
    chosen = find_board(board)
    clock = finn_clock(job.clock_mhz)
    target = _Target(chosen, check_requirements(chosen, job.work), *clock)
    acc = Accelerator.load(job.accelerator)
    with storage_guard(job.work):
        shutil.rmtree(job.work, ignore_errors=True)
        job.work.mkdir(parents=True)
    job.reporter.line(
        f"  {chosen.name} ({chosen.part}), {target.clock_mhz} MHz, "
        f"Vivado {target.xilinx.version_text}; logs in {job.work}"
    )
    result = _run_finn(job, target, limit_s)
    with storage_guard(job.folder):
        return _publish(job, target, acc, result)


def finn_clock(clock_mhz: float) -> tuple[int, float]:
    """Whole MHz, and the period [ns] that FINN's shells turn into exactly them.

    FINN rounds 1/(period * 0.001) down: of 1000/150 ns it makes 149 MHz.
    """
    whole = int(clock_mhz + 1e-6)
    if whole < 1:
        raise ConfigError(f"clock_mhz={clock_mhz:g}: AMD boards take whole MHz, at least 1")
    period = 1e3 / whole
    while int(1 / (period * 0.001)) < whole:
        period = math.nextafter(period, 0)
    return whole, period


def _run_finn(job: AmdJob, target: _Target, limit_s: float | None) -> dict[str, Any]:
    """FINN's steps in a process of their own, its tools watched; returns its result."""
    board = target.board
    finn_job = FinnJob(
        model=str((job.compiled / FOLDED_GRAPH).resolve()),
        accelerator=str(job.accelerator.resolve()),
        board=board.name,
        part=board.part,
        flow=board.flow,
        platform=board.platform,
        clk_ns=target.clk_ns,
        build_dir=str((job.work / "finn").resolve()),
        output_dir=str((job.work / "output").resolve()),
    ).save(job.work)
    env, calls = install_shims(target.xilinx, job.work)
    env["NUM_DEFAULT_WORKERS"] = str(job.jobs)
    log_file = job.work / "finn.log"
    code = watch(
        [sys.executable, "-P", "-u", "-c", PROGRAM, finn_job.resolve()],
        cwd=job.work,
        log_file=log_file,
        calls=calls,
        env=env,
        limit_s=limit_s,
        on_call=lambda call: _started(job, call),
    )
    result = read_json(job.work / RESULT)
    if code != 0 or not isinstance(result, dict):
        raise _finn_error(job.work, calls, log_file)
    return result


def _started(job: AmdJob, call: Call) -> None:
    log.info("%s in %s", call.title, call.command[0])
    job.reporter.line(styled((f"  {call.title}", "dim")))


def _finn_error(work: Path, calls: Path, log_file: Path) -> PhyfoldError:
    """Why FINN stopped though no call of a tool failed."""
    body = read_json(work / ERROR)
    if not isinstance(body, dict):
        return ToolError(f"FINN ended unexpectedly\n{log_tail(log_file)}", hint=f"see {log_file}")
    if body["kind"] in KINDS:
        return KINDS[body["kind"]](body["message"], body["hint"])
    done = list_calls(calls)
    for call in done:
        if call.exit_code:
            return call_error(call)
    if not done:
        return ToolError(f"FINN: {body['message']}", hint=f"see {log_file}")
    last = done[-1]
    return ToolError(
        f"{last.title} ended with exit code {last.exit_code}, but without what it should have "
        f"written: {body['message']}\n{call_tail(last)}",
        hint=f"see {last.log} and {log_file}",
    )


def _publish(
    job: AmdJob, target: _Target, acc: Accelerator, result: Mapping[str, Any]
) -> dict[str, Any]:
    """Check FINN's products and put them, completed, where the results belong."""
    output = job.work / "output"
    name = Path(result["bitstream"]).name
    bitstream = output / "deploy" / "bitfile" / name
    if not bitstream.is_file() or not bitstream.stat().st_size:
        raise ToolError(f"{bitstream}: FINN ended without the bitstream", hint=f"see {job.work}")
    body = {
        "build": job.name,
        "board": target.board.name,
        "part": target.board.part,
        "tool": "vivado",
        "version": target.xilinx.version_text,
        "bitstream": f"deploy/bitfile/{name}",
        "bytes": bitstream.stat().st_size,
        **_measured(job, target, acc, result),
        "selftest_simulated": False,
        "deploy": "deploy",
        "stitched_ip": str(output / "stitched_ip"),
        "work": str(job.work),
    }
    part = job.folder.with_name(job.folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    for folder in ("deploy", "report"):
        shutil.copytree(output / folder, part / folder)
    complete_package(part / "deploy", acc, target.board.name)
    _keep_logs(job.work, part / "logs")
    write_json(part / SUMMARY, body)
    replace_folder(part, job.folder)
    return body


def _measured(
    job: AmdJob, target: _Target, acc: Accelerator, result: Mapping[str, Any]
) -> dict[str, Any]:
    """Clock, timing, rate and resources."""
    timing = _timing(job, target.board, target.clock_mhz)
    reports = job.work / "output" / "report"
    totals, layers = read_resources(reports / RESOURCE_REPORT, result["layers"])
    ii_cycles = accelerator_cycles(acc).ii_cycles
    return {
        "target_mhz": target.clock_mhz,
        "clock_mhz": timing.clock_mhz,
        "fmax_mhz": timing.fmax_mhz,
        "wns_ns": timing.wns_ns,
        "timing_met": timing.met,
        "why_not_measured": timing.why,
        "ii_cycles": ii_cycles,
        "throughput_per_s": timing.clock_mhz and timing.clock_mhz * 1e6 / ii_cycles,
        "totals": totals,
        "layers": layers,
    }


def _timing(job: AmdJob, board: AmdBoard, clock_mhz: int) -> Timing:
    if board.flow == "vivado":
        return zynq_timing(job.work / "output" / "report" / TIMING_REPORT, clock_mhz)
    found = sorted((job.work / "finn").glob("vitis_link_device_*/a.xclbin.info"))
    return vitis_timing(found[0] if found else None, clock_mhz)


def _keep_logs(work: Path, folder: Path) -> None:
    """Logs of FINN and of every call, in order, beside the results."""
    folder.mkdir(parents=True)
    shutil.copyfile(work / "finn.log", folder / "finn.log")
    for number, call in enumerate(list_calls(work / "calls")):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(call.log, folder / f"{number:02d}-{call.title.replace(' ', '-')}.log")

# SPDX-License-Identifier: Apache-2.0
"""``phyfold bitstream``: open ECP5 boards by Yosys and nextpnr, AMD boards by FINN and Vivado."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rich.console import Console

from fpga_builds.arguments import refuse_unused
from fpga_builds.commands import Job
from fpga_builds.config import BuildConfig
from fpga_builds.flow import Flow, Step
from fpga_builds.steps import amd_bitstream, bitstream
from fpga_builds.steps.order import steps_of
from fpga_builds.storage import exclusive
from fpga_builds.terminal import styled
from hls.board import BOARDS
from models.errors import ConfigError


def check_options(board: str, clock_mhz: float | None, seeds: int | None) -> None:
    """Refuse the options of open boards for another one."""
    from fpga_builds.amd import BOARDS as AMD_BOARDS

    if board.lower() in {name.lower() for name in AMD_BOARDS}:
        why = f"{board} is built with Vivado, which routes once, for compile.clock_mhz"
        refuse_unused(why, clock_mhz=clock_mhz, seeds=seeds)


def bitstream_of(job: Job, board: str) -> tuple[dict[str, Any], Callable[[], None]]:
    """Flow up to the bitstream for ``board``.

    Returns:
        What ``--json`` prints, and the checks of clock and self-test, which raise CheckError.

    Raises:
        ConfigError: no such board.
        ToolMissingError: nextpnr, Yosys or, for AMD boards, Vivado is missing.
    """
    step = _step(job.config, board)
    with exclusive(job.out), job.reporter.interruptible(job.out):
        steps = (*steps_of(job.config), step)
        flow = Flow(steps, job.config, job.out, jobs=job.jobs, reporter=job.reporter)
        record = flow.run(step.name).records[step.name]
    body = dict(record.info)
    folder = record.path("bitstream").parent
    body["bitstream"] = str(record.path("bitstream"))
    body["folder"] = str(folder)
    return body, lambda: bitstream.require(body)


def _step(config: BuildConfig, board: str) -> Step:
    from fpga_builds.amd import BOARDS as AMD_BOARDS
    from fpga_builds.amd import find_board

    if board.lower() in BOARDS:
        return bitstream.step_for(config, BOARDS[board.lower()])
    try:
        return amd_bitstream.step_for(find_board(board).name)
    except ConfigError as error:
        raise ConfigError(
            f"no board {board!r}",
            hint=f"open tools: {', '.join(BOARDS)}; with Vivado: {', '.join(AMD_BOARDS)}",
        ) from error


def show_bitstream(out: Console, body: dict[str, Any]) -> None:
    """The terminal's view."""
    met = ("met", "") if body["timing_met"] else ("MISSED", "red")
    fmax = "not measured" if body["fmax_mhz"] is None else f"{body['fmax_mhz']:.1f} MHz"
    out.print(f"bitstream   {body['bitstream']}, {body['bytes']:,} bytes, {body['part']}")
    out.print(styled(f"clock       {fmax}, target {body['target_mhz']:g} MHz: ", met))
    if body.get("critical_path_text"):
        out.print(f"path        {body['critical_path_text']}")
    if body.get("used"):
        used = ", ".join(
            f"{count:,} {name.upper()} ({body['utilisation'][name]:.0%})"
            for name, count in body["used"].items()
        )
        out.print(f"uses        {used}")
    rate = body.get("throughput_per_s")
    if rate is not None:
        bits = body.get("throughput_mbit_s")
        shown = "" if bits is None else f", {bits:.2f} Mbit/s"
        out.print(f"rate        {rate:,.0f} frames/s{shown} at the target clock")
    if body.get("selftest_simulated") is not None:
        test = ("passed", "") if body["selftest_simulated"] else ("FAILED", "red")
        frames = body.get("selftest_stimulus", "golden frames")
        where = f" on {frames}, in the simulated board, over its serial line"
        out.print(styled("self-test   ", test, where))

# SPDX-License-Identifier: Apache-2.0
"""The commands `phyfold board` and `phyfold program`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fpga_builds.arguments import refuse_unused
from fpga_builds.board.selftest import Result
from fpga_builds.board.session import Action, Line
from fpga_builds.commands import ROOT, Job, configure
from fpga_builds.csi import nmse_text
from fpga_builds.options import Json, Out, Quiet
from fpga_builds.progress import Reporter
from fpga_builds.report import ber_text
from fpga_builds.runner import Outcome
from fpga_builds.terminal import styled
from hls.float32_frames import ROUNDED_TEXT
from models.errors import ConfigError

DEFAULT_FRAMES = 1000
RESULTS = {
    Result.PASSED: ("passed", "green"),
    Result.FAILED: ("FAILED", "red"),
    Result.RUNNING: ("running", ""),
    Result.CONTRADICTORY: ("CONTRADICTORY", "red"),
}
"""Words and styles for how a self-test ended."""


def board(
    port: Annotated[
        str,
        typer.Argument(
            metavar="PORT",
            help="Serial port, pseudo-terminal, or sim:FOLDER for a simulated board.",
        ),
    ],
    action: Annotated[Action, typer.Argument(help="What to do.")] = Action.INFO,
    build: Annotated[
        str | None, typer.Argument(metavar="[BUILD]", help="What the board must hold.")
    ] = None,
    snr_db: Annotated[
        list[float] | None,
        typer.Option("--snr-db", metavar="DB [DB ...]", help="SNR points in dB (ber, detectors)."),
    ] = None,
    frames: Annotated[
        int | None,
        typer.Option(
            "--frames",
            min=1,
            help="Frames per SNR, or samples, if there are (ber).",
            show_default=str(DEFAULT_FRAMES),
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Seed of frames.")] = None,
    source: Annotated[Path | None, typer.Option("--input", help=".npy of codes (send).")] = None,
    target: Annotated[Path | None, typer.Option("--output", help=".npy of results (send).")] = None,
    package: Annotated[
        Path | None, typer.Option("--package", help="Folder of the board.json to expect.")
    ] = None,
    out: Out = None,
    baud: Annotated[
        int | None, typer.Option("--baud", min=1, show_default="of the build, else 1000000")
    ] = None,
    patience: Annotated[
        float | None,
        typer.Option("--patience", min=0.1, help="Longest silence in seconds.", show_default="2"),
    ] = None,
    json_output: Json = False,
    quiet: Quiet = False,
) -> Outcome:
    """Talk to a programmed board: state, self-test, BER on the hardware, frames of your own.

    Of a CSI build, ber counts NMSE on the samples that `phyfold simulate` left in its folder.
    Exit code 1 if the self-test fails, bits differ, or the board does not answer.
    """
    from fpga_builds.board import selftest, session

    if action is not Action.BER:
        why = f"only the action ber counts frames, this is {action.value}"
        refuse_unused(why, snr_db=snr_db or None, frames=frames, seed=seed)
    if action is not Action.SEND:
        why = f"only the action send takes files, this is {action.value}"
        refuse_unused(why, input=source, output=target)
    line = Line(port, baud, patience)
    changes = {"snr_db": snr_db or None, "frames": frames or DEFAULT_FRAMES}
    config = configure(build, seed=seed, simulate=changes) if build is not None else None
    if seed is not None and config is not None and config.csi is not None:
        raise ConfigError(
            f"{config.name}: --seed {seed}: a board is measured with the samples in the build's "
            "folder",
            hint=f"`phyfold simulate {build} --seed {seed}` draws others",
        )
    folder = out or (ROOT / config.name if config is not None else None)
    place = package or folder
    packages = session.packages_in(place) if place is not None else []
    where = str(place) if place is not None else ""
    reporter = Reporter(quiet=quiet or json_output)
    waits = reporter.work(f"the board at {port}")
    if action is Action.BER:
        if config is None or folder is None:
            raise ConfigError("`phyfold board PORT ber` needs a BUILD to compare the board with")
        job = Job(config, folder, reporter=reporter)
        with waits:
            body = session.ber(job, line, packages)
        return Outcome(body, lambda c: show_ber(c, body), after=lambda: session.require_equal(body))
    if action is Action.SEND:
        if source is None or target is None or not where:
            raise ConfigError(
                "`phyfold board PORT send` needs a BUILD or --package, --input and --output"
            )
        with waits:
            body = session.send(line, packages, where, source, target)
        return Outcome(body, lambda c: c.print(f"outputs     {body['output']}"))
    test = action is Action.SELFTEST
    with waits:
        body = session.status_of(line, packages, test=test, where=where)
    return Outcome(
        body, lambda c: show_status(c, body), after=lambda: selftest.require(body, finished=test)
    )


def program(
    source: Annotated[str, typer.Argument(metavar="BUILD|FILE", help="Build or .bit file.")],
    board_name: Annotated[str, typer.Option("--board", help="Board to program.")],
    flash: Annotated[
        bool, typer.Option("--flash", help="Into the flash memory, to stay after power-off.")
    ] = False,
    loader_board: Annotated[
        str | None,
        typer.Option("--loader-board", help="openFPGALoader's name of the board."),
    ] = None,
    out: Out = None,
    json_output: Json = False,
) -> Outcome:
    """Load a bitstream onto a board with openFPGALoader.

    Exit code 3 if openFPGALoader is not installed.
    """
    from fpga_builds.board.program import find_bitstream
    from fpga_builds.board.program import program as load
    from hls.board.boards import board as board_of

    target = board_of(board_name)
    path = Path(source)
    if path.suffix == ".bit":
        refuse_unused("the bitstream is named by its file", out=out)
    else:
        config = configure(source)
        path = find_bitstream(out or ROOT / config.name, target)
    body = load(path, target, flash=flash, loader_board=loader_board)
    text = (
        f"programmed  {body['board']} with {body['bitstream']} ({body['memory']})\n"
        "check it    phyfold board PORT selftest"
    )
    return Outcome(body, lambda console: console.print(text))


def show_status(console: Any, body: dict[str, Any]) -> None:
    """State of a board, for people."""
    result = RESULTS[Result(body["test_result"])]
    console.print(f"board       {body['port']}, build {body['build_hash']}")
    console.print(
        f"frames      {body['in_beats']} x {body['in_bytes']} bytes in, {body['out_beats']} x "
        f"{body['out_bytes']} bytes out"
    )
    counts = (
        f": {body['compared_frames']} of {body['test_frames']} frames, "
        f"{body['mismatches']} wrong, run {body['test_runs']} since reset"
    )
    console.print(styled("self-test   ", result, counts))
    show_speed(console, body["clock_hz"], body["cycles_per_frame"], body["latency_cycles"])
    lost = {
        name: body[name]
        for name in ("crc_errors", "dropped", "bad_length", "timeouts", "framing_errors", "unknown")
        if body[name]
    }
    said = ", ".join(f"{count} {name}" for name, count in lost.items()) or "nothing lost or wrong"
    console.print(f"line        {body['baud']} baud; {body['good']} requests carried out, {said}")


def show_speed(console: Any, clock_hz: int, interval: float | None, latency: int) -> None:
    """What the self-test measured."""
    if interval is None:
        return
    console.print(
        f"throughput  {clock_hz / interval:,.0f} frames/s: one frame every {interval:,.2f} cycles "
        f"at {clock_hz / 1e6:g} MHz, latency {latency:,} cycles (measured on the board)"
    )


def show_ber(console: Any, body: dict[str, Any]) -> None:
    """BER or NMSE on a board, for people."""
    if "nmse_db" in body:
        console.print(f"NMSE        {nmse_text(body)}")
    for point in body["points"]:
        low, high = point["ci95"]
        console.print(
            f"{point['snr_db']:>4g} dB     BER {ber_text(point)} ({low:.2e} to {high:.2e}), "
            f"{point['errors']:,} errors in {point['bits']:,} bits"
        )
    equal = ("every bit equals", "") if not body["mismatches"] else ("bits differ from", "red")
    fed = f"frames      {body['frames']:,} {body['stimulus']} on the board, "
    console.print(styled(fed, equal, " the QONNX execution"))
    if body.get("float32_frames"):
        console.print(f"float32     {body['float32_frames']:,} frames: {ROUNDED_TEXT}")
    show_speed(console, body["clock_hz"], body["ii_cycles"], body["latency_cycles"])
    retries = body["link"]["retries"]
    console.print(f"line        {body['link']['requests']} requests, {retries} repeated")


def register(app: typer.Typer) -> None:
    """Add the commands of this module to ``app``."""
    app.command()(board)
    app.command()(program)

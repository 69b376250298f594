# SPDX-License-Identifier: Apache-2.0
"""The command line ``phyfold``: parse, call `fpga_builds.commands`, print.

Exit codes: 0 ok, 1 a check failed, 2 usage or configuration, 3 a required tool is missing,
130 interrupted. Results go to standard output (with ``--json`` as one object), all else to standard
error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fpga_builds import commands, commands_board
from fpga_builds.arguments import frame_range, refuse_unused
from fpga_builds.commands import ROOT, Job, configure
from fpga_builds.options import (
    DEFAULT_JOBS,
    Build,
    Checkpoint,
    Data,
    Frames,
    Jobs,
    Json,
    Out,
    Quiet,
    Samples,
    Seed,
    SnrDb,
)
from fpga_builds.progress import Reporter
from fpga_builds.runner import Outcome, execute

NETLIST_FRAMES = 200

app = typer.Typer(
    name="phyfold",
    help="Neural receiver blocks from training to BER counted on cycle-accurate RTL.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _job(config: Any, out: Path | None, jobs: int, *, json_output: bool, quiet: bool) -> Job:
    reporter = Reporter(quiet=quiet or json_output)
    return Job(config, out or ROOT / config.name, jobs, reporter)


@app.command("list")
def list_command(
    patterns: Annotated[
        list[str] | None,
        typer.Argument(metavar="[PATTERN]...", help="Names of builds, like 'conv*'; default: all."),
    ] = None,
    json_output: Json = False,
) -> Outcome:
    """Show the builds: part, BER or NMSE, resources, rate, latency, and whose report says so.

    LUT, BRAM18 and DSP are the flow's estimates, all else is counted on the RTL.
    """
    from fpga_builds.views_builds import builds_table

    rows = commands.list_builds(patterns or ())
    return Outcome({"builds": rows}, lambda out: out.print(builds_table(rows)))


@app.command()
def doctor(json_output: Json = False) -> Outcome:
    """Show which tools are installed, their versions, and what a missing one costs.

    Exit code 3 if a tool is missing that `phyfold run` needs.
    """
    from fpga_builds.doctor import examine, missing_required
    from fpga_builds.views import findings_table

    findings = examine()
    body = {"tools": [f.to_json() for f in findings], "ok": not missing_required(findings)}
    code = 0 if body["ok"] else 3
    return Outcome(body, lambda out: out.print(findings_table(findings)), code)


@app.command()
def train(
    build: Build,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="A few minutes, for a demonstration.")
    ] = False,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    data: Data = None,
) -> Outcome:
    """Train the build's recipe from its start, in OUT/training; interrupted, it goes on there.

    BUILD may also be a shipped recipe that no build uses, like fullycon_float.
    """
    reporter = Reporter(quiet=quiet or json_output)
    body = commands.train(
        build, out, reporter, threads=jobs, quick=quick, device=device, seed=seed, data=data
    )
    text = (
        f"checkpoint  {body['checkpoint']}\ncurve       {body['learning_curve']}\n"
        f"use it      phyfold run BUILD --checkpoint {body['checkpoint']}"
    )
    return Outcome(body, lambda console: console.print(text))


@app.command()
def export(
    build: Build,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
    checkpoint: Checkpoint = None,
) -> Outcome:
    """Write the QONNX model of the build's checkpoint."""
    config = configure(build, seed=seed, checkpoint=checkpoint)
    if config.csi is None:
        refuse_unused("nothing is drawn up to this step", seed=seed)
    body = commands.export(_job(config, out, jobs, json_output=json_output, quiet=quiet))
    return Outcome(body, lambda console: console.print(f"model       {body['model']}"))


@app.command("compile")
def compile_command(
    build: Build,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
    checkpoint: Checkpoint = None,
) -> Outcome:
    """Compile QONNX to the folded accelerator and write its RTL."""
    config = configure(build, seed=seed, checkpoint=checkpoint)
    if config.csi is None:
        refuse_unused("nothing is drawn up to this step", seed=seed)
    body = commands.compile_build(_job(config, out, jobs, json_output=json_output, quiet=quiet))

    def show(console: Any) -> None:
        console.print(
            f"accelerator {body['compiled']}\nRTL         {body['rtl']}\n"
            f"model       one frame every {body['ii_cycles']:,.0f} cycles, latency "
            f"{body['latency_cycles']:,.0f} cycles at {body['clock_mhz']:g} MHz"
        )

    return Outcome(body, show)


@app.command()
def simulate(
    build: Build,
    snr_db: SnrDb = None,
    frames: Frames = None,
    samples: Samples = None,
    data: Data = None,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
    checkpoint: Checkpoint = None,
    gaps: Annotated[
        float | None, typer.Option("--gaps", min=0, max=0.99, help="Probability of input gaps.")
    ] = None,
    stalls: Annotated[
        float | None,
        typer.Option("--stalls", min=0, max=0.99, help="Probability of output stalls."),
    ] = None,
    disturb_seed: Annotated[
        int | None, typer.Option("--disturb-seed", min=0, help="Seed of gaps and stalls.")
    ] = None,
    waveform: Annotated[
        str | None,
        typer.Option("--waveform", metavar="FIRST:END", help="Write the signals of these frames."),
    ] = None,
) -> Outcome:
    """Count bit errors on the RTL and compare every bit with the QONNX execution."""
    from fpga_builds.views import show_simulation

    try:
        window = frame_range(waveform) if waveform is not None else None
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--waveform") from error
    changes = {
        "snr_db": snr_db or None,
        "frames": frames,
        "gap_probability": gaps,
        "stall_probability": stalls,
        "disturb_seed": disturb_seed,
    }
    config = configure(
        build, seed=seed, checkpoint=checkpoint, simulate=changes, samples=samples, data=data
    )
    job = _job(config, out, jobs, json_output=json_output, quiet=quiet)
    body, state = commands.simulate(job, window)
    checks = commands.simulation_checks_of(job, state, body)
    body["checks"] = checks

    def show(console: Any) -> None:
        show_simulation(console, body)
        if "waveform" in body:
            console.print(f"waveform    {body['waveform']}")

    return Outcome(body, show, after=lambda: commands.require_checks(checks, config.name))


@app.command()
def synth(
    build: Build,
    part: Annotated[
        str | None,
        typer.Option("--part", help="Device, see docs/synthesis.md.", show_default="of the build"),
    ] = None,
    engine: Annotated[str, typer.Option("--engine", help="Yosys: auto, native or wasm.")] = "auto",
    samples: Samples = None,
    data: Data = None,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
    checkpoint: Checkpoint = None,
    netlist_frames: Annotated[
        int | None,
        typer.Option(
            "--netlist-frames",
            min=5,
            help="Frames (CSI: samples) to simulate on the netlist.",
            show_default=str(NETLIST_FRAMES),
        ),
    ] = None,
    no_netlist: Annotated[
        bool, typer.Option("--no-netlist", help="Do not simulate the netlist.")
    ] = False,
) -> Outcome:
    """Synthesize the RTL with Yosys, count resources per layer, simulate the netlist.

    Exit code 1 if the design is larger than the part or the netlist differs from QONNX.
    """
    from fpga_builds.commands_synth import show_synth
    from fpga_builds.commands_synth import synth as synthesize

    if no_netlist:
        refuse_unused("the netlist is not simulated", netlist_frames=netlist_frames)
    config = configure(build, seed=seed, checkpoint=checkpoint, samples=samples, data=data)
    job = _job(config, out, jobs, json_output=json_output, quiet=quiet)
    frames = 0 if no_netlist else netlist_frames or NETLIST_FRAMES
    body, fits = synthesize(job, part, engine, frames)
    return Outcome(body, lambda console: show_synth(console, body), after=fits)


@app.command()
def report(
    build: Build,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
) -> Outcome:
    """Write the report of what earlier commands measured: JSON, Markdown, HTML and plots.

    --seed N asks that this is the seed of the simulation that is reported.
    """
    from fpga_builds.views import show_report

    config = configure(build, seed=seed)
    job = _job(config, out, jobs, json_output=json_output, quiet=quiet)
    body = commands.report(job, seed)
    return Outcome(
        body,
        lambda console: show_report(console, body, job.out),
        after=lambda: commands.require_checks(body["checks"], job.config.name),
    )


@app.command()
def run(
    build: Build,
    snr_db: SnrDb = None,
    frames: Frames = None,
    samples: Samples = None,
    data: Data = None,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
    checkpoint: Checkpoint = None,
) -> Outcome:
    """Run all steps and write the report."""
    from fpga_builds.views import show_report, show_simulation

    changes = {"snr_db": snr_db or None, "frames": frames}
    config = configure(
        build, seed=seed, checkpoint=checkpoint, simulate=changes, samples=samples, data=data
    )
    job = _job(config, out, jobs, json_output=json_output, quiet=quiet)
    simulation, result = commands.run_all(job)
    plots = result["plots"]
    body = {
        **simulation,
        "passed": result["passed"],
        "checks": result["checks"],
        "report": str(job.out / "report.json"),
        "plot": next((str(job.out / plots[n]) for n in ("ber", "csi") if n in plots), None),
    }

    def show(console: Any) -> None:
        show_simulation(console, body)
        show_report(console, result, job.out)

    return Outcome(body, show, after=lambda: commands.require_checks(body["checks"], config.name))


@app.command()
def bitstream(
    build: Build,
    board: Annotated[str, typer.Option("--board", help="ulx3s, ecpix5, Pynq-Z2, ZCU104, U250 ...")],
    samples: Samples = None,
    data: Data = None,
    out: Out = None,
    json_output: Json = False,
    jobs: Jobs = DEFAULT_JOBS,
    seed: Seed = None,
    quiet: Quiet = False,
    checkpoint: Checkpoint = None,
    clock_mhz: Annotated[
        float | None,
        typer.Option("--clock-mhz", min=1, help="Clock of an open board's accelerator [MHz]."),
    ] = None,
    seeds: Annotated[
        int | None, typer.Option("--seeds", min=1, help="Placements to try for the clock.")
    ] = None,
) -> Outcome:
    """Make a bitstream with a self-test: open tools for ECP5 boards, FINN and Vivado for AMD's.

    Exit code 1 if the clock is missed or the self-test fails, 3 if a tool is missing.
    """
    from fpga_builds.commands_bitstream import bitstream_of, check_options, show_bitstream

    check_options(board, clock_mhz, seeds)
    config = configure(build, seed=seed, checkpoint=checkpoint, samples=samples, data=data)
    config = config.updated("bitstream", clock_mhz=clock_mhz, seeds=seeds)
    job = _job(config, out, jobs, json_output=json_output, quiet=quiet)
    body, after = bitstream_of(job, board)
    return Outcome(body, lambda console: show_bitstream(console, body), after=after)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="Build, folder or report.json.")],
    b: Annotated[str, typer.Argument(metavar="B", help="What it is compared with.")],
    json_output: Json = False,
) -> Outcome:
    """Compare two reports, what got worse first."""
    from fpga_builds.compare import compare as compare_reports
    from fpga_builds.compare import load_report
    from fpga_builds.views import compare_table

    rows = compare_reports(load_report(a, ROOT), load_report(b, ROOT))
    body = {"a": a, "b": b, "metrics": rows}
    return Outcome(body, lambda console: console.print(compare_table(a, b, rows)))


commands_board.register(app)


def main() -> None:
    """Entry point of the console script."""
    raise SystemExit(execute(app))


if __name__ == "__main__":
    main()

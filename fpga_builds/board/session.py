# SPDX-License-Identifier: Apache-2.0
"""What `phyfold board` does, free of how it is typed and printed."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fpga_builds.board.ber import Reference, measure
from fpga_builds.board.frames import require_build, run_frames
from fpga_builds.board.link import (
    DEFAULT_BAUD,
    PATIENCE_S,
    SLOW_PATIENCE_S,
    SLOWNESS,
    BoardLink,
    open_port,
    require_pyserial,
)
from fpga_builds.board.program import STEP_FOLDERS
from fpga_builds.board.protocol import Status
from fpga_builds.board.selftest import judge
from fpga_builds.commands import ROOT, Job
from fpga_builds.sources import csi_facts, require_frames
from fpga_builds.stimulus import kind_of
from hls.board.package import INFO_NAME, BoardPackage, load_board
from hls.ir import Accelerator
from models.errors import CheckError, ConfigError
from models.limits import UNREADABLE, load_array

SIMULATED = "sim:"


class Action(enum.Enum):
    """What to do with a board."""

    INFO = "info"
    SELFTEST = "selftest"
    BER = "ber"
    SEND = "send"


@dataclass(frozen=True)
class Line:
    """Which port, and how to talk to it.

    Attributes:
        port: a serial port, a pseudo-terminal, or ``sim:`` and a board package or build.
        baud: rate; None: that of the package, else 1 Mbaud.
        patience_s: longest silence that is waited out [s]; None: 2 s, 60 s for a simulated board.
    """

    port: str
    baud: int | None = None
    patience_s: float | None = None


def packages_in(folder: Path) -> list[BoardPackage]:
    """Board packages of a build's results, or the one in this folder itself."""
    if (folder / INFO_NAME).is_file():
        return [load_board(folder)]
    found = sorted(folder.glob(f"{STEP_FOLDERS}/**/{INFO_NAME}"))
    return [load_board(path.parent) for path in found]


@contextlib.contextmanager
def connected(line: Line, packages: list[BoardPackage]) -> Iterator[BoardLink]:
    """A link to the board; a simulated one is started, and ended afterwards."""
    require_pyserial()
    if not line.port.startswith(SIMULATED):
        yield from _linked(line, line.port, packages)
        return
    from fpga_builds.board.simulated import BoardProcess

    name = line.port.removeprefix(SIMULATED)
    found = packages_in(Path(name)) or packages_in(ROOT / name)
    if len(found) != 1:
        which = ", ".join(str(package.folder) for package in found) or "none"
        raise ConfigError(
            f"{line.port}: must name one board package, found {which}",
            hint="`phyfold bitstream BUILD --board BOARD` writes one; name its folder",
        )
    process = BoardProcess(found[0].folder)
    try:
        yield from _linked(line, process.port, found)
    finally:
        process.close()


def _linked(line: Line, port: str, packages: list[BoardPackage]) -> Iterator[BoardLink]:
    rates = {package.baud for package in packages}
    baud = line.baud or (rates.pop() if len(rates) == 1 else DEFAULT_BAUD)
    slow = line.port.startswith(SIMULATED) or port.startswith("/dev/pts/")
    patience_s = line.patience_s or (SLOW_PATIENCE_S if slow else PATIENCE_S)
    link = BoardLink(
        open_port(port, baud),
        line.port,
        baud=baud,
        patience_s=patience_s,
        slowness=SLOWNESS if slow else 1.0,
    )
    try:
        yield link
    finally:
        link.close()


def status_of(
    line: Line, packages: list[BoardPackage], *, test: bool, where: str
) -> dict[str, Any]:
    """INFO, or the self-test run again; with packages, the board must hold one of them."""
    with connected(line, packages) as link:
        status = link.selftest() if test else link.info()
        if where:
            require_build(status, packages, where)
        verdict = judge(status)
        return {
            "port": line.port,
            **status.to_json(),
            "test_result": verdict.result.value,
            "test_text": verdict.text,
            "link": link.counts.to_json(),
        }


def ber(job: Job, line: Line, packages: list[BoardPackage]) -> dict[str, Any]:
    """Error rates of the build on the board: BER of a detector, NMSE of a CSI network."""
    reference = _reference(job)
    with connected(line, packages) as link:
        status = link.info()
        package = require_build(status, packages, str(job.out))
        with job.reporter.bar("frames on the board") as advance:
            rows = measure(job.config, link, status, package, reference=reference, progress=advance)
        points = [row.point for row in rows if row.point is not None]
        nmse = next((csi_facts(point) for point in points if "nmse_db" in point), {})
        return {
            "build": job.config.name,
            "board": package.board.name,
            "port": line.port,
            "build_hash": f"{status.build_hash:016x}",
            "frames": sum(row.frames for row in rows),
            "stimulus": kind_of(job.config).value,
            "mismatches": sum(row.mismatches for row in rows),
            "float32_frames": sum(row.float32_frames for row in rows),
            "rows": [asdict(row) for row in rows],
            "points": [] if nmse else points,
            **nmse,
            **_speed(status),
            "link": link.counts.to_json(),
        }


def _reference(job: Job) -> Reference:
    from hls.float32_frames import FloatReference, Verdict
    from hls.qonnx_exec import load_model, run_qonnx

    state, left_out = job.flow.present()
    for name in ("model", "accelerator"):
        if not state.has(name):
            raise ConfigError(
                f"{job.out}: no {name} there to compare with",
                hint=f"`phyfold compile {job.config.name}` makes it",
            )
    require_frames(job.config, state, left_out)
    model = load_model(state.file("model"))
    accelerator = Accelerator.load(state.file("accelerator"))
    kind = job.config.compile.output
    files = (state.file("accelerator"), state.file("model"))

    def judge(*frames: Any) -> Verdict:
        return FloatReference.open(*files, kind).judge(*frames)

    return Reference(accelerator, lambda x: run_qonnx(model, x), state.file, judge)


def _speed(status: Status) -> dict[str, Any]:
    """Cycles and rate that the self-test measured on the board."""
    interval = status.cycles_per_frame
    return {
        "clock_hz": status.clock_hz,
        "ii_cycles": interval,
        "latency_cycles": status.latency_cycles,
        "throughput_per_s": status.clock_hz / interval if interval else None,
    }


def require_equal(body: dict[str, Any]) -> None:
    """Raise CheckError unless every frame equals the QONNX execution."""
    if body["mismatches"]:
        first = next(row for row in body["rows"] if row["first_mismatch"] is not None)
        at = "" if first["snr_db"] is None else f" at {first['snr_db']:g} dB"
        raise CheckError(
            f"board and QONNX differ in {body['mismatches']} of {body['frames']} frames, first in "
            f"frame {first['first_mismatch']}{at}",
            hint="`phyfold board PORT selftest` shows whether the board itself is sound",
        )


def send(
    line: Line, packages: list[BoardPackage], where: str, source: Path, target: Path
) -> dict[str, Any]:
    """Codes of a .npy file through the board into another."""
    try:
        codes = load_array(source)
    except UNREADABLE as error:
        raise ConfigError(f"{source}: not a readable .npy file ({error})") from error
    if not np.issubdtype(codes.dtype, np.integer) or codes.ndim < 2:
        raise ConfigError(f"{source}: {codes.dtype} {codes.shape}: must be integers [frames, ...]")
    with connected(line, packages) as link:
        status = link.info()
        package = require_build(status, packages, where)
        result = run_frames(link, status, package, codes.reshape(len(codes), -1).astype(np.int64))
        counts = link.counts.to_json()
    _save(target, result.outputs)
    return {
        "port": line.port,
        "frames": len(codes),
        "cycles": result.cycles,
        "packets": result.packets,
        "output": str(target),
        "link": counts,
    }


def _save(target: Path, outputs: Any) -> None:
    import io

    from models.files import write_atomic

    buffer = io.BytesIO()
    np.save(buffer, outputs)
    write_atomic(target, buffer.getvalue())

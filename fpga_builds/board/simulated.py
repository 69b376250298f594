# SPDX-License-Identifier: Apache-2.0
"""A simulated board behind a pseudo-terminal: ``python -m fpga_builds.board.simulated FOLDER``.

FOLDER is a board package (it holds board.json). The program prints the name of the terminal, which
`phyfold board` takes in place of a serial port, and runs until it is stopped (Ctrl-C, SIGTERM). The
board is simulated clock by clock, so it is some hundred times slower than a real one; while its
line is quiet the simulation slows down.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, TracebackType
from typing import Self

from hls.board.package import BoardPackage, load_board
from hls.sim.board_native import BoardModel, BoardState, build_board
from hls.sim.library_cache import cache_dir
from models.errors import PhyfoldError, ToolError

SLICE_S = 0.02
FIRST_SLICE_CYCLES = 20_000
QUIET_CYCLES = 200_000
POWER_UP_CYCLES = 2_000
QUIET_WAIT_MS = 20
START_TIMEOUT_S = 1800.0
"""For a simulated board to be built; its compilers have shorter limits of their own."""
END_TIMEOUT_S = 10.0


class SimulatedBoard:
    """A board, simulated by a thread of this process, at the end of a pseudo-terminal.

    Args:
        package: the board.
        library: its model, see `hls.sim.board_native.build_board`.
        host_error: relative error of the host's bit rate.
    """

    def __init__(self, package: BoardPackage, library: Path, *, host_error: float = 0.0) -> None:
        self.model = BoardModel(library, package, host_error=host_error)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.model.run(POWER_UP_CYCLES)  # bytes that come during reset are lost on any board
        self.model.attach(self._master)
        self.port = os.ttyname(self._slave)
        """Name of the terminal."""
        self._quiet_cycles = 2 * int(package.body["timeout_cycles"]) + QUIET_CYCLES
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._cycles = FIRST_SLICE_CYCLES
        self.error: PhyfoldError | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def start(self) -> None:
        """Simulate in a thread."""
        self._thread = threading.Thread(target=self.run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop and free everything."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
        self.model.close()
        for descriptor in (self._master, self._slave):
            os.close(descriptor)

    def stop(self) -> None:
        """End `run` soon."""
        self._stop.set()

    def state(self) -> BoardState:
        """Where the model stands."""
        with self._lock:
            return self.model.state()

    def run(self) -> None:
        """Simulate until stopped, or until the design stops itself."""
        while not self._stop.is_set():
            with self._lock:
                try:
                    self._slice()
                except ToolError as error:
                    self.error = error
                    return

    def _slice(self) -> None:
        """About SLICE_S of simulation; less while nothing goes on."""
        started = time.monotonic()
        self.model.run(self._cycles)
        elapsed = max(time.monotonic() - started, 1e-6)
        self._cycles = int(max(1000, min(self._cycles * min(4.0, SLICE_S / elapsed), 1e8)))
        if self.model.state().quiet_cycles > self._quiet_cycles:
            self.model.wait(QUIET_WAIT_MS)


class BoardProcess:
    """A simulated board in a process of its own, for as long as a command runs."""

    def __init__(self, folder: Path) -> None:
        load_board(folder)  # a missing one is said here, in this process
        # -P: the current folder may be the package's, which is no place to import from.
        words = [sys.executable, "-P", "-m", "fpga_builds.board.simulated", str(folder)]
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
        )
        try:
            self.port = self._first_line()
            if not self.port:
                code = self._process.wait(timeout=END_TIMEOUT_S)
                raise ToolError(
                    f"the simulated board in {folder} did not start (exit code {code})",
                    hint="its message is above",
                )
        except BaseException:
            self.close()
            raise

    def _first_line(self) -> str:
        """The name of the terminal; empty if the process ends without one."""
        assert self._process.stdout is not None
        late = threading.Timer(START_TIMEOUT_S, self._process.terminate)
        late.start()
        try:
            return self._process.stdout.readline().strip()
        finally:
            late.cancel()

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(timeout=END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def _leave(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main(words: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m fpga_builds.board.simulated")
    parser.add_argument("folder", type=Path, help="board package: the folder of board.json")
    parser.add_argument("--cache", type=Path, help="where the model is built and kept")
    parser.add_argument("--jobs", type=int, default=2, help="compilers at a time")
    arguments = parser.parse_args(words)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)  # a compiler under way is ended too
    try:
        package = load_board(arguments.folder.resolve())
        place = arguments.cache or cache_dir() / "boards"
        library = build_board(package, place, arguments.jobs)
        board = SimulatedBoard(package, library)
    except PhyfoldError as error:
        sys.stderr.write(f"simulated board: {error.message}\n")
        if error.hint:
            sys.stderr.write(f"                 {error.hint}\n")
        return error.exit_code

    def stop(_number: int, _frame: FrameType | None) -> None:
        board.stop()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    sys.stdout.write(board.port + "\n")
    sys.stdout.flush()
    board.run()
    if board.error is not None:
        sys.stderr.write(f"simulated board: {board.error.message}\n")
    board.close()
    return 1 if board.error is not None else 0


if __name__ == "__main__":
    raise SystemExit(main())

# SPDX-License-Identifier: Apache-2.0
"""Simulation processes: started, fed with jobs, watched, ended.

The processes are plain Python, neither forks nor spawned copies of the caller: a calling script
needs no ``__main__`` guard.
"""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import TracebackType
from typing import IO

from hls.sim.library_cache import trusted_digest
from hls.sim.worker import Job, JobFailure, JobResult, Progress
from models.errors import ToolError

log = logging.getLogger(__name__)

SILENCE_S = 300.0
SERVE = "from hls.sim.worker import main; main()"
"""Not ``-m hls.sim.worker``: its classes would be those of ``__main__`` and could not be sent."""


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    output: IO[bytes]
    job: int | None = None
    heard: float = 0.0

    def last_words(self) -> str:
        """End of what the process printed."""
        self.output.seek(0)
        return self.output.read()[-2000:].decode(errors="replace").strip()

    def end(self) -> None:
        """Kill the process and close its files."""
        self.process.kill()
        self.process.wait()
        self.connection.close()
        self.output.close()


class WorkerPool:
    """Up to ``size`` processes that simulate one library; use it as a context manager.

    Raises ToolError if no build of this user made the library.
    """

    def __init__(self, library: Path, data_dir: Path, size: int) -> None:
        self._library = library
        self._digest = trusted_digest(library)
        self._data_dir = data_dir
        self._size = max(1, size)
        self._workers: list[_Worker] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.end()
        self._workers.clear()

    def run(
        self, jobs: Iterable[Job], on_progress: Callable[[int], None] | None = None
    ) -> Iterator[JobResult]:
        """Run jobs, at most one per process at a time; results come in any order.

        on_progress: gets the number of frames delivered since its last call.
        Raises ToolError if a process dies or falls silent; then and on Ctrl-C all are ended.
        """
        source = iter(jobs)
        try:
            yield from self._run(source, on_progress or (lambda _: None))
        except BaseException:
            self.close()
            raise

    def _run(
        self, source: Iterator[Job], on_progress: Callable[[int], None]
    ) -> Iterator[JobResult]:
        job = next(source, None)
        while job is not None or any(worker.job is not None for worker in self._workers):
            while job is not None and (worker := self._idle()) is not None:
                worker.job, worker.heard = job.index, time.monotonic()
                worker.connection.send(job)
                job = next(source, None)
            for worker in self._ready():
                answer = self._receive(worker)
                if isinstance(answer, Progress):
                    on_progress(answer.frames)
                elif isinstance(answer, JobFailure):
                    raise ToolError(answer.message, hint=answer.hint)
                else:
                    worker.job = None
                    yield answer

    def _idle(self) -> _Worker | None:
        for worker in self._workers:
            if worker.job is None:
                return worker
        if len(self._workers) >= self._size:
            return None
        self._workers.append(self._start())
        return self._workers[-1]

    def _start(self) -> _Worker:
        ours, theirs = Pipe(duplex=True)
        output = tempfile.TemporaryFile()  # noqa: SIM115
        root = str(Path(__file__).parents[2])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        number = theirs.fileno()
        # -P: it works in the folder of the memory files, which is no place to import from.
        words = [sys.executable, "-P", "-c", SERVE, str(number)]
        process = subprocess.Popen(
            [*words, str(self._library), str(self._data_dir), self._digest],
            pass_fds=(number,),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        theirs.close()
        return _Worker(process, ours, output)

    def _ready(self) -> list[_Worker]:
        """Busy workers that have something to say."""
        busy = {worker.connection: worker for worker in self._workers if worker.job is not None}
        ready = wait(list(busy), timeout=min(5.0, SILENCE_S))
        for connection, worker in busy.items():
            if connection not in ready and time.monotonic() - worker.heard > SILENCE_S:
                raise ToolError(
                    f"the simulation of {self._library} has not answered for {SILENCE_S:g} s"
                )
        return [busy[connection] for connection in ready]  # type: ignore[index]

    def _receive(self, worker: _Worker) -> Progress | JobResult | JobFailure:
        try:
            answer: Progress | JobResult | JobFailure = worker.connection.recv()
        except (EOFError, ConnectionResetError) as error:
            code = worker.process.wait()
            raise ToolError(
                f"the simulation of {self._library} ended with code {code}\n{worker.last_words()}"
            ) from error
        worker.heard = time.monotonic()
        return answer

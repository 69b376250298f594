# SPDX-License-Identifier: Apache-2.0
"""FINN's simulation engine on a Verilated design, with a fast way for whole streams.

FINN's `SimEngine` is used as it is: tasks, watchdogs, AXI-Lite and AXI memory models are FINN's.
Only its main loop, which spends Python on every port in every cycle, is run in C++ while nothing
but stream inputs and collected outputs is to be done. Both ways give the same beats and the same
cycle counts.
"""

from __future__ import annotations

import ctypes
import importlib
import math
import sys
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from hls.sim import finn_xsi_design
from hls.sim.finn_xsi_design import Design, Port
from models.errors import ToolError

TICKS_PER_CALL = 100_000
ENGINE_MODULES = ("xsi", "finn_xsi.sim_engine", "finn_xsi.adapter")
RUNNING, DONE, WOKEN, FAILED = range(4)


class _Stream(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("valid", "ready", "data", "buffer")),
        *((n, ctypes.c_int64) for n in ("bytes", "beats", "moved", "watchdog", "busy", "next")),
    )


class _Watchdog(ctypes.Structure):
    _fields_ = (("ticks", ctypes.c_int64), ("limit", ctypes.c_int64))


class _Run(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("clk", "clk_twice")),
        *((name, ctypes.c_void_p) for name in ("inputs", "outputs", "watchdogs")),
        *((n, ctypes.c_int64) for n in ("n_inputs", "n_outputs", "n_watchdogs", "ticks")),
    )


@dataclass
class _Batch:
    """Everything that a run in C++ holds pointers to."""

    run: _Run
    inputs: Any
    outputs: Any
    watchdogs: Any
    buffers: list[npt.NDArray[np.uint8]]


@lru_cache(maxsize=1)
def engine_class() -> type:
    """FINN's SimEngine with the fast way; a class of its own, made at first use."""
    engine: Any = importlib.import_module("finn_xsi.sim_engine").SimEngine

    class VerilatorEngine(engine):  # type: ignore[misc]
        """FINN's SimEngine, served by Verilator."""

        def run(self, cycles: int | None = None) -> list[Any]:
            """Run the tasks to their end; returns the watchdogs that fired."""
            if cycles is None and self.tasks and is_plain(self):
                return run_streams(self)
            return list(super().run(cycles))

    VerilatorEngine.__qualname__ = VerilatorEngine.__name__ = "SimEngine"
    return VerilatorEngine


def is_plain(sim: Any) -> bool:
    """True if every task is an unthrottled, not yet begun input or output stream."""
    for task in sim.tasks:
        if type(task) is sim.InputStreamer:
            if not math.isinf(task.throttle[0]) or task.vld.read().as_bool():
                return False
        elif type(task) is sim.OutputCollector:
            if task.buf or task.rdy.read().as_bool():
                return False
        else:
            return False
    return isinstance(sim.top, Design)


def run_streams(sim: Any) -> list[Any]:
    """`SimEngine.run` for plain streams. Leaves tasks, watchdogs and ticks as FINN's loop would."""
    batch = _batch(sim)
    status = RUNNING
    while status == RUNNING:
        status = sim.top.run_streams(batch.run, TICKS_PER_CALL)
    if status == FAILED:
        raise ToolError(f"simulation stopped: {sim.top.get_error_info()}")
    sim.ticks = int(batch.run.ticks)
    for watchdog, raw in zip(sim.watchdogs, batch.watchdogs, strict=True):
        watchdog.ticks = int(raw.ticks)
    _give_back(sim, batch)
    for port in sim.top.ports():
        port.read()
    return [watchdog for watchdog in sim.watchdogs if not watchdog] if status == WOKEN else []


def _batch(sim: Any) -> _Batch:
    inputs = [task for task in sim.tasks if type(task) is sim.InputStreamer]
    outputs = [task for task in sim.tasks if type(task) is sim.OutputCollector]
    buffers = [_beats(task) for task in inputs]
    buffers += [np.zeros((task.size, task.dat.bytes), np.uint8) for task in outputs]
    raw = [
        _stream(task, buffer, sim)
        for task, buffer in zip([*inputs, *outputs], buffers, strict=True)
    ]
    c_inputs = (_Stream * len(inputs))(*raw[: len(inputs)])
    c_outputs = (_Stream * len(outputs))(*raw[len(inputs) :])
    dogs = [_Watchdog(w.ticks, math.ceil(min(w.timeout, 2**62))) for w in sim.watchdogs]
    c_dogs = (_Watchdog * len(dogs))(*dogs)
    names = {port.name() for port in sim.top.ports()}
    twice = sim.top.getPort("ap_clk2x").address if "ap_clk2x" in names else None
    run = _Run(
        *(sim.top.getPort("ap_clk").address, twice),
        *(ctypes.addressof(array) for array in (c_inputs, c_outputs, c_dogs)),
        *(len(inputs), len(outputs), len(sim.watchdogs), sim.ticks),
    )
    return _Batch(run, c_inputs, c_outputs, c_dogs, buffers)


def _beats(task: Any) -> npt.NDArray[np.uint8]:
    """The task's hexadecimal beats as rows of bytes, [beats, bytes of the port]."""
    port: Port = task.dat
    mask = (1 << port.width()) - 1
    rows = b"".join((int(v, 16) & mask).to_bytes(port.bytes, "little") for v in task.values)
    return np.frombuffer(rows, np.uint8).reshape(-1, port.bytes)


def _stream(task: Any, buffer: npt.NDArray[np.uint8], sim: Any) -> _Stream:
    watchdog = getattr(task, "watchdog", None)
    number = sim.watchdogs.index(watchdog) if watchdog in sim.watchdogs else -1
    return _Stream(
        *(task.vld.address, task.rdy.address, task.dat.address, buffer.ctypes.data),
        *(task.dat.bytes, len(buffer), 0, number, 1, 0),
    )


def _give_back(sim: Any, batch: _Batch) -> None:
    """Collected beats to the output tasks; tasks that are not at their end stay."""
    inputs = iter(zip(batch.inputs, batch.buffers[: len(batch.inputs)], strict=True))
    outputs = iter(zip(batch.outputs, batch.buffers[len(batch.inputs) :], strict=True))
    left = []
    for task in sim.tasks:
        if type(task) is sim.InputStreamer:
            raw, buffer = next(inputs)
            task.values = iter(_digits(task.dat, buffer[raw.moved :]))
        else:
            raw, buffer = next(outputs)
            task.buf.extend(_digits(task.dat, buffer[: raw.moved]))
        if raw.busy:
            left.append(task)
    sim.tasks = left


def _digits(port: Port, beats: npt.NDArray[np.uint8]) -> list[str]:
    """Hexadecimal digits of beats, [beats, bytes of the port]."""
    digits = (port.width() + 3) // 4
    texts = beats[:, ::-1].tobytes().hex()
    step = 2 * port.bytes
    return [texts[i + step - digits : i + step] for i in range(0, len(texts), step)]


def load_engine() -> dict[str, ModuleType | None]:
    """Import FINN's engine anew, our Kernel, Design and Port under the name ``xsi``.

    Returns the modules that had these names before, for `unload_engine`.
    """
    before = {name: sys.modules.pop(name, None) for name in ENGINE_MODULES}
    sys.modules["xsi"] = finn_xsi_design
    engine_class.cache_clear()
    engine_class()
    return before


def unload_engine(before: dict[str, ModuleType | None]) -> None:
    """Put back the modules that `load_engine` replaced."""
    for name, module in before.items():
        sys.modules.pop(name, None)
        if module is not None:
            sys.modules[name] = module

# SPDX-License-Identifier: Apache-2.0
"""A Verilated design behind the interface of FINN's simulator binding: Kernel, Design, Port.

FINN's simulation engine is Python over a small binding to Vivado's simulator, the module ``xsi``.
This module has the same three classes; FINN's engine runs on them as it is. A port keeps a value of
its own until `Port.write_back` hands it to the design, and sees the design's after `Port.read`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

from hls.sim.library_cache import load_library
from models.errors import ToolError

ERROR_BYTES = 1000
INPUT, OUTPUT = 0, 1


class _Port(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("bytes", "width", "input")),
    )


class Kernel:
    """Stands for the simulator; each Verilated design brings its own."""

    def __init__(self, name: str) -> None:
        self.name = name


class Port:
    """One port of the design's top module."""

    def __init__(self, raw: _Port) -> None:
        self._name = str(raw.name.decode())
        self._width = int(raw.width)
        self._input = bool(raw.input)
        self._mask = (1 << self._width) - 1
        self._value = 0
        self.address = int(raw.data)
        self.bytes = int(raw.bytes)
        self._memory = (ctypes.c_uint8 * self.bytes).from_address(self.address)

    def name(self) -> str:
        """Name in the RTL."""
        return self._name

    def width(self) -> int:
        """Width [bit]."""
        return self._width

    def dir(self) -> int:
        """Direction, INPUT or OUTPUT."""
        return INPUT if self._input else OUTPUT

    def isInput(self) -> bool:
        """True for an input of the design."""
        return self._input

    def isOutput(self) -> bool:
        """True for an output of the design."""
        return not self._input

    def isInout(self) -> bool:
        """Never: Verilator's two-state designs have none here."""
        return False

    def read(self) -> Port:
        """Take the design's value."""
        self._value = int.from_bytes(self._memory, "little")
        return self

    def write_back(self) -> None:
        """Give the value to the design; it acts on it when time goes on."""
        ctypes.memmove(self._memory, self._value.to_bytes(self.bytes, "little"), self.bytes)

    def hasUnknown(self) -> bool:
        """Never: Verilator knows 0 and 1 only."""
        return False

    def isZero(self) -> bool:
        """True if no bit is set."""
        return self._value == 0

    def as_bool(self) -> bool:
        """The lowest bit."""
        return bool(self._value & 1)

    def as_unsigned(self) -> int:
        """The lowest 32 bits."""
        return self._value & 0xFFFFFFFF

    def as_binstr(self) -> str:
        """All bits, highest first."""
        return f"{self._value:0{self._width}b}"

    def as_hexstr(self) -> str:
        """All hexadecimal digits, highest first."""
        return f"{self._value:0{(self._width + 3) // 4}x}"

    def as_hexstr_2state(self) -> str:
        """The same: there are two states only."""
        return self.as_hexstr()

    def clear(self) -> Port:
        """Set every bit to 0."""
        return self.set(0)

    def set(self, value: int) -> Port:
        """Set the value; bits beyond the width fall away."""
        self._value = int(value) & self._mask
        return self

    def set_binstr(self, value: str) -> Port:
        """Set from binary digits, highest first."""
        return self.set(int(value, 2))

    def set_hexstr(self, value: str) -> Port:
        """Set from hexadecimal digits, highest first."""
        return self.set(int(value, 16))


class Design:
    """One running design. Several may be open at a time.

    Args:
        kernel: not used, there for the interface.
        design_lib: library that `hls.sim.finn_xsi.compile_sim_obj` built.
        log_file: not used; errors are raised.
        wdb_file: waveform file; written by `trace_all` as FST, with that suffix.
    """

    def __init__(
        self,
        kernel: Kernel,
        design_lib: str,
        log_file: str | None = None,
        wdb_file: str | None = None,
    ) -> None:
        self._trace_file = Path(wdb_file).absolute() if wdb_file else None
        try:
            self._lib = load_library(Path(design_lib).resolve())
            self._lib.xsi_open.restype = ctypes.c_void_p
        except (ToolError, AttributeError) as error:
            raise ToolError(
                f"{design_lib} is no simulation library of ours ({error})",
                hint="run PrepareRTLSim again, or clear the model's rtlsim_so",
            ) from error
        self._lib.xsi_error.restype = ctypes.c_char_p
        self._lib.xsi_ports.restype = ctypes.c_int64
        text = ctypes.create_string_buffer(ERROR_BYTES)
        self._handle = ctypes.c_void_p(self._lib.xsi_open(text, ctypes.c_int64(ERROR_BYTES)))
        if not self._handle:
            raise ToolError(f"the design does not start: {text.value.decode(errors='replace')}")
        self._ports = {port.name(): port for port in self._list_ports()}

    def _list_ports(self) -> list[Port]:
        count = self._lib.xsi_ports(self._handle, None, ctypes.c_int64(0))
        raw = (_Port * count)()
        self._lib.xsi_ports(self._handle, raw, ctypes.c_int64(count))
        return [Port(item) for item in raw]

    def close(self) -> None:
        """End the simulation and the waveform file; may be called again."""
        if self._handle:
            self._ports = {}
            self._lib.xsi_close(self._handle)
            self._handle = ctypes.c_void_p()

    def __del__(self) -> None:
        if getattr(self, "_handle", None):
            self.close()

    def is_open(self) -> bool:
        """True until `close`."""
        return bool(self._handle)

    def num_ports(self) -> int:
        """Number of ports."""
        return len(self._ports)

    def ports(self) -> Iterator[Port]:
        """All ports, in the order of the RTL."""
        return iter(tuple(self._ports.values()))

    def getPort(self, name: str) -> Port:
        """The port of that name; RuntimeError if there is none, as FINN's engine expects."""
        try:
            return self._ports[name]
        except KeyError:
            raise RuntimeError(f"the design has no port {name!r}") from None

    def run(self, duration: int) -> None:
        """Let the inputs act and ``duration`` [ps] pass."""
        if self._lib.xsi_settle(self._open(), ctypes.c_uint64(duration)) != 0:
            raise ToolError(f"simulation stopped: {self.get_error_info()}")

    def run_streams(self, run: ctypes.Structure, max_ticks: int) -> int:
        """Whole cycles of `hls.sim.finn_xsi_engine`; returns a status of xsi_shim.cpp."""
        return int(self._lib.xsi_run(self._open(), ctypes.byref(run), ctypes.c_int64(max_ticks)))

    def _open(self) -> ctypes.c_void_p:
        if not self._handle:
            raise ToolError("the simulation is closed", hint="load the design again")
        return self._handle

    def trace_all(self) -> None:
        """Begin the waveform file."""
        if self._trace_file is None:
            raise ToolError("no waveform file was named", hint="set rtlsim_trace before compiling")
        path = self._trace_file.with_suffix(".fst")
        if self._lib.xsi_trace(self._open(), str(path).encode()) != 0:
            raise ToolError(
                f"{path}: the design was compiled without waveforms",
                hint="set rtlsim_trace before PrepareRTLSim (or clear the model's rtlsim_so)",
            )

    def restart(self) -> None:
        """Not supported."""
        raise NotImplementedError(
            "restart: a Verilated design runs its initial blocks once; load it again instead"
        )

    def get_status(self) -> int:
        """0 while no error is known."""
        return 1 if self.get_error_info() else 0

    def get_error_info(self) -> str:
        """What stopped the simulation, or nothing."""
        return str(self._lib.xsi_error(self._open()).decode(errors="replace"))

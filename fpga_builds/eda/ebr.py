# SPDX-License-Identifier: Apache-2.0
"""Output registers of ECP5 block RAM: registers behind a DP16KD moved into it.

Yosys never uses the output registers of an ECP5 block RAM, although they take its slow output
(5.8 ns at speed grade 6) off the path behind it. Where every used output of a side of a DP16KD
drives one TRELLIS_FF and nothing else, and all those registers agree in clock, enable and mode,
they become the block's own (REGMODE OUTREG). What the netlist computes stays the same, cycle for
cycle: the netlist simulation runs on the result.

A 36 bit wide block gives 18 bits on each side but is one read port, with the clock and the output
enable of side B (Lattice FPGA-TN-02204, pseudo dual port); there both sides are packed or none, and
both sides get the clock's enable.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.files import write_atomic

BLOCK, REGISTER = "DP16KD", "TRELLIS_FF"
WIDE = 36
SIDES = ("A", "B")
PLAIN = {"GSR": "DISABLED", "REGSET": "RESET", "CLKMUX": "CLK"}
"""What a register must be to become an output register: no reset, no set, rising edge."""

Cell = dict[str, Any]


@dataclass(frozen=True)
class Register:
    """The register behind one output of a block."""

    port: str
    name: str
    output: Any
    clock: Any
    enable: Any


def pack_output_registers(netlist: Path) -> int:
    """Pack the registers of every module of a mapped netlist, in place.

    Args:
        netlist: as Yosys' ``write_json`` wrote it.

    Returns:
        Number of registers that moved into a block.
    """
    design = json.loads(netlist.read_text(encoding="utf-8"))
    moved = sum(_pack_module(module) for module in design["modules"].values())
    if moved:
        write_atomic(netlist, json.dumps(design).encode())
    return moved


def _pack_module(module: Mapping[str, Any]) -> int:
    cells: dict[str, Cell] = module["cells"]
    blocks = [cell for cell in cells.values() if cell["type"] == BLOCK]
    if not blocks:
        return 0
    readers = _readers(module)
    moved = 0
    for block in blocks:
        wide = _number(block, "DATA_WIDTH_B") == WIDE
        for sides in (SIDES,) if wide else (("A",), ("B",)):
            registers = _registers(block, sides, cells, readers, wide=wide)
            if registers:
                _move(block, sides, registers, cells)
                moved += len(registers)
    return moved


def _readers(module: Mapping[str, Any]) -> Mapping[Any, list[tuple[str, str]]]:
    """Cell inputs (cell, port) of every net; a port of the module counts as ("", port)."""
    readers: dict[Any, list[tuple[str, str]]] = defaultdict(list)
    for name, cell in module["cells"].items():
        for port, bits in cell["connections"].items():
            if cell["port_directions"][port] != "output":
                for bit in bits:
                    readers[bit].append((name, port))
    for port, entry in module["ports"].items():
        for bit in entry["bits"]:
            readers[bit].append(("", port))
    return readers


def _number(cell: Cell, key: str) -> int:
    value = cell["parameters"].get(key, "0")
    return int(value, 2) if isinstance(value, str) else int(value)


def _registers(
    block: Cell,
    sides: tuple[str, ...],
    cells: Mapping[str, Cell],
    readers: Mapping[Any, list[tuple[str, str]]],
    *,
    wide: bool,
) -> list[Register]:
    """The registers behind all used outputs of ``sides``; empty if they cannot be packed."""
    found: list[Register] = []
    for side in sides:
        if block["parameters"].get(f"REGMODE_{side}") != "NOREG":
            return []
        for port, bits in block["connections"].items():
            if not port.startswith(f"DO{side}") or not readers.get(bits[0]):
                continue
            register = _register(port, readers[bits[0]], cells)
            if register is None:
                return []
            found.append(register)
    clock = block["connections"]["CLKB" if wide else f"CLK{sides[0]}"][0]
    agreed = {(str(register.clock), str(register.enable)) for register in found}
    return found if len(agreed) == 1 and found[0].clock == clock else []


def _register(
    port: str, users: list[tuple[str, str]], cells: Mapping[str, Cell]
) -> Register | None:
    """The one register that an output drives, None if it drives anything else."""
    name, pin = users[0]
    if len(users) != 1 or not name or cells[name]["type"] != REGISTER or pin != "DI":
        return None
    cell = cells[name]
    if any(cell["parameters"].get(key, value) != value for key, value in PLAIN.items()):
        return None
    wires = cell["connections"]
    if wires.get("LSR", ["0"])[0] != "0" or cell["parameters"].get("SRMODE") == "ASYNC":
        return None
    mux = cell["parameters"].get("CEMUX", "1")
    if mux not in ("CE", "1"):
        return None
    enable = wires["CE"][0] if mux == "CE" else "1"
    return Register(port, name, wires["Q"], wires["CLK"][0], enable)


def _move(
    block: Cell, sides: tuple[str, ...], registers: list[Register], cells: dict[str, Cell]
) -> None:
    for side in sides:
        block["parameters"][f"REGMODE_{side}"] = "OUTREG"
        block["connections"][f"OCE{side}"] = [registers[0].enable]
        block["port_directions"][f"OCE{side}"] = "input"
    for register in registers:
        block["connections"][register.port] = register.output
        del cells[register.name]

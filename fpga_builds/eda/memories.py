# SPDX-License-Identifier: Apache-2.0
"""Memory files, looked at before synthesis: Yosys takes a short or damaged one without a word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from hls.cycle_terms import rom_rows
from models.errors import CheckError, CompileError

HINT = "the file was cut short or changed after it was written; run `phyfold compile` again"
HEX = re.compile(r"[0-9a-fA-F]+")
INSTANCE = re.compile(r"\bphy_(\w+) #\(([^;]*?)\)\s*u_\w+ \(")
PARAMETER = re.compile(r"\.(\w+)\(\s*(?:(\d+)|\"([^\"]*)\")\s*\)")


def check_memories(sources: Iterable[Path], files: Iterable[Path]) -> None:
    """Raise CheckError unless every memory file is whole.

    Every file must be there and hold hexadecimal words of one width. The files of layers must
    also have as many words, as wide, as the kernel reads; that follows from the parameters in the
    generated top, which is searched for in ``sources``.
    """
    expected: dict[str, tuple[int, int]] = {}
    for source in sources:
        if not source.name.startswith("phy_"):
            expected |= memory_shapes(source.read_text(encoding="utf-8"))
    found = {path.name for path in files}
    for name in expected:
        if name not in found:
            raise CheckError(f"memory file {name} is missing: the RTL reads it", hint=HINT)
    for path in files:
        _check_file(path, expected.get(path.name))


def memory_shapes(top: str) -> dict[str, tuple[int, int]]:
    """(words, bits per word) of every memory file that a generated top names."""
    shapes: dict[str, tuple[int, int]] = {}
    for kind, text in INSTANCE.findall(top):
        numbers = {key: int(n) for key, n, _ in PARAMETER.findall(text) if n}
        names = {key: word for key, n, word in PARAMETER.findall(text) if not n}
        if names:
            shapes |= _shapes(kind, numbers, names)
    return shapes


def _shapes(
    kind: str, p: Mapping[str, int], names: Mapping[str, str]
) -> dict[str, tuple[int, int]]:
    if kind in ("mvau", "mvau_sparse"):
        words = p["MatW"] // p["Simd"] * (p["MatH"] // p["Pe"])
        bits = p["Pe"] * p["Simd"] * p["WeightBits"]
        if kind == "mvau_sparse":
            index_bits = max(1, (p["Block"] - 1).bit_length())
            bits = p["Pe"] * (p["Simd"] // p["Block"] * p["Nnz"]) * (p["WeightBits"] + index_bits)
        return {names["WeightFile"]: _rows(words, bits)}
    if kind == "board":
        return {
            names["InFile"]: (p["GoldenFrames"] * p["InBeats"], 8 * p["InBytes"]),
            names["OutFile"]: (p["GoldenFrames"] * p["OutBeats"], 8 * p["OutBytes"]),
        }
    words = p.get("Channels", 0) // p.get("Pe", 1)
    if kind == "requant":
        return {names["ParamFile"]: _rows(words, p["Pe"] * (p["MulBits"] + p["AddBits"]))}
    if kind == "thresholding":
        bits = p["InBits"] + (1 if p["InSigned"] else 2)
        return {
            f"{names['ThresholdFile']}_s{stage:02}_p{lane:04}.dat": _rows(words << stage, bits)
            for stage in range(p["Steps"].bit_length())
            for lane in range(p["Pe"])
        }
    raise CompileError(
        f"phy_{kind}: shape of its memory files unknown",
        hint="add it to fpga_builds/eda/memories.py",
    )


def _rows(words: int, bits: int) -> tuple[int, int]:
    """(lines, bits per line) of a ROM: deep ones have several words in a row, see phy_rom.sv."""
    rows = rom_rows(words, bits)
    return rows, bits * -(-words // rows)


def _check_file(path: Path, shape: tuple[int, int] | None) -> None:
    try:
        lines = path.read_text(encoding="ascii").split()
    except OSError as error:
        raise CheckError(
            f"memory file {path.name} cannot be read ({error.strerror})", hint=HINT
        ) from error
    except UnicodeDecodeError as error:
        raise CheckError(f"memory file {path.name} is no text ({error})", hint=HINT) from error
    digits = len(lines[0]) if lines else 0
    for number, line in enumerate(lines, 1):
        if not HEX.fullmatch(line) or len(line) != digits:
            raise CheckError(
                f"memory file {path.name}, line {number}: {line[:40]!r} is no word of {digits} "
                "hexadecimal digits",
                hint=HINT,
            )
    words, bits = shape if shape is not None else (max(len(lines), 1), 4 * digits)
    if (len(lines), digits) != (words, (bits + 3) // 4):
        raise CheckError(
            f"memory file {path.name} has {len(lines)} words of {digits} hexadecimal digits; "
            f"the RTL reads {words} words of {(bits + 3) // 4}",
            hint=HINT,
        )

# SPDX-License-Identifier: Apache-2.0
"""Folding files, in FINN's format: {"<node>": {"PE": 4, "SIMD": 10}, ...}."""

from __future__ import annotations

import json
from pathlib import Path

from hls.folding import Fold, Folding, check_fold
from hls.ir import Accelerator
from models.errors import CompileError
from models.limits import parse_json, read_text


def read_folding(path: Path) -> dict[str, Fold]:
    """Read a hand-written folding file; `check_folding` compares it with an accelerator."""
    try:
        body = parse_json(read_text(path))
    except (OSError, ValueError) as error:
        raise CompileError(f"{path}: not a readable folding file ({error})") from error
    if not isinstance(body, dict):
        raise CompileError(f"{path}: a folding file is a JSON object of nodes")
    return {name: _entry(path, name, body[name]) for name in body if name != "Defaults"}


def check_folding(path: Path, folding: Folding, acc: Accelerator) -> None:
    """Raise a `CompileError` if a file's folding does not fit the layers of ``acc``."""
    layers = {la.source: la for la in acc.layers if la.kind != "dwc"}
    unknown = sorted(set(folding) - set(layers))
    if unknown:
        raise CompileError(f"{path}: unknown node {unknown[0]!r}; nodes: {', '.join(layers)}")
    missing = [name for name in layers if name not in folding]
    if missing:
        raise CompileError(f"{path}: node {missing[0]!r} is missing; nodes: {', '.join(layers)}")
    for name, layer in layers.items():
        check_fold(layer, folding[name])


def _entry(path: Path, name: str, entry: object) -> Fold:
    if not isinstance(entry, dict) or "PE" not in entry or set(entry) - {"PE", "SIMD"}:
        raise CompileError(f"{path}: {name}: {entry!r} must be {{'PE': n, 'SIMD': m}}")
    for key, value in entry.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise CompileError(f"{path}: {name}: {key}={value!r} must be an integer")
    return Fold(entry["PE"], entry.get("SIMD"))


def folding_json(folding: Folding) -> str:
    """The text of a folding file."""
    body = {
        name: {"PE": f.pe} if f.simd is None else {"PE": f.pe, "SIMD": f.simd}
        for name, f in folding.items()
    }
    return json.dumps({"Defaults": {}, **body}, indent=1) + "\n"

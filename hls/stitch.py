# SPDX-License-Identifier: Apache-2.0
"""From an accelerator description to RTL: one flat top module, its kernels and its memory files.

The kernels are hand-written and copied as they are; what is generated is the top (a list of
instances and wires, template ``hls/rtl/templates/top.sv.j2``) and the memory files. Equal
descriptions give equal bytes. ``docs/rtl.md`` has the names that simulators and scripts rely on.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from hls.cycles import LayerCycles, accelerator_cycles, layer_cycles
from hls.ir import Accelerator, Layer, Stream
from hls.memfiles import memory_files
from hls.templates import render
from models.errors import CompileError, StorageError

KERNELS = Path(__file__).with_name("rtl")
TEMPLATE = "top.sv.j2"

PARAMETERS: Mapping[str, tuple[str, ...]] = {
    "mvau": (
        *("mat_w", "mat_h", "pe", "simd", "in_bits", "in_signed"),
        *("weight_bits", "weight_signed", "acc_bits"),
    ),
    "mvau_sparse": (
        *("mat_w", "mat_h", "pe", "simd", "block", "nnz", "in_bits", "in_signed"),
        *("weight_bits", "weight_signed", "acc_bits"),
    ),
    "thresholding": ("channels", "pe", "in_bits", "in_signed", "steps", "out_bits", "out_bias"),
    "requant": (
        *("channels", "pe", "in_bits", "in_signed", "mul_bits", "add_bits", "shift"),
        *("out_bits", "out_signed", "out_min", "out_max"),
    ),
    "dwc": ("in_elems", "out_elems", "elem_bits"),
}
"""Parameters of each kernel in the order of its declaration; the RTL has them in CamelCase."""

OPTIONAL: Mapping[str, tuple[str, ...]] = {"mvau": ("dsp",), "mvau_sparse": ("dsp",)}
"""Parameters that a description may leave out; 0, their default, is not written."""

MEMORY_PARAMETER: Mapping[str, tuple[str, str]] = {
    "mvau": ("WeightFile", "_weights.dat"),
    "mvau_sparse": ("WeightFile", "_weights.dat"),
    "thresholding": ("ThresholdFile", "_thresholds"),
    "requant": ("ParamFile", "_params.dat"),
}


@dataclass(frozen=True)
class RtlPackage:
    """RTL as simulation and synthesis take it."""

    top_name: str
    sources: tuple[Path, ...]
    """SystemVerilog files, packages first, the top last."""
    data_files: tuple[Path, ...]
    """Memory files, all in one folder; the RTL names them without a folder."""


@dataclass(frozen=True)
class StreamWires:
    """Where to find a stream in the top module: prefixes of its _tdata, _tvalid and _tready."""

    stream: Stream
    up: str
    """Prefix at the producer."""
    down: str
    """Prefix at the consumer; equal to ``up`` if there is no FIFO."""
    fifo: str
    """Instance name of the FIFO; empty if there is none."""

    @property
    def sides(self) -> tuple[str, ...]:
        """The different prefixes."""
        return (self.up, self.down) if self.fifo else (self.down,)


@dataclass(frozen=True)
class _Unit:
    layer: Layer
    module: str
    instance: str
    parameters: tuple[tuple[str, str], ...]
    source: str
    sink: str
    cycles: LayerCycles


def top_name(acc: Accelerator) -> str:
    """Name of the top module of an accelerator."""
    return f"{_identifier(acc.name)}_top"


def stream_wires(acc: Accelerator, name: str) -> StreamWires:
    """Names of a stream's wires in the top module."""
    stream = acc.stream(name)
    plain = _identifier(name)
    if stream.fifo_depth:
        return StreamWires(stream, f"p_{plain}", f"s_{plain}", f"fifo_{plain}")
    return StreamWires(stream, f"s_{plain}", f"s_{plain}", "")


def write_rtl(acc: Accelerator, out_dir: Path) -> RtlPackage:
    """Write the RTL of ``acc`` to ``out_dir``/rtl and return what was written.

    Files of an earlier run that are no longer needed are removed from that folder.
    Raises CompileError for a description that does not fit together, StorageError.
    """
    check(acc)
    files = {f"{top_name(acc)}.sv": render_top(acc)}
    data: dict[str, str] = {}
    for layer in acc.layers:
        data.update(memory_files(replace(layer, name=_identifier(layer.name))))
    kernels = _kernels(files[f"{top_name(acc)}.sv"])
    texts = {**{path.name: path.read_text() for path in kernels}, **files, **data}
    folder = out_dir / "rtl"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            if old.suffix in (".sv", ".dat") and old.name not in texts:
                old.unlink()
        for name, text in texts.items():
            (folder / name).write_text(text)
    except OSError as error:
        raise StorageError(f"{folder}: RTL cannot be written ({error.strerror})") from error
    return RtlPackage(
        top_name=top_name(acc),
        sources=tuple(folder / name for name in (*(k.name for k in kernels), *files)),
        data_files=tuple(folder / name for name in data),
    )


def render_top(acc: Accelerator) -> str:
    """Text of the top module."""
    wires = {s.name: stream_wires(acc, s.name) for s in acc.streams}
    units = [
        _Unit(
            layer=layer,
            module=f"phy_{layer.kind}",
            instance=f"u_{_identifier(layer.name)}",
            parameters=tuple(_parameters(layer)),
            source=wires[layer.inputs[0]].down,
            sink=wires[layer.outputs[0]].up,
            cycles=layer_cycles(layer, acc.stream(layer.inputs[0]).beats_per_frame),
        )
        for layer in acc.layers
    ]
    return render(
        KERNELS / "templates" / TEMPLATE,
        top=top_name(acc),
        version=_version(),
        digest=description_digest(acc),
        source=acc.stream(acc.input.stream),
        sink=acc.stream(acc.output.stream),
        cycles=accelerator_cycles(acc),
        streams=list(wires.values()),
        first=wires[acc.input.stream],
        last=wires[acc.output.stream],
        units=units,
    )


def description_digest(acc: Accelerator) -> str:
    """Short hash of everything in the description that the RTL depends on."""
    digest = hashlib.sha256()
    for layer in acc.layers:
        body: dict[str, Any] = asdict(replace(layer, arrays={}))
        digest.update(json.dumps(body, sort_keys=True, default=int).encode())
        for key in sorted(layer.arrays):
            digest.update(key.encode() + layer.arrays[key].astype("<i8").tobytes())
    for stream in acc.streams:
        digest.update(json.dumps(asdict(stream), sort_keys=True, default=int).encode())
    return digest.hexdigest()[:16]


def check(acc: Accelerator) -> None:
    """Raise CompileError unless layers, streams and folding of ``acc`` fit together."""
    if not acc.layers:
        raise CompileError(f"accelerator {acc.name}: has no layers")
    seen: dict[str, str] = {}
    for name in (*(s.name for s in acc.streams), *(layer.name for layer in acc.layers)):
        plain = _identifier(name)
        if plain in seen:
            raise CompileError(
                f"accelerator {acc.name}: {seen[plain]!r} and {name!r} would both be called {plain}"
            )
        seen[plain] = name
    for layer in acc.layers:
        _check_params(layer)
        if len(layer.inputs) != 1 or len(layer.outputs) != 1:
            raise CompileError(f"{layer.name}: a {layer.kind} has one input and one output stream")
        for role, stream, expected in (
            ("input", acc.stream(layer.inputs[0]), _input_shape(layer)),
            ("output", acc.stream(layer.outputs[0]), _output_shape(layer)),
        ):
            _check_stream(layer, role, stream, expected)


def _check_params(layer: Layer) -> None:
    p = layer.params
    missing = [key for key in PARAMETERS[layer.kind] if key not in p]
    if missing:
        raise CompileError(f"{layer.name}: a {layer.kind} needs the parameters {missing}")
    for small, large in _DIVIDES[layer.kind]:
        if p[small] < 1 or p[large] % p[small]:
            choices = [d for d in range(1, p[large] + 1) if p[large] % d == 0]
            raise CompileError(
                f"{layer.name}: {small}={p[small]} must divide {large}={p[large]}; "
                f"choices: {choices}"
            )
    if layer.kind == "dwc":
        narrow, wide = sorted((p["in_elems"], p["out_elems"]))
        if narrow < 1 or wide % narrow:
            raise CompileError(
                f"{layer.name}: one of in_elems={p['in_elems']}, out_elems={p['out_elems']} must "
                "divide the other"
            )


_DIVIDES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "mvau": (("pe", "mat_h"), ("simd", "mat_w")),
    "mvau_sparse": (("pe", "mat_h"), ("simd", "mat_w"), ("block", "simd")),
    "thresholding": (("pe", "channels"),),
    "requant": (("pe", "channels"),),
    "dwc": (),
}


def _input_shape(layer: Layer) -> tuple[int, int, int | None]:
    """Bits per element, elements per beat and, if the layer knows, beats per frame."""
    p = layer.params
    if layer.kind in ("mvau", "mvau_sparse"):
        return p["in_bits"], p["simd"], p["mat_w"] // p["simd"]
    if layer.kind in ("thresholding", "requant"):
        return p["in_bits"], p["pe"], p["channels"] // p["pe"]
    return p["elem_bits"], p["in_elems"], None


def _output_shape(layer: Layer) -> tuple[int, int, int | None]:
    p = layer.params
    if layer.kind in ("mvau", "mvau_sparse"):
        return p["acc_bits"], p["pe"], p["mat_h"] // p["pe"]
    if layer.kind in ("thresholding", "requant"):
        return p["out_bits"], p["pe"], p["channels"] // p["pe"]
    return p["elem_bits"], p["out_elems"], None


def _check_stream(
    layer: Layer, role: str, stream: Stream, expected: tuple[int, int, int | None]
) -> None:
    bits, elems, beats = expected
    end = stream.consumer if role == "input" else stream.producer
    if end != layer.name:
        raise CompileError(
            f"{layer.name}: its {role} stream {stream.name} names {end!r} at that end"
        )
    actual = (stream.fmt.bits, stream.elems_per_beat, stream.beats_per_frame)
    if actual != (bits, elems, beats if beats is not None else actual[2]):
        raise CompileError(
            f"{layer.name}: its {role} stream {stream.name} has {actual[0]} bits x {actual[1]} "
            f"elements x {actual[2]} beats; the layer has {bits} x {elems} x {beats or 'any'}"
        )


def _parameters(layer: Layer) -> list[tuple[str, str]]:
    rendered = [
        ("".join(word.capitalize() for word in key.split("_")), str(int(layer.params[key])))
        for key in PARAMETERS[layer.kind]
    ]
    rendered += [
        (key.capitalize(), str(int(layer.params[key])))
        for key in OPTIONAL.get(layer.kind, ())
        if layer.params.get(key)
    ]
    if layer.kind in MEMORY_PARAMETER:
        key, suffix = MEMORY_PARAMETER[layer.kind]
        rendered.append((key, f'"{_identifier(layer.name)}{suffix}"'))
    return rendered


def _identifier(name: str) -> str:
    """``name`` as a SystemVerilog identifier."""
    plain = re.sub(r"\W", "_", name, flags=re.ASCII)
    return plain if re.match(r"[A-Za-z_]", plain) else f"n{plain}"


def _kernels(top: str) -> list[Path]:
    """Kernel files that the text ``top`` needs, packages first."""
    found: dict[str, Path] = {}
    todo = [top]
    while todo:
        for name in re.findall(r"\bphy_[a-z_]+\b", todo.pop()):
            path = KERNELS / f"{name}.sv"
            if name not in found and path.is_file():
                found[name] = path
                todo.append(path.read_text())
    return [found[name] for name in sorted(found, key=lambda n: (not n.endswith("_pkg"), n))]


def _version() -> str:
    try:
        return metadata.version("phyfold")
    except metadata.PackageNotFoundError:
        return "(not installed)"

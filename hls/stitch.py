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
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

from hls.cycles import LayerCycles, accelerator_cycles, layer_cycles
from hls.ir import Accelerator, Layer, Stream
from hls.memfiles import memory_files
from hls.ports import (
    Port,
    add_extremes,
    add_format,
    input_ports,
    output_ports,
    pool_extremes,
    pool_format,
    window_size,
)
from hls.sim.source_lint import names_in
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
    "window": (
        *("height", "width", "channels", "kernel_h", "kernel_w"),
        *("pad_top", "pad_bottom", "pad_left", "pad_right", "simd", "in_bits"),
    ),
    "pool": (
        *("height", "width", "channels", "kernel_h", "kernel_w", "pe"),
        *("in_bits", "in_signed", "maximum", "out_bits"),
    ),
    "upsample": ("height", "width", "channels", "scale_h", "scale_w", "pe", "elem_bits"),
    "duplicate": ("elems", "elem_bits"),
    "concat": ("pixels", "channels_a", "channels_b", "pe", "elem_bits"),
    "split": ("pixels", "channels_a", "channels_b", "pe", "elem_bits"),
    "add": ("pixels", "channels", "pe", "in_bits", "in_signed", "out_bits", "out_signed"),
}
"""Parameters of each kernel in the order of its declaration; the RTL has them in CamelCase."""

UNSHOWN: Mapping[str, tuple[str, ...]] = {
    "thresholding": ("out_signed",),
    "window": ("in_signed",),
    "duplicate": ("outputs",),
}
"""Parameters that a description has and the RTL does not need."""

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
    ports: tuple[tuple[str, str], ...]
    """(prefix of the port, prefix of the wires), inputs first."""
    cycles: LayerCycles

    @property
    def memory(self) -> bool:
        """True if the kernel reads memory files."""
        return self.layer.kind in MEMORY_PARAMETER


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
    kernels = kernel_files(files[f"{top_name(acc)}.sv"])
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
            parameters=tuple(kernel_parameters(layer)),
            ports=_ports(layer, wires),
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


def port_names(side: str, count: int) -> tuple[str, ...]:
    """Prefixes of a kernel's ``count`` stream ports; side: "s" (inputs) or "m" (outputs)."""
    return (f"{side}_axis",) if count == 1 else tuple(f"{side}{i}_axis" for i in range(count))


def _ports(layer: Layer, wires: Mapping[str, StreamWires]) -> tuple[tuple[str, str], ...]:
    inputs = zip(port_names("s", len(layer.inputs)), layer.inputs, strict=True)
    outputs = zip(port_names("m", len(layer.outputs)), layer.outputs, strict=True)
    return (
        *((port, wires[name].down) for port, name in inputs),
        *((port, wires[name].up) for port, name in outputs),
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
        check_params(layer)
        for role, names, ports in (
            ("input", layer.inputs, input_ports(layer)),
            ("output", layer.outputs, output_ports(layer)),
        ):
            if len(names) != len(ports):
                count = f"{len(ports)} {role} streams, not {len(names)}"
                raise CompileError(f"{layer.name}: a {layer.kind} has {count}")
            for name, port in zip(names, ports, strict=True):
                _check_stream(layer, role, acc.stream(name), port)


def check_params(layer: Layer) -> None:
    """Raise CompileError unless the kernel of ``layer`` takes its parameters."""
    p = layer.params
    known = (*PARAMETERS[layer.kind], *UNSHOWN.get(layer.kind, ()))
    missing = [key for key in known if key not in p]
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
    for wrong, rule in _RULES.get(layer.kind, ()):
        if wrong(p):
            raise CompileError(f"{layer.name}: {rule.format(**p)}")


_RULES: Mapping[str, tuple[tuple[Callable[[Mapping[str, int]], bool], str], ...]] = {
    "window": (
        (
            lambda p: (
                max(p["pad_top"], p["pad_bottom"]) >= p["kernel_h"]
                or max(p["pad_left"], p["pad_right"]) >= p["kernel_w"]
            ),
            "padding {pad_top}, {pad_bottom}, {pad_left}, {pad_right} must be less than the kernel "
            "{kernel_h} x {kernel_w}",
        ),
        (
            lambda p: min(window_size(p)) < 1,
            "the kernel {kernel_h} x {kernel_w} exceeds the padded image of {height} x {width}",
        ),
    ),
    "pool": (
        (
            lambda p: not pool_format(p).allowed(pool_extremes(p)),
            "out_bits={out_bits} does not hold {kernel_h} x {kernel_w} values of {in_bits} bits",
        ),
    ),
    "add": (
        (
            lambda p: not add_format(p).allowed(add_extremes(p)),
            "out_bits={out_bits}, out_signed={out_signed} do not hold the sum of two values of "
            "{in_bits} bits",
        ),
    ),
    "duplicate": ((lambda p: p["outputs"] != 2, "outputs={outputs}: a duplicate has 2"),),
}
"""What a kernel refuses, and why."""

_DIVIDES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "mvau": (("pe", "mat_h"), ("simd", "mat_w")),
    "mvau_sparse": (("pe", "mat_h"), ("simd", "mat_w"), ("block", "simd")),
    "thresholding": (("pe", "channels"),),
    "requant": (("pe", "channels"),),
    "dwc": (),
    "window": (("simd", "channels"),),
    "pool": (("pe", "channels"), ("kernel_h", "height"), ("kernel_w", "width")),
    "upsample": (("pe", "channels"),),
    "duplicate": (),
    "concat": (("pe", "channels_a"), ("pe", "channels_b")),
    "split": (("pe", "channels_a"), ("pe", "channels_b")),
    "add": (("pe", "channels"),),
}


def _check_stream(layer: Layer, role: str, stream: Stream, port: Port) -> None:
    end = stream.consumer if role == "input" else stream.producer
    if end != layer.name:
        raise CompileError(
            f"{layer.name}: its {role} stream {stream.name} names {end!r} at that end"
        )
    actual = (stream.fmt.bits, stream.elems_per_beat, stream.beats_per_frame)
    expected = (port.bits, port.elems, actual[2] if port.beats is None else port.beats)
    if actual != expected:
        raise CompileError(
            f"{layer.name}: its {role} stream {stream.name} has {actual[0]} bits x {actual[1]} "
            f"elements x {actual[2]} beats; the layer has {port.bits} x {port.elems} x "
            f"{port.beats or 'any'}"
        )


def kernel_parameters(layer: Layer) -> list[tuple[str, str]]:
    """Parameters of a layer's module as the RTL names and writes them."""
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


def kernel_files(top: str) -> list[Path]:
    """Kernel files that the text ``top`` (or the module of that name) needs, packages first.

    What is named in comments and strings alone is not needed.
    """
    found: dict[str, Path] = {}
    todo = [top]
    while todo:
        for name in names_in(todo.pop(), "phy_[a-z_]+"):
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

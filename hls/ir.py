# SPDX-License-Identifier: Apache-2.0
"""The accelerator as data: what the compiler hands to stitcher, simulator, cost model and report.

An `Accelerator` is a list of `Layer` joined by `Stream`; all three are frozen. It is written as
`accelerator.json` with the integer arrays beside it in `parameters.npz` (keys ``<layer>.<array>``).
No torch, no ONNX and no FINN are needed to read, run or simulate one.

Layer kinds, their integer ``params`` and their ``arrays`` (all int64):

mvau          y[MatH] = W x.  mat_w, mat_h, pe, simd, in_bits, in_signed, weight_bits,
                                weight_signed, acc_bits (signed), dsp (optional: 1 puts every
                                multiplier into a DSP block). arrays: ``weights`` [MatH, MatW].
mvau_sparse   the same, W balanced-sparse: in every row, every block of ``block`` columns
                                has at most ``nnz`` non-zeros. One beat in carries ``simd``
                                columns, a multiple of ``block``; pe * (simd / block) * nnz
                                multipliers.
thresholding  y = out_bias + #{k: x >= T[c, k]}.  channels, pe, in_bits, in_signed, steps, out_bits,
                                out_signed, out_bias. arrays: ``thresholds`` [channels, steps],
                                sorted.
requant       y = clip(half_even((x * mul[c] + add[c]) / 2^shift), out_min, out_max).  channels, pe,
                                in_bits, in_signed, mul_bits, add_bits, shift, out_bits, out_signed,
                                out_min, out_max. arrays: ``mul`` [channels], ``add`` [channels].
dwc           stream width conversion.  in_elems, out_elems (one divides the other), elem_bits.

mvau, mvau_sparse, thresholding and requant have an optional parameter ``vectors`` (absent: 1): a
frame is then that many vectors of mat_w (channels) elements, one behind the other, and all of them
meet the same weights. A 1x1 convolution is an mvau with one vector per pixel; any other convolution
is a window and an mvau whose weights are [out_channels, kernel_h * kernel_w * channels].

Images are frames in the order row, column, channel (NHWC), channel innermost:

window        the surroundings of every pixel, stride 1, zeros beyond the border:
                                y[oy, ox, ky, kx, c] = x[oy + ky - pad_top, ox + kx - pad_left, c].
                                height, width, channels, kernel_h, kernel_w, pad_top, pad_bottom,
                                pad_left, pad_right, simd (divides channels), in_bits, in_signed.
                                out_h = height + pad_top + pad_bottom - kernel_h + 1, out_w alike.
pool          sum (maximum = 0) or largest (1) of every kernel_h x kernel_w tile.  height, width,
                                channels, kernel_h, kernel_w (divide height, width), pe, in_bits,
                                in_signed, maximum, out_bits (signed as the input).
upsample      every pixel scale_h x scale_w times.  height, width, channels (of the input), scale_h,
                                scale_w, pe, elem_bits.
duplicate     one stream in, the same stream out twice.  elems (per beat), elem_bits, outputs (2).
concat        streams a and b in; per pixel the channels of a, then those of b.  pixels, channels_a,
                                channels_b, pe (divides both), elem_bits.
split         the reverse: one stream in, a and b out.  Parameters as concat.
add           y = a + b of two streams of one format.  pixels, channels, pe, in_bits, in_signed,
                                out_bits, out_signed.

Streams: ``Layer.inputs`` and ``Layer.outputs`` name a layer's streams in the order of its ports (a
before b). A stream has one producer and one consumer; a fork is a duplicate or a split.

Channel order: a beat carries elements e, e+1, ... of the frame with the lowest index in the lowest
bits. An mvau emits rows in order: beat f carries rows f*pe ... f*pe + pe - 1.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.errors import CompileError
from models.limits import PARAMETER_BYTES, UNREADABLE, load_arrays, parse_json, read_text

SCHEMA_VERSION = 1
MATRIX_KINDS = ("mvau", "mvau_sparse")
CHANNEL_KINDS = ("thresholding", "requant")
IMAGE_KINDS = ("window", "pool", "upsample", "duplicate", "concat", "split", "add")
LAYER_KINDS = (*MATRIX_KINDS, *CHANNEL_KINDS, "dwc", *IMAGE_KINDS)

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class IntFormat:
    """A two's complement (or unsigned) integer format of ``bits`` bits."""

    bits: int
    signed: bool

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise CompileError(f"integer format of {self.bits} bits: must be 1 to 64 bits wide")

    @property
    def min(self) -> int:
        """Smallest code."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Largest code."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    def allowed(self, values: npt.ArrayLike) -> bool:
        """True if every value has a code in this format."""
        array = np.asarray(values)
        return array.size == 0 or bool(array.min() >= self.min and array.max() <= self.max)

    def __str__(self) -> str:
        return f"{'INT' if self.signed else 'UINT'}{self.bits}"


@dataclass(frozen=True)
class Stream:
    """One AXI4-Stream between two layers (``None`` stands for the outside)."""

    name: str
    producer: str | None
    consumer: str | None
    fmt: IntFormat
    elems_per_beat: int
    beats_per_frame: int
    fifo_depth: int = 0
    """Beats of buffering in this stream: 0 is a wire, 1 or more a phy_fifo of that depth."""

    @property
    def payload_bits(self) -> int:
        """Width of the data of one beat [bit]; tdata rounds it up to whole bytes."""
        return self.fmt.bits * self.elems_per_beat

    @property
    def tdata_bytes(self) -> int:
        """Width of tdata [byte]."""
        return (self.payload_bits + 7) // 8


@dataclass(frozen=True)
class Layer:
    """One hardware layer."""

    name: str
    kind: str
    source: str
    """Name of the FINN node that this layer implements."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[str, int]
    arrays: Mapping[str, IntArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in LAYER_KINDS:
            raise CompileError(
                f"layer {self.name}: unknown kind {self.kind!r}; known: {', '.join(LAYER_KINDS)}"
            )


@dataclass(frozen=True)
class Border:
    """What the host does at one end of the accelerator.

    Input: code = clip(half_even(x / scale)).  Output: x = code * scale + offset, per channel or
    scalar. A ``shape`` of three is an image of codes [height, width, channels]; the host's x is
    [channels, height, width], as in the network.
    ``meaning`` is "codes", "hard_bits" or "soft".
    """

    stream: str
    shape: tuple[int, ...]
    fmt: IntFormat
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    meaning: str
    narrow: bool = False
    """The lowest code of a signed format is never used (Brevitas' narrow range)."""

    @property
    def lowest(self) -> int:
        """Smallest code that passes; the largest is ``fmt.max``."""
        return self.fmt.min + int(self.narrow)


@dataclass(frozen=True)
class Accelerator:
    """A stitched accelerator: layers in topological order, streams, and its two borders."""

    name: str
    layers: tuple[Layer, ...]
    streams: tuple[Stream, ...]
    input: Border
    output: Border
    clock_mhz: float
    meta: Mapping[str, Any] = field(default_factory=dict)

    def stream(self, name: str) -> Stream:
        """The stream of that name."""
        for s in self.streams:
            if s.name == name:
                return s
        raise CompileError(f"accelerator {self.name}: no stream {name!r}")

    def layer(self, name: str) -> Layer:
        """The layer of that name."""
        for item in self.layers:
            if item.name == name:
                return item
        raise CompileError(f"accelerator {self.name}: no layer {name!r}")

    def with_fifo_depths(self, depths: Mapping[str, int]) -> Accelerator:
        """A copy with other FIFO depths [beat] for the streams named."""
        return replace(
            self,
            streams=tuple(
                replace(s, fifo_depth=depths.get(s.name, s.fifo_depth)) for s in self.streams
            ),
        )

    def save(self, folder: Path) -> Path:
        """Write accelerator.json and parameters.npz to ``folder``; returns the JSON's path."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = {f"{la.name}.{k}": v for la in self.layers for k, v in la.arrays.items()}
        np.savez_compressed(folder / "parameters.npz", **arrays)  # type: ignore[arg-type]
        body = asdict(replace(self, layers=tuple(replace(la, arrays={}) for la in self.layers)))
        path = folder / "accelerator.json"
        path.write_text(json.dumps({"schema": SCHEMA_VERSION, **body}, indent=1) + "\n")
        return path

    @classmethod
    def load(cls, folder: Path) -> Accelerator:
        """Read what `save` wrote."""
        path = folder / "accelerator.json"
        try:
            body = parse_json(read_text(path))
            kept = load_arrays(folder / "parameters.npz", limit=PARAMETER_BYTES)
            arrays = {key: value.astype(np.int64) for key, value in kept.items()}
        except UNREADABLE as error:
            raise CompileError(
                f"{path}: not a readable accelerator ({error})", hint="run `phyfold compile` again"
            ) from error
        if not isinstance(body, dict) or body.pop("schema", None) != SCHEMA_VERSION:
            raise CompileError(f"{path}: written by another version", hint="run `phyfold compile`")
        try:
            return cls._of(body, arrays)
        except (KeyError, TypeError, AttributeError) as error:
            raise CompileError(
                f"{path}: not as an accelerator is ({type(error).__name__}: {error})",
                hint="run `phyfold compile` again",
            ) from error

    @classmethod
    def _of(cls, body: Mapping[str, Any], arrays: Mapping[str, IntArray]) -> Accelerator:
        return cls(
            name=body["name"],
            layers=tuple(_layer(item, arrays) for item in body["layers"]),
            streams=tuple(
                Stream(**{**item, "fmt": IntFormat(**item["fmt"])}) for item in body["streams"]
            ),
            input=_border(body["input"]),
            output=_border(body["output"]),
            clock_mhz=body["clock_mhz"],
            meta=body["meta"],
        )


def _layer(item: dict[str, Any], arrays: Mapping[str, IntArray]) -> Layer:
    prefix = item["name"] + "."
    mine = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
    return Layer(
        **{
            **item,
            "inputs": tuple(item["inputs"]),
            "outputs": tuple(item["outputs"]),
            "arrays": mine,
        }
    )


def _border(item: dict[str, Any]) -> Border:
    return Border(
        **{
            **item,
            "shape": tuple(item["shape"]),
            "scale": tuple(item["scale"]),
            "offset": tuple(item["offset"]),
            "fmt": IntFormat(**item["fmt"]),
        }
    )

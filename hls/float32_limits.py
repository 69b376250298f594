# SPDX-License-Identifier: Apache-2.0
"""Where float32 execution of the QONNX file may leave exact arithmetic, layer by layer of hardware.

The compiler writes it as ``float32.npz`` beside ``accelerator.json``; `hls.float32_frames` judges
single frames by it. A folder without the file has no such places: every difference is then a
mismatch, unless qonnx' own execution of the frame agrees with the hardware.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import numpy.typing as npt

from hls.ir import Accelerator, IntArray, Layer
from hls.passes.spans import COLUMNS
from models.errors import CompileError
from models.files import write_atomic
from models.limits import UNREADABLE, load_arrays

if TYPE_CHECKING:
    from onnx import NodeProto
    from qonnx.core.modelwrapper import ModelWrapper

    from hls.passes.decision import Decided
    from hls.passes.quantizer import Quantizer
    from hls.passes.ties import TieReport

FILE = "float32.npz"
THRESHOLD_KINDS = ("thresholding", "requant")


@dataclass(frozen=True)
class Stage:
    """One layer of thresholds, and where float32 may take another side of one.

    Attributes:
        layer: its name in the accelerator.
        quantizer: name of the node in the QONNX file; "" for a decision.
        scale: value of a code of the quantizer, times this, is a tensor of the file.
        bias: smallest code; code bias + 1 + k is reached from threshold k on.
        bipolar: codes 0 and 1 stand for -scale and scale.
        spans: [entries, 5]: channel, step, threshold, low, high, see `hls.passes.spans.Spans`;
            sorted by channel and step.
    """

    layer: str
    quantizer: str
    scale: float
    bias: int
    bipolar: bool
    spans: IntArray

    @cached_property
    def _places(self) -> tuple[int, IntArray]:
        """(steps, channel * steps + step of every entry), sorted as the entries are."""
        steps = int(self.spans[:, 1].max(initial=0)) + 1
        return steps, self.spans[:, 0] * steps + self.spans[:, 1]

    def span(self, channel: int, step: int) -> tuple[int, int, int] | None:
        """(threshold, low, high) of a fragile threshold; None if it is not fragile."""
        steps, places = self._places
        index = int(np.searchsorted(places, channel * steps + step))
        if step >= steps or index == len(places) or places[index] != channel * steps + step:
            return None
        threshold, low, high = self.spans[index, 2:].tolist()
        return threshold, low, high

    def codes(self, values: npt.NDArray[np.float32]) -> IntArray:
        """Codes of what the quantizer gave in the QONNX file."""
        if self.bipolar:
            return (values > 0).astype(np.int64)
        codes: IntArray = np.rint(values.astype(np.float64) / self.scale).astype(np.int64)
        return codes

    def crossed(self, channel: int, acc: int, exact: int, found: int) -> int | None:
        """The fragile threshold by which code ``found`` may stand for ``exact``; None: it may not.

        Every threshold between the two codes has to be a fragile one with ``acc`` in its span.
        """
        threshold = None
        for code in range(min(exact, found) + 1, max(exact, found) + 1):
            place = self.span(channel, code - self.bias - 1)
            if place is None or not place[1] <= acc <= place[2]:
                return None
            threshold = place[0]
        return threshold


@dataclass(frozen=True)
class FloatLimits:
    """All stages of an accelerator, and by how much its soft outputs may differ.

    ``outputs`` [channels]: a soft output is the integer A of value a A + b. Float32 gives the value
    with an error of at most e (`hls.passes.decision.float_error`), so the integer that is read from
    it, rint((value - b) / a), is at most floor(e / |a| + 1/2) away from A. Below 2^24 that is 0.
    """

    stages: tuple[Stage, ...] = ()
    outputs: IntArray = field(default_factory=lambda: np.zeros(1, np.int64))

    @property
    def fragile(self) -> int:
        """Number of fragile thresholds."""
        return sum(len(stage.spans) for stage in self.stages)

    def save(self, folder: Path) -> None:
        """Write ``float32.npz``."""
        stages = self.stages
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            names=np.array([(s.layer, s.quantizer) for s in stages], np.str_).reshape(-1, 2),
            scale=np.array([s.scale for s in stages], np.float64),
            bias=np.array([s.bias for s in stages], np.int64),
            bipolar=np.array([s.bipolar for s in stages], np.bool_),
            counts=np.array([len(s.spans) for s in stages], np.int64),
            outputs=self.outputs,
            **_packed([s.spans for s in stages]),  # type: ignore[arg-type]
        )
        write_atomic(folder / FILE, buffer.getvalue())

    @classmethod
    def load(cls, folder: Path) -> FloatLimits:
        """Read what `save` wrote; nothing is fragile in a folder without the file."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            data = load_arrays(path)
            tables = _unpacked(data)
            facts = zip(
                *(data[name] for name in ("names", "scale", "bias", "bipolar")), tables, strict=True
            )
            stages = tuple(
                Stage(
                    *(str(layer), str(quantizer), float(scale)),
                    bias=int(bias),
                    bipolar=bool(bipolar),
                    spans=spans,
                )
                for (layer, quantizer), scale, bias, bipolar, spans in facts
            )
            return cls(stages, data["outputs"])
        except (*UNREADABLE, IndexError) as error:
            raise CompileError(
                f"{path}: not readable ({error})", hint="run `phyfold compile` again"
            ) from error


def _packed(tables: Sequence[IntArray]) -> dict[str, IntArray]:
    """The columns of all spans as small integers, most of them equal: quickly written, read again.

    Channel, step and threshold as differences to the row before, low and high to the threshold.
    """
    packed: dict[str, IntArray] = {}
    for index, name in enumerate(COLUMNS):
        parts = [
            table[:, index] if index < 3 else table[:, index] - table[:, 2] for table in tables
        ]
        column = np.concatenate([np.zeros(0, np.int64), *parts])
        column = np.diff(column, prepend=0) if index < 3 else column
        ends = int(column.min(initial=0)), int(column.max(initial=0))
        packed[name] = column.astype(np.result_type(np.int8, *map(_smallest_type, ends)))
    return packed


def _smallest_type(value: int) -> np.dtype[Any]:
    """The smallest signed type that holds ``value``."""
    return np.min_scalar_type(min(value, -value - 1))


def _unpacked(data: Mapping[str, npt.NDArray[Any]]) -> list[IntArray]:
    """The spans of every stage, of what `_packed` gave; ValueError if the sizes disagree."""
    counts = data["counts"]
    rows = len(data[COLUMNS[0]])
    if (counts < 0).any() or int(counts.sum()) != rows:
        raise ValueError(f"{rows} spans, announced are {counts.tolist()}")
    table = np.empty((rows, len(COLUMNS)), np.int64, order="F")
    for index, name in enumerate(COLUMNS):
        column = data[name]
        table[:, index] = np.cumsum(column, dtype=np.int64) if index < 3 else column + table[:, 2]
    return np.split(table, np.cumsum(counts)[:-1]) if len(counts) else []


def limits_of(
    decided: Decided, reports: Sequence[TieReport], accelerator: Accelerator
) -> FloatLimits:
    """The limits of an accelerator.

    Args:
        decided: the integer model that it was made of.
        reports: the tie analysis of the quantizers and of the decision.
        accelerator: layers in the order of the model's operations.
    """
    layers = _threshold_layers(decided.model, accelerator)
    spans = {f"{report.node}_mt": report.spans.table for report in reports}
    if decided.reused is not None and decided.ties is not None and decided.ties.proven:
        quantizer, columns = decided.reused
        table = spans[quantizer]
        kept = table[table[:, 1] == columns[table[:, 0]]]
        spans[f"{decided.ties.node}_mt"] = kept * [1, 0, 1, 1, 1]
    stages = [
        _stage(layers[name].name, report.quantizer, spans[name])
        for name, report in ((f"{report.node}_mt", report) for report in reports)
        if name in layers
    ]
    return FloatLimits(tuple(stages), decided.tolerance)


def _stage(layer: str, quantizer: Quantizer | None, spans: IntArray) -> Stage:
    if quantizer is None:
        return Stage(layer, "", 1.0, bias=0, bipolar=True, spans=spans)
    scale, bipolar = float(quantizer.scale.reshape(-1)[0]), quantizer.bipolar
    bias = 0 if bipolar else quantizer.low - quantizer.zero_point
    return Stage(layer, quantizer.node, scale, bias=bias, bipolar=bipolar, spans=spans)


def _threshold_layers(model: ModelWrapper, accelerator: Accelerator) -> Mapping[str, Layer]:
    """The layer of every MultiThreshold: both graphs walked from the output, input by input."""
    from hls.passes.graph import dynamic_inputs

    producers = {stream: layer for layer in accelerator.layers for stream in layer.outputs}

    def nodes(name: str) -> list[NodeProto]:
        def step(name: str) -> tuple[NodeProto | None, list[str]]:
            node = model.find_producer(name)
            if node is None or node.op_type == "MultiThreshold":
                return node, []
            return None, [n for _, n in dynamic_inputs(model, node)]

        return _first_met(name, step)

    def layers(stream: str) -> list[Layer]:
        def step(stream: str) -> tuple[Layer | None, list[str]]:
            layer = producers.get(stream)
            if layer is None or layer.kind in THRESHOLD_KINDS:
                return layer, []
            return None, list(layer.inputs)

        return _first_met(stream, step)

    pairs: dict[str, Layer] = {}
    pending = [(model.graph.output[0].name, accelerator.output.stream)]
    while pending:
        name, stream = pending.pop()
        ours, theirs = nodes(name), layers(stream)
        if len(ours) != len(theirs):
            continue  # no layer is known there: a difference behind it stays a mismatch
        for node, layer in zip(ours, theirs, strict=True):
            if node.name not in pairs:
                pairs[node.name] = layer
                pending.append((node.input[0], layer.inputs[0]))
    return pairs


T = TypeVar("T")


def _first_met(name: str, step: Callable[[str], tuple[T | None, list[str]]]) -> list[T]:
    """What is met from ``name`` on, depth first, in the order of first meetings.

    step: what is met at a name (None: nothing), and the names behind it.
    """
    found: list[T] = []
    seen: set[str] = set()
    pending = [name]
    while pending:
        top = pending.pop()
        if top in seen:
            continue
        seen.add(top)
        item, names = step(top)
        if item is not None:
            found.append(item)
        pending += reversed(names)
    return found

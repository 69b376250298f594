# SPDX-License-Identifier: Apache-2.0
"""Where float32 execution of the QONNX file may leave exact arithmetic, layer by layer of hardware.

The compiler writes it as ``float32.npz`` beside ``accelerator.json``; `hls.float32_frames` judges
single frames by it. A folder without the file has no such places: every difference is then a
mismatch, unless qonnx' own execution of the frame agrees with the hardware.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from hls.ir import Accelerator, IntArray, Layer
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
        arrays = {
            "names": np.array([(s.layer, s.quantizer) for s in stages], np.str_).reshape(-1, 2),
            "scale": np.array([s.scale for s in stages], np.float64),
            "bias": np.array([s.bias for s in stages], np.int64),
            "bipolar": np.array([s.bipolar for s in stages], np.bool_),
            "spans": None,
            "outputs": self.outputs,
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    if array is None:
                        self._write_spans(member)
                    else:
                        np.lib.format.write_array(member, array)
        write_atomic(folder / FILE, buffer.getvalue())

    def _write_spans(self, member: IO[bytes]) -> None:
        """The number of the stage, then the columns of its spans: [entries, 6], column by column.

        In this order they are compressed faster and further, and no copy of all is made.
        """
        count = self.fragile
        header = {"descr": "<i8", "fortran_order": count > 0, "shape": (count, 6)}
        np.lib.format.write_array_header_1_0(member, header)
        for index, stage in enumerate(self.stages):
            member.write(np.full(len(stage.spans), index, "<i8").tobytes())
        for column in range(5):
            for stage in self.stages:
                member.write(stage.spans[:, column].astype("<i8").tobytes())

    @classmethod
    def load(cls, folder: Path) -> FloatLimits:
        """Read what `save` wrote; nothing is fragile in a folder without the file."""
        path = folder / FILE
        if not path.is_file():
            return cls()
        try:
            data = load_arrays(path)
            names, spans = data["names"], data["spans"]
            facts = zip(names, data["scale"], data["bias"], data["bipolar"], strict=True)
            stages = tuple(
                Stage(
                    *(str(layer), str(quantizer), float(scale)),
                    bias=int(bias),
                    bipolar=bool(bipolar),
                    spans=spans[spans[:, 0] == i, 1:],
                )
                for i, ((layer, quantizer), scale, bias, bipolar) in enumerate(facts)
            )
            return cls(stages, data["outputs"])
        except (*UNREADABLE, IndexError) as error:
            raise CompileError(
                f"{path}: not readable ({error})", hint="run `phyfold compile` again"
            ) from error


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

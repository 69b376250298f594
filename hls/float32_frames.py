# SPDX-License-Identifier: Apache-2.0
"""A frame in which float32 execution of QONNX and the hardware differ: who is right?

Exact integer arithmetic (`hls.reference.run` on the accelerator) is the reference. QONNX is defined
in float32, whose sums round; the batched executor adds in another order than qonnx does. So a frame
in which the two differ is one of these:

    mismatch   the hardware differs from the reference, or nothing below explains the frame
    alone      qonnx' own execution of this frame alone agrees with the hardware
    rounded    that execution differs too, and does so where float32 is known to be inexact

"Rounded" is proven step by step: the frame is computed again in exact arithmetic, but every
quantizer hands on the codes that it had in the float32 execution. Each code that differs from the
exact one has to belong to an accumulator in the span of a fragile threshold (`hls.passes.spans`),
and in the end the outputs have to be those of the float32 execution: equal, or, where a soft
output's sum is too wide for float32, as close as `FloatLimits.outputs` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls.borders import channels_first, channels_last, decide_outputs
from hls.float32_limits import FloatLimits, Stage
from hls.ir import Accelerator, IntArray, Layer
from hls.reference import check_codes, run, run_ports

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

FloatArray = npt.NDArray[np.float32]
RERUN_FRAMES = 256
"""Frames of a batch that qonnx executes one by one, at most; the others are executed batched."""
SLICE = 64
"""Frames whose inner tensors are held at once."""
ROUNDED_TEXT = (
    "float32 execution of QONNX was rounded past a tie; the hardware equals exact integer "
    "arithmetic there, no mismatch"
)
LISTED = 100
"""Frames that a record lists, at most; all are counted."""


@dataclass(frozen=True)
class Rounded:
    """Float32 rounding in one frame: the first place, in the order of layers.

    Attributes:
        frame: number of the frame.
        layer: name of the layer.
        channel: its channel.
        accumulator: the exact integer there.
        threshold: the threshold that float32 took the other side of; None for a soft output.
    """

    frame: int
    layer: str
    channel: int
    accumulator: int
    threshold: int | None

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return dict(vars(self))

    def __str__(self) -> str:
        where = f"frame {self.frame}: layer {self.layer}, channel {self.channel}"
        if self.threshold is None:
            return f"{where}: float32 cannot hold the sum {self.accumulator}"
        return f"{where}: sum {self.accumulator} at threshold {self.threshold}"


@dataclass(frozen=True)
class Verdict:
    """What the frames of a batch that differ are; frame numbers are those of the batch."""

    mismatches: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    alone: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    rounded: tuple[Rounded, ...] = ()


@dataclass(frozen=True)
class Execution:
    """A float32 execution: outputs, the integers [n, out] in them, codes [n, elements] by layer."""

    floats: FloatArray
    outputs: IntArray
    codes: Mapping[str, IntArray]

    def of(self, frames: npt.NDArray[Any]) -> Execution:
        """Of these frames alone."""
        codes = {layer: values[frames] for layer, values in self.codes.items()}
        return Execution(self.floats[frames], self.outputs[frames], codes)


def execute_alone(model: ModelWrapper, x: FloatArray, names: list[str]) -> dict[str, Any]:
    """The tensors ``names`` for host values [n, ...], frame by frame, by qonnx' own executor.

    ``model`` is one that qonnx can execute, see `hls.passes.tidy.named`.
    """
    from qonnx.core.onnx_exec import execute_onnx

    entry = model.graph.input[0].name
    parts: dict[str, list[Any]] = {name: [] for name in names}
    for frame in range(len(x)):
        given = {entry: np.ascontiguousarray(x[frame : frame + 1])}
        tensors = execute_onnx(model, given, return_full_exec_context=True)
        for name in names:
            parts[name].append(tensors[name])
    return {name: np.concatenate(found) for name, found in parts.items()}


class FloatModel:
    """A model of the network, from the QONNX file on, whose quantizers' tensors are known."""

    def __init__(
        self,
        model: ModelWrapper,
        accelerator: Accelerator,
        limits: FloatLimits,
        kind: str,
        *,
        images_first: bool = True,
    ) -> None:
        self.model, self.accelerator, self.kind = model, accelerator, kind
        self.images_first = images_first
        outputs = {node.name: node.output[0] for node in model.graph.node}
        self.quantized: dict[str, tuple[Stage, str]] = {}
        self.coded: dict[str, str] = {}
        for stage in limits.stages:
            if stage.quantizer in outputs:
                self.quantized[stage.layer] = (stage, outputs[stage.quantizer])
            elif f"{stage.quantizer}_mt" in outputs:
                self.coded[stage.layer] = outputs[f"{stage.quantizer}_mt"]

    def batched(self, x: FloatArray) -> Execution:
        """Host values [n, ...], all frames at once."""
        from hls.qonnx_exec import run_tensors

        return self._execution(run_tensors(self.model, x, self._tensors()))

    def alone(self, x: FloatArray) -> Execution:
        """Host values [n, ...], frame by frame, by qonnx itself."""
        return self._execution(execute_alone(self.model, x, self._tensors()))

    def _tensors(self) -> list[str]:
        names = [*(name for _, name in self.quantized.values()), *self.coded.values(), self._output]
        return list(dict.fromkeys(names))

    @property
    def _output(self) -> str:
        name: str = self.model.graph.output[0].name
        return name

    def _execution(self, tensors: Mapping[str, Any]) -> Execution:
        image = len(self.accelerator.input.shape) == 3

        def flat(values: Any) -> Any:
            last = channels_last(values) if image and self.images_first else values
            return last.reshape(len(last), -1)

        codes = {
            layer: stage.codes(flat(tensors[n])) for layer, (stage, n) in self.quantized.items()
        }
        for layer, name in self.coded.items():
            codes[layer] = np.rint(flat(tensors[name])).astype(np.int64)
        result = tensors[self._output]
        result = result if self.images_first else channels_first(result)
        outputs = decide_outputs(result, self.kind, self.accelerator.output)
        return Execution(result, outputs, codes)


class FloatReference:
    """Judges frames of a QONNX file against an accelerator."""

    def __init__(
        self, accelerator: Accelerator, limits: FloatLimits, model: ModelWrapper, kind: str
    ) -> None:
        """kind: what the outputs decide, see `hls.passes.decision`."""
        from hls.passes.tidy import named

        self.accelerator, self.limits = accelerator, limits
        self.network = FloatModel(named(model), accelerator, limits, kind)

    @classmethod
    def open(cls, folder: Path, model: Path, kind: str) -> FloatReference:
        """folder: of the accelerator; model: the QONNX file."""
        from hls.qonnx_exec import load_model

        limits = FloatLimits.load(folder)
        return cls(Accelerator.load(folder), limits, load_model(model), kind)

    def judge(
        self, x: FloatArray, codes: IntArray, got: IntArray, frames: npt.NDArray[np.intp]
    ) -> Verdict:
        """What the frames numbered ``frames``, in which ``got`` is not what QONNX gave, are.

        Args:
            x: host values [n, ...].
            codes: input codes [n, *shape].
            got: outputs [n, out] of the hardware.
            frames: the frames to look at.
        """
        wrong: list[int] = []
        alone: list[int] = []
        rounded: list[Rounded] = []
        for part, again in self._parts(frames):
            shaped = codes[part].reshape(len(part), *self.accelerator.input.shape)
            exact = (run(self.accelerator, shaped) == got[part]).all(axis=1)
            wrong += part[~exact].tolist()
            rest = part[exact]
            if not len(rest):
                continue
            values = x[rest].reshape(len(rest), *self._shape()[1:])
            found = self.network.alone(values) if again else self.network.batched(values)
            same = (found.outputs == got[rest]).all(axis=1)
            alone += rest[same].tolist()
            places = replay(self.accelerator, self.limits, shaped[exact][~same], found.of(~same))
            for frame, place in zip(rest[~same].tolist(), places, strict=True):
                if place is None:
                    wrong.append(frame)
                else:
                    rounded.append(replace(place, frame=frame))
        return Verdict(np.array(sorted(wrong), np.int64), np.array(alone, np.int64), tuple(rounded))

    def _shape(self) -> list[int]:
        model = self.network.model
        shape: list[int] = model.get_tensor_shape(model.graph.input[0].name)
        return shape

    @staticmethod
    def _parts(frames: npt.NDArray[np.intp]) -> Iterator[tuple[npt.NDArray[np.intp], bool]]:
        """Slices of ``frames``, and whether qonnx executes them one by one."""
        for start in range(0, len(frames), SLICE):
            yield frames[start : start + SLICE], start < RERUN_FRAMES


def replay(
    accelerator: Accelerator, limits: FloatLimits, codes: IntArray, execution: Execution
) -> list[Rounded | None]:
    """Where each frame was rounded: exact arithmetic on the codes that each quantizer handed on.

    None for a frame that float32 rounding does not explain, or in which nothing was rounded.
    """
    if not len(codes):
        return []
    stages = {stage.layer: stage for stage in limits.stages}
    streams = {accelerator.input.stream: check_codes(accelerator, codes)}
    places = _Places(len(codes))
    for layer in accelerator.layers:
        results = run_ports(layer, [streams[name] for name in layer.inputs])
        stage = stages.get(layer.name)
        if stage is not None and stage.quantizer and layer.name in execution.codes:
            found = execution.codes[layer.name]
            places.compare(layer, stage, streams[layer.inputs[0]], results[0], found)
            results = (found,)
        elif stage is not None and not stage.quantizer:
            found = execution.outputs
            places.compare(layer, stage, streams[layer.inputs[0]], results[0], found)
            results = (found,)
        streams.update(zip(layer.outputs, results, strict=True))
    last = next(la for la in accelerator.layers if accelerator.output.stream in la.outputs)
    places.close(last, streams[accelerator.output.stream], execution.outputs, limits.outputs)
    return places.found()


class _Places:
    """The first rounding of every frame, and which frames rounding does not explain."""

    def __init__(self, frames: int) -> None:
        self.first: list[Rounded | None] = [None] * frames
        self.unexplained = np.zeros(frames, dtype=bool)

    def compare(
        self, layer: Layer, stage: Stage, sums: IntArray, exact: IntArray, found: IntArray
    ) -> None:
        """Codes [n, elements] of a stage that are not those of exact arithmetic."""
        if found.shape != exact.shape:
            self.unexplained[:] = True
            return
        channels = layer.params["channels"]
        for frame, element in np.argwhere(found != exact).tolist():
            channel, acc = element % channels, int(sums[frame, element])
            codes = int(exact[frame, element]), int(found[frame, element])
            threshold = stage.crossed(channel, acc, *codes)
            if threshold is None:
                self.unexplained[frame] = True
            self._note(frame, Rounded(frame, layer.name, channel, acc, threshold))

    def close(self, layer: Layer, exact: IntArray, found: IntArray, allowed: IntArray) -> None:
        """Outputs [n, out] that are not those of the codes before them."""
        if found.shape != exact.shape:
            self.unexplained[:] = True
            return
        for frame, element in np.argwhere(found != exact).tolist():
            channel, value = element % len(allowed), int(exact[frame, element])
            if abs(int(found[frame, element]) - value) > int(allowed[channel]):
                self.unexplained[frame] = True
            self._note(frame, Rounded(frame, layer.name, channel, value, None))

    def _note(self, frame: int, place: Rounded) -> None:
        if self.first[frame] is None:
            self.first[frame] = place

    def found(self) -> list[Rounded | None]:
        """The first place of every frame that is explained."""
        return [None if bad else p for p, bad in zip(self.first, self.unexplained, strict=True)]


def listed(rounded: Sequence[Rounded], offset: int = 0, **facts: Any) -> list[dict[str, Any]]:
    """The first `LISTED` frames as plain data; ``offset``: number of the batch's first frame."""
    return [{**facts, **r.to_json(), "frame": r.frame + offset} for r in rounded[:LISTED]]

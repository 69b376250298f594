# SPDX-License-Identifier: Apache-2.0
"""Golden frames: every step of the compiler executed on them and compared with the QONNX file.

Expected is what the file gives in float32; in a frame in which float32 rounding moves it
(`hls.float32_frames`), it is the exact result. A step before the decision is a float model and is
judged the same way; from the decision on all is integer and has to be equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls.borders import channels_last, decide_outputs
from hls.float32_frames import FloatModel, FloatReference, Verdict, listed, replay
from hls.float32_limits import FloatLimits
from hls.ir import Accelerator, IntArray
from hls.reference import run
from models.errors import MismatchError

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

HINT = "a pass is wrong: keep the output folder and report it"


@dataclass(frozen=True)
class Golden:
    """Frames, and what has to come out of them.

    Attributes:
        accelerator: the result of the compiler.
        limits: where float32 may differ from it.
        kind: what the outputs decide, see `hls.passes.decision`.
        x: host values [n, ...], in the shape that the file takes.
        codes: input codes [n, elements].
        floats: outputs of the file, as floats.
        expected: outputs [n, out] that every step has to give.
        exact: outputs [n, out] of the accelerator in exact arithmetic.
        verdict: what the frames are in which the file's outputs are not ``expected``.
    """

    accelerator: Accelerator
    limits: FloatLimits
    kind: str
    x: npt.NDArray[np.float32]
    codes: IntArray
    floats: npt.NDArray[np.float32]
    expected: IntArray
    exact: IntArray
    verdict: Verdict = field(default_factory=Verdict)

    def settled(self, original: ModelWrapper) -> Golden:
        """With the exact outputs expected where rounding explains what ``original`` gives."""
        if self.exact.shape != self.expected.shape:
            return self
        differ = np.flatnonzero((self.exact != self.expected).any(axis=1))
        if not len(differ):
            return self
        reference = FloatReference(self.accelerator, self.limits, original, self.kind)
        verdict = reference.judge(self.x, self._shaped(), self.exact, differ)
        settled = [*verdict.alone.tolist(), *(r.frame for r in verdict.rounded)]
        expected = self.expected.copy()
        expected[settled] = self.exact[settled]
        return replace(self, expected=expected, verdict=verdict)

    def check_floats(self, step: str, model: ModelWrapper) -> dict[str, Any]:
        """A step with float inputs and outputs, channels last; returns its line of the report."""
        network = FloatModel(model, self.accelerator, self.limits, self.kind, images_first=False)
        image = len(self.accelerator.input.shape) == 3  # else the file flattens it, row by row
        x = self._fitted(model, channels_last(self.x) if image else self.x)
        found = network.batched(x)
        outputs, rounded = found.outputs, 0
        if outputs.shape == self.expected.shape:
            differ = np.flatnonzero((outputs != self.expected).any(axis=1))
            part = replay(self.accelerator, self.limits, self._shaped()[differ], found.of(differ))
            explained = [frame for frame, p in zip(differ, part, strict=True) if p is not None]
            outputs, rounded = outputs.copy(), len(explained)
            outputs[explained] = self.expected[explained]
        self._compare(step, outputs)
        return {
            "step": step,
            "frames": len(x),
            "float32_frames": rounded,
            "largest_float_difference": float(np.abs(found.floats - self.floats).max(initial=0)),
        }

    def check_integers(self, step: str, model: ModelWrapper) -> dict[str, Any]:
        """A step from input codes to output codes."""
        from hls.qonnx_exec import run_qonnx

        result = run_qonnx(model, self._fitted(model, self.codes.astype(np.float32)))
        self._compare(step, np.rint(result).astype(np.int64).reshape(len(result), -1))
        return {"step": step, "frames": len(result)}

    def check_accelerator(self) -> dict[str, Any]:
        """The result itself."""
        self._compare("accelerator", self.exact)
        return {"step": "accelerator", "frames": len(self.codes)}

    def to_json(self) -> dict[str, Any]:
        """Frames in which float32 execution was rounded."""
        return {
            "rerun_alone": len(self.verdict.alone),
            "float32_frames": len(self.verdict.rounded),
            "frames": listed(self.verdict.rounded),
        }

    def _shaped(self) -> IntArray:
        return self.codes.reshape(len(self.codes), *self.accelerator.input.shape)

    @staticmethod
    def _fitted(model: ModelWrapper, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        shape = model.get_tensor_shape(model.graph.input[0].name)
        return x.reshape(len(x), *shape[1:])

    def _compare(self, step: str, result: IntArray) -> None:
        golden = self.expected
        if result.shape != golden.shape:
            raise MismatchError(f"step {step}: output {result.shape}, QONNX gives {golden.shape}")
        wrong = np.argwhere(result != golden)
        if not len(wrong):
            return
        frame, output = (int(v) for v in wrong[0])
        raise MismatchError(
            f"step {step}: {len(wrong)} of {golden.size} outputs differ from QONNX; first: frame "
            f"{frame}, output {output}: {result[frame, output]} instead of {golden[frame, output]}",
            hint=HINT,
        )


def golden_of(
    original: ModelWrapper,
    accelerator: Accelerator,
    limits: FloatLimits,
    kind: str,
    frames: tuple[npt.NDArray[np.float32], IntArray],
) -> Golden:
    """frames: host values in the shape that ``original`` takes, and their input codes."""
    from hls.qonnx_exec import run_qonnx

    x, codes = frames
    floats = run_qonnx(original, x)
    outputs = decide_outputs(floats, kind, accelerator.output)
    exact = run(accelerator, codes.reshape(len(codes), *accelerator.input.shape))
    golden = Golden(accelerator, limits, kind, x, codes, floats, outputs, exact)
    return golden.settled(original)

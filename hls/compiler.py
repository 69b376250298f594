# SPDX-License-Identifier: Apache-2.0
"""QONNX in, accelerator out: the compiler's steps, each kept as a file and checked.

    00_qonnx  01_tidy  02_integer_weights  03_integer_activations  04_decision
    05_finn  06_specialized  07_folded  ->  accelerator.json, parameters.npz

After every step the model is executed on the golden inputs and compared with the QONNX execution of
the original file: hard bits, or the integers behind the soft outputs. One difference that float32
rounding of QONNX does not explain (`hls.float32_frames`) stops the compilation with the step, frame
and output named.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from hls.borders import decide_outputs, golden_frames, to_codes, to_values
from hls.compile_options import CompileOptions, FoldingTarget
from hls.devices import device
from hls.ir import Accelerator, Border
from models.errors import CompileError
from models.files import storage_error, storage_guard

if TYPE_CHECKING:
    from qonnx.core.modelwrapper import ModelWrapper

    from hls.folding import Fold
    from hls.golden import Golden
    from hls.passes.specialize import Folds

__all__ = [
    "CompileOptions",
    "FoldingTarget",
    "compile_model",
    "decide_outputs",
    "to_codes",
    "to_values",
]

log = logging.getLogger(__name__)

Progress = Callable[[str, int, int], None]
STEPS = (
    "qonnx",
    "tidy",
    "integer_weights",
    "integer_activations",
    "decision",
    "finn",
    "specialized",
    "folded",
    "accelerator",
)
GOLDEN_FRAMES = 256
GOLDEN_MACS = 1 << 30
"""Products that one step computes on the golden frames, at most; 16 frames are always taken."""


def compile_model(
    model_path: Path,
    out_dir: Path,
    options: CompileOptions | None = None,
    progress: Progress | None = None,
) -> Accelerator:
    """Compile a QONNX file of dense layers, or of convolutions, to an accelerator.

    Args:
        model_path: QONNX with quantized weights, activations and input; batch size 1.
        out_dir: where every intermediate model and the result are written; created.
        options: what is asked for; the defaults give soft outputs and one frame in 1,500
            cycles, of images in 50,000.
        progress: called with (step, number of the step from 1, number of steps).

    Raises:
        CompileError: the model or the folding cannot be mapped; the message says why.
        MismatchError: a step changed a result on the golden frames.
        StorageError: ``out_dir`` cannot be made or written.
    """
    from hls.finn_env import setup_finn

    options = options or CompileOptions()
    if not model_path.is_file():
        raise CompileError(f"{model_path}: no such file", hint="run `phyfold export` first")
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise storage_error(out_dir, error) from error
    with storage_guard(out_dir):
        for number, step in enumerate(STEPS):
            (out_dir / f"{number:02d}_{step}.onnx").unlink(missing_ok=True)
        setup_finn(out_dir / "finn")
        return _Compilation(model_path, out_dir, options, progress).run()


@dataclass
class _Compilation:
    model_path: Path
    out_dir: Path
    options: CompileOptions
    progress: Progress | None
    report: dict[str, Any] = field(default_factory=lambda: {"steps": []})
    files: list[tuple[str, ModelWrapper]] = field(default_factory=list)

    def run(self) -> Accelerator:
        """All steps."""
        from hls.float32_limits import limits_of
        from hls.golden import golden_of
        from hls.passes.check_model import check_quantized
        from hls.passes.decision import decide
        from hls.passes.integer_input import input_border
        from hls.passes.streamline import integer_activations_step, integer_weights_step
        from hls.passes.tidy import tidy
        from hls.passes.to_finn import to_finn
        from hls.qonnx_exec import load_model

        original = load_model(self.model_path)
        self._keep("qonnx", original)
        tidied = tidy(original)
        check_quantized(tidied)
        self._keep("tidy", tidied)
        entry = input_border(tidied, "input")
        weights = integer_weights_step(tidied)
        self._keep("integer_weights", weights)
        activations, ties = integer_activations_step(weights)
        self._keep("integer_activations", activations)
        decided = decide(activations, self.options.output, "output")
        self._keep("decision", decided.model)
        reports = [*ties, *([decided.ties] if decided.ties else [])]
        self._report_ties(reports, int(decided.tolerance.max(initial=0)))
        finn = to_finn(decided.model)
        self._keep("finn", finn)
        specialized, folding = self._choose(finn, (entry, decided.output))
        self._keep("specialized", specialized)
        folded = self._fold(specialized, folding)
        acc = self._assign(self._extract(folded, (entry, decided.output)))
        limits = limits_of(decided, reports, acc)
        self._check(
            golden_of(original, acc, limits, self.options.output, self._frames(original, acc))
        )
        self._write(acc, folding, folded)
        limits.save(self.out_dir)
        return acc

    def _keep(self, step: str, model: ModelWrapper) -> None:
        """Write the model of a step; executed by `_check_steps`."""
        number = STEPS.index(step)
        path = self.out_dir / f"{number:02d}_{step}.onnx"
        model.save(str(path))
        self.files.append((step, model))
        if self.progress is not None:
            self.progress(step, number + 1, len(STEPS))

    def _choose(
        self, finn: ModelWrapper, borders: tuple[Border, Border]
    ) -> tuple[ModelWrapper, dict[str, Fold]]:
        """Kernels and folding: each depends on the other where weights are sparse."""
        from hls.folding import given_folds, legal_folds, solve_cycles
        from hls.folding_file import check_folding, read_folding

        target, part = self.options.folding, device(self.options.part)
        given = target.frame_cycles(self.options.clock_mhz, images=len(borders[0].shape) > 1)
        if target.file is not None:
            folding = read_folding(target.file)
            model = self._specialize(finn, given_folds(folding))
            check_folding(target.file, folding, self._extract(model, borders))
            return model, folding
        interval = given
        if interval is None:
            first = self._specialize(finn, legal_folds)
            interval = self._interval(self._extract(first, borders))
        cycles = interval
        model = self._specialize(finn, lambda layer: legal_folds(layer, cycles))
        base = self._extract(model, borders)
        if given is None:
            cycles = self._interval(base)
        return model, solve_cycles(base, cycles, part)

    def _interval(self, base: Accelerator) -> int:
        """Cycles per frame that meet a target of another kind."""
        from hls.cycles import accelerator_cycles
        from hls.folding import solve_device, solve_latency

        target, part = self.options.folding, device(self.options.part)
        if target.device_fraction is not None:
            return solve_device(base, part, target.device_fraction, self._assign)
        limit = target.latency_cycles(self.options.clock_mhz)
        return solve_latency(
            base, limit or 0, part, lambda acc: accelerator_cycles(acc).latency_cycles
        )

    def _specialize(self, finn: ModelWrapper, folds: Folds) -> ModelWrapper:
        from hls.passes.specialize import SpecializeToPhy
        from hls.passes.specialize_images import SpecializeImages
        from hls.sparsity import BlockForm

        o = self.options
        form = BlockForm(o.sparse_block, o.sparse_nnz) if o.sparse_block and o.sparse_nnz else None
        step = SpecializeToPhy(device(o.part), o.thresholds, o.sparse, form=form, folds=folds)
        model = finn.transform(step).transform(SpecializeImages())
        self.report["layers"] = [asdict(c) for c in step.choices]
        return model

    def _fold(self, model: ModelWrapper, folding: dict[str, Fold]) -> ModelWrapper:
        from hls.passes.fold import ApplyFolding, InsertWidthConverters

        folded = model.transform(ApplyFolding(folding)).transform(InsertWidthConverters())
        self._keep("folded", folded)
        return folded

    def _extract(self, model: ModelWrapper, borders: tuple[Border, Border]) -> Accelerator:
        from hls.extract import extract

        meta = {"source": self.model_path.name, "part": self.options.part}
        return extract(model, self.options.name, borders, self.options.clock_mhz, meta)

    def _assign(self, acc: Accelerator) -> Accelerator:
        """Multipliers in LUTs or DSP blocks, as asked for."""
        from hls.multipliers import assign_multipliers

        fraction = self.options.folding.device_fraction or 1.0
        part = device(self.options.part)
        return assign_multipliers(acc, part, self.options.multipliers, fraction)

    def _frames(
        self, original: ModelWrapper, acc: Accelerator
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        """Golden inputs as host values and as codes."""
        if self.options.golden_inputs is not None:
            x = np.asarray(self.options.golden_inputs, dtype=np.float32)
        else:
            x = golden_frames(acc.input, self._golden_count())
        shape = original.get_tensor_shape(original.graph.input[0].name)
        try:
            x = x.reshape(len(x), *shape[1:])
        except ValueError as error:
            raise CompileError(f"golden inputs {x.shape}: the model takes {shape}") from error
        return x, to_codes(acc.input, x.reshape(len(x), -1)).reshape(len(x), -1)

    def _golden_count(self) -> int:
        """Golden frames: fewer where a frame takes many products."""
        tidied = next(model for step, model in self.files if step == "tidy")
        macs = 1
        for node in tidied.graph.node:
            if node.op_type == "MatMul":
                inputs = tidied.get_tensor_shape(node.input[0])[-1]
                macs += inputs * int(np.prod(tidied.get_tensor_shape(node.output[0])))
        return min(GOLDEN_FRAMES, max(16, GOLDEN_MACS // macs))

    def _check(self, golden: Golden) -> None:
        """Every step on the golden frames."""
        lines: list[dict[str, Any]] = self.report["steps"]
        lines.append({"step": "qonnx", "frames": len(golden.x), "largest_float_difference": 0.0})
        for step, model in self.files[1:]:
            integer = STEPS.index(step) >= STEPS.index("decision")
            check = golden.check_integers if integer else golden.check_floats
            lines.append(check(step, model))
        lines.append(golden.check_accelerator())
        self.report["float32"] = golden.to_json()
        if self.progress is not None:
            self.progress("accelerator", len(STEPS), len(STEPS))

    def _report_ties(self, ties: list[Any], tolerance: int) -> None:
        self.report["ties"] = [t.to_json() for t in ties]
        fragile = sum(t.fragile for t in ties)
        self.report["equality"] = {
            "proven_for_all_inputs": fragile == tolerance == 0,
            "fragile_thresholds": fragile,
            "thresholds": sum(t.thresholds for t in ties),
            "soft_output_tolerance": tolerance,
        }
        if fragile:
            log.warning(
                "%d thresholds lie within float32 rounding of a tie: where QONNX execution misses "
                "one, the frame is listed as float32 rounding",
                fragile,
            )

    def _write(self, acc: Accelerator, folding: dict[str, Fold], folded: ModelWrapper) -> None:
        from hls.estimates import estimate
        from hls.folding_file import folding_json

        acc.save(self.out_dir)
        (self.out_dir / "folding.json").write_text(folding_json(folding))
        body = estimate(acc, device(self.options.part), folded)
        (self.out_dir / "estimates.json").write_text(json.dumps(body, indent=1) + "\n")
        self.report["options"] = self.options.model_dump(mode="json", exclude={"golden_inputs"})
        text = json.dumps(self.report, indent=1) + "\n"
        (self.out_dir / "compile_report.json").write_text(text)

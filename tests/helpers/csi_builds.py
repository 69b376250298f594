# SPDX-License-Identifier: Apache-2.0
"""Finished CSI builds that are small enough for RTL, netlist and board: blocks of 8 x 8 averaged.

The encoder averages (a pooling layer), the decoder repeats (an upsampling layer). Models are
stand-ins by name: the integer reference of the same accelerator, between host values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rtl_graphs import line, pool, upsample

from fpga_builds import csi
from fpga_builds.config import BuildConfig, load_build
from fpga_builds.flow import StepContext
from fpga_builds.state import State, StepRecord
from fpga_builds.steps import hdl
from fpga_builds.stimulus import FloatArray, dequantize, input_codes
from fpga_builds.storage import hash_path
from hls import reference
from hls.ir import Accelerator, IntArray, IntFormat
from hls.stitch import write_rtl

NAMES = {"encoder": "convsqucsinet_enc_r16", "decoder": "convsqucsinet_dec_r16"}
S8, S14 = IntFormat(8, signed=True), IntFormat(14, signed=True)
PIXELS, BLOCK = 0.25, 64


def tiny_encoder() -> Accelerator:
    """8-bit images [32, 32, 2] to the 14-bit sums of their blocks, [4, 4, 2]."""
    acc = line(S8, (32, 32, 2), pool((32, 32, 2), (8, 8), 1, S8))
    source = replace(acc.input, scale=(PIXELS,))
    sink = replace(acc.output, shape=(4, 4, 2), scale=(PIXELS / BLOCK,), fmt=S14)
    return replace(acc, input=source, output=sink)


def tiny_decoder() -> Accelerator:
    """Codewords of `tiny_encoder` to images [32, 32, 2]."""
    acc = line(S14, (4, 4, 2), upsample((4, 4, 2), (8, 8), 1, S14))
    source = replace(acc.input, scale=(PIXELS / BLOCK,))
    sink = replace(acc.output, shape=(32, 32, 2), scale=(PIXELS / BLOCK,), fmt=S14)
    return replace(acc, input=source, output=sink)


ACCELERATORS = {"encoder": tiny_encoder, "decoder": tiny_decoder}


def outputs_of(acc: Accelerator, codes: IntArray) -> IntArray:
    """What the accelerator must give, [n, elements]."""
    return reference.run(acc, codes.reshape(-1, *acc.input.shape)).reshape(len(codes), -1)


def model_of(acc: Accelerator, x: Any) -> FloatArray:
    """Host values to host values, as QONNX has them."""
    return dequantize(acc.output, outputs_of(acc, input_codes(acc.input, x)))


def stand_in_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """``encoder.onnx`` and ``decoder.onnx`` are executed by `model_of`."""
    accelerators: Mapping[str, Accelerator] = {k: make() for k, make in ACCELERATORS.items()}
    monkeypatch.setattr("hls.qonnx_exec.load_model", lambda path: Path(path).stem)
    monkeypatch.setattr(
        "hls.qonnx_exec.run_qonnx", lambda name, x: model_of(accelerators[str(name)], x)
    )


@dataclass(frozen=True)
class Finished:
    """A build's folder, run up to the step before its simulation."""

    config: BuildConfig
    accelerator: Accelerator
    out: Path
    state: State
    samples: FloatArray

    @property
    def codes(self) -> IntArray:
        """What must reach the accelerator, [n, *shape]: of the samples, or the codewords."""
        codes = input_codes(tiny_encoder().input, self.samples)
        if self.config.csi is not None and self.config.csi.half == "encoder":
            return codes
        return outputs_of(tiny_encoder(), codes).reshape(-1, *self.accelerator.input.shape)

    @property
    def images(self) -> FloatArray:
        """What the samples are reconstructed to, [n, 2, 32, 32]."""
        return model_of(tiny_decoder(), model_of(tiny_encoder(), self.samples))

    def context(self, step: str = "work") -> StepContext:
        """For a step of this build."""
        place = self.out / step
        place.mkdir(parents=True, exist_ok=True)
        return StepContext(self.config, place, self.out / "cache", self.state, 1)


def finished(half: str, out: Path, frames: int = 6) -> Finished:
    """The folder of a build of this half, with ``frames`` samples of the small set."""
    config = load_build(NAMES[half]).updated("csi", data="small")
    config = config.updated("simulate", frames=frames, chunk_frames=4)
    acc = ACCELERATORS[half]()
    samples = csi.draw_samples(config, lambda *_: None)[0]
    steps: dict[str, tuple[int, dict[str, str]]] = {
        "data": (5, {"samples": "samples.npz"}),
        "export": (20, {"model": f"{half}.onnx", "other_model": f"{csi.OTHER[half]}.onnx"}),
        "hdl": (40, {"rtl": "rtl", "rtl_index": "rtl.json", "accelerator": "accelerator"}),
        **({"feedback": (45, {"feedback": "codewords.npz"})} if half == "decoder" else {}),
    }
    places = {name: out / f"{number:02d}-{name}" for name, (number, _files) in steps.items()}
    for place in places.values():
        place.mkdir(parents=True)
    np.savez(places["data"] / "samples.npz", samples=samples)
    for name in steps["export"][1].values():
        (places["export"] / name).write_text(name)
    acc.save(places["hdl"] / "accelerator")
    hdl._write_index(places["hdl"], write_rtl(acc, places["hdl"] / "rtl"))
    if half == "decoder":
        values = model_of(tiny_encoder(), samples)
        np.savez(places["feedback"] / "codewords.npz", values=values)
    drawn = {"input samples": hash_path(places["data"] / "samples.npz")}
    state = State()
    for name, (_number, files) in steps.items():
        record = StepRecord(name, places[name], "k", drawn if name == "feedback" else {}, files)
        record.save()
        state = state.with_record(record)
    return Finished(config, acc, out, state, samples)

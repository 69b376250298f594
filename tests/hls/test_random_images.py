# SPDX-License-Identifier: Apache-2.0
"""Random networks of images: every one that can be built gives the integers of QONNX."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hls import reference
from hls.borders import decide_outputs, to_codes
from hls.compiler import CompileOptions
from hls.devices import device
from hls.extract import extract
from hls.finn_env import setup_finn
from hls.folding import apply_folding, choices
from hls.passes.check_model import check_quantized
from hls.passes.decision import decide
from hls.passes.integer_input import input_border
from hls.passes.specialize import SpecializeToPhy
from hls.passes.specialize_images import SpecializeImages
from hls.passes.streamline import integer_activations_step, integer_weights_step
from hls.passes.tidy import tidy
from hls.passes.to_finn import to_finn
from hls.qonnx_exec import load_model, run_qonnx

BLOCKS = ("conv", "pointwise", "average", "maximum", "up", "residual", "fire", "late_pool")
ACT = {"scale": 0.25, "bits": 4, "signed": True}


class Network:
    """Grows block by block; every stream has the quantizer `ACT`, so any two can be joined."""

    def __init__(self, b: Any, data: st.DataObject, shape: tuple[int, int, int]) -> None:
        self.b, self.draw = b, data.draw
        self.channels, self.height, self.width = shape
        zero = self.draw(st.sampled_from([0.0, 0.0, 3.0]))
        self.zero = zero
        x = b.quant("x", 2.0**-4, 6, signed=True)
        self.x = self.layer(x, self.channels, self.draw(st.integers(1, 4)))

    def act(self, x: str) -> str:
        """The shared quantizer, sometimes behind a ReLU."""
        if self.draw(st.booleans()):
            x = self.b.op("Relu", [x])
        return self.b.quant(x, ACT["scale"], ACT["bits"], signed=True, zero=self.zero)

    def conv(self, x: str, inputs: int, outputs: int, kernel: tuple[int, int]) -> str:
        """A convolution that keeps the size, with an even or odd kernel, a bias, odd factors."""
        total = (kernel[0] - 1, kernel[1] - 1)
        top, left = (self.draw(st.integers(0, t)) for t in total)
        pads = (top, left, total[0] - top, total[1] - left)
        x = self.b.conv(x, (inputs, outputs), kernel, pads=pads, bias_step=2.0**-9)
        if self.draw(st.booleans()):
            factors = 2.0 ** self.b.rng.integers(-1, 2, (outputs, 1, 1))
            signs = self.b.rng.choice([-1, 1], (outputs, 1, 1))
            x = self.b.op("Mul", [x, self.b.const(factors * signs)])
        return x

    def layer(self, x: str, inputs: int, outputs: int, kernel: tuple[int, int] = (3, 3)) -> str:
        """Convolution and quantizer."""
        self.channels = outputs
        return self.act(self.conv(x, inputs, outputs, kernel))

    def grow(self, block: str) -> None:
        """One block more, where it fits."""
        c, outputs = self.channels, self.draw(st.integers(1, 4))
        if block in ("conv", "pointwise"):
            sizes = st.integers(1, 4) if block == "conv" else st.just(1)
            kernel = (self.draw(sizes), self.draw(sizes))
            self.x = self.layer(self.x, c, outputs, kernel)
        elif block in ("average", "maximum", "late_pool"):
            self.pool(block)
        elif block == "up" and self.height * self.width <= 24:
            scale = (self.draw(st.integers(1, 2)), self.draw(st.integers(1, 3)))
            self.x = self.b.upsample(self.x, scale)
            self.height, self.width = self.height * scale[0], self.width * scale[1]
        elif block == "residual":
            body = self.layer(self.x, c, c)
            self.x = self.act(self.b.op("Add", [self.x, body]))
        elif block == "fire":
            squeezed = self.layer(self.x, c, outputs, (1, 1))
            one = self.layer(squeezed, outputs, 2, (1, 1))
            three = self.layer(squeezed, outputs, 3)
            self.x, self.channels = self.b.op("Concat", [one, three], axis=1), 5

    def pool(self, block: str) -> None:
        """Tiles of codes, or of a convolution's sums."""
        kernel = (1 + (self.height % 2 == 0), 1 + (self.width % 2 == 0))
        kind = "MaxPool" if block == "maximum" else "AveragePool"
        if block == "late_pool":
            self.x = self.act(
                self.b.pool(self.conv(self.x, self.channels, self.channels, (3, 3)), kernel)
            )
        else:
            self.x = self.b.pool(self.x, kernel, kind)
            if kind == "AveragePool":
                self.x = self.act(self.b.conv(self.x, (self.channels,) * 2, (1, 1)))
        self.height, self.width = self.height // kernel[0], self.width // kernel[1]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_any_network_gives_the_integers_of_qonnx(
    cnn: ModuleType, tmp_path: Path, data: st.DataObject
) -> None:
    shape = tuple(data.draw(st.integers(1, n)) for n in (3, 6, 6))
    b = cnn.ImageBuilder(data.draw(st.integers(0, 1000)))
    network = Network(b, data, shape)
    for block in data.draw(st.lists(st.sampled_from(BLOCKS), min_size=1, max_size=4)):
        network.grow(block)
    out = network.x
    if data.draw(st.booleans()):
        out = network.conv(out, network.channels, 2, (1, 1))
        network.channels = 2
    path = tmp_path / "net.onnx"
    b.model(shape, (network.channels, network.height, network.width), out, path)
    check(path, tmp_path, data)


def check(path: Path, folder: Path, data: st.DataObject) -> None:
    """All passes, a random folding, and the integers at every stage."""
    model = load_model(path)
    tidied = tidy(model)
    check_quantized(tidied)
    ints, reports = integer_activations_step(integer_weights_step(tidied))
    assert all(r.proven for r in reports)
    decided = decide(ints, "soft", "output")
    entry = input_border(tidied, "input")
    shape = model.get_tensor_shape("x")
    x = np.random.default_rng(0).normal(0, 1, (20, *shape[1:])).astype(np.float32)
    golden = decide_outputs(run_qonnx(model, x), "soft", decided.output)
    codes = to_codes(entry, x)
    setup_finn(folder / "finn")
    finn = to_finn(decided.model)
    part = device(CompileOptions().part)
    ours = finn.transform(SpecializeToPhy(part, "auto", "auto")).transform(SpecializeImages())
    for stage in (decided.model, finn, ours):
        result = run_qonnx(stage, codes.astype(np.float32))
        np.testing.assert_array_equal(np.rint(result).reshape(len(x), -1), golden)
    acc = extract(ours, "net", (entry, decided.output), 100.0, {})
    folding = {la.source: data.draw(st.sampled_from(choices(la))) for la in acc.layers}
    folded = apply_folding(acc, folding)
    np.testing.assert_array_equal(reference.run(folded, codes), golden)

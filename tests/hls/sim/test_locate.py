# SPDX-License-Identifier: Apache-2.0
"""Finding the broken layer of the toy accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from sim_chains import Dense, chain

from hls import reference
from hls.ir import Accelerator
from hls.sim.engine import simulate
from hls.sim.fifo_sizing import random_codes
from hls.sim.locate import first_difference, locate
from hls.sim.verilate import build
from hls.stitch import write_rtl

FRAME, ELEMENT = 70, 5


def _trace(toy, fault: str | None):
    """The toy's right values, except one value of stream ``fault`` and of what follows from it."""

    def trace(_: Accelerator, codes: np.ndarray) -> Mapping[str, np.ndarray]:
        values = {"in": codes.copy(), "mid": codes.copy(), "out": toy.expected(codes)}
        for name in list(values)[list(values).index(fault) if fault else 3 :]:
            values[name][FRAME - 64, ELEMENT] += 1
        return values

    return trace


@pytest.mark.verilator
@pytest.mark.parametrize(
    ("stream", "layer"), [("mid", "first"), ("out", "second"), ("in", "input")]
)
def test_the_first_layer_that_differs_is_named(
    toy, tmp_path_factory: pytest.TempPathFactory, stream: str, layer: str
) -> None:
    build_dir = tmp_path_factory.getbasetemp() / "locate"
    codes = toy.codes(100)
    difference = locate(toy.files, toy.accelerator, codes, 75, build_dir, trace=_trace(toy, stream))
    assert difference is not None
    right = toy.expected(codes) if stream == "out" else codes
    value = int(right[FRAME, ELEMENT])
    assert (difference.frame, difference.layer, difference.stream) == (FRAME, layer, stream)
    assert (difference.element, difference.expected, difference.got) == (ELEMENT, value + 1, value)
    assert str(difference) == (
        f"first difference: frame 70, layer {layer} (stream {stream}), element 5: "
        f"expected {value + 1}, got {value}"
    )


@pytest.mark.verilator
def test_no_difference_is_none(toy, tmp_path_factory: pytest.TempPathFactory) -> None:
    build_dir = tmp_path_factory.getbasetemp() / "locate"
    codes = toy.codes(100)
    found = locate(toy.files, toy.accelerator, codes, 99, build_dir, trace=_trace(toy, None))
    assert found is None


@pytest.mark.verilator
def test_a_wrong_weight_is_found_in_its_layer(tmp_path: Path) -> None:
    accelerator = chain(12, [Dense(24, 4, 3), Dense(16, 2, 4), Dense(6, 3, 8)])
    rtl = write_rtl(accelerator, tmp_path)
    binary = build(rtl, accelerator, tmp_path / "sim")
    codes = random_codes(accelerator, 80, 1)
    expected = reference.run(accelerator, codes)
    np.testing.assert_array_equal(simulate(binary, codes).outputs, expected)
    weights = next(path for path in rtl.data_files if path.name == "mvau1_weights.dat")
    words = weights.read_text().split()
    assert words[7][-1] != "3"
    words[7] = words[7][:-1] + "3"  # word 7 is beat 1 of fold 1: row 2, column 4
    weights.write_text("\n".join(words) + "\n")
    outputs = simulate(binary, codes).outputs
    place = first_difference(expected, outputs)
    assert place is not None
    found = locate(rtl, accelerator, codes, place[0], tmp_path / "sim")
    assert found is not None
    assert (found.layer, found.stream, found.element) == ("mvau1", "mvau1_y", 2)
    assert found.frame <= place[0]
    hidden = reference.trace(accelerator, codes)["thr0_y"][found.frame]
    old = int(accelerator.layer("mvau1").arrays["weights"][2, 4])
    assert found.got - found.expected == (3 - old) * int(hidden[4])


def test_first_difference_of_arrays(tmp_path: Path) -> None:
    a = np.zeros((3, 4), dtype=np.int64)
    b = a.copy()
    assert first_difference(a, b) is None
    b[2, 1] = b[1, 3] = 7
    assert first_difference(a, b) == (1, 3)

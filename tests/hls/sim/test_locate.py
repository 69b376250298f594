# SPDX-License-Identifier: Apache-2.0
"""Finding the broken layer of the toy accelerator."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from hls.ir import Accelerator
from hls.sim.locate import first_difference, locate

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


def test_first_difference_of_arrays(tmp_path: Path) -> None:
    a = np.zeros((3, 4), dtype=np.int64)
    b = a.copy()
    assert first_difference(a, b) is None
    b[2, 1] = b[1, 3] = 7
    assert first_difference(a, b) == (1, 3)

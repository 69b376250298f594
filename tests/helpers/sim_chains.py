# SPDX-License-Identifier: Apache-2.0
"""Stitched accelerators of random integers, for the tests and benchmarks of the simulator."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hls.ir import Accelerator, Border, IntFormat, Layer, Stream

CODE = IntFormat(4, signed=False)
WEIGHT_BITS = 4


@dataclass(frozen=True)
class Dense:
    """One matrix with its thresholds, folded: ``pe`` rows and ``simd`` columns per cycle."""

    rows: int
    pe: int
    simd: int


def chain(inputs: int, layers: Sequence[Dense], *, in_bits: int = 8, seed: int = 0) -> Accelerator:
    """Dense layers with 4-bit weights and activations, random weights, width converters between."""
    return _Chain(inputs, in_bits, np.random.default_rng(seed)).build(layers)


class _Chain:
    def __init__(self, inputs: int, in_bits: int, rng: np.random.Generator) -> None:
        self.rng = rng
        self.inputs = inputs
        self.in_fmt = IntFormat(in_bits, signed=True)
        self.layers: list[Layer] = []
        self.streams: list[Stream] = []

    def build(self, layers: Sequence[Dense]) -> Accelerator:
        fmt, columns = self.in_fmt, self.inputs
        self._stream("x", None, fmt, layers[0].simd, columns)
        for index, dense in enumerate(layers):
            if self.streams[-1].elems_per_beat != dense.simd:
                self._convert(f"dwc{index}", fmt, dense.simd, columns)
            acc = self._matrix(f"mvau{index}", fmt, columns, dense)
            self._thresholds(f"thr{index}", acc, dense)
            fmt, columns = CODE, dense.rows
        last = self.streams.pop()
        self.streams.append(
            Stream(
                last.name, last.producer, None, last.fmt, last.elems_per_beat, last.beats_per_frame
            )
        )
        source = Border("x", (self.inputs,), self.in_fmt, (1.0,), (0.0,), "codes")
        sink = Border(last.name, (columns,), fmt, (1.0,), (0.0,), "codes")
        return Accelerator(
            "chain", tuple(self.layers), tuple(self.streams), source, sink, clock_mhz=100.0
        )

    def _stream(
        self, name: str, producer: str | None, fmt: IntFormat, elems: int, total: int
    ) -> None:
        self.streams.append(Stream(name, producer, None, fmt, elems, total // elems))

    def _layer(
        self,
        name: str,
        kind: str,
        params: dict[str, int],
        arrays: dict[str, np.ndarray],
        out: tuple[IntFormat, int, int],
    ) -> None:
        """Appends a layer behind the last stream, and its output stream (format, per beat, all)."""
        old = self.streams[-1]
        self.streams[-1] = Stream(
            old.name, old.producer, name, old.fmt, old.elems_per_beat, old.beats_per_frame
        )
        self.layers.append(Layer(name, kind, "", (old.name,), (f"{name}_y",), params, arrays))
        self._stream(f"{name}_y", name, *out)

    def _convert(self, name: str, fmt: IntFormat, elems: int, total: int) -> None:
        have = self.streams[-1].elems_per_beat
        params = {"in_elems": have, "out_elems": elems, "elem_bits": fmt.bits}
        self._layer(name, "dwc", params, {}, (fmt, elems, total))

    def _matrix(self, name: str, fmt: IntFormat, columns: int, dense: Dense) -> IntFormat:
        weights = self.rng.integers(-7, 8, (dense.rows, columns))
        largest = int(np.abs(weights).sum(axis=1).max()) * max(-fmt.min, fmt.max)
        acc = IntFormat(largest.bit_length() + 1, signed=True)
        params = {
            **{"mat_w": columns, "mat_h": dense.rows, "pe": dense.pe, "simd": dense.simd},
            **{"in_bits": fmt.bits, "in_signed": int(fmt.signed), "acc_bits": acc.bits},
            **{"weight_bits": WEIGHT_BITS, "weight_signed": 1},
        }
        self._layer(name, "mvau", params, {"weights": weights}, (acc, dense.pe, dense.rows))
        return acc

    def _thresholds(self, name: str, acc: IntFormat, dense: Dense) -> None:
        spread = 2.0 ** (acc.bits - 3)
        values = self.rng.normal(0.0, spread / 2, (dense.rows, CODE.max)).astype(np.int64)
        params = {
            **{"channels": dense.rows, "pe": dense.pe, "in_bits": acc.bits, "in_signed": 1},
            **{"steps": CODE.max, "out_bits": CODE.bits, "out_signed": 0, "out_bias": 0},
        }
        arrays = {"thresholds": np.sort(values, axis=1)}
        self._layer(name, "thresholding", params, arrays, (CODE, dense.pe, dense.rows))

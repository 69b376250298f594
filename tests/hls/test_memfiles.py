# SPDX-License-Identifier: Apache-2.0
"""Memory files: every word against a slow, obvious packing."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rtl_chains import Spec, chain, dwc, mvau, requant, sparse, thresholding

from hls.ir import IntFormat, Layer
from hls.memfiles import compress, hex_words, memory_files, rom_text
from models.errors import CompileError

U4, S4, S8 = IntFormat(4, signed=False), IntFormat(4, signed=True), IntFormat(8, signed=True)


def _layer(spec: Spec) -> Layer:
    elems = spec.params.get("simd", spec.params.get("pe", spec.params.get("in_elems", 1)))
    total = spec.params.get("mat_w", spec.params.get("channels", elems))
    signed = bool(spec.params.get("in_signed", 0))
    fmt = IntFormat(spec.params.get("in_bits", 4), signed)
    return chain(fmt, elems, total, [spec]).layers[0]


def _words(text: str) -> list[int]:
    return [int(line, 16) for line in text.splitlines()]


@given(st.integers(1, 64), st.integers(1, 9), st.integers(1, 5), st.integers(0, 1000))
def test_hex_words_is_the_obvious_packing(bits: int, fields: int, count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(-(2**63), 2**63 - 1, (count, fields)) >> (64 - bits)
    expected = [
        sum((int(v) & ((1 << bits) - 1)) << (bits * i) for i, v in enumerate(row)) for row in values
    ]
    text = hex_words(values, bits)
    assert _words(text) == expected
    assert {len(line) for line in text.splitlines()} == {-(-bits * fields // 4)}


def test_deep_memories_have_several_words_in_a_row() -> None:
    values = np.arange(1500)[:, None] % 251
    rows = _words(rom_text(values, 24))
    assert len(rows) == 512
    assert _words(rom_text(values[:512], 24)) == [value % 251 for value in range(512)]
    for word in range(1536):
        expected = word % 251 if word < 1500 else 0
        assert rows[word % 512] >> (24 * (word // 512)) & 0xFFFFFF == expected


def test_dense_weights_follow_the_folding() -> None:
    layer = _layer(mvau((6, 8), 3, 2, U4, S4))
    weights = layer.arrays["weights"]
    words = _words(memory_files(layer)["l0_weights.dat"])
    assert len(words) == 2 * 4
    for f in range(2):
        for b in range(4):
            for p in range(3):
                for s in range(2):
                    field = words[f * 4 + b] >> ((p * 2 + s) * 4) & 15
                    assert field == weights[f * 3 + p, b * 2 + s] & 15


def test_sparse_entries_rebuild_the_matrix() -> None:
    layer = _layer(sparse((4, 12), 2, 6, (3, 2), U4, S4))
    words = _words(memory_files(layer)["l0_weights.dat"])
    rebuilt = np.zeros((4, 12), dtype=np.int64)
    for step, word in enumerate(words):
        f, b = divmod(step, 2)
        for p in range(2):
            for k in range(2):
                for j in range(2):
                    entry = word >> (((p * 2 + k) * 2 + j) * 6) & 63
                    weight = (entry & 15) - 16 * (entry >> 3 & 1)
                    rebuilt[f * 2 + p, b * 6 + k * 3 + (entry >> 4)] += weight
    np.testing.assert_array_equal(rebuilt, layer.arrays["weights"])


def test_a_full_block_is_refused() -> None:
    weights = np.zeros((3, 8), dtype=np.int64)
    weights[1, 4:7] = 1
    with pytest.raises(
        CompileError, match=r"net: row 1, columns 4 to 7 have 3 non-zero weights: .* allows 2"
    ):
        compress("net", weights, block=4, nnz=2)
    with pytest.raises(CompileError, match=r"net: block=3 must divide mat_w=8"):
        compress("net", weights, block=3, nnz=2)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_thresholds_searched_as_the_kernel_does(steps: int, signed: bool) -> None:
    fmt = IntFormat(5, signed)
    layer = _layer(thresholding(6, 2, fmt, steps, U4))
    files = memory_files(layer)
    stages = steps.bit_length()
    assert len(files) == stages * 2
    width = 5 + (1 if signed else 2)
    for x in range(fmt.min, fmt.max + 1):
        for channel in range(6):
            fold, lane = divmod(channel, 2)
            found = 0
            for stage in range(stages):
                words = _words(files[f"l0_thresholds_s{stage:02}_p{lane:04}.dat"])
                raw = words[fold * 2**stage + found]
                threshold = raw - (1 << width) * (raw >> (width - 1))
                found = found * 2 + (x >= threshold)
            assert found == (x >= layer.arrays["thresholds"][channel]).sum()


def test_requant_params_hold_mul_and_add() -> None:
    layer = _layer(requant(6, 2, S8, (5, 40, 9), U4))
    words = _words(memory_files(layer)["l0_params.dat"])
    for channel in range(6):
        lane = words[channel // 2] >> (channel % 2 * 45)
        assert lane & 31 == layer.arrays["mul"][channel] & 31
        assert lane >> 5 & (1 << 40) - 1 == layer.arrays["add"][channel] & (1 << 40) - 1


def test_a_dwc_has_no_memory() -> None:
    assert memory_files(_layer(dwc(U4, 4, 2))) == {}


def _with(layer: Layer, **arrays: np.ndarray) -> Layer:
    return replace(layer, arrays=MappingProxyType({**layer.arrays, **arrays}))


def test_arrays_that_do_not_fit_are_refused() -> None:
    dense = _layer(mvau((6, 8), 3, 2, U4, S4))
    with pytest.raises(CompileError, match=r"l0: weights from -8 to 8 do not fit INT4 \(-8 to 7\)"):
        memory_files(_with(dense, weights=np.where(dense.arrays["weights"] == 7, 8, -8)))
    with pytest.raises(CompileError, match=r"l0: weights of shape \(8, 6\): must be \(6, 8\)"):
        memory_files(_with(dense, weights=dense.arrays["weights"].T))
    with pytest.raises(CompileError, match="l0: a mvau needs the array 'weights'"):
        memory_files(replace(dense, arrays={}))
    levels = _layer(thresholding(6, 2, S8, 3, U4))
    falling = levels.arrays["thresholds"].copy()
    falling[4] = [3, 2, 9]
    with pytest.raises(CompileError, match="l0: thresholds of channel 4 must ascend"):
        memory_files(_with(levels, thresholds=falling))

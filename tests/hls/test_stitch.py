# SPDX-License-Identifier: Apache-2.0
"""The stitcher: names, files, bytes, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rtl_chains import chain, dwc, mvau, requant, sparse, thresholding
from rtl_graphs import add, duplicate, graph, line, pool, residual, window

from hls.ir import Accelerator, IntFormat, Layer
from hls.stitch import kernel_files, render_top, stream_wires, top_name, write_rtl
from models.errors import CompileError, StorageError

U4, S4, S8 = IntFormat(4, signed=False), IntFormat(4, signed=True), IntFormat(8, signed=True)
U2, S2 = IntFormat(2, signed=False), IntFormat(2, signed=True)


@pytest.fixture
def acc() -> Accelerator:
    """Two dense layers, 12 -> 8 -> 4."""
    first = mvau((8, 12), 4, 3, S8, S4)
    layers = [
        first,
        thresholding(8, 4, first.fmt, 15, U4),
        dwc(U4, 4, 2),
        mvau((4, 8), 2, 2, U4, S4),
    ]
    return chain(S8, 3, 12, layers, {"s2": 4}, name="two-layers")


def test_top_and_its_names(acc: Accelerator) -> None:
    text = render_top(acc)
    assert top_name(acc) == "two_layers_top"
    assert "module two_layers_top #(" in text
    assert text.count(".MemDir(MemDir)") == 3
    assert ") u_l3 (" in text
    assert '.WeightFile("l3_weights.dat")' in text
    assert ") fifo_s2 (" in text
    assert text.count("phy_fifo #(") == 1
    plain, buffered = stream_wires(acc, "s1"), stream_wires(acc, "s2")
    assert (plain.up, plain.down, plain.fifo) == ("s_s1", "s_s1", "")
    assert (buffered.up, buffered.down, buffered.fifo) == ("p_s2", "s_s2", "fifo_s2")
    for prefix in (*plain.sides, *buffered.sides):
        for wire in ("tdata", "tvalid", "tready"):
            assert f" {prefix}_{wire};" in text


def test_package_holds_what_the_top_needs_and_no_more(acc: Accelerator, tmp_path: Path) -> None:
    rtl = write_rtl(acc, tmp_path)
    names = [path.name for path in rtl.sources]
    assert names[0] == "phy_pkg.sv"
    assert names[-1] == "two_layers_top.sv"
    assert {"phy_mvau.sv", "phy_thresholding.sv", "phy_dwc.sv", "phy_fifo.sv"} <= set(names)
    assert not {"phy_requant.sv", "phy_mvau_sparse.sv"} & set(names)
    written = {path.name for path in (tmp_path / "rtl").iterdir()}
    assert written == {path.name for path in (*rtl.sources, *rtl.data_files)}
    assert {path.parent for path in (*rtl.sources, *rtl.data_files)} == {tmp_path / "rtl"}


def test_equal_descriptions_give_equal_bytes(acc: Accelerator, tmp_path: Path) -> None:
    acc.save(tmp_path)
    first = write_rtl(acc, tmp_path / "a")
    second = write_rtl(Accelerator.load(tmp_path), tmp_path / "b")
    for one, other in zip(
        (*first.sources, *first.data_files), (*second.sources, *second.data_files), strict=True
    ):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()
    deeper = render_top(acc.with_fifo_depths({"s2": 5}))
    assert deeper.splitlines()[0] != render_top(acc).splitlines()[0]


def test_files_of_an_earlier_run_go(acc: Accelerator, tmp_path: Path) -> None:
    write_rtl(acc, tmp_path)
    stale = [tmp_path / "rtl" / name for name in ("l9_weights.dat", "old_top.sv")]
    note = tmp_path / "rtl" / "notes.txt"
    for path in (*stale, note):
        path.write_text("x")
    write_rtl(acc, tmp_path)
    assert not any(path.exists() for path in stale)
    assert note.exists()


def test_a_folder_that_cannot_be_written(acc: Accelerator, tmp_path: Path) -> None:
    (tmp_path / "rtl").write_text("a file where the folder has to be")
    with pytest.raises(StorageError, match=r"rtl: RTL cannot be written \(File exists\)"):
        write_rtl(acc, tmp_path)


def _changed(acc: Accelerator, index: int, **params: int) -> Accelerator:
    layers = list(acc.layers)
    layers[index] = replace(layers[index], params={**layers[index].params, **params})
    return replace(acc, layers=tuple(layers))


def test_folding_that_does_not_divide(acc: Accelerator, tmp_path: Path) -> None:
    with pytest.raises(
        CompileError, match=r"l0: pe=3 must divide mat_h=8; choices: \[1, 2, 4, 8\]"
    ):
        write_rtl(_changed(acc, 0, pe=3), tmp_path)
    with pytest.raises(CompileError, match=r"l2: one of in_elems=4, out_elems=3 must divide"):
        write_rtl(_changed(acc, 2, out_elems=3), tmp_path)
    assert not (tmp_path / "rtl").exists()


def test_streams_that_do_not_fit(acc: Accelerator, tmp_path: Path) -> None:
    with pytest.raises(
        CompileError,
        match=r"l3: its input stream s3 has 4 bits x 2 elements x 4 beats; the layer has 4 x 4 x 2",
    ):
        write_rtl(_changed(acc, 3, simd=4), tmp_path)
    wrong = replace(acc.streams[1], consumer="l3")
    streams = (acc.streams[0], wrong, *acc.streams[2:])
    with pytest.raises(CompileError, match="l1: its input stream s1 names 'l3' at that end"):
        write_rtl(replace(acc, streams=streams), tmp_path)


def test_missing_parameters_and_layers(acc: Accelerator, tmp_path: Path) -> None:
    params = {k: v for k, v in acc.layers[0].params.items() if k != "acc_bits"}
    layers = (replace(acc.layers[0], params=params), *acc.layers[1:])
    with pytest.raises(CompileError, match=r"l0: a mvau needs the parameters \['acc_bits'\]"):
        write_rtl(replace(acc, layers=layers), tmp_path)
    with pytest.raises(CompileError, match="accelerator two-layers: has no layers"):
        write_rtl(replace(acc, layers=()), tmp_path)


def test_names_that_become_equal(acc: Accelerator, tmp_path: Path) -> None:
    streams = (
        *acc.streams,
        replace(acc.streams[1], name="s:1"),
        replace(acc.streams[1], name="s_1"),
    )
    with pytest.raises(CompileError, match="'s:1' and 's_1' would both be called s_1"):
        write_rtl(replace(acc, streams=streams), tmp_path)


def test_the_text_of_a_chain_is_as_it_was() -> None:
    """Kept from the stitcher that knew chains only; the first line has version and hash."""
    first, second = mvau((8, 12), 4, 3, S8, S4), sparse((8, 8), 2, 4, (4, 1), U4, S2)
    layers = [
        first,
        requant(8, 4, first.fmt, (6, 13, 9), U4),
        dwc(U4, 4, 2),
        dwc(U4, 2, 4),
        second,
        thresholding(8, 2, second.fmt, 3, U2),
    ]
    text = render_top(chain(S8, 3, 12, layers, {"s1": 2, "s6": 100}))
    assert text.partition("\n")[2] == (Path(__file__).parent / "data" / "chain_top.sv").read_text()


def test_forks_and_joins_have_numbered_ports() -> None:
    text = render_top(residual())
    fork, join = (text.split(f") {unit} (")[1].split(");")[0] for unit in ("u_fork", "u_sum"))
    for port, wires in (("s", "s_input"), ("m0", "s_fork_win_c"), ("m1", "s_fork_sum")):
        assert f".{port}_axis_tdata({wires}_tdata)" in fork
    for port, wires in (("s0", "s_act_c_sum"), ("s1", "s_fork_sum"), ("m", "s_output")):
        assert f".{port}_axis_tready({wires}_tready)" in join


@pytest.mark.parametrize(
    ("layer", "changes", "message"),
    [
        (window((4, 4, 2), 1, U4), {"pad_left": 3}, "padding 1, 1, 3, 1 must be less than the k"),
        (
            window((4, 4, 2), 1, U4, pad=(0, 0, 0, 0)),
            {"kernel_h": 5},
            "the kernel 5 x 3 exceeds the padded image of 4 x 4",
        ),
        (pool((4, 4, 2), (2, 2), 1, U4), {"kernel_w": 3}, "kernel_w=3 must divide width=4"),
        (pool((4, 4, 2), (2, 2), 1, U4), {"out_bits": 5}, "out_bits=5 does not hold 2 x 2 values"),
        (pool((4, 4, 2), (2, 2), 1, U4), {"pe": 3}, r"pe=3 must divide channels=2; choices: \[1"),
    ],
)
def test_images_that_do_not_fit(
    layer: Layer, changes: dict[str, int], message: str, tmp_path: Path
) -> None:
    acc = line(U4, (4, 4, 2), layer)
    with pytest.raises(CompileError, match=f"l0: {message}"):
        write_rtl(_changed(acc, 0, **changes), tmp_path)


def test_joins_that_do_not_fit(tmp_path: Path) -> None:
    nodes = [
        ("fork", duplicate(1, U4), ["x"], ["a", "b"]),
        ("sum", add(4, 2, 1, U4), ["a", "b"], ["y"]),
    ]
    acc = graph(U4, (4, 2), nodes)
    with pytest.raises(CompileError, match="fork: outputs=3: a duplicate has 2"):
        write_rtl(_changed(acc, 0, outputs=3), tmp_path)
    with pytest.raises(CompileError, match="sum: out_bits=4, out_signed=0 do not hold the sum"):
        write_rtl(_changed(acc, 1, out_bits=4), tmp_path)
    layers = (acc.layers[0], replace(acc.layers[1], inputs=acc.layers[1].inputs[:1]))
    with pytest.raises(CompileError, match="sum: a add has 2 input streams, not 1"):
        write_rtl(replace(acc, layers=layers), tmp_path)


def test_a_kernel_that_is_only_mentioned_is_not_needed(tmp_path: Path) -> None:
    """The comments of phy_mvau_sparse name phy_mvau, those of phy_mul its DSP variant."""
    spec = sparse((8, 12), 4, 4, (4, 1), S8, IntFormat(4, signed=True))
    names = [path.name for path in write_rtl(chain(S8, 4, 12, [spec]), tmp_path).sources]
    assert "phy_mvau_sparse.sv" in names
    assert "phy_mvau.sv" not in names
    assert {"phy_pkg.sv", "phy_rom.sv", "phy_dot.sv", "phy_mul_dsp.sv"} <= set(names)
    text = (
        '// phy_add\n/* phy_dwc */ initial $error("phy_pool: \\" phy_fifo"); phy_spill u_spill ();'
    )
    assert [path.stem for path in kernel_files(text)] == ["phy_spill"]

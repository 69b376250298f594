# SPDX-License-Identifier: Apache-2.0
"""A Zynq board, up to and with everything that FINN asks of Vivado, which is a stand-in here."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path

import numpy as np
import pytest

from fpga_builds.amd import AmdJob
from hls import reference
from hls.ir import Accelerator
from hls.sim.packing import pack, unpack
from hls.stitch import KERNELS, write_rtl

BOARD = "Pynq-Z2"
CELLS = (
    ("StreamingFIFO_phy_0", "fifo_input"),
    ("MVAU_phy_0", "fc0"),
    ("Requant_phy_0", "act0"),
    ("StreamingFIFO_phy_1", "fifo_act0_fc1"),
    ("MVAU_phy_1", "fc1"),
    ("Thresholding_phy_0", "act1"),
    ("StreamingFIFO_phy_2", "fifo_output"),
)


@pytest.fixture
def built(build_once) -> tuple[dict, AmdJob, list[dict]]:
    return build_once(BOARD)


@pytest.fixture
def stitch(built) -> str:
    """The Tcl of the stitched accelerator."""
    return built[2][0]["text"]


@pytest.fixture
def acc(built) -> Accelerator:
    return Accelerator.load(built[1].accelerator)


def test_result(built, acc: Accelerator) -> None:
    body, job, _ = built
    assert json.loads((job.folder / "bitstream.json").read_text()) == body
    assert (body["build"], body["board"], body["part"]) == ("tiny", BOARD, "xc7z020clg400-1")
    bitstream = job.folder / body["bitstream"]
    assert bitstream.stat().st_size == body["bytes"] > 0
    assert body["target_mhz"] == body["clock_mhz"] == 150
    assert body["timing_met"] is True
    assert body["wns_ns"] == 0.5
    assert body["fmax_mhz"] == pytest.approx(1e3 / (1e3 / 150 - 0.5))
    assert body["throughput_per_s"] == pytest.approx(150e6 / body["ii_cycles"])
    assert body["totals"]["lut"] == 10_000
    assert [row["name"] for row in body["layers"]] == [module for _, module in CELLS]
    assert all(row["lut"] == 20 and row["ff"] == 22 for row in body["layers"])
    assert sorted(p.name for p in job.folder.iterdir()) == [
        "bitstream.json",
        "deploy",
        "logs",
        "report",
    ]
    assert len(list((job.folder / "logs").glob("*vivado*make_project*.log"))) == 4


def test_calls_in_order_and_their_environment(built) -> None:
    calls = built[2]
    assert [(call["tool"], call["script"].split("_S")[0]) for call in calls] == [
        ("vivado", "make_project.tcl"),
        ("vitis_hls", "hls_syn"),
        ("vivado", "make_project.tcl"),
        ("vivado", "make_project.tcl"),
        ("vitis_hls", "hls_syn"),
        ("vivado", "make_project.tcl"),
        ("vivado", "ip_config.tcl"),
    ]
    for call in calls:
        assert (Path(call["env"]["FINN_RTLLIB"]) / "sim" / "hdl" / "sim_ctrl.v").is_file()
        assert Path(call["env"]["FINN_CUSTOM_HLS"]).is_dir()
        assert call["env"]["XILINX_LOCAL_USER_DATA"] == "no"
    assert calls[0]["argv"] == ["-mode", "batch", "-source", "make_project.tcl"]


def test_stitched_design_has_part_clock_and_sources(stitch: str) -> None:
    assert re.search(
        r"^create_project finn_vivado_stitch_proj \S+ -part xc7z020clg400-1$", stitch, re.M
    )
    assert "set_property CONFIG.FREQ_HZ 150000000 [get_bd_ports /ap_clk]" in stitch
    added = re.findall(r"^add_files -fileset sources_1 -norecurse \[list (.*)\]$", stitch, re.M)
    files = [Path(item) for line in added for item in line.split()]
    assert all(path.is_file() for path in files)
    names = {path.name for path in files}
    assert {"phy_pkg.sv", "phy_mvau.sv", "phy_requant.sv", "phy_fifo.sv", "fc0.v"} <= names
    for path in files:  # every kernel once, however many nodes use it
        assert path.suffix != ".sv" or path.parent == KERNELS or path.name.endswith("_top.sv")
    data = {path.name for path in files if path.suffix == ".dat"}
    assert {"fc0_weights.dat", "fc1_weights.dat", "act0_params.dat"} < data
    typed = re.findall(
        r"file_type \{Memory Initialization Files\} \[get_files \[list (.*)\]\]", stitch
    )
    assert {Path(item).name for line in typed for item in line.split()} == data


def test_stitched_design_joins_the_nodes_in_order(stitch: str) -> None:
    cells = re.findall(r"^create_bd_cell -type module -reference (\S+) (\S+)$", stitch, re.M)
    assert [(cell, module) for module, cell in cells][:-1] == list(CELLS)  # the last is FINN's
    pins = r"\[get_bd_intf_pins (\S+)/out0_V\] \[get_bd_intf_pins (\S+)/in0_V\]"
    joined = re.findall(rf"^connect_bd_intf_net {pins}$", stitch, re.M)
    names = [cell for cell, _ in CELLS]
    assert joined == list(itertools.pairwise(names))
    for cell in names:
        assert re.search(rf"get_bd_pins {cell}/ap_clk\]", stitch)
        assert re.search(rf"get_bd_pins {cell}/ap_rst_n\]", stitch)
    assert f"make_bd_intf_pins_external [get_bd_intf_pins {names[0]}/in0_V]" in stitch
    assert f"make_bd_intf_pins_external [get_bd_intf_pins {names[-1]}/out0_V]" in stitch


def test_a_tcl_interpreter_takes_the_stitched_design(built, tmp_path: Path) -> None:
    tkinter = pytest.importorskip("tkinter")
    call = built[2][0]
    seen: list[tuple[str, ...]] = []
    answers = {"get_files": lambda *words: words[-1]}

    def vivado(*words: str) -> str:
        seen.append(words)
        return answers.get(words[0], lambda *_: "")(*words)

    tcl = tkinter.Tcl()
    tcl.createcommand("unknown", vivado)
    for key, value in call["env"].items():
        tcl.setvar(f"env({key})", value)
    ours = call["text"].split("ipx::package_project")[0]
    tcl.eval(ours)
    files = [w for words in seen if words[0] == "add_files" for w in words[-1].split()]
    assert all(Path(path).is_file() for path in files[:-1])  # the last is written by make_wrapper
    assert sum(words[0] == "create_bd_cell" for words in seen) == len(CELLS) + 1


def test_shell_has_board_clock_and_dmas(built) -> None:
    shell = built[2][-1]["text"]
    assert f"set BOARD {BOARD}\n" in shell
    assert "set FPGA_PART xc7z020clg400-1\n" in shell
    assert "set FREQ_MHZ 150\n" in shell
    accelerator = "StreamingDataflowPartition_1"
    for one, other in (
        (f"{accelerator}/s_axis_0", "idma0/m_axis_0"),
        ("odma0/s_axis_0", f"{accelerator}/m_axis_0"),
    ):
        line = f"connect_bd_intf_net [get_bd_intf_pins {one}] [get_bd_intf_pins {other}]"
        assert line in shell


def test_deployed_rtl_is_the_simulated_rtl(built, acc: Accelerator, tmp_path: Path) -> None:
    """The same kernels with the same parameters and the same memories."""
    _, job, calls = built
    simulated = write_rtl(acc, tmp_path)
    top = simulated.sources[-1].read_text()
    listed = re.findall(r"-norecurse \[list (.*)\]$", calls[0]["text"], re.M)
    files = {Path(item).name: Path(item) for line in listed for item in line.split()}
    for data in simulated.data_files:
        assert files[data.name].read_bytes() == data.read_bytes()
    block = re.compile(r"(phy_\w+) #\(\n(.*?)\n  \) (\w+) \(", re.S)
    wanted = {name: (kind, body) for kind, body, name in block.findall(top)}
    found = {}
    for _, module in CELLS:
        fifo = module.startswith("fifo_")
        text = files[f"{module}.v" if fifo else f"{module}_top.sv"].read_text()
        kind, body, name = block.findall(text)[0]
        found[module if fifo else name] = (kind, re.sub(r'File\("\S+/', 'File("', body))
    assert found == wanted
    assert str(job.work) in files["fc0_top.sv"].read_text()  # memories by their whole path


def test_driver_and_streams_agree_on_every_byte(built, acc: Accelerator) -> None:
    """The driver packs codes into the beats that the accelerator takes, and unpacks its own."""
    from finn.util.data_packing import finnpy_to_packed_bytearray, packed_bytearray_to_finnpy
    from qonnx.core.datatype import DataType

    _, job, _ = built
    deploy = job.folder / "deploy"
    settings = json.loads((deploy / "driver" / "settings.json").read_text())
    shapes = settings["driver_information"]["io_shape_dict"]
    assert settings["driver_information"]["fclk_mhz"] == pytest.approx(150)
    codes = np.load(deploy / "golden" / "input.npy")
    expected = np.load(deploy / "golden" / "expected.npy")
    np.testing.assert_array_equal(expected, reference.run(acc, codes.astype(np.int64)))
    kinds = {k: DataType[shapes[k][0].split("'")[1]] for k in ("idt", "odt")}
    packing = {"reverse_endian": True, "reverse_inner": True}
    source, sink = acc.stream(acc.input.stream), acc.stream(acc.output.stream)
    folded = codes.reshape(len(codes), *shapes["ishape_folded"][0][1:])
    packed = finnpy_to_packed_bytearray(folded, kinds["idt"], **packing)
    beats = pack(codes.astype(np.int64), source.fmt, source.elems_per_beat)
    np.testing.assert_array_equal(packed, beats)
    out = pack(expected, sink.fmt, sink.elems_per_beat)
    shape = (len(codes), *shapes["oshape_folded"][0][1:])
    unpacked = packed_bytearray_to_finnpy(out, kinds["odt"], shape, **packing)
    np.testing.assert_array_equal(unpacked.reshape(len(codes), -1), expected)
    np.testing.assert_array_equal(unpack(out, sink.fmt, sink.elems_per_beat), expected)
